//! A text that comes in several string literals, cut anywhere: also between the two escapes of one character.
//!
//! Owns     the first half of a surrogate pair whose second half may be in the next literal.
//! Called   by the readers of streams, with one of these for each text that grows.
//! Bounded  by six bytes.
//! Fails    never: a half that stays alone becomes U+FFFD.

use super::{decode_into, decoded};

#[cfg(test)]
mod tests;

/// The bytes of `\uXXXX`.
const ESCAPE_BYTES: usize = 6;

/// What is left over between two pieces of a text.
///
/// ```
/// use gateway_protocols::json::Halves;
///
/// let mut halves = Halves::default();
/// assert_eq!(halves.join(r#""so \ud83d""#), "so ");
/// assert_eq!(halves.join(r#""\ude00!""#), "\u{1f600}!");
/// assert_eq!(halves.rest(), None);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Halves {
    /// The escape as it was written.
    waiting: Option<[u8; ESCAPE_BYTES]>,
}

impl Halves {
    /// What the next literal (quotes included) says, together with what waited for it. A first half at its end waits
    /// for the literal behind it.
    pub fn join(&mut self, literal: &str) -> String {
        let before = self.waiting.take();
        let inside = literal.strip_prefix('"').unwrap_or(literal);
        let inside = inside.strip_suffix('"').unwrap_or(inside);
        // An empty piece is no neighbour: what waits goes on waiting.
        if inside.is_empty() {
            self.waiting = before;
            return String::new();
        }
        let (whole, half) = split_half(inside);
        self.waiting = half;
        match before.as_ref().map(|escape| std::str::from_utf8(escape).unwrap_or_default()) {
            None if half.is_none() => decoded(literal).into_owned(),
            before => {
                let mut text = String::with_capacity(whole.len() + ESCAPE_BYTES);
                let joined = [before.unwrap_or_default(), whole].concat();
                decode_into(&format!("\"{joined}\""), &mut text);
                text
            }
        }
    }

    /// The text has ended: what stands for a half that still waits.
    pub fn rest(&mut self) -> Option<String> {
        self.waiting.take().map(|_| String::from(char::REPLACEMENT_CHARACTER))
    }
}

/// The inside of a literal without the first half of a pair at its end, and that half.
fn split_half(inside: &str) -> (&str, Option<[u8; ESCAPE_BYTES]>) {
    let Some(at) = inside.len().checked_sub(ESCAPE_BYTES) else { return (inside, None) };
    let Some((before, escape)) = inside.split_at_checked(at) else { return (inside, None) };
    let unit = escape.strip_prefix("\\u").and_then(|digits| u16::from_str_radix(digits, 16).ok());
    // Behind an odd number of backslashes the last one is no start of an escape but its end.
    let is_escape = before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0;
    match (unit, escape.as_bytes().try_into()) {
        (Some(0xd800..0xdc00), Ok(half)) if is_escape => (before, Some(half)),
        _ => (inside, None),
    }
}
