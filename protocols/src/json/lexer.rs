//! Where a string, a number or a literal ends: the leaves of the grammar.
//!
//! Owns     nothing; each function takes the text and an offset and returns the offset after the
//!          token.
//! Called   by [`super::Cursor`] alone.
//! Bounded  by the text: one pass, eight bytes at a step inside strings.
//! Fails    with the offset of the byte that does not fit.

use super::JsonFault;

/// Where the string ends whose opening quote is at `open`: the offset after the closing quote, and
/// whether there is an escape in it.
#[inline]
pub(super) fn string_end(text: &[u8], open: usize) -> Result<(usize, bool), JsonFault> {
    let mut at = open + 1;
    let mut escaped = false;
    loop {
        at += plain_run(text.get(at..).unwrap_or_default());
        match text.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => {
                at = escape_end(text, at)?;
                escaped = true;
            }
            Some(_) => return Err(JsonFault::ControlCharacter { at }),
            None => return Err(ends_early(text, "the end of a string")),
        }
    }
}

/// How many bytes from the start are neither a quote, a backslash nor a control character.
#[inline]
fn plain_run(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let marks = special_bytes(u64::from_le_bytes(*word));
        if marks != 0 {
            return i * 8 + (marks.trailing_zeros() / 8) as usize;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + rest.iter().position(special).unwrap_or(rest.len())
}

/// The high bit of each byte that is a quote, a backslash or below 0x20.
///
/// A zero byte is found by the borrow of a subtraction ("Bit Twiddling Hacks", haszero and
/// hasless). The borrow may also mark bytes above a true hit, so only the lowest mark means
/// something.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let quote = word ^ u64::from_le_bytes([b'"'; 8]);
    let backslash = word ^ u64::from_le_bytes([b'\\'; 8]);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(u64::from_le_bytes([0x20; 8])) & !word;
    (is_quote | is_backslash | is_control) & HIGHS
}

/// The offset after the escape whose backslash is at `at`.
fn escape_end(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match text.get(at + 2..at + 6) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
            _ => Err(JsonFault::UnknownEscape { at }),
        },
        Some(_) => Err(JsonFault::UnknownEscape { at }),
        None => Err(ends_early(text, "an escape")),
    }
}

/// Where the number ends that begins at `start`.
#[inline]
pub(super) fn number_end(text: &[u8], start: usize) -> Result<usize, JsonFault> {
    let sign = usize::from(text.get(start) == Some(&b'-'));
    let mut at = start + sign;
    // A leading zero stands alone: in `01` the number is `0` and the `1` does not fit.
    at = match text.get(at) {
        Some(b'0') => at + 1,
        _ => digits_end(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits_end(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = digits_end(text, at + 1 + sign)?;
    }
    Ok(at)
}

/// The offset after a run of at least one digit.
fn digits_end(text: &[u8], start: usize) -> Result<usize, JsonFault> {
    let run = text.get(start..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit());
    match run.count() {
        0 if start < text.len() => Err(JsonFault::Unexpected { at: start, expected: "a digit" }),
        0 => Err(ends_early(text, "a digit")),
        length => Ok(start + length),
    }
}

/// The offset after `literal`, which must stand at `at`.
#[inline]
pub(super) fn literal_end(text: &[u8], at: usize, literal: &'static str) -> Result<usize, JsonFault> {
    match text.get(at..at + literal.len()) {
        Some(found) if found == literal.as_bytes() => Ok(at + literal.len()),
        _ => Err(JsonFault::Unexpected { at, expected: literal }),
    }
}

/// The fault of a text that stops where `expected` should stand.
pub(super) fn ends_early(text: &[u8], expected: &'static str) -> JsonFault {
    JsonFault::EndsEarly { at: text.len(), expected }
}
