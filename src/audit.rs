//! The audit log: who changed what, a line of JSON for each change, appended and never rewritten.
//!
//! Owns     `DATA/audit.log`, which its owner alone can read, and the form of its lines.
//! Called   by `client_files` before it changes a file, by `reload` before a new set comes into force, and by
//!          `GET /admin/audit`.
//! Bounded  an entry by the files that it tells of, what is read back by [`TAIL_MAX`]. The file grows by what people
//!          change; it may be moved aside at any moment, since each entry opens it anew.
//! Fails    with an [`AuditFault`], and then the change that was to be recorded is not made. An entry that was
//!          written in part stays as a line that is no JSON; the next one begins on a line of its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use gateway_actors::ClientId;
use gateway_actors::ledger::private;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client_members::Members;

/// The file's name in the data folder.
const FILE: &str = "audit.log";

/// The most that is read back, from the file's end: some ten thousand entries.
const TAIL_MAX: u64 = 4 << 20;

/// An entry could not be written, or the file not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: cannot be {action}: {source}; no change is made that is not recorded there, so see that the disk has room \
     and that its owner is who runs the gateway",
    file.display()
)]
pub struct AuditFault {
    file: PathBuf,
    /// As a participle.
    action: &'static str,
    source: io::Error,
}

/// Who makes a change.
#[derive(Debug, Clone)]
pub enum Author {
    /// Whoever has the admin token.
    Admin {
        /// Where the request came from, after trusted proxies.
        address: IpAddr,
        /// The request's id.
        request_id: String,
    },
    /// A client that is allowed `clients/reload`.
    Client {
        /// Which.
        id: ClientId,
        /// As above.
        address: IpAddr,
        /// As above.
        request_id: String,
    },
    /// A person with a command, as the system knows them.
    Command,
    /// The watch on the clients folder.
    Watch,
    /// SIGHUP.
    Signal,
}

impl Author {
    /// The word for them.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Admin { .. } => "admin",
            Self::Client { .. } => "client",
            Self::Command => "cli",
            Self::Watch => "watch",
            Self::Signal => "SIGHUP",
        }
    }

    fn write(&self, line: &mut Members) {
        line.insert("who".to_owned(), self.as_str().into());
        match self {
            Self::Admin { address, request_id } => {
                line.insert("address".to_owned(), address.to_string().into());
                line.insert("request_id".to_owned(), request_id.as_str().into());
            }
            Self::Client { id, address, request_id } => {
                line.insert("by".to_owned(), id.as_str().into());
                line.insert("address".to_owned(), address.to_string().into());
                line.insert("request_id".to_owned(), request_id.as_str().into());
            }
            Self::Command => {
                // Whoever has become root by sudo is still themselves.
                let name = ["SUDO_USER", "USER", "LOGNAME", "USERNAME"]
                    .iter()
                    .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
                line.insert("user".to_owned(), name.into());
                #[cfg(unix)]
                line.insert("uid".to_owned(), rustix::process::getuid().as_raw().into());
            }
            Self::Watch | Self::Signal => {}
        }
    }
}

/// How a client's file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChange {
    /// It is made.
    New,
    /// Members are set.
    Patch,
    /// Credentials are made.
    Rotate,
    /// Access is taken away.
    Disable,
    /// Access is given back.
    Enable,
}

impl FileChange {
    fn as_str(self) -> &'static str {
        match self {
            Self::New => "client.new",
            Self::Patch => "client.change",
            Self::Rotate => "client.rotate",
            Self::Disable => "client.disable",
            Self::Enable => "client.enable",
        }
    }
}

/// What is recorded.
#[derive(Debug)]
pub enum Deed<'a> {
    /// A client's file changes.
    File {
        /// How.
        change: FileChange,
        /// Whose file.
        client: &'a ClientId,
        /// Each member that changes, before and after.
        members: Members,
    },
    /// Another state of a client comes into force with a reload.
    Reload {
        /// The new set's generation.
        generation: u64,
        /// Which client.
        client: &'a ClientId,
        /// Each member that changes, before and after.
        members: Members,
    },
    /// Other settings come into force with a reload.
    Settings {
        /// The new set's generation.
        generation: u64,
        /// Their sections and variables.
        changed: &'a [&'static str],
    },
    /// What was recorded just before could not be done, and all is as it was.
    NotMade {
        /// Whose file it was to be; `None` for a reload.
        client: Option<&'a ClientId>,
        /// Why.
        fault: String,
    },
}

