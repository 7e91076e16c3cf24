//! `client new`, `client rotate`, `client disable` and `client enable`: what was done, and how it takes effect.
//!
//! Owns     the form in which credentials are handed over: `NAME=VALUE` lines, which a shell can read.
//! Fails    with the fault of `client_files`. Faults elsewhere in the configuration do not keep a change from
//!          being made; they are told, since they keep a gateway from reading it. Where somebody's access was to end or to
//!          begin, they are a failure too, with [`UNUSABLE`]: whoever asked must not think that it has.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;

use super::{FAILED, UNUSABLE, hand_over, say, tell, unusable};
use crate::audit::{AuditLog, Author};
use crate::cli::ClientCommand;
use crate::client_files::{ChangeFault, ClientFiles, Disabled, Issued, NewClient, OldCredentials, Rotated};
use crate::config::Place;
use crate::reload::Origins;
use crate::settings::Settings;

/// Changes a client's file.
pub fn client(origins: &Origins, command: &ClientCommand) -> ExitCode {
    let settings = match origins.settings() {
        Ok(settings) => settings,
        Err(faults) => return unusable(&faults),
    };
    let now = Timestamp::now();
    let change = Change { origins, settings: &settings };
    let recorder = AuditLog::new(&settings.data_dir).by(Author::Command);
    let files = ClientFiles { settings: &settings, recorder: &recorder };
    let done = match command {
        ClientCommand::New { id, name, provider, model } => {
            let (name, provider, model) = (name.clone(), provider.clone(), model.clone());
            let made = files.create(&NewClient { id: id.clone(), name, provider, model }, now);
            made.map(|issued| change.made(id, &issued))
        }
        ClientCommand::Rotate { id, grace } => {
            files.rotate(id, *grace, now).map(|rotated| change.rotated(id, &rotated))
        }
        ClientCommand::Disable { id } => {
            files.set_disabled(id, true, now).map(|disabled| change.disabled(id, &disabled))
        }
        ClientCommand::Enable { id } => {
            files.set_disabled(id, false, now).map(|enabled| change.enabled(id, &enabled))
        }
    };
    done.unwrap_or_else(|fault| {
        tell(&fault);
        ExitCode::from(match fault {
            ChangeFault::Busy { .. } | ChangeFault::NotRecorded(_) | ChangeFault::System { .. } => FAILED,
            ChangeFault::Unusable(_)
            | ChangeFault::HiddenId { .. }
            | ChangeFault::Exists { .. }
            | ChangeFault::NoSuchClient { .. }
            | ChangeFault::NoProviderForModel { .. }
            | ChangeFault::NotEditable { .. } => UNUSABLE,
        })
    })
}

/// A change and its surroundings.
struct Change<'a> {
    origins: &'a Origins,
    settings: &'a Settings,
}

impl Change<'_> {
    fn made(&self, id: &str, issued: &Issued) -> ExitCode {
        let code = issue(id, issued);
        tell(format_args!(
            "client `{id}` is in {}; it has no limits yet: fill in rate_limit and max_tokens_limit there",
            issued.file.display()
        ));
        self.takes_effect(&issued.file);
        code
    }

    fn rotated(&self, id: &str, rotated: &Rotated) -> ExitCode {
        let code = issue(id, &rotated.issued);
        tell_of_old(&rotated.old);
        if rotated.is_disabled {
            tell(format_args!("client `{id}` is disabled; the new credentials do not change that"));
        }
        self.takes_effect(&rotated.issued.file);
        code
    }

    fn disabled(&self, id: &str, disabled: &Disabled) -> ExitCode {
        let file = disabled.file.display();
        let since = if disabled.already { "was disabled before" } else { "is disabled" };
        let code = say(&format!("client `{id}` {since}, in {file}"));
        tell(format_args!("`dsp-ai-gateway client enable {id}` gives its access back"));
        if self.takes_effect(&disabled.file) {
            return code;
        }
        tell(format_args!("client `{id}` is not kept out before that"));
        ExitCode::from(UNUSABLE)
    }

    fn enabled(&self, id: &str, enabled: &Disabled) -> ExitCode {
        let file = enabled.file.display();
        let now = if enabled.already { "was not disabled" } else { "has its access back" };
        let code = say(&format!("client `{id}` {now}, in {file}"));
        if self.takes_effect(&enabled.file) { code } else { ExitCode::from(UNUSABLE) }
    }

    /// How a running gateway comes to know of the change, and what keeps it from that; whether it can.
    fn takes_effect(&self, file: &Path) -> bool {
        let loaded = self.origins.load();
        let can_be_read = loaded.is_ok();
        match loaded {
            Ok(loaded) => {
                for warning in loaded.warnings {
                    if matches!(&warning.place, Place::File { path, .. } if **path == *file) {
                        tell(format_args!("warning: {warning}"));
                    }
                }
            }
            Err(faults) => tell(format_args!(
                "warning: the change is in its file and not in force; a gateway reads no change before the \
                 configuration's faults are mended:\n{faults}"
            )),
        }
        let when = match self.settings.watch {
            true => "by itself within seconds ([clients] watch), or at once",
            false => "at its next reload:",
        };
        let signal = if cfg!(unix) { " or SIGHUP" } else { "" };
        tell(format_args!("a running gateway reads the file {when} by POST /admin/reload{signal}"));
        can_be_read
    }
}

/// Hands new credentials over, the only time that they are seen.
fn issue(client: &str, issued: &Issued) -> ExitCode {
    let (secret, api_key) = (issued.secret.expose(), issued.api_key.expose());
    if let Err(error) = hand_over(&format!("client_id={client}\nclient_secret={secret}\napi_key={api_key}")) {
        tell(format_args!(
            "the new credentials could not be printed: {error}; nobody has them, so make others with \
             `dsp-ai-gateway client rotate {client}`"
        ));
        return ExitCode::from(FAILED);
    }
    tell("keep them now: they are not shown again, and the file holds their hashes only");
    tell("a request sends `authorization: Bearer API_KEY`, or the headers `client_id` and `client_secret`");
    ExitCode::SUCCESS
}

fn tell_of_old(old: &OldCredentials) {
    if old.ending > 0 {
        let (ending, end) = (old.ending, old.end);
        tell(format_args!("old credentials: {ending} still accepted, at the longest until {end:.0}"));
    }
    if old.removed > 0 {
        let removed = old.removed;
        let published = match old.published {
            0 => String::new(),
            published => {
                format!("; {published} of them without a grace, since the secret is a published one")
            }
        };
        tell(format_args!("old credentials: {removed} removed{published}"));
    }
}
