//! Changes of client files: a new client, new credentials beside the old ones, access taken away.
//!
//! Owns     what such a change writes; whatever else a file holds stays as it is, byte for byte.
//! Called   by the commands `client new`, `client rotate` and `client disable`.
//! Bounded  one change of a client at a time, over all processes; a file by `config::FILE_MAX`.
//! Fails    with a [`ChangeFault`], and then the file is as it was. A running gateway sees a change at its next
//!          reload and no earlier.

mod held_file;
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

use crate::clients_dir::{is_client_file, read_client};
use crate::config::{Fault, Faults, Place, Problem, Report, read_text};
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

/// What [`rotate`] did.
#[derive(Debug)]
pub struct Rotated {
    /// The new credentials.
    pub issued: Issued,
    /// What became of the ones before.
    pub old: OldCredentials,
    /// Whether the client's access is taken away, which new credentials do not change.
    pub is_disabled: bool,
}

/// What [`disable`] did.
#[derive(Debug)]
pub struct Disabled {
    /// The client's file.
    pub file: PathBuf,
    /// It was so before, and the file has not been touched.
    pub already: bool,
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
    #[error("no provider is known for model `{model}`; name one with --provider")]
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
        "another command is changing this client; if none is, one was interrupted, so delete {} and try again",
        draft.display()
    )]
    Busy {
        /// What the other one writes into.
        draft: PathBuf,
    },
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

/// Writes the file of a new client, with a new secret and API key.
///
/// # Errors
/// When the client exists already, what was asked for cannot be used, or the file cannot be written.
pub fn create(settings: &Settings, new: &NewClient, now: Timestamp) -> Result<Issued, ChangeFault> {
    let file = file_of(settings, &new.id)?;
    let issued = Issued::new(file);
    let text = new_client::text(settings, new, &issued, now)?;
    let folder = &settings.clients_dir;
    std::fs::create_dir_all(folder).map_err(ChangeFault::system(folder, "made"))?;
    let held = HeldFile::hold(&issued.file)?;
    // A link that leads nowhere counts too.
    if issued.file.symlink_metadata().is_ok() {
        return Err(ChangeFault::Exists { id: new.id.clone(), file: issued.file });
    }
    held.replace(text.as_bytes())?;
    Ok(issued)
}

/// Gives a client a new secret and API key. The old ones end after `grace`, unless they end earlier; without
/// grace, and where the secret is a published one, they are taken out at once.
///
/// # Errors
/// When there is no such client, its file has a fault, or cannot be written.
pub fn rotate(
    settings: &Settings,
    id: &ClientId,
    grace: Duration,
    now: Timestamp,
) -> Result<Rotated, ChangeFault> {
    let open = OpenClient::open(settings, id)?;
    let issued = Issued::new(open.file.clone());
    let (text, old) = rotation::rotated(&open.text, &open.client.credentials, &issued, grace, now)
        .map_err(ChangeFault::not_editable(&open.file))?;
    open.held.replace(text.as_bytes())?;
    Ok(Rotated { issued, old, is_disabled: open.client.disabled })
}

/// Takes a client's access away.
///
/// # Errors
/// As [`rotate`].
pub fn disable(settings: &Settings, id: &ClientId, now: Timestamp) -> Result<Disabled, ChangeFault> {
    let open = OpenClient::open(settings, id)?;
    let already = open.client.disabled;
    if !already {
        let mut edit = ObjectEdit::new(&open.text).map_err(ChangeFault::not_editable(&open.file))?;
        edit.set("disabled", "true".to_owned());
        edit.set("updated_at", moment(now));
        open.held.replace(edit.apply().as_bytes())?;
    }
    Ok(Disabled { file: open.file, already })
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
        let mut report = Report::default();
        let client = read_client(&file, &text, settings, &mut report);
        report.finish()?;
        match client {
            Some(client) => Ok(Self { file, held, text, client }),
            None => Err(ChangeFault::NoSuchClient { id: id.clone(), file }),
        }
    }
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