impl Deed<'_> {
    fn write(&self, line: &mut Members) {
        let mut write = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
        match self {
            Self::File { change, client, members } => {
                write("what", change.as_str().into());
                write("client", client.as_str().into());
                write("members", members.clone().into());
            }
            Self::Reload { generation, client, members } => {
                write("what", "reload".into());
                write("generation", (*generation).into());
                write("client", client.as_str().into());
                write("members", members.clone().into());
            }
            Self::Settings { generation, changed } => {
                write("what", "reload".into());
                write("generation", (*generation).into());
                write("settings", json!(changed));
            }
            Self::NotMade { client, fault } => {
                write("what", "not made".into());
                write("client", client.map(ClientId::as_str).into());
                write("fault", fault.as_str().into());
            }
        }
    }
}

/// The log of one data folder.
#[derive(Debug, Clone)]
pub struct AuditLog {
    file: PathBuf,
}

/// The log, for one author's changes.
#[derive(Debug, Clone)]
pub struct Recorder {
    log: AuditLog,
    author: Author,
}

impl AuditLog {
    /// The log in this data folder; it is made with its first entry.
    pub fn new(data_dir: &Path) -> Self {
        Self { file: data_dir.join(FILE) }
    }

    /// The log for what this author changes.
    pub fn by(&self, author: Author) -> Recorder {
        Recorder { log: self.clone(), author }
    }

    /// The last entries, the newest first. Lines that are no entries are left out.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn tail(&self, limit: usize) -> Result<Vec<Value>, AuditFault> {
        let bytes = match self.last_bytes() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.fault("read", source)),
        };
        let lines = bytes.rsplit(|byte| *byte == b'\n');
        let entries = lines.filter_map(|line| serde_json::from_slice::<Members>(line).ok());
        Ok(entries.take(limit).map(Value::Object).collect())
    }

    fn last_bytes(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_MAX)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// In one write, so that entries of two processes never mix, and onto the disk.
    fn append(&self, lines: &[u8]) -> Result<(), AuditFault> {
        let mut file = self.open().map_err(|source| self.fault("opened", source))?;
        let written = ends_in_a_line(&mut file).and_then(|is_whole| {
            let lines = if is_whole { lines.to_vec() } else { [b"\n", lines].concat() };
            match file.write(&lines)? {
                length if length == lines.len() => file.sync_data(),
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        });
        written.map_err(|source| self.fault("written", source))
    }

    fn open(&self) -> io::Result<File> {
        let mut options = private::new_file();
        options.read(true).append(true).create(true);
        let opened = match options.open(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = self.file.parent().unwrap_or(Path::new(""));
                private::make_folder(folder)?;
                give_to_owner_above(folder);
                options.open(&self.file)
            }
            opened => opened,
        };
        opened.inspect(|file| {
            if file.metadata().is_ok_and(|own| own.len() == 0) {
                give_to_owner_above(&self.file);
            }
        })
    }

    fn fault(&self, action: &'static str, source: io::Error) -> AuditFault {
        AuditFault { file: self.file.clone(), action, source }
    }
}

impl Recorder {
    /// Appends an entry for each deed, all of them or none.
    ///
    /// # Errors
    /// When that fails; then nothing of it may be done.
    pub fn record(&self, now: Timestamp, deeds: &[Deed<'_>]) -> Result<(), AuditFault> {
        let mut lines = Vec::new();
        for deed in deeds {
            let mut line = Members::new();
            line.insert("at".to_owned(), format!("{now:.3}").into());
            self.author.write(&mut line);
            deed.write(&mut line);
            lines.extend_from_slice(Value::Object(line).to_string().as_bytes());
            lines.push(b'\n');
        }
        if lines.is_empty() { Ok(()) } else { self.log.append(&lines) }
    }

    /// Appends that what was recorded last has not been done. Where that fails too, the program's log has both.
    pub fn record_failure(&self, now: Timestamp, client: Option<&ClientId>, fault: &dyn std::error::Error) {
        let fault = fault.to_string();
        if let Err(audit) = self.record(now, &[Deed::NotMade { client, fault: fault.clone() }]) {
            tracing::error!(audit = audit.to_string(), fault, "a change was recorded and not made");
        }
    }
}

/// Whether a new line can begin where the file ends.
fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// A command may run as another user than the gateway, which must be able to write here as well. So what is new
/// belongs to the owner of the folder above it, as far as that is permitted: to the superuser it is.
#[cfg(unix)]
fn give_to_owner_above(new: &Path) {
    use std::os::unix::fs::{MetadataExt, chown};
    let above = new.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let (Ok(above), Ok(own)) = (above.metadata(), new.metadata())
        && own.uid() != above.uid()
    {
        let _ = chown(new, Some(above.uid()), Some(above.gid()));
    }
}

#[cfg(not(unix))]
fn give_to_owner_above(_new: &Path) {}

#[cfg(test)]
mod tests;
