//! Changes of client files: a new client, members set, new credentials beside the old ones, access taken away.
//!
//! Owns     what such a change writes; whatever else a file holds stays as it is, byte for byte.
//! Called   by the commands below `client` and by the admin routes below `/admin/clients`.
//! Bounded  one change of a client at a time, over all processes; a file by `config::FILE_MAX`.
//! Fails    with a [`ChangeFault`], and then the file is as it was; also when the change cannot be recorded. A running gateway sees a change at its next
//!          reload and no earlier.

mod held_file;
mod merge_patch;
mod new_client;
mod object_edit;
mod rotation;
mod secrets;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_actors::client::{Client, ClientId};
use gateway_actors::secret::Secret;
use gateway_protocols::json::JsonFault;
use jiff::Timestamp;

use crate::audit::{AuditFault, Deed, FileChange, Recorder};
use crate::client_members::changes;
use crate::clients_dir::{is_client_file, read_client};
use crate::config::{Fault, Faults, Place, Problem, Report, Warning, read_text};
use crate::settings::Settings;
use held_file::HeldFile;
use object_edit::ObjectEdit;
use secrets::{API_KEY_PREFIX, SECRET_PREFIX};

pub use new_client::NewClient;
pub use rotation::OldCredentials;
pub use secrets::{argon2id, sha256};

/// Credentials that were made. They are kept nowhere: the file has their hashes.
#[derive(Debug)]
pub struct Issued {
    /// The client's file.
    pub file: PathBuf,
    /// Presented together with the client's id.
    pub secret: Secret,
    /// Presented alone.
    pub api_key: Secret,
}

impl Issued {
    fn new(file: PathBuf) -> Self {
        Self { file, secret: secrets::random(SECRET_PREFIX), api_key: secrets::random(API_KEY_PREFIX) }
    }
}

/// What [`ClientFiles::rotate`] did.
#[derive(Debug)]
pub struct Rotated {
    /// The new credentials.
    pub issued: Issued,
    /// What became of the ones before.
    pub old: OldCredentials,
    /// Whether the client's access is taken away, which new credentials do not change.
    pub is_disabled: bool,
}

/// What [`ClientFiles::set_disabled`] did.
#[derive(Debug)]
pub struct Disabled {
    /// The client's file.
    pub file: PathBuf,
    /// It was so before, and the file has not been touched.
    pub already: bool,
}

/// What [`ClientFiles::patch`] did.
#[derive(Debug)]
pub struct Patched {
    /// The members that are another now, such as `rate_limit.requests_per_minute`.
    pub changed: Vec<String>,
    /// What a person should know of the file as it is now.
    pub warnings: Vec<Warning>,
}

/// Why a client's file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFault {
    /// The configuration, the client's file or what was asked for cannot be used.
    #[error("{0}")]
    Unusable(#[from] Faults),
    /// The file would be one that the gateway does not read.
    #[error(
        "client id `{id}` begins with a dot: its file would be a hidden one, which the gateway does not read"
    )]
    HiddenId {
        /// The id.
        id: ClientId,
    },
    /// A new client has an old one's id.
    #[error(
        "client `{id}` is there already, in {}; give it new credentials with `dsp-ai-gateway client rotate \
         {id}`",
        file.display()
    )]
    Exists {
        /// The id.
        id: ClientId,
        /// The file that is there.
        file: PathBuf,
    },
    /// The client has no file.
    #[error(
        "no client `{id}`: {} does not exist; make the client with `dsp-ai-gateway client new {id}`",
        file.display()
    )]
    NoSuchClient {
        /// The id.
        id: ClientId,
        /// The file that is missing.
        file: PathBuf,
    },
    /// A model was named whose provider nothing tells.
    #[error("no provider is known for model `{model}`; name its provider too")]
    NoProviderForModel {
        /// The model.
        model: String,
    },
    /// The file is read, but is too large to be edited.
    #[error("{}: cannot be edited by a command: {fault}", file.display())]
    NotEditable {
        /// The file.
        file: PathBuf,
        /// What the editor met.
        fault: JsonFault,
    },
    /// Someone else has the file.
    #[error(
        "this client is being changed already; if it is not, a change was interrupted, so delete {} and try again",
        draft.display()
    )]
    Busy {
        /// What the other one writes into.
        draft: PathBuf,
    },
    /// The change cannot be recorded, so it is not made.
    #[error(transparent)]
    NotRecorded(#[from] AuditFault),
    /// The system said no.
    #[error("{}: cannot be {action}: {source}", file.display())]
    System {
        /// The file or folder.
        file: PathBuf,
        /// What was to be done with it, as a participle.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl ChangeFault {
    fn system(file: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::System { file, action, source }
    }

    fn not_editable(file: &Path) -> impl FnOnce(JsonFault) -> Self {
        let file = file.to_owned();
        move |fault| Self::NotEditable { file, fault }
    }
}

/// The client files of a configuration, and where changes of them are recorded.
#[derive(Debug)]
pub struct ClientFiles<'a> {
    /// Says where the files are, and what they may name.
    pub settings: &'a Settings,
    /// Records each change before it is made.
    pub recorder: &'a Recorder,
}

