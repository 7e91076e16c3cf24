//! Columns of text set side by side, for people.
//!
//! Owns     alignment and gaps.
//! Called   by the report, column by column.
//! Bounded  by the cells that it is given.
//! Fails    never: a column that is too short ends in blanks.

/// Blanks between two columns.
const GAP: &str = "  ";

/// Columns of a table, the head of each its first cell.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    /// Adds a column of words, which begin below each other.
    pub(super) fn words(&mut self, head: &str, cells: impl Iterator<Item = String>) {
        let column: Vec<String> = std::iter::once(head.to_owned()).chain(cells).collect();
        let width = width(&column);
        self.0.push(column.into_iter().map(|cell| format!("{cell:<width$}")).collect());
    }

    /// Adds a column of whole numbers, which end below each other.
    pub(super) fn numbers(&mut self, head: &str, cells: impl Iterator<Item = String>) {
        let column: Vec<String> = std::iter::once(head.to_owned()).chain(cells).collect();
        let width = width(&column);
        self.0.push(column.into_iter().map(|cell| format!("{cell:>width$}")).collect());
    }

    /// Adds a column of decimal numbers, whose points stand below each other; the decimals that some lack are zeros.
    pub(super) fn decimals(&mut self, head: &str, cells: impl Iterator<Item = String>) {
        let cells: Vec<String> = cells.collect();
        let decimals = |cell: &str| cell.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let most = cells.iter().map(|cell| decimals(cell)).max().unwrap_or(0);
        self.numbers(head, cells.iter().map(|cell| format!("{cell}{}", "0".repeat(most - decimals(cell)))));
    }

    /// The lines, without a line end behind the last one.
    pub(super) fn lines(&self) -> String {
        let height = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |column: &Vec<String>, at: usize| column.get(at).cloned().unwrap_or_default();
        let line = |at| self.0.iter().map(|column| cell(column, at)).collect::<Vec<_>>().join(GAP);
        (0..height).map(|at| line(at).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

fn width(column: &[String]) -> usize {
    column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0)
}
