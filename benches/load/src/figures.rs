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
    /// The middle half of the figures is from here …
    pub low: f64,
    /// … to here.
    pub high: f64,
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
        let (low, high) = (figures[figures.len() / 4], figures[figures.len() - 1 - figures.len() / 4]);
        Some(Self { median, min, max, low, high })
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

/// Latencies, each round's by themselves.
///
/// A figure is taken within each round, and only then is the median found over the rounds: what slows the machine down
/// for a moment is in one round's figure, and where it met two targets alike in no comparison of them.
#[derive(Debug, Default)]
pub struct Rounds(Vec<Vec<Duration>>);

impl Rounds {
    /// The next round.
    pub fn push(&mut self, mut latencies: Vec<Duration>) {
        latencies.sort_unstable();
        self.0.push(latencies);
    }

    /// How many latencies there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// A percentile, in milliseconds.
    pub fn percentile(&self, percent: usize) -> Option<Spread> {
        Spread::of(self.0.iter().filter_map(|round| percentile_ms(round, percent)).collect())
    }

    /// A percentile compared with the other's of the same round.
    pub fn beside(&self, other: &Self, percent: usize, compare: fn(f64, f64) -> f64) -> Option<Spread> {
        let rounds = self.0.iter().zip(&other.0);
        let compared = rounds.filter_map(|(own, other)| {
            Some(compare(percentile_ms(own, percent)?, percentile_ms(other, percent)?))
        });
        Spread::of(compared.collect())
    }
}

/// The cell of a table for a figure that there may not be.
pub fn text(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |spread| short(spread.median))
}

/// The same with the middle half of the rounds.
pub fn text_with_middle(spread: Option<Spread>) -> String {
    let text =
        |Spread { low, median, high, .. }| format!("{} ({} to {})", short(median), short(low), short(high));
    spread.map_or("-".to_owned(), text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_leaves_a_quarter_out_on_each_side() {
        let spread = Spread::of((1..=8).map(f64::from).collect()).unwrap();
        assert_eq!(
            (spread.min, spread.low, spread.median, spread.high, spread.max),
            (1.0, 3.0, 4.5, 6.0, 8.0)
        );
        let one = Spread::of(vec![7.0]).unwrap();
        assert_eq!((one.low, one.high), (7.0, 7.0));
    }

    #[test]
    fn rounds_are_compared_with_their_own_and_a_disturbed_one_does_not_count() {
        let rounds = |millis: [u64; 3]| {
            let mut rounds = Rounds::default();
            millis.iter().for_each(|&ms| rounds.push(vec![Duration::from_millis(ms); 10]));
            rounds
        };
        let (one, other) = (rounds([2, 40, 4]), rounds([1, 20, 900]));
        assert_eq!(one.beside(&other, 99, |one, other| one / other).unwrap().median, 2.0);
        assert_eq!(one.percentile(50).unwrap().median, 4.0);
        assert_eq!(one.count(), 30);
        assert_eq!(text(Rounds::default().percentile(50)), "-");
    }
}
