//! What was used, out of the ledger: as a table for people, as CSV and JSON for programs.
//!
//! Owns     the names and the order of the columns, which are the same in all three forms.
//! Called   by the command `usage` and by `GET /admin/usage`, each with a [`Question`] of its own.
//! Bounded  by the question: a row for each combination of its columns that was used.
//! Fails    never: the ledger has been read by then.

mod question;
mod table;

use std::borrow::Cow;
use std::sync::Arc;

use clap::ValueEnum;
use gateway_actors::ledger::{Column, UsageRow};
use gateway_limits::Usd;
use serde_json::Value;

pub use question::{Columns, Day, Question, QuestionFault};

use table::Table;

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: aligned, with a last line that sums up
    Table,
    /// For spreadsheets: a header line and a line per row, without a sum
    Csv,
    /// For programs: {"usage": [{…}, …], "total": {…}}
    Json,
}

/// The numbers of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Numbers {
    requests: u64,
    /// Of the requests, those that the upstream refused or failed.
    failed: u64,
    input: u64,
    cached_input: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    tokens: u64,
    /// In pico-dollars.
    cost: u64,
    /// Requests of models without a price, which `cost` knows nothing of.
    unpriced: u64,
    /// Attempts that upstreams failed and may bill, whatever became of their requests.
    failed_attempts: u64,
    /// Tokens that upstreams may bill for them, and what these cost in pico-dollars.
    lost_tokens: u64,
    lost_cost: u64,
}

/// A column of numbers: its name for programs, its name for people, its number.
type NumberColumn = (&'static str, &'static str, fn(&Numbers) -> u64);

/// The columns between the keys and the money.
const COUNTS: [NumberColumn; 8] = [
    ("requests", "requests", |numbers| numbers.requests),
    ("failed_requests", "failed", |numbers| numbers.failed),
    ("input_tokens", "input", |numbers| numbers.input),
    ("cached_input_tokens", "cached", |numbers| numbers.cached_input),
    ("cache_write_tokens", "cache write", |numbers| numbers.cache_write),
    ("output_tokens", "output", |numbers| numbers.output),
    ("reasoning_tokens", "reasoning", |numbers| numbers.reasoning),
    ("tokens", "tokens", |numbers| numbers.tokens),
];

/// The money, in USD.
const COST: NumberColumn = ("usd", "USD", |numbers| numbers.cost);

/// The columns behind the money.
const BEHIND: [NumberColumn; 3] = [
    ("requests_without_price", "without price", |numbers| numbers.unpriced),
    ("failed_attempts", "failed attempts", |numbers| numbers.failed_attempts),
    ("failed_attempt_tokens", "lost tokens", |numbers| numbers.lost_tokens),
];

/// What upstreams may bill for attempts that failed, in USD.
const LOST: NumberColumn = ("failed_attempt_usd", "lost USD", |numbers| numbers.lost_cost);

/// The columns of a table that stay although they hold nothing but zeros.
const ALWAYS_SHOWN: [&str; 2] = ["requests", "tokens"];

/// The answer to a question.
#[derive(Debug)]
pub struct UsageReport {
    by: Vec<Column>,
    lines: Vec<Line>,
    total: Numbers,
}

#[derive(Debug)]
struct Line {
    /// One per column that the rows are told apart by.
    keys: Vec<String>,
    numbers: Numbers,
}

impl UsageReport {
    /// A report of rows that are told apart by these columns.
    pub fn new(by: Vec<Column>, rows: &[UsageRow]) -> Self {
        let lines: Vec<Line> = rows.iter().map(|row| Line::of(row, &by)).collect();
        let total = lines.iter().fold(Numbers::default(), |total, line| total.plus(&line.numbers));
        Self { by, lines, total }
    }

