//! Signatures over reasoning and calls: what a vendor's next turn knows its own words by.
//!
//! The fake's follow from what is signed, so that it can tell a changed one without remembering.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The signature over a text.
pub(crate) fn signature_of(signed: &str) -> String {
    let mut hash = Sha256::new();
    hash.update("fake-upstream-signature\0");
    hash.update(signed);
    STANDARD.encode(hash.finalize())
}
