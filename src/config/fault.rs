//! What is wrong with a configuration, where, and how to mend it.
//!
//! Owns     the two sorts: a [`Fault`] keeps the gateway from starting or reloading, a [`Warning`] does not.
//! Called   by everything that reads configuration; printed by `check`, at start and in a reload's answer.
//! Bounded  by the files that are read: at most one finding per member.
//! Fails    never.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::problem::{Concern, Problem};

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An environment variable, which `.env` may set too, or a flag.
    Setting(&'static str),
    /// A file or folder.
    File {
        /// Its path, as it was named.
        path: Arc<Path>,
        /// Where in it; `None` is the whole.
        position: Option<Position>,
    },
}

/// A place in a text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    /// The whole of a file or folder.
    pub fn file(path: &Path) -> Self {
        Self::File { path: path.into(), position: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(name) => f.write_str(name),
            Self::File { path, position: None } => write!(f, "{}", path.display()),
            Self::File { path, position: Some(Position { line, column }) } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
        }
    }
}

/// Something that must be mended before the configuration can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub place: Place,
    /// The member's path, such as `providers.openai.kind`; empty when the place says all.
    pub member: String,
    /// What is wrong, and the cure.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_finding(f, &self.place, &self.member, &self.problem)
    }
}

/// Something that a person should know; the gateway runs all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it is.
    pub place: Place,
    /// The member's path; empty when the place says all.
    pub member: String,
    /// What it is.
    pub concern: Concern,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_finding(f, &self.place, &self.member, &self.concern)
    }
}

fn write_finding(
    f: &mut fmt::Formatter<'_>,
    place: &Place,
    member: &str,
    what: &dyn fmt::Display,
) -> fmt::Result {
    if member.is_empty() { write!(f, "{place}: {what}") } else { write!(f, "{place}: {member}: {what}") }
}

/// Every fault of a configuration, in the order of files and lines; at least one. Prints one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let line_end = if at == 0 { "" } else { "\n" };
            write!(f, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// What was found while reading.
#[derive(Debug, Default)]
pub struct Report {
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl Report {
    /// Notes a fault.
    pub fn fault(&mut self, place: Place, member: impl Into<String>, problem: Problem) {
        self.faults.push(Fault { place, member: member.into(), problem });
    }

    /// Notes a warning.
    pub fn warn(&mut self, place: Place, member: impl Into<String>, concern: Concern) {
        self.warnings.push(Warning { place, member: member.into(), concern });
    }

    /// Notes faults that were found elsewhere.
    pub fn add(&mut self, faults: Faults) {
        self.faults.extend(faults.0);
    }

    /// The warnings, if nothing must be mended.
    ///
    /// # Errors
    /// All faults, if there is one.
    pub fn finish(mut self) -> Result<Vec<Warning>, Faults> {
        if self.faults.is_empty() {
            self.warnings.sort_by(|a, b| a.place.cmp(&b.place));
            return Ok(self.warnings);
        }
        self.faults.sort_by(|a, b| a.place.cmp(&b.place));
        Err(Faults(self.faults))
    }
}
