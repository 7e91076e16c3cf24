//! A question for the usage, as words: from flags of the command or parameters of the route.
//!
//! Owns     the names of days and columns, and what may not stand together.
//! Called   by `cli` and `handlers::usage`.
//! Bounded  by its few words.
//! Fails    with a [`QuestionFault`] that names what was written and what may be.

use std::str::FromStr;

use gateway_actors::ClientId;
use gateway_actors::ledger::{Column, UsageQuery};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

const DAY_SECONDS: u64 = 86_400;

/// The names of the columns that rows can be told apart by.
const COLUMNS: [(&str, Column); 4] = [
    ("client", Column::Client),
    ("provider", Column::Provider),
    ("model", Column::Model),
    ("day", Column::Day),
];

/// Why a question makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionFault {
    /// The text is no day.
    #[error("`{written}` is not a day; write one such as 2026-11-25, or today or yesterday (UTC)")]
    NotADay {
        /// What was written.
        written: String,
    },
    /// The text is no column.
    #[error(
        "unknown column `{written}`; use one or more of client, provider, model, day, with commas between"
    )]
    UnknownColumn {
        /// What was written.
        written: String,
    },
    /// A column stands there twice.
    #[error("column `{column}` is named twice; name it once")]
    RepeatedColumn {
        /// Which.
        column: &'static str,
    },
    /// The first day lies behind the last one.
    #[error("from {from} to {to} is no span of days; write the earlier day first")]
    NoSpan {
        /// The first day.
        from: Date,
        /// The last day.
        to: Date,
    },
}

/// A day of UTC, as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// A date.
    On(Date),
    /// The day that it is.
    Today,
    /// The day before that.
    Yesterday,
}

impl FromStr for Day {
    type Err = QuestionFault;

    fn from_str(written: &str) -> Result<Self, QuestionFault> {
        match written {
            "today" => Ok(Self::Today),
            "yesterday" => Ok(Self::Yesterday),
            // The parser takes more forms, with times and without hyphens; one is enough.
            date if date.len() == "2026-11-25".len() => date.parse().map(Self::On).map_err(|_| written),
            _ => Err(written),
        }
        .map_err(|written| QuestionFault::NotADay { written: written.to_owned() })
    }
}

impl Day {
    fn date(self, now: Timestamp) -> Date {
        let today = Offset::UTC.to_datetime(now).date();
        match self {
            Self::On(date) => date,
            Self::Today => today,
            // There is one before each day of our era.
            Self::Yesterday => today.yesterday().unwrap_or(today),
        }
    }
}

/// What rows are told apart by, in the order of columns; at least one, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<Column>);

impl Default for Columns {
    fn default() -> Self {
        Self(vec![Column::Client, Column::Model])
    }
}

impl FromStr for Columns {
    type Err = QuestionFault;

    fn from_str(written: &str) -> Result<Self, QuestionFault> {
        let mut columns = Vec::new();
        for word in written.split(',').map(str::trim) {
            let known = COLUMNS.iter().find(|(name, _)| *name == word);
            let unknown = || QuestionFault::UnknownColumn { written: word.to_owned() };
            let (name, column) = known.ok_or_else(unknown)?;
            if columns.contains(column) {
                return Err(QuestionFault::RepeatedColumn { column: name });
            }
            columns.push(*column);
        }
        Ok(Self(columns))
    }
}

/// A column's name.
pub(super) fn name_of(column: Column) -> &'static str {
    match column {
        Column::Client => "client",
        Column::Provider => "provider",
        Column::Model => "model",
        Column::Day => "day",
    }
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Of one client; `None` is of all.
    pub client: Option<ClientId>,
    /// The first day; `None` is the first there is.
    pub from: Option<Day>,
    /// The last day, itself included; `None` is the last there is.
    pub to: Option<Day>,
    /// What rows are told apart by.
    pub by: Columns,
}

impl Question {
    /// The question as the ledger takes it.
    ///
    /// # Errors
    /// [`QuestionFault::NoSpan`] when its first day lies behind its last one.
    pub fn query(&self, now: Timestamp) -> Result<UsageQuery, QuestionFault> {
        let (from, to) = (self.from.map(|day| day.date(now)), self.to.map(|day| day.date(now)));
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(QuestionFault::NoSpan { from, to });
        }
        Ok(UsageQuery {
            client: self.client.clone(),
            from: from.map(number_of),
            to: to.map(number_of),
            by: self.by.0.clone(),
        })
    }
}

/// A date in days since 1970; what lies before counts as that day.
fn number_of(date: Date) -> u64 {
    let seconds = Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight()));
    seconds.map_or(0, |moment| u64::try_from(moment.as_second()).unwrap_or(0) / DAY_SECONDS)
}

/// A day since 1970 as a date; one that no calendar reaches is left as its number.
pub(super) fn written_day(day: u64) -> String {
    let seconds = day.checked_mul(DAY_SECONDS).and_then(|seconds| i64::try_from(seconds).ok());
    let moment = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    moment.map_or_else(|| day.to_string(), |moment| Offset::UTC.to_datetime(moment).date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(from: &str, to: &str) -> Question {
        Question { from: from.parse().ok(), to: to.parse().ok(), ..Question::default() }
    }

    #[test]
    fn a_day_is_a_date_or_has_a_name() {
        // Ten minutes past midnight, UTC.
        let now = "2026-03-01T00:10:00Z".parse().unwrap();
        for (written, expected) in
            [("2026-03-01", "2026-03-01"), ("today", "2026-03-01"), ("yesterday", "2026-02-28")]
        {
            let query = question(written, written).query(now).unwrap();
            assert_eq!(query.from, query.to);
            assert_eq!(written_day(query.from.unwrap()), expected, "{written}");
        }
        for bad in
            ["", "Today", "tomorrow", "2026-3-1", "20260301", "2026-02-30", "2026-03-01T00", "01.03.2026"]
        {
            let fault = bad.parse::<Day>().unwrap_err();
            assert_eq!(fault, QuestionFault::NotADay { written: bad.to_owned() });
        }
    }

    #[test]
    fn a_day_before_the_ledgers_first_one_is_that_one() {
        let query = question("1969-07-20", "1970-01-02").query(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((query.from, query.to), (Some(0), Some(1)));
        assert_eq!(written_day(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn a_span_begins_with_its_earlier_day() {
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        assert!(question("yesterday", "today").query(now).is_ok());
        assert!(question("today", "today").query(now).is_ok());
        let fault = question("today", "yesterday").query(now).unwrap_err().to_string();
        assert_eq!(fault, "from 2026-11-25 to 2026-11-24 is no span of days; write the earlier day first");
    }

    #[test]
    fn columns_come_in_any_order_and_each_once() {
        let columns: Columns = "day,client , provider".parse().unwrap();
        assert_eq!(columns, Columns(vec![Column::Day, Column::Client, Column::Provider]));
        for (bad, told) in [
            ("", "unknown column ``"),
            ("client,", "unknown column ``"),
            ("key", "unknown column `key`"),
            ("model,model", "column `model` is named twice"),
        ] {
            let fault = bad.parse::<Columns>().unwrap_err().to_string();
            assert!(fault.starts_with(told), "{bad}: {fault}");
        }
    }

    #[test]
    fn every_column_has_the_name_that_it_is_asked_for_by() {
        for (name, column) in COLUMNS {
            assert_eq!(name_of(column), name);
        }
    }
}
