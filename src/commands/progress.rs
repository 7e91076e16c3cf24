//! How far a slow question is, for a person who waits for it.
//!
//! Owns     one line of the terminal, which is gone when the question is answered.
//! Called   by commands that ask others.
//! Bounded  to a terminal, and to questions that take longer than [`PATIENCE`]: a log or a pipe gets nothing.
//! Fails    never: a line that cannot be written is not missed.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use futures_util::future;
use tokio::time::{Instant, interval_at};

/// What is over sooner needs no word.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the line is written again: several times while a person reads it.
const EVERY: Duration = Duration::from_millis(250);

/// Waits for all of them, and meanwhile tells how many of `what` have come.
pub(super) async fn join_all<F: Future>(what: &str, awaited: Vec<F>) -> Vec<F::Output> {
    let (all, come) = (awaited.len(), Cell::new(0_usize));
    let counted = awaited.into_iter().map(async |one| {
        let outcome = one.await;
        come.set(come.get() + 1);
        outcome
    });
    let mut outcomes = pin!(future::join_all(counted));
    let mut ticks = interval_at(Instant::now() + PATIENCE, EVERY);
    let mut shown = 0;
    let is_watched = io::stderr().is_terminal();
    loop {
        tokio::select! {
            biased;
            outcomes = &mut outcomes => {
                overwrite(&mut shown, "");
                return outcomes;
            }
            _ = ticks.tick(), if is_watched => {
                overwrite(&mut shown, &format!("{what}: {} of {all}", come.get()));
            }
        }
    }
}

/// Writes a line over the last one, of which `shown` characters stand there. Blanks do what every terminal knows.
fn overwrite(shown: &mut usize, line: &str) {
    if *shown == 0 && line.is_empty() {
        return;
    }
    let (blanks, width) = (" ".repeat(*shown), line.chars().count());
    let mut terminal = io::stderr();
    let _ = write!(terminal, "\r{blanks}\r{line}").and_then(|()| terminal.flush());
    *shown = width;
}
