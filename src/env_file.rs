//! The `.env` file: variables for this program alone.
//!
//! Owns     the map that was read. No variable of the process is set, nor read: settings are values.
//! Called   at start and by a reload, before the settings are read.
//! Bounded  by `config::FILE_MAX`.
//! Fails    with every line that is no assignment, named by its number and never quoted, since it may hold a
//!          secret. A missing file is an empty one, unless somebody has named it.
//!
//! A line is `KEY=VALUE`, also with `export` before it and blanks around the `=`; empty lines and lines that
//! start with `#` count for nothing. A bare value ends at a blank followed by `#`. In single quotes a value
//! is taken as it is; in double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` stand for one character. `$NAME`
//! is not replaced. Of two lines with one key the later counts. An empty value is the same as none.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::config::{Faults, Place, Position, Problem, Report, read_text};

/// The usual place, in the working folder.
pub const DEFAULT_ENV_FILE: &str = ".env";

/// The variables of a `.env` file. `Debug` shows their names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvFile(HashMap<String, String>);

impl EnvFile {
    /// Reads a file that need not be there; a missing one is empty.
    ///
    /// # Errors
    /// As [`read`](Self::read), but for that.
    pub fn read_if_there(path: &Path) -> Result<Self, Faults> {
        match read_text(path) {
            Err(Problem::NotFound) => Ok(Self::default()),
            text => Self::parse(path, text),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Every line that is no assignment, or that the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Faults> {
        Self::parse(path, read_text(path))
    }

    fn parse(path: &Path, text: Result<String, Problem>) -> Result<Self, Faults> {
        let mut report = Report::default();
        let text = match text {
            Ok(text) => text,
            Err(problem) => {
                report.fault(Place::file(path), "", problem);
                String::new()
            }
        };
        let file: Arc<Path> = path.into();
        let mut variables = HashMap::new();
        for (at, line) in text.lines().enumerate() {
            match assignment(line) {
                Ok(Some((key, value))) => {
                    variables.insert(key.to_owned(), value);
                }
                Ok(None) => {}
                Err(problem) => {
                    let place = Place::File {
                        path: Arc::clone(&file),
                        position: Some(Position { line: at + 1, column: 1 }),
                    };
                    report.fault(place, "", problem);
                }
            }
        }
        report.finish()?;
        Ok(Self(variables))
    }

    /// A variable's value, unless it is empty or absent.
    pub fn lookup(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.0.keys().collect();
        names.sort();
        f.debug_tuple("EnvFile").field(&names).finish()
    }
}

/// What a line assigns; `None` for one that is empty or a comment.
fn assignment(line: &str) -> Result<Option<(&str, String)>, Problem> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, value) = line.split_once('=').ok_or(Problem::NotAnAssignment)?;
    let exported = key.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let key = exported.unwrap_or(key).trim();
    let first_fits = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !first_fits || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Err(Problem::NotAnAssignment);
    }
    let value = value.trim_start();
    let value = match value.as_bytes().first() {
        Some(b'\'') => single_quoted(&value[1..])?,
        Some(b'"') => double_quoted(&value[1..])?,
        Some(b'#') => String::new(),
        _ => bare(value).to_owned(),
    };
    Ok(Some((key, value)))
}

fn bare(value: &str) -> &str {
    let comment = value.match_indices('#').find(|(at, _)| value[..*at].ends_with([' ', '\t']));
    comment.map_or(value, |(at, _)| &value[..at]).trim_end()
}

fn single_quoted(value: &str) -> Result<String, Problem> {
    let (inside, behind) = value.split_once('\'').ok_or(Problem::OpenQuote)?;
    only_a_comment(behind)?;
    Ok(inside.to_owned())
}

fn double_quoted(value: &str) -> Result<String, Problem> {
    let mut inside = String::new();
    let mut chars = value.chars();
    loop {
        match chars.next().ok_or(Problem::OpenQuote)? {
            '"' => break,
            '\\' => match chars.next().ok_or(Problem::OpenQuote)? {
                'n' => inside.push('\n'),
                'r' => inside.push('\r'),
                't' => inside.push('\t'),
                itself @ ('"' | '\\' | '$') => inside.push(itself),
                // A Windows path, for example: the backslash was meant.
                other => inside.extend(['\\', other]),
            },
            other => inside.push(other),
        }
    }
    only_a_comment(chars.as_str())?;
    Ok(inside)
}

fn only_a_comment(behind: &str) -> Result<(), Problem> {
    let behind = behind.trim_start();
    if behind.is_empty() || behind.starts_with('#') { Ok(()) } else { Err(Problem::AfterQuote) }
}

#[cfg(test)]
mod tests;
