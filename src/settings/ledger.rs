//! Where accounts are kept, how safely and how long.
//!
//! Owns     the settings of `[ledger]`.
//! Called   by `Settings`; read where the ledger is opened.
//! Bounded  by [`KEEP_DAYS_MAX`].
//! Fails    in the report only.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use gateway_actors::ledger::Durability;

use crate::config::{Report, Section, values};

/// The longest time to keep accounts: a hundred years.
const KEEP_DAYS_MAX: u32 = 36_500;

/// The ledger's file, below the data folder.
const FILE_NAME: &str = "ledger.db";

/// `[ledger]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSettings {
    /// The file.
    pub path: PathBuf,
    /// What it survives; `None` where nothing is written at all.
    pub durability: Option<Durability>,
    /// Days after which an entry may go.
    pub keep_days: u32,
    /// How long a start waits for another gateway that has the file.
    pub wait: Duration,
}

impl LedgerSettings {
    pub(crate) fn read(
        mut section: Section<'_>,
        folder: &Path,
        data_dir: &Path,
        report: &mut Report,
    ) -> Self {
        const DURABILITIES: &[(&str, Option<Durability>)] =
            &[("process", Some(Durability::Process)), ("disk", Some(Durability::Disk)), ("none", None)];
        let path = section.get("path", values::path, report);
        let durability = section.get("durability", values::one_of("durability", DURABILITIES), report);
        let keep_days = section.get("keep_days", values::whole_u32(1, KEEP_DAYS_MAX), report);
        let wait = section.get("wait", values::duration, report);
        section.finish(report);
        Self {
            path: path.map_or_else(|| data_dir.join(FILE_NAME), |path| folder.join(path)),
            durability: durability.unwrap_or(Some(Durability::Process)),
            keep_days: keep_days.unwrap_or(90),
            wait: wait.unwrap_or(Duration::ZERO),
        }
    }
}
