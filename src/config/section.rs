//! Typed access to one table of a document, member by member.
//!
//! Owns     which members were asked for, so that what is left over can be told as unknown.
//! Called   by `settings` and `clients_dir`: once `get` per member, then `finish`.
//! Bounded  by the document.
//! Fails    never: a member that cannot be used is noted in the report with its place, and reads as absent,
//!          so that reading goes on to the next fault.

use super::document::{Document, Form, Member, Node};
use super::{Concern, Place, Problem, Report, Value};

/// One table of a document; an absent table is an empty one.
#[derive(Debug)]
pub(crate) struct Section<'d> {
    document: &'d Document,
    path: String,
    at: Option<usize>,
    members: &'d [Member],
    asked_for: Vec<&'static str>,
}

impl<'d> Section<'d> {
    /// The table at the top of a document.
    pub(crate) fn top(document: &'d Document) -> Self {
        Self { document, path: String::new(), at: None, members: &document.members, asked_for: Vec::new() }
    }

    /// Reads a member with one of `values`. `None` when it is absent, `null` or faulty.
    pub(crate) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Problem>,
        report: &mut Report,
    ) -> Option<T> {
        let node = self.take(key)?;
        match read(&node.value) {
            Ok(value) => Some(value),
            Err(problem) => {
                report.fault(self.document.place(node.at), self.member(key), problem);
                None
            }
        }
    }

    /// Reads a list, each item with one of `values`; faulty items are noted and left out.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Result<T, Problem>,
        report: &mut Report,
    ) -> Option<Vec<T>> {
        let items = self.items(key, report)?;
        let mut values = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match read(&item.value) {
                Ok(value) => values.push(value),
                Err(problem) => {
                    report.fault(
                        self.document.place(item.at),
                        format!("{}[{at}]", self.member(key)),
                        problem,
                    );
                }
            }
        }
        Some(values)
    }

    /// The table below a member; empty when it is absent.
    pub(crate) fn section(&mut self, key: &'static str, report: &mut Report) -> Section<'d> {
        let path = self.member(key);
        let written = self.take(key).and_then(|node| self.below(node, path.clone(), report));
        let at = self.at;
        written.unwrap_or(Section { document: self.document, path, at, members: &[], asked_for: Vec::new() })
    }

    /// The tables in a list; none when it is absent. What is no table is noted and left out.
    pub(crate) fn sections(&mut self, key: &'static str, report: &mut Report) -> Vec<Section<'d>> {
        let items = self.items(key, report).unwrap_or_default();
        let path = self.member(key);
        items
            .iter()
            .enumerate()
            .filter_map(|(at, item)| self.below(item, format!("{path}[{at}]"), report))
            .collect()
    }

    /// The tables of a section whose members have names of the operator's own choice, but for those that were
    /// asked for already. Nothing in it is unknown then. What is no table is noted and left out.
    pub(crate) fn named_sections(self, report: &mut Report) -> Vec<(&'d str, Section<'d>)> {
        let left = self.members.iter().filter(|member| !self.asked_for.contains(&member.name.as_str()));
        let below = |member: &'d Member| {
            let section = self.below(&member.node, self.member(&member.name), report)?;
            Some((member.name.as_str(), section))
        };
        left.filter_map(below).collect()
    }

    /// Whether a member was written at all.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// How many items a list was written with, also faulty ones.
    pub(crate) fn count(&self, key: &str) -> Option<usize> {
        match &self.find(key)?.value {
            Value::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// Whether the section holds no member.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Where the section begins.
    pub(crate) fn place(&self) -> Place {
        self.at.map_or_else(|| self.document.file(), |at| self.document.place(at))
    }

    /// The file as a whole.
    pub(crate) fn file(&self) -> Place {
        self.document.file()
    }

    /// Notes a fault of a member, where its value is; a missing member's where the section is.
    pub(crate) fn fault(&self, key: &str, problem: Problem, report: &mut Report) {
        report.fault(self.place_of(key), self.member(key), problem);
    }

    /// Notes a warning about a member.
    pub(crate) fn warn(&self, key: &str, concern: Concern, report: &mut Report) {
        report.warn(self.place_of(key), self.member(key), concern);
    }

    /// Notes a warning about one item of a list.
    pub(crate) fn warn_in(&self, key: &str, item: usize, concern: Concern, report: &mut Report) {
        report.warn(self.place_in(key, item), format!("{}[{item}]", self.member(key)), concern);
    }

    /// Notes every member that nobody asked for, in a client's file as a warning, elsewhere as a fault.
    pub(crate) fn finish(self, report: &mut Report) {
        for member in self.members {
            if self.asked_for.contains(&member.name.as_str()) {
                continue;
            }
            let place = self.document.place(member.at);
            let path = self.member(&member.name);
            let nearest = nearest(&member.name, &self.asked_for);
            match self.document.form {
                Form::Toml | Form::Request => {
                    let known = self.asked_for.clone();
                    report.fault(place, path, Problem::UnknownKey { nearest, known });
                }
                Form::Json => report.warn(place, path, Concern::UnknownMember { nearest }),
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'d Node> {
        self.asked_for.push(key);
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<&'d Node> {
        let node = &self.members.iter().find(|member| member.name == key)?.node;
        (node.value != Value::Null).then_some(node)
    }

    fn items(&mut self, key: &'static str, report: &mut Report) -> Option<&'d [Node]> {
        let node = self.take(key)?;
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        report.fault(self.document.place(node.at), self.member(key), node.value.instead_of("a list"));
        None
    }

    fn below(&self, node: &'d Node, path: String, report: &mut Report) -> Option<Section<'d>> {
        let Value::Table(members) = &node.value else {
            let expected = if self.document.form == Form::Toml { "a table" } else { "an object in braces" };
            report.fault(self.document.place(node.at), path, node.value.instead_of(expected));
            return None;
        };
        Some(Section { document: self.document, path, at: Some(node.at), members, asked_for: Vec::new() })
    }

    /// The path of a member, with quotation marks around what TOML would not take bare.
    fn member(&self, key: &str) -> String {
        let bare =
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let key = if bare { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    fn place_of(&self, key: &str) -> Place {
        self.find(key).map_or_else(|| self.place(), |node| self.document.place(node.at))
    }

    fn place_in(&self, key: &str, item: usize) -> Place {
        let node = self.find(key).and_then(|node| match &node.value {
            Value::List(items) => items.get(item),
            _ => None,
        });
        node.map_or_else(|| self.place_of(key), |node| self.document.place(node.at))
    }
}

/// The known name that a mistyped one most likely stands for: it goes on where that ends, or at most a third
/// of its letters differ.
pub(crate) fn nearest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let distance = |name: &str| if name.starts_with(written) { 1 } else { edits(written, name) };
    let candidates = known.iter().map(|name| (distance(name), *name));
    candidates
        .filter(|(edits, name)| 3 * edits <= name.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// How many letters must be added, taken away or changed to make one word of the other (Levenshtein, 1966).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, from_char) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to_char) in to.iter().enumerate() {
            let change = diagonal + usize::from(from_char != *to_char);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
