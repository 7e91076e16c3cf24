//! New secrets, and the hashes that client files keep of secrets.
//!
//! Owns     the form of each: what the gateway accepts as a hash is read in `clients_dir`.
//! Called   by `client_files` for new credentials, and by the command `hash` for those that somebody brings.
//! Fails    where argon2id has no memory; SHA-256 never does.

use argon2::password_hash::{self, PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use gateway_actors::secret::Secret;
use sha2::{Digest, Sha256};

/// Before a client secret, so that scanners of source code and logs can find one that has leaked.
pub(super) const SECRET_PREFIX: &str = "dsps_";

/// Before an API key, for the same reason.
pub(super) const API_KEY_PREFIX: &str = "dspk_";

/// The least that OWASP's Password Storage Cheat Sheet recommends for argon2id: 19 MiB of memory (in KiB), 2
/// passes, 1 lane. More would be paid at each check of a secret.
const ARGON2ID_COSTS: (u32, u32, u32) = (19_456, 2, 1);

/// 256 random bits as hexadecimal digits behind a prefix: one word for a double click, and safe in a header, a
/// shell and a URL.
pub(super) fn random(prefix: &str) -> Secret {
    let digits = rand::random::<[u8; 32]>().map(|byte| format!("{byte:02x}")).concat();
    Secret::new(format!("{prefix}{digits}"))
}

/// The hash of a long random secret: `sha256:` and 64 hexadecimal digits.
pub fn sha256(secret: &[u8]) -> String {
    let digits: [u8; 32] = Sha256::digest(secret).into();
    format!("sha256:{}", digits.map(|byte| format!("{byte:02x}")).concat())
}

/// The hash of a secret that a person chose: an argon2id PHC string with a salt of its own.
///
/// # Errors
/// What the hash function says; a secret of less than 4 GiB and free memory give it no reason.
pub fn argon2id(secret: &[u8]) -> Result<String, password_hash::Error> {
    let (memory, passes, lanes) = ARGON2ID_COSTS;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory, passes, lanes, None)?);
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
    Ok(argon2.hash_password(secret, &salt)?.to_string())
}
