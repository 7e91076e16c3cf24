//! What the log says of a reload that took effect.
//!
//! Owns     the words, the same whoever asked: a watch and a signal have no other answer.
//! Called   by [`Reloader`](super::Reloader), once at the end of each reload.
//! Bounded  by [`IDS_MAX`] ids of each kind and [`WARNINGS_MAX`] warnings. `POST /admin/reload` and the audit log have
//!          all of them.
//! Fails    never.

use gateway_actors::ClientId;

use super::{Attempts, ReloadReport};
use crate::audit::Author;

/// The most ids of one kind: a line that people read. A reload by hand changes a few.
const IDS_MAX: usize = 20;

/// The most warnings: those of one mistake in a file, and not those of a mistake in every file.
const WARNINGS_MAX: usize = 50;

/// Tells what has changed, what a person was not told of at the reload before, and what waits for a restart since now.
pub(super) fn tell(author: &Author, report: &ReloadReport, before: &Attempts) {
    let clients = &report.clients;
    tracing::info!(
        by = author.as_str(),
        generation = clients.generation,
        clients = report.count,
        added = ids(&clients.added),
        changed = ids(&clients.changed),
        removed = ids(&clients.removed),
        settings = names(&report.settings),
        "configuration reloaded"
    );
    let mut new = report.warnings.iter().filter(|warning| !before.warnings.contains(warning));
    for warning in new.by_ref().take(WARNINGS_MAX) {
        tracing::warn!("{warning}");
    }
    let more = new.count();
    if more > 0 {
        tracing::warn!(more, "there are more warnings; `dsp-ai-gateway check` tells all of them");
    }
    if report.needs_restart != before.last.needs_restart
        && let Some(settings) = names(&report.needs_restart)
    {
        tracing::warn!(settings, "what has changed there takes effect only after a restart");
    }
}

/// Ids in a row; `None` of none, which leaves the field out.
fn ids(ids: &[ClientId]) -> Option<String> {
    let shown: Vec<&str> = ids.iter().take(IDS_MAX).map(|id| id.as_str()).collect();
    let more = ids.len().saturating_sub(IDS_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!ids.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
}

fn names(names: &[&'static str]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_row_of_ids_is_cut_and_counted() {
        let all: Vec<ClientId> = (0..23).map(|n| ClientId::parse(&format!("client-{n}")).unwrap()).collect();
        assert_eq!(ids(&[]), None);
        assert_eq!(ids(&all[..2]).as_deref(), Some("client-0, client-1"));
        let told = ids(&all).unwrap();
        assert!(told.ends_with("client-19 and 3 more"), "{told}");
    }
}
