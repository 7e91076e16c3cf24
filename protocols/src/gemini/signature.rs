//! Signatures over thoughts that are not Google's, carried through Gemini's clients.
//!
//! Owns     the form in which they go and the way back.
//! Called   by the writer of answers and by the reader of requests.
//! Bounded  by the signature: two characters for a byte.
//! Fails    with `None` for a signature that is Google's own.
//!
//! `thoughtSignature` is a field of bytes, so clients read it as base64 and write it again, Google's own SDK for Python
//! in the other alphabet of base64 (RFC 4648, section 5). Anthropic's signatures would come back changed and others are
//! no base64 at all. In hexadecimal digits, filled up to a multiple of four, a text is base64 that stays the same in
//! both alphabets.

use std::fmt::Write;

/// What stands before a signature of another upstream; Google's begin otherwise. Four characters, or eight, keep the
/// multiple.
const MARK: &str = "gatewayx";

/// Fills an odd number of bytes up; no hexadecimal digits.
const FILLING: &str = "zz";

/// The signature in a form that comes back as it went.
pub(super) fn wrapped(signature: &str) -> String {
    let mut wrapped = String::with_capacity(MARK.len() + 2 * signature.len() + FILLING.len());
    wrapped.push_str(MARK);
    for byte in signature.bytes() {
        // Writing to a String has no way to fail.
        let _ = write!(wrapped, "{byte:02x}");
    }
    if signature.len() % 2 == 1 {
        wrapped.push_str(FILLING);
    }
    wrapped
}

/// The signature that was [`wrapped`].
pub(super) fn unwrapped(signature: &str) -> Option<String> {
    let digits = signature.strip_prefix(MARK)?;
    let digits = digits.strip_suffix(FILLING).unwrap_or(digits);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes = pairs.iter().map(|pair| {
        let digits = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(digits, 16).ok()
    });
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_of_googles_own_is_none_of_ours() {
        for google in
            ["", "CpkBAdHtim8", "skip_thought_signature_validator", "gatewayx1", "gatewayx+f", "gatewayxff"]
        {
            assert_eq!(unwrapped(google), None, "{google}");
        }
    }

    proptest! {
        #[test]
        fn a_signature_comes_back_as_it_went(signature in ".*") {
            let wrapped = wrapped(&signature);
            prop_assert_eq!(unwrapped(&wrapped), Some(signature));
        }

        /// Whole groups of four, and no character in which the two alphabets differ.
        #[test]
        fn it_is_base64_in_either_alphabet(signature in ".*") {
            let wrapped = wrapped(&signature);
            prop_assert_eq!(wrapped.len() % 4, 0);
            prop_assert!(wrapped.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
}
