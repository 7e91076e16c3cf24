//! The members of one object of a request, taken by name, whatever their order.
//!
//! Owns     the list of what has not been taken yet, so that nothing of a request is passed over unseen.
//! Called   by the readers of [`super::conversation`].
//! Bounded  by [`json::MAX_MEMBERS`](crate::json::MAX_MEMBERS) and the body; values are borrowed from it.
//! Fails    with a [`RequestFault`] that names the member by its path.

use std::borrow::Cow;

use crate::conversation::Extra;
use crate::json::{Cursor, Kind, Object, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// Members of an object that have not been taken. One that is null is as good as absent.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Fields<'a> {
    /// The members of the object at the cursor.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, RequestFault> {
        let mut fields: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        Object::read(cursor, |_, key, value| {
            if fields.iter().any(|(name, _)| *name == key.name) {
                let expected = "one member of that name";
                return Err(RequestFault::Member { member: key.name.to_string(), expected });
            }
            if value.kind != Kind::Null {
                fields.push((key.name.clone(), *value));
            }
            Ok(())
        })?;
        Ok(Self(fields))
    }

    /// The members of a value that must be an object.
    pub(super) fn of(value: &Value<'a>, at: &Path<'_>) -> Result<Self, RequestFault> {
        match value.kind {
            Kind::Object => Self::read(&mut Cursor::new(value.raw)),
            _ => Err(at.expected("an object")),
        }
    }

    /// A member's value.
    pub(super) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let place = self.0.iter().position(|(named, _)| *named == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// A member's value, left in its place.
    pub(super) fn peek(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(named, _)| *named == name).map(|(_, value)| value)
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, name: &str, at: &Path<'_>) -> Result<Option<Cow<'a, str>>, RequestFault> {
        self.typed(name, at, "a string", Value::as_text)
    }

    /// A member that is a string and must be there.
    pub(super) fn required(&mut self, name: &str, at: &Path<'_>) -> Result<Cow<'a, str>, RequestFault> {
        self.text(name, at)?.ok_or_else(|| at.member(name).expected("a string"))
    }

    /// A member that is a boolean.
    pub(super) fn flag(&mut self, name: &str, at: &Path<'_>) -> Result<Option<bool>, RequestFault> {
        self.typed(name, at, "a boolean", Value::as_bool)
    }

    /// A member that is a number, as it was written.
    pub(super) fn number(&mut self, name: &str, at: &Path<'_>) -> Result<Option<Cow<'a, str>>, RequestFault> {
        self.typed(name, at, "a number", |value| {
            (value.kind == Kind::Number).then_some(Cow::Borrowed(value.raw))
        })
    }

    /// A member that is a count of at least 1.
    pub(super) fn count(&mut self, name: &str, at: &Path<'_>) -> Result<Option<u64>, RequestFault> {
        self.typed(name, at, "a whole number of at least 1", |value| {
            value.as_u64().filter(|count| *count > 0)
        })
    }

    /// A member that is an object, as it was written.
    pub(super) fn object(&mut self, name: &str, at: &Path<'_>) -> Result<Option<Value<'a>>, RequestFault> {
        self.typed(name, at, "an object", |value| (value.kind == Kind::Object).then_some(*value))
    }

    /// The elements of a member that is an array.
    pub(super) fn elements(&mut self, name: &str, at: &Path<'_>) -> Result<Vec<Value<'a>>, RequestFault> {
        match self.take(name) {
            Some(value) if value.kind == Kind::Array => elements(&value),
            Some(_) => Err(at.member(name).expected("an array")),
            None => Ok(Vec::new()),
        }
    }

    fn typed<T>(
        &mut self,
        name: &str,
        at: &Path<'_>,
        expected: &'static str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, RequestFault> {
        let Some(value) = self.take(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| at.member(name).expected(expected))
    }

    /// Takes members that are not needed.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        self.0.retain(|(name, _)| !names.contains(&&**name));
    }

    /// Takes a member if this is its value, which says no more than its absence.
    pub(super) fn ignore_default(&mut self, name: &str, raw: &str) {
        self.0.retain(|(named, value)| *named != name || value.raw != raw);
    }

    /// What is left has no place in the neutral form.
    pub(super) fn into_extras(mut self, at: &Path<'_>, extras: &mut Vec<Extra<'a>>) {
        self.0.sort_by_key(|(_, value)| value.span.start);
        extras.extend(self.0.iter().map(|(name, value)| extra(&at.member(name), value)));
    }
}

/// The elements of an array; none for any other value.
pub(super) fn elements<'a>(array: &Value<'a>) -> Result<Vec<Value<'a>>, RequestFault> {
    let mut elements = Vec::new();
    let mut cursor = Cursor::new(array.raw);
    if cursor.enter_if(Kind::Array)? {
        while cursor.next_element()? {
            elements.push(cursor.value()?);
        }
    }
    Ok(elements)
}

/// A value that has no place in the neutral form.
pub(super) fn extra<'a>(at: &Path<'_>, value: &Value<'a>) -> Extra<'a> {
    Extra { member: at.to_string().into(), value: value.raw.into() }
}
