//! Exact edits of a text by spans: what is not named stays as it is, byte for byte.
//!
//! Owns     a list of edits against one text.
//! Called   by the request's rewrite and by the repairs of stream frames.
//! Bounded  by the number of edits; applying them is one copy of the text, and no edit is no copy.
//! Fails    never; of two edits that overlap the one that begins first (then the one made first)
//!          holds.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::{Object, Span};

#[cfg(test)]
mod tests;

/// Edits against one text, in any order, applied together.
#[derive(Debug)]
pub struct Splice<'t> {
    text: &'t [u8],
    edits: Vec<Edit<'t>>,
}

#[derive(Debug)]
struct Edit<'t> {
    span: Span,
    with: Cow<'t, str>,
}

impl<'t> Splice<'t> {
    /// No edits yet.
    pub fn new(text: &'t [u8]) -> Self {
        Self { text, edits: Vec::new() }
    }

    /// Writes `with` in place of `span`. Text that already says so is no edit.
    pub fn replace(&mut self, span: Span, with: impl Into<Cow<'t, str>>) {
        let with = with.into();
        if self.text.get(span.range()) != Some(with.as_bytes()) {
            self.edits.push(Edit { span, with });
        }
    }

    /// Writes `with` before the byte at `at`.
    pub fn insert(&mut self, at: usize, with: impl Into<Cow<'t, str>>) {
        self.replace(Span { start: at, end: at }, with);
    }

    /// Takes out the members of `object` at the places in `removed` (ascending), each with one
    /// comma, and writes `appended`, one or more members in JSON without braces, behind the last
    /// member that stays.
    ///
    /// To be called once for an object, since the commas depend on all that goes and comes.
    pub fn edit_members(&mut self, object: &Object, removed: &[usize], appended: Option<String>) {
        let members = &object.members;
        let stays = |i: &usize| !removed.contains(i);
        let last_kept = (0..members.len()).rev().find(stays).map(|i| members[i].value.end);
        if let Some(appended) = appended {
            match last_kept {
                Some(at) => self.insert(at, format!(",{appended}")),
                None => self.insert(object.span.start + 1, appended),
            }
        }
        let mut i = 0;
        while i < members.len() {
            if stays(&i) {
                i += 1;
                continue;
            }
            // A run goes with the commas behind it, or, at the end, with the comma before it.
            let run_end = (i..members.len()).find(stays).unwrap_or(members.len());
            let span = match (members.get(run_end), i.checked_sub(1)) {
                (Some(next), _) => Span { start: members[i].key.start, end: next.key.start },
                (None, Some(before)) => {
                    Span { start: members[before].value.end, end: members[run_end - 1].value.end }
                }
                (None, None) => Span { start: members[i].key.start, end: members[run_end - 1].value.end },
            };
            self.replace(span, "");
            i = run_end;
        }
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The edited text.
    pub fn apply(mut self) -> Vec<u8> {
        self.edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        let added: usize = self.edits.iter().map(|edit| edit.with.len()).sum();
        let mut edited = Vec::with_capacity(self.text.len() + added);
        let mut copied = 0;
        for edit in &self.edits {
            let Some(between) = self.text.get(copied..edit.span.start) else { continue };
            edited.extend_from_slice(between);
            edited.extend_from_slice(edit.with.as_bytes());
            copied = edit.span.end;
        }
        edited.extend_from_slice(self.text.get(copied..).unwrap_or_default());
        edited
    }

    /// The edited text, or `source` itself (the same handle, no copy) when there is no edit.
    /// `source` is what the splice was made of.
    pub fn apply_to(self, source: &Bytes) -> Bytes {
        if self.is_empty() { source.clone() } else { Bytes::from(self.apply()) }
    }
}
