//! A request's body in one scan: the members that the gateway reads, and exact edits of them.
//!
//! Owns     the bytes, and the place of each member.
//! Called   by the readers of requests ([`crate::responses`], [`crate::embeddings`], [`crate::completions`]), each
//!          with its own list of members.
//! Bounded  by [`json::MAX_DEPTH`](crate::json::MAX_DEPTH) and [`json::MAX_MEMBERS`](crate::json::MAX_MEMBERS); a
//!          rewrite is one copy of the body, or none.
//! Fails    with a [`RequestFault`] that names the member; members that are not listed are never judged.

use bytes::Bytes;

use crate::json::{self, Cursor, Key, Kind, Member, Object, Value};
use crate::openai::{AnswerFault, RequestFault};
use crate::splice::Splice;

/// A body as it came, and where its members are.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    bytes: Bytes,
    object: Object,
    /// Name and place of each member that is read.
    places: Vec<(&'static str, usize)>,
}

impl Body {
    /// Lists the body's members. `take` sees the name (of `names`) and the value of each that is read, `other` the
    /// place, key and value of every member.
    pub(crate) fn read(
        bytes: &Bytes,
        names: &[&'static str],
        mut take: impl FnMut(&'static str, &Value<'_>) -> Result<(), RequestFault>,
        mut other: impl FnMut(usize, &Key<'_>, &Value<'_>),
    ) -> Result<Self, RequestFault> {
        let mut cursor = object_in(bytes)?;
        let mut places: Vec<(&'static str, usize)> = Vec::with_capacity(names.len());
        let object = Object::read(&mut cursor, |place, key, value| {
            other(place, key, value);
            let Some(name) = names.iter().copied().find(|name| *name == key.name) else { return Ok(()) };
            if places.iter().any(|(seen, _)| *seen == name) {
                return Err(RequestFault::Duplicate { param: name });
            }
            places.push((name, place));
            take(name, value)
        })?;
        cursor.finish()?;
        Ok(Self { bytes: bytes.clone(), object, places })
    }

    /// The body as it came.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The value at a place that `other` was shown, as written.
    pub(crate) fn at(&self, place: usize) -> &[u8] {
        let value = self.object.members.get(place).map(|member| member.value.range());
        value.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }

    /// The body with these members set to these values, which are JSON; everything else byte for byte as it came.
    /// Without a change it is the same handle.
    pub(crate) fn with(&self, values: &[(&'static str, String)]) -> Bytes {
        let mut splice = Splice::new(&self.bytes);
        let mut appended = Vec::new();
        for (name, value) in values {
            match self.member(name) {
                Some(member) => splice.replace(member.value, value.as_str()),
                None => appended.push(format!("\"{name}\":{value}")),
            }
        }
        let appended = (!appended.is_empty()).then(|| appended.join(","));
        splice.edit_members(&self.object, &[], appended);
        splice.apply_to(&self.bytes)
    }

    fn member(&self, name: &str) -> Option<&Member> {
        let place = self.places.iter().find(|(read, _)| *read == name)?.1;
        self.object.members.get(place)
    }
}

/// A cursor before the body's object.
///
/// # Errors
/// For a body that is empty, not JSON, or no object.
pub(crate) fn object_in(bytes: &[u8]) -> Result<Cursor<'_>, RequestFault> {
    let text = json::utf8(bytes)?;
    if text.trim_ascii().is_empty() {
        return Err(RequestFault::Empty);
    }
    let mut cursor = Cursor::new(text);
    let found = cursor.peek()?;
    if found != Kind::Object {
        cursor.value()?;
        cursor.finish()?;
        return Err(RequestFault::NotAnObject { found });
    }
    Ok(cursor)
}

/// A cursor before the object of a whole answer.
///
/// # Errors
/// For a body that is empty, not JSON, or no object.
pub(crate) fn answer_in(bytes: &[u8]) -> Result<Cursor<'_>, AnswerFault> {
    let text = json::utf8(bytes)?;
    if text.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let mut cursor = Cursor::new(text);
    let found = cursor.peek()?;
    if found != Kind::Object {
        cursor.value()?;
        cursor.finish()?;
        return Err(AnswerFault::NotAnObject { found });
    }
    Ok(cursor)
}

/// The text of a member; `None` when it is null.
pub(crate) fn optional_text(param: &'static str, value: &Value<'_>) -> Result<Option<String>, RequestFault> {
    match value.kind {
        Kind::Null => Ok(None),
        Kind::String => Ok(value.as_text().map(String::from)),
        found => Err(RequestFault::WrongType { param, found, expected: "a string" }),
    }
}

/// The flag of a member; `None` when it is null.
pub(crate) fn optional_bool(param: &'static str, value: &Value<'_>) -> Result<Option<bool>, RequestFault> {
    match value.kind {
        Kind::Null | Kind::Bool => Ok(value.as_bool()),
        found => Err(RequestFault::WrongType { param, found, expected: "a boolean" }),
    }
}

/// The count of a member, at least `least`; `None` when it is null.
pub(crate) fn optional_count(
    param: &'static str,
    value: &Value<'_>,
    least: u64,
) -> Result<Option<u64>, RequestFault> {
    match (value.kind, value.as_u64()) {
        (Kind::Null, _) => Ok(None),
        (Kind::Number, Some(count)) if count >= least => Ok(Some(count)),
        (Kind::Number, _) => Err(RequestFault::NotACount { param }),
        (found, _) => Err(RequestFault::WrongType { param, found, expected: "a whole number" }),
    }
}
