//! The folder of one run: configurations, clients, logs and ledger of the servers that are measured.
//!
//! Owns     a new folder below the system's temporary one.
//! Called   by [`crate::bench`]; everything a run writes is inside.
//! Fails    when the folder cannot be made. Removed when dropped, after the servers that write into it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How much of a log's end is shown: enough for an error with its cause, not for a flood.
const LOG_TAIL_BYTES: usize = 2_000;

/// A folder that goes when the run goes.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes it. The name holds process and time, and a folder that is already there is an error: nobody
    /// else's files are written over or removed.
    pub fn create() -> io::Result<Self> {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let path = std::env::temp_dir().join(format!("gateway-load-{}-{nanos}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The end of a log in this folder, for an error message; what cannot be read is said instead.
    pub fn log_tail(&self, log: impl AsRef<Path>) -> String {
        match std::fs::read(self.path.join(log)) {
            Ok(text) if text.is_empty() => "(it logged nothing)".to_owned(),
            Ok(text) => {
                String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
            }
            Err(error) => format!("(no log: {error})"),
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // Nothing can be done about a folder that will not go; it is in the system's temporary place.
        let _left_behind = std::fs::remove_dir_all(&self.path);
    }
}
