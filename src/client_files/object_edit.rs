//! Edits of one JSON object's members: the rest of the text stays as it is, byte for byte.
//!
//! Owns     where a new member goes, and how it is set off from its neighbours: as the first one is.
//! Called   by `client_files`, for a whole file and for each of its credentials.
//! Bounded  by the scanner's `MAX_MEMBERS`.
//! Fails    with the scanner's fault before any edit; an edit cannot fail.

use std::borrow::Cow;

use gateway_protocols::json::{Cursor, JsonFault, Kind, Object, Value};
use gateway_protocols::splice::Splice;

/// The object at the top of a text, and what is to change in it. Each member is edited once.
#[derive(Debug)]
pub(super) struct ObjectEdit<'t> {
    text: &'t str,
    object: Object,
    members: Vec<(Cow<'t, str>, Value<'t>)>,
    splice: Splice<'t>,
    removed: Vec<usize>,
    appended: Vec<String>,
}

impl<'t> ObjectEdit<'t> {
    pub(super) fn new(text: &'t str) -> Result<Self, JsonFault> {
        let mut members = Vec::new();
        let mut cursor = Cursor::new(text);
        let object = Object::read(&mut cursor, |_, key, value| {
            members.push((key.name.clone(), *value));
            Ok::<(), JsonFault>(())
        })?;
        cursor.finish()?;
        let splice = Splice::new(text.as_bytes());
        Ok(Self { text, object, members, splice, removed: Vec::new(), appended: Vec::new() })
    }

    /// A member's value, as it was before any edit; `null` is none.
    pub(super) fn value(&self, name: &str) -> Option<&Value<'t>> {
        self.place(name).map(|place| &self.members[place].1).filter(|value| value.kind != Kind::Null)
    }

    /// The members, as they were before any edit.
    pub(super) fn members(&self) -> &[(Cow<'t, str>, Value<'t>)] {
        &self.members
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, name: &str) {
        self.removed.extend(self.place(name));
        self.removed.sort_unstable();
    }

    /// Gives a member a value; one that is not there yet comes last.
    pub(super) fn set(&mut self, name: &str, json: String) {
        match self.place(name) {
            Some(place) => self.splice.replace(self.object.members[place].value, json),
            None => self.appended.push(format!("{}: {json}", quoted(name))),
        }
    }

    /// Gives a member a value. One that is not there yet takes the place of `old`; that one goes in any case.
    pub(super) fn set_instead_of(&mut self, old: &str, name: &str, json: String) {
        match self.place(old) {
            Some(place) if self.place(name).is_none() => {
                let member = self.object.members[place];
                self.splice.replace(member.key, quoted(name));
                self.splice.replace(member.value, json);
            }
            place => {
                self.removed.extend(place);
                self.set(name, json);
            }
        }
    }

    /// A list in the layout of this object: each item on its line, or all on one.
    pub(super) fn list(&self, items: &[String]) -> String {
        let between = self.between();
        match between.rsplit_once('\n') {
            Some((_, indent)) if !items.is_empty() => {
                let items = items.join(&format!(",{between}{indent}"));
                format!("[{between}{indent}{items}{between}]")
            }
            _ => format!("[{}]", items.join(", ")),
        }
    }

    /// The edited text.
    pub(super) fn apply(mut self) -> String {
        let between = self.between();
        let appended = self.appended.join(&format!(",{between}"));
        // The comma before it is the splice's.
        let before = if self.object.members.is_empty() { "" } else { between };
        let appended = (!appended.is_empty()).then(|| format!("{before}{appended}"));
        self.splice.edit_members(&self.object, &self.removed, appended);
        // Cut at the borders of keys and values, so it is still the UTF-8 that it was.
        String::from_utf8_lossy(&self.splice.apply()).into_owned()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|(member, _)| member == name)
    }

    /// What stands before a member that follows another: the first one's line break and indent, or a blank.
    fn between(&self) -> &'t str {
        let before_first = self
            .object
            .members
            .first()
            .and_then(|first| self.text.get(self.object.span.start + 1..first.key.start));
        before_first.filter(|blank| blank.contains('\n')).unwrap_or(" ")
    }
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

#[cfg(test)]
mod tests;
