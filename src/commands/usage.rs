//! `usage`: what was used, read out of the ledger, whether a gateway is running or not.
//!
//! Fails    with [`UNUSABLE`](super::UNUSABLE) for what was asked, with [`FAILED`] for a ledger that cannot be read.

use std::process::ExitCode;

use gateway_actors::{ClientId, ledger};
use jiff::Timestamp;

use super::{FAILED, UNUSABLE, say, tell, unusable};
use crate::cli::UsageFlags;
use crate::reload::Origins;
use crate::settings::Settings;
use crate::usage_report::UsageReport;

/// Answers one question.
pub fn usage(origins: &Origins, flags: &UsageFlags) -> ExitCode {
    let query = match flags.question().query(Timestamp::now()) {
        Ok(query) => query,
        Err(fault) => {
            tell(fault);
            return ExitCode::from(UNUSABLE);
        }
    };
    let settings = match origins.settings() {
        Ok(settings) => settings,
        Err(faults) => return unusable(&faults),
    };
    match ledger::usage(&settings.ledger.path, &query) {
        Ok(rows) => {
            if let Some(client) = flags.client.as_ref().filter(|_| rows.is_empty()) {
                tell_of_nobody(client, &settings);
            }
            say(&UsageReport::new(query.by, &rows).render(flags.format))
        }
        Err(fault) => {
            tell(fault);
            ExitCode::from(FAILED)
        }
    }
}

/// An empty answer about a client that is not there is most likely a slip of the pen. One that was taken away is still in
/// the ledger.
fn tell_of_nobody(client: &ClientId, settings: &Settings) {
    let file = settings.clients_dir.join(format!("{client}.json"));
    if !file.exists() {
        tell(format_args!(
            "warning: no client is called `{client}`: {} does not exist, and the ledger has nothing of it in these days",
            file.display()
        ));
    }
}
