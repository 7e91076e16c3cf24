//! Members of an object and elements of an array, by name and in order.
//!
//! Owns     nothing; each function walks a value that was scanned before.
//! Called   by the readers of requests, answers and stream events of this dialect.
//! Bounded  by the value.
//! Fails    never: what is no object has no members, what is no array no elements. Members that are null count as
//!          missing; of two with one name the last counts.

use std::borrow::Cow;

use crate::json::{Cursor, JsonFault, Kind, Value};

/// The members of these names, in one walk and without a list.
pub(super) fn pick<'a, const N: usize>(object: &Value<'a>, names: [&str; N]) -> [Option<Value<'a>>; N] {
    let mut picked = [None; N];
    visit(object, |name, value| {
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            picked[place] = Some(value);
        }
    });
    picked
}

/// All members.
pub(super) fn members<'a>(object: &Value<'a>) -> Vec<(Cow<'a, str>, Value<'a>)> {
    let mut members = Vec::new();
    visit(object, |name, value| members.push((name, value)));
    members
}

/// All elements.
pub(super) fn elements<'a>(array: &Value<'a>) -> Vec<Value<'a>> {
    let mut elements = Vec::new();
    let mut walk = || -> Result<(), JsonFault> {
        let mut cursor = Cursor::new(array.raw);
        if cursor.enter_if(Kind::Array)? {
            while cursor.next_element()? {
                elements.push(cursor.value()?);
            }
        }
        Ok(())
    };
    // Scanned before, so it cannot fail; what was read until then counts.
    let _ = walk();
    elements
}

/// What a string says; nothing for other values and for a string of white space.
pub(super) fn said<'a>(value: Option<Value<'a>>) -> Option<Cow<'a, str>> {
    value.and_then(|value| value.as_text()).filter(|text| !text.trim().is_empty())
}

fn visit<'a>(object: &Value<'a>, mut take: impl FnMut(Cow<'a, str>, Value<'a>)) {
    let mut walk = || -> Result<(), JsonFault> {
        let mut cursor = Cursor::new(object.raw);
        if cursor.enter_if(Kind::Object)? {
            while let Some(key) = cursor.next_key()? {
                let value = cursor.value()?;
                if value.kind != Kind::Null {
                    take(key.name, value);
                }
            }
        }
        Ok(())
    };
    // Scanned before, as above.
    let _ = walk();
}
