//! Arithmetic on what was measured, and how a figure is written.
//!
//! Called   by [`crate::report`] and by every run that has a table of its own.
//! Fails    never: a figure of nothing is `None`.

use std::time::Duration;

use serde_json::{Value, json};

/// The nearest-rank percentile: the smallest latency that at least `percent` of all do not exceed.
pub fn percentile_ms(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).map(|latency| latency.as_secs_f64() * 1e3)
}

/// A figure over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// `None` when no round has the figure.
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            (figures[middle - 1] + figures[middle]) / 2.0
        };
        Some(Self { median, min, max })
    }

    /// As a JSON object.
    pub fn to_json(self) -> Value {
        json!({"median": rounded(self.median), "min": rounded(self.min), "max": rounded(self.max)})
    }

    /// `18.9 (17.9 to 20.0)`: the median, and from where to where.
    pub fn to_text(self) -> String {
        format!("{} ({} to {})", short(self.median), short(self.min), short(self.max))
    }
}

/// Three digits that count: what the measuring is good for.
pub fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// Microseconds, where the figure is in milliseconds; more digits are noise.
pub fn rounded(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}