impl ClientFiles<'_> {
    /// Writes the file of a new client, with a new secret and API key.
    ///
    /// # Errors
    /// When the client exists already, what was asked for cannot be used, or the file cannot be written.
    pub fn create(&self, new: &NewClient, now: Timestamp) -> Result<Issued, ChangeFault> {
        let file = file_of(self.settings, &new.id)?;
        if let Some(fault) = self.settings.wrong_folder() {
            return Err(Faults::from(fault).into());
        }
        let issued = Issued::new(file);
        let text = new_client::text(self.settings, new, &issued, now)?;
        let folder = &self.settings.clients_dir;
        std::fs::create_dir_all(folder).map_err(ChangeFault::system(folder, "made"))?;
        let held = HeldFile::hold(&issued.file)?;
        // A link that leads nowhere counts too.
        if issued.file.symlink_metadata().is_ok() {
            return Err(ChangeFault::Exists { id: new.id.clone(), file: issued.file });
        }
        let made = read(&issued.file, &text, self.settings)?.0;
        self.make(FileChange::New, held, &text, (None, &made), now)?;
        Ok(issued)
    }

    /// Gives a client a new secret and API key. The old ones end after `grace`, unless they end earlier; without
    /// grace, and where the secret is a published one, they are taken out at once.
    ///
    /// # Errors
    /// When there is no such client, its file has a fault, or cannot be written.
    pub fn rotate(&self, id: &ClientId, grace: Duration, now: Timestamp) -> Result<Rotated, ChangeFault> {
        let open = OpenClient::open(self.settings, id)?;
        let issued = Issued::new(open.file.clone());
        let (text, old) = rotation::rotated(&open.text, &open.client.credentials, &issued, grace, now)
            .map_err(ChangeFault::not_editable(&open.file))?;
        let rotated = Rotated { issued, old, is_disabled: open.client.disabled };
        self.change(FileChange::Rotate, open, &text, now)?;
        Ok(rotated)
    }

    /// Takes a client's access away, or gives it back.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate).
    pub fn set_disabled(
        &self,
        id: &ClientId,
        disabled: bool,
        now: Timestamp,
    ) -> Result<Disabled, ChangeFault> {
        let open = OpenClient::open(self.settings, id)?;
        let (file, already) = (open.file.clone(), open.client.disabled == disabled);
        if !already {
            let mut edit = ObjectEdit::new(&open.text).map_err(ChangeFault::not_editable(&open.file))?;
            edit.set("disabled", disabled.to_string());
            edit.set("updated_at", moment(now));
            let text = edit.apply();
            let change = if disabled { FileChange::Disable } else { FileChange::Enable };
            self.change(change, open, &text, now)?;
        }
        Ok(Disabled { file, already })
    }

    /// Sets members of a client's file as a JSON merge patch (RFC 7396) has them. A patch that changes nothing
    /// leaves the file untouched.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate), and with every member of the patch that cannot be set.
    pub fn patch(&self, id: &ClientId, patch: &str, now: Timestamp) -> Result<Patched, ChangeFault> {
        let open = OpenClient::open(self.settings, id)?;
        let merged = merge_patch::merged(&open.file, &open.text, patch, self.settings)?;
        let changed: Vec<String> =
            changes(Some(&open.client), Some(&merged.client)).into_iter().map(|(name, _)| name).collect();
        if !changed.is_empty() {
            let mut edit = ObjectEdit::new(&merged.text).map_err(ChangeFault::not_editable(&open.file))?;
            edit.set("updated_at", moment(now));
            let text = edit.apply();
            self.change(FileChange::Patch, open, &text, now)?;
        }
        Ok(Patched { changed, warnings: merged.warnings })
    }

    /// Gives an open client's file another text.
    fn change(
        &self,
        change: FileChange,
        open: OpenClient,
        text: &str,
        now: Timestamp,
    ) -> Result<(), ChangeFault> {
        let after = read(&open.file, text, self.settings)?.0;
        self.make(change, open.held, text, (Some(&open.client), &after), now)
    }

    /// First the new text beside the file, then the record, then the change, which is a rename and hardly ever
    /// fails. So no change is without its record, and a record without its change is followed by one that says so.
    fn make(
        &self,
        change: FileChange,
        held: HeldFile,
        text: &str,
        (before, after): (Option<&Client>, &Client),
        now: Timestamp,
    ) -> Result<(), ChangeFault> {
        let draft = held.draft(text.as_bytes())?;
        let client = &after.id;
        let deed = Deed::File { change, client, members: changes(before, Some(after)) };
        self.recorder.record(now, &[deed])?;
        draft.replace().inspect_err(|fault| self.recorder.record_failure(now, Some(client), fault))
    }
}

