//! The gateway's own id of a request: `req_` and 128 random bits in hexadecimal.
//!
//! Made once per request, as the header value that it leaves as; a clone costs no allocation.

use bytes::Bytes;
use http::HeaderValue;

const PREFIX: &[u8] = b"req_";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// An id, unique by its randomness: two of 10^12 requests are equal with a chance of 10^-15.
#[derive(Debug, Clone)]
pub struct RequestId {
    number: u128,
    header: HeaderValue,
}

impl RequestId {
    /// A new id.
    pub fn new() -> Self {
        let number = rand::random::<u128>();
        let mut text = Vec::with_capacity(PREFIX.len() + 32);
        text.extend_from_slice(PREFIX);
        for byte in number.to_be_bytes() {
            text.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        let value = HeaderValue::from_maybe_shared(Bytes::from(text));
        // The letters above are all allowed in a header; the fallback is never taken.
        Self { number, header: value.unwrap_or(HeaderValue::from_static("req_")) }
    }

    /// Its 128 bits, by which a log finds it and which name the trace that begins with it.
    pub fn number(&self) -> u128 {
        self.number
    }

    /// The number of an id that was written as text.
    pub fn parse(text: &str) -> Option<u128> {
        let digits = text.as_bytes().strip_prefix(PREFIX)?;
        let is_ours = digits.len() == 32 && digits.iter().all(|digit| HEX.contains(digit));
        is_ours.then(|| u128::from_str_radix(&text[PREFIX.len()..], 16).ok()).flatten()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.header.to_str().unwrap_or_default()
    }

    /// The id as a header's value.
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_prefix_and_32_hexadecimal_digits_and_never_the_same() {
        let (one, other) = (RequestId::new(), RequestId::new());
        let digits = one.as_str().strip_prefix("req_").unwrap();
        assert_eq!(digits.len(), 32);
        assert!(digits.bytes().all(|digit| HEX.contains(&digit)));
        assert_ne!(one.as_str(), other.as_str());
        assert_eq!(RequestId::parse(one.as_str()), Some(one.number()));
        assert_eq!(RequestId::parse("req_1"), None);
    }
}
