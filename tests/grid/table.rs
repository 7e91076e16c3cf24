//! The verdicts as a table, written into a page between two markers.

use std::path::Path;
use std::time::Duration;

use crate::LOADS;
use crate::cell::{Cell, Midstream, Outcome, Verdict};
use crate::faults::Fault;

const BEGIN: &str = "<!-- grid: written by the test of that name -->\n";
const END: &str = "<!-- end of the grid -->\n";

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Right => "right",
        Verdict::CleanError => "clean error",
        Verdict::Wrong => "**wrong**",
    }
}

/// The worst verdict of some cells.
fn worst<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Option<Verdict> {
    outcomes.map(|outcome| outcome.verdict).max()
}

fn row(fault: Fault, stream: bool, results: &[(Cell, Outcome)]) -> Option<String> {
    let of_row = |midstream: Option<Midstream>| {
        results
            .iter()
            .filter(move |(cell, _)| {
                cell.fault == fault
                    && cell.stream == stream
                    && midstream.is_none_or(|midstream| cell.midstream == midstream)
            })
            .map(|(_, outcome)| outcome)
    };
    let error = worst(of_row(Some(Midstream::Error)))?;
    let restart = worst(of_row(Some(Midstream::Restart))).unwrap_or(error);
    let go_on = worst(of_row(Some(Midstream::Continue)));
    let attempts = of_row(None).map(|outcome| outcome.attempts).max().unwrap_or_default();
    let times = |clients: usize| {
        let cells = results
            .iter()
            .filter(|(cell, _)| cell.fault == fault && cell.stream == stream && cell.clients == clients);
        let mut times: Vec<Duration> = cells.flat_map(|(_, outcome)| outcome.times.iter().copied()).collect();
        times.sort();
        let (median, longest) = (times.get(times.len() / 2)?, times.last()?);
        Some(format!("{} / {} ms", median.as_millis(), longest.as_millis()))
    };
    let [one, many] = LOADS.map(times);
    Some(format!(
        "| {} | {} | {} | {} | {} | {attempts} | {} | {} |\n",
        fault.name(),
        if stream { "streamed" } else { "whole" },
        word(error),
        word(restart),
        go_on.map_or("–", word),
        one?,
        many?,
    ))
}

/// Writes it into a page.
pub fn write(page: &Path, results: &[(Cell, Outcome)]) {
    let mut table = String::from(
        "| fault | answer | `midstream = \"error\"` | `\"restart\"` | `\"continue\"` | attempts, at most | one client: p50 / max | fifty: p50 / max |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for fault in Fault::ALL {
        for stream in [false, true] {
            table.extend(row(fault, stream, results));
        }
    }
    let text = std::fs::read_to_string(page).expect("GRID_TABLE names a page");
    let (before, rest) = text.split_once(BEGIN).expect("the page has the grid's first marker");
    let (_, behind) = rest.split_once(END).expect("the page has the grid's second marker");
    std::fs::write(page, format!("{before}{BEGIN}{table}{END}{behind}")).expect("the page can be written");
}
