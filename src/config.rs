//! What was written: configuration files as trees whose every part knows its file, line and column.
//!
//! Owns     reading a file, TOML and JSON as one kind of tree (`Document`), typed access to its members
//!          (`Section`), and what is wrong with them ([`Fault`], [`Warning`]).
//! Called   by `settings` and `clients_dir`, which say what was meant.
//! Bounded  by [`FILE_MAX`] bytes per file and [`DEPTH_MAX`] levels of nesting.
//! Fails    with every fault at once, never with the first alone: a person mends a file in one go. No fault
//!          shows a secret; where a value may be one, it tells what was expected and not what was found.

mod document;
mod fault;
mod json;
mod problem;
mod section;
mod toml_text;
pub(crate) mod values;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

pub(crate) use document::{Document, Member, Value};
pub(crate) use section::{Section, nearest};

pub use fault::{Fault, Faults, Place, Position, Report, Warning};
pub use problem::{Concern, Problem};

/// The largest configuration file, in bytes. The largest sensible one, a model table of some thousand rows,
/// stays below a tenth of it.
pub const FILE_MAX: u64 = 1024 * 1024;

/// The deepest nesting in a configuration file. What the gateway reads nests 4 levels deep.
pub const DEPTH_MAX: usize = 16;

/// Reads a text file whole, without its byte order mark.
///
/// # Errors
/// The problem, when the file cannot be read, is larger than [`FILE_MAX`] or is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, Problem> {
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Problem::NotFound,
        kind => Problem::Unreadable { kind },
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte above the limit tells a larger file from one that just fits, also when it is no regular file.
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_MAX) {
        return Err(Problem::FileTooLarge { most: FILE_MAX });
    }
    let text = String::from_utf8(bytes).map_err(|_| Problem::NotUtf8)?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

#[cfg(test)]
pub(crate) mod test_folder;
#[cfg(test)]
mod tests;
