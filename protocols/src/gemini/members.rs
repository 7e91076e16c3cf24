//! Walks over a Gemini body as its API reads it: names in either spelling, one where a list may stand, numbers as
//! text.
//!
//! Owns     the liberties of the JSON form of protocol buffers, and the path of what is being read.
//! Called   by the readers of requests.
//! Bounded  by the body; a path is put together only for a fault or an extra.
//! Fails    with [`RequestFault::Member`], which names the path.

use std::borrow::Cow;

use crate::json::{Cursor, Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// A member's name in camelCase: the API takes `max_output_tokens` for `maxOutputTokens`.
pub(crate) fn camel(name: &str) -> Cow<'_, str> {
    // An underscore in front is part of a name.
    if !name.trim_start_matches('_').contains('_') {
        return Cow::Borrowed(name);
    }
    let mut camel = String::with_capacity(name.len());
    for character in name.chars() {
        if camel.ends_with('_') && camel.len() > 1 {
            camel.pop();
            camel.push(character.to_ascii_uppercase());
        } else {
            camel.push(character);
        }
    }
    Cow::Owned(camel)
}

/// A count, written as a number or as its digits in a string.
pub(super) fn count(value: &Value<'_>) -> Option<u64> {
    match value.kind {
        Kind::Number if value.raw.starts_with('-') => None,
        Kind::Number => value.as_count(),
        Kind::String => value.as_text().and_then(|digits| digits.parse().ok()),
        _ => None,
    }
}

/// A number as JSON, written as one or as text.
pub(super) fn number<'a>(value: &Value<'a>) -> Option<&'a str> {
    match value.kind {
        Kind::Number => Some(value.raw),
        Kind::String => {
            let inside = value.raw.trim_matches('"');
            let mut cursor = Cursor::new(inside);
            let is_number = cursor.peek().is_ok_and(|kind| kind == Kind::Number)
                && cursor.value().is_ok_and(|number| number.raw == inside);
            is_number.then_some(inside)
        }
        _ => None,
    }
}

/// The text that must stand here.
pub(super) fn text_at<'a>(path: &Path<'_>, value: &Value<'a>) -> Result<Cow<'a, str>, RequestFault> {
    value.as_text().ok_or_else(|| path.expected("a string"))
}

/// The number that must stand here.
pub(super) fn number_at<'a>(path: &Path<'_>, value: &Value<'a>) -> Result<Cow<'a, str>, RequestFault> {
    number(value).map(Cow::Borrowed).ok_or_else(|| path.expected("a number"))
}

/// Visits the members of the object at `path` that are not null, by their names in camelCase.
pub(super) fn each_member<'a>(
    path: &Path<'_>,
    object: &Value<'a>,
    mut visit: impl FnMut(&str, &Path<'_>, &Value<'a>) -> Result<(), RequestFault>,
) -> Result<(), RequestFault> {
    if object.kind != Kind::Object {
        return Err(path.expected("an object"));
    }
    let mut cursor = Cursor::new(object.raw);
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        let value = cursor.value()?;
        if value.kind != Kind::Null {
            visit(&camel(&key.name), &path.member(&key.name), &value)?;
        }
    }
    Ok(())
}

/// Visits the elements of the array at `path`. One object stands for a list of it, as the API takes it.
pub(super) fn each_element<'a>(
    path: &Path<'_>,
    array: &Value<'a>,
    mut visit: impl FnMut(&Path<'_>, &Value<'a>) -> Result<(), RequestFault>,
) -> Result<(), RequestFault> {
    match array.kind {
        Kind::Array => {}
        Kind::Object => return visit(path, array),
        _ => return Err(path.expected("an array")),
    }
    let mut cursor = Cursor::new(array.raw);
    cursor.enter_array()?;
    let mut index = 0;
    while cursor.next_element()? {
        visit(&path.element(index), &cursor.value()?)?;
        index += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_name() {
        assert_eq!(camel("max_output_tokens"), "maxOutputTokens");
        assert_eq!(camel("maxOutputTokens"), "maxOutputTokens");
        assert_eq!(camel("system_instruction"), "systemInstruction");
        assert_eq!(camel("_responseJsonSchema"), "_responseJsonSchema");
        assert_eq!(camel("_response_json_schema"), "_responseJsonSchema");
        assert_eq!(camel(""), "");
        assert_eq!(camel("é_é"), "éé");
    }

    #[test]
    fn counts_may_be_text() {
        let read = |json| count(&Cursor::new(json).value().unwrap());
        assert_eq!((read("64"), read("\"64\""), read("64.0")), (Some(64), Some(64), Some(64)));
        assert_eq!((read("-1"), read("\"-1\""), read("true"), read("\"x\"")), (None, None, None, None));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let read = |json| number(&Cursor::new(json).value().unwrap()).map(str::to_owned);
        assert_eq!(read("0.10").as_deref(), Some("0.10"));
        assert_eq!(read("\"12345678901234567890\"").as_deref(), Some("12345678901234567890"));
        assert_eq!((read("\"NaN\""), read("\"1,2\""), read("\"\""), read("[1]")), (None, None, None, None));
    }
}
