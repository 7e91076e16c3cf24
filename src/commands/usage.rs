//! `usage`: what was used, read out of the ledger, whether a gateway is running or not.
//!
//! Fails    with [`UNUSABLE`](super::UNUSABLE) for what was asked, with [`FAILED`] for a ledger that cannot be read.

use std::process::ExitCode;

use gateway_actors::ledger;
use jiff::Timestamp;

use super::{FAILED, UNUSABLE, say, tell, unusable};
use crate::cli::UsageFlags;
use crate::reload::Origins;
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
        Ok(rows) => say(&UsageReport::new(query.by, &rows).render(flags.format)),
        Err(fault) => {
            tell(fault);
            ExitCode::from(FAILED)
        }
    }
}