/// A client's file, read, free of faults, and held for a change.
struct OpenClient {
    file: PathBuf,
    held: HeldFile,
    text: String,
    client: Client,
}

impl OpenClient {
    fn open(settings: &Settings, id: &ClientId) -> Result<Self, ChangeFault> {
        let file = file_of(settings, id)?;
        // Not the link is to be replaced but what it leads to.
        let target = match file.canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ChangeFault::NoSuchClient { id: id.clone(), file });
            }
            Err(error) => return Err(ChangeFault::system(&file, "found")(error)),
        };
        let held = HeldFile::hold(&target)?;
        let text = read_text(&file).map_err(|problem| fault(Place::file(&file), problem))?;
        let client = read(&file, &text, settings)?.0;
        Ok(Self { file, held, text, client })
    }
}

/// The client of a file that holds this text, and what a person should know of it.
fn read(file: &Path, text: &str, settings: &Settings) -> Result<(Client, Vec<Warning>), Faults> {
    let mut report = Report::default();
    let client = read_client(file, text, settings, &mut report);
    let warnings = report.finish()?;
    // A client whose id cannot be read has a fault that says so.
    let expected = "the client's id, which is also the name of the file before .json";
    let client = client.ok_or_else(|| fault(Place::file(file), Problem::Missing { expected }))?;
    Ok((client, warnings))
}

fn file_of(settings: &Settings, id: &ClientId) -> Result<PathBuf, ChangeFault> {
    let name = format!("{id}.json");
    if is_client_file(name.as_bytes()) {
        Ok(settings.clients_dir.join(name))
    } else {
        Err(ChangeFault::HiddenId { id: id.clone() })
    }
}

fn fault(place: Place, problem: Problem) -> Faults {
    Faults::from(Fault { place, member: String::new(), problem })
}

/// A moment as JSON: RFC 3339, in UTC, to the second.
fn moment(moment: Timestamp) -> String {
    format!("\"{moment:.0}\"")
}

#[cfg(test)]
mod tests;
