//! From a JSON string to its text and back.
//!
//! Owns     the meaning of escapes.
//! Called   with string literals that the scanner has checked; on others the result is some text,
//!          never a panic.
//! Bounded  by the literal: decoding never makes it longer than three times its bytes.
//! Fails    never: half a surrogate pair becomes U+FFFD.

use std::borrow::Cow;
use std::fmt::Write;

/// What a string literal (quotes included) says. Borrows when there is no escape in it.
pub fn decoded(literal: &str) -> Cow<'_, str> {
    let inside = between_quotes(literal);
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut text = String::with_capacity(inside.len());
    decode_into(literal, &mut text);
    Cow::Owned(text)
}

/// Appends what a string literal (quotes included) says to `text`.
pub fn decode_into(literal: &str, text: &mut String) {
    let mut rest = between_quotes(literal);
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(at);
        text.push_str(plain);
        let (character, length) = resolve(escape);
        text.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
}

/// The text as a JSON string literal, quotes included.
pub fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    quote_into(text, &mut literal);
    literal
}

/// Appends the text as a JSON string literal, quotes included.
pub fn quote_into(text: &str, literal: &mut String) {
    literal.push('"');
    let mut rest = text;
    // What needs no escape, which is nearly all of any text, is copied in runs.
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let (plain, special) = rest.split_at(at);
        literal.push_str(plain);
        escape_into(special.as_bytes().first().copied().unwrap_or_default(), literal);
        rest = special.get(1..).unwrap_or_default();
    }
    literal.push_str(rest);
    literal.push('"');
}

/// Appends the escape of a byte that may not stand in a string as it is.
fn escape_into(byte: u8, literal: &mut String) {
    match byte {
        b'"' => literal.push_str("\\\""),
        b'\\' => literal.push_str("\\\\"),
        b'\n' => literal.push_str("\\n"),
        b'\r' => literal.push_str("\\r"),
        b'\t' => literal.push_str("\\t"),
        _ => {
            // Writing to a String has no way to fail.
            let _ = write!(literal, "\\u{byte:04x}");
        }
    }
}

fn between_quotes(literal: &str) -> &str {
    let inside = literal.strip_prefix('"').unwrap_or(literal);
    inside.strip_suffix('"').unwrap_or(inside)
}

/// The character that the escape at the start of `text` stands for, and how many bytes it takes.
fn resolve(text: &str) -> (char, usize) {
    let character = match text.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return resolve_unicode(text),
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        // No checked literal gets here; one byte on, so that the caller always moves.
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (character, 2)
}

/// The character of `\uXXXX` or of a pair of them (RFC 8259, section 7).
fn resolve_unicode(text: &str) -> (char, usize) {
    let Some(first) = hex_unit(text) else { return (char::REPLACEMENT_CHARACTER, 1) };
    if (0xd800..0xdc00).contains(&first)
        && let Some(second @ 0xdc00..0xe000) = text.get(6..).and_then(hex_unit)
    {
        let scalar = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

/// The sixteen bits of the `\uXXXX` at the start of `text`.
fn hex_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}
