//! The scanner accepts what serde_json accepts, whatever the bytes, and reads strings as it does.

use gateway_protocols::json::{self, Cursor, JsonFault, Kind, Object};
use serde::de::IgnoredAny;

/// Panics where this does not hold.
pub fn check(bytes: &[u8]) {
    let Ok(text) = json::utf8(bytes) else {
        assert!(std::str::from_utf8(bytes).is_err());
        return;
    };
    let mut cursor = Cursor::new(text);
    let value = cursor.value();
    let fault = value.and_then(|_| cursor.finish()).err();
    if matches!(fault, Some(JsonFault::TooDeep { .. })) {
        return;
    }
    // An ignored value is judged by the grammar alone, not by the size of numbers or by surrogates.
    assert_eq!(fault.is_none(), serde_json::from_str::<IgnoredAny>(text).is_ok());
    let Ok(value) = value else { return };
    if value.kind == Kind::String
        && let Ok(expected) = serde_json::from_str::<String>(value.raw)
    {
        assert_eq!(value.as_text().as_deref(), Some(expected.as_str()));
    }
    let mut end = 0;
    let listed = Object::read(&mut Cursor::new(text), |_, key, value| {
        assert!(end < key.span.start && key.span.end < value.span.start);
        assert_eq!(&text[value.span.range()], value.raw);
        end = value.span.end;
        Ok::<(), JsonFault>(())
    });
    let too_many = matches!(listed, Err(JsonFault::TooManyMembers { .. }));
    assert!(listed.is_ok() || too_many || value.kind != Kind::Object || fault.is_some());
}