    /// The report in a form, without a line end behind its last line.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Csv => self.csv(),
            Format::Json => self.json(),
        }
    }

    fn key_names(&self) -> impl Iterator<Item = &'static str> {
        self.by.iter().map(|column| question::name_of(*column))
    }

    /// Counts that are zero all over say nothing to a person and are left out.
    fn table(&self) -> String {
        let is_shown =
            |(name, _, number): &&NumberColumn| ALWAYS_SHOWN.contains(name) || number(&self.total) > 0;
        let mut table = Table::default();
        for (at, name) in self.key_names().enumerate() {
            let keys = self.lines.iter().map(|line| line.keys.get(at).cloned().unwrap_or_default());
            let total = if at == 0 { "total" } else { "" };
            table.words(name, keys.chain([total.to_owned()]));
        }
        let numbers = || self.lines.iter().map(|line| &line.numbers).chain([&self.total]);
        for (_, head, number) in COUNTS.iter().filter(is_shown) {
            table.numbers(head, numbers().map(|numbers| number(numbers).to_string()));
        }
        table.decimals(COST.1, numbers().map(|numbers| Usd(COST.2(numbers)).to_string()));
        for (_, head, number) in BEHIND.iter().filter(is_shown) {
            table.numbers(head, numbers().map(|numbers| number(numbers).to_string()));
        }
        if is_shown(&&LOST) {
            table.decimals(LOST.1, numbers().map(|numbers| Usd(LOST.2(numbers)).to_string()));
        }
        table.lines()
    }

    /// As RFC 4180 has it, but for the line ends, which are those of text files.
    fn csv(&self) -> String {
        let names = self.key_names().map(str::to_owned);
        let header: Vec<String> = names.chain(number_names().map(str::to_owned)).collect();
        let rows = self.lines.iter().map(|line| {
            let keys = line.keys.iter().map(|key| quoted(key).into_owned());
            keys.chain(line.numbers.written()).collect::<Vec<_>>().join(",")
        });
        std::iter::once(header.join(",")).chain(rows).collect::<Vec<_>>().join("\n")
    }

    fn json(&self) -> String {
        let objects = self.lines.iter().map(|line| {
            let keys =
                self.key_names().zip(line.keys.iter().map(|key| Value::from(key.as_str()).to_string()));
            object(keys.chain(line.numbers.members()))
        });
        let usage = objects.collect::<Vec<_>>().join(",");
        format!("{{\"usage\":[{usage}],\"total\":{}}}", object(self.total.members()))
    }
}

impl Line {
    fn of(row: &UsageRow, by: &[Column]) -> Self {
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let key = |column: &Column| match column {
            Column::Client => text(&row.client),
            Column::Provider => text(&row.provider),
            Column::Model => text(&row.model),
            Column::Day => row.day.map(question::written_day).unwrap_or_default(),
        };
        let numbers = Numbers {
            requests: row.requests,
            failed: row.failed,
            input: row.input,
            cached_input: row.cache_read,
            cache_write: row.cache_write,
            output: row.output,
            reasoning: row.reasoning,
            tokens: row.tokens,
            cost: row.cost_pico,
            unpriced: row.unpriced_requests,
            failed_attempts: row.failed_attempts,
            lost_tokens: row.failed_attempt_tokens,
            lost_cost: row.failed_attempt_cost_pico,
        };
        Self { keys: by.iter().map(key).collect(), numbers }
    }
}

impl Numbers {
    fn plus(&self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            failed: self.failed.saturating_add(other.failed),
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            tokens: self.tokens.saturating_add(other.tokens),
            cost: self.cost.saturating_add(other.cost),
            unpriced: self.unpriced.saturating_add(other.unpriced),
            failed_attempts: self.failed_attempts.saturating_add(other.failed_attempts),
            lost_tokens: self.lost_tokens.saturating_add(other.lost_tokens),
            lost_cost: self.lost_cost.saturating_add(other.lost_cost),
        }
    }

    /// Each number as programs read it, in the order of [`number_names`].
    fn written(&self) -> impl Iterator<Item = String> {
        let counts =
            |columns: &'static [NumberColumn]| columns.iter().map(|(_, _, number)| number(self).to_string());
        let usd = |(_, _, number): NumberColumn| Usd(number(self)).to_string();
        counts(&COUNTS).chain([usd(COST)]).chain(counts(&BEHIND)).chain([usd(LOST)])
    }

    /// The same with their names, as members of a JSON object.
    fn members(&self) -> impl Iterator<Item = (&'static str, String)> {
        number_names().zip(self.written())
    }
}

/// The names of the numbers for programs.
fn number_names() -> impl Iterator<Item = &'static str> {
    COUNTS.iter().chain([&COST]).chain(&BEHIND).chain([&LOST]).map(|(name, ..)| *name)
}

/// A JSON object of values that are JSON already. Money so keeps every digit, which a binary fraction would not.
fn object<'n>(members: impl Iterator<Item = (&'n str, String)>) -> String {
    let members: Vec<String> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A field of a CSV line, in quotation marks where it must be.
fn quoted(field: &str) -> Cow<'_, str> {
    if field.contains([',', '"', '\r', '\n']) {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(field)
    }
}

#[cfg(test)]
#[path = "usage_report/tests.rs"]
mod tests;
