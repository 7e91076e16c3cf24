//! The gateway's own id of a request: `req_` and 128 random bits in hexadecimal.
//!
//! Made once per request, as the header value that it leaves as; a clone costs no allocation.

use bytes::Bytes;
use http::HeaderValue;

const PREFIX: &[u8] = b"req_";
const HEX: &[u8; 16] = b"0123456789abcdef";

/// An id, unique by its randomness: two of 10^12 requests are equal with a chance of 10^-15.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A new id.
    pub fn new() -> Self {
        let mut text = Vec::with_capacity(PREFIX.len() + 32);
        text.extend_from_slice(PREFIX);
        for byte in rand::random::<u128>().to_be_bytes() {
            text.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        let value = HeaderValue::from_maybe_shared(Bytes::from(text));
        // The letters above are all allowed in a header; the fallback is never taken.
        Self(value.unwrap_or(HeaderValue::from_static("req_")))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header's value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
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
    }
}
