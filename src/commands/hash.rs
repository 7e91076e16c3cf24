//! `hash`: a secret from standard input, its hash to standard output.
//!
//! Owns     what may go unnoticed about a secret: that it is published, too short, or cannot be sent.
//! Bounded  by [`SECRET_MAX`].
//! Fails    for a secret that is empty or too long. It is never shown.

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::process::ExitCode;

use gateway_actors::client::is_published_secret;
use sha2::{Digest, Sha256};

use super::{FAILED, UNUSABLE, say, tell};
use crate::client_files;

/// The longest secret, in bytes: with its name and some other headers it still fits a request's head of 64 KiB.
const SECRET_MAX: usize = 32 * 1024;

/// A shorter secret, in bytes, may be one that a person chose: 128 random bits take 22 characters of base64.
const RANDOM_MIN: usize = 22;

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
enum HashFault {
    #[error(
        "the secret is empty; write it to standard input, such as `printf %s \"$SECRET\" | dsp-ai-gateway hash`"
    )]
    Empty,
    #[error("the secret is longer than {SECRET_MAX} bytes, which no request could carry")]
    TooLong,
    #[error("standard input cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("argon2id failed: {0}")]
    Argon2id(argon2::password_hash::Error),
}

/// What a person should know of a secret that was hashed all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Caution {
    #[error(
        "this is the published secret of the examples; it is accepted from the gateway's own machine only"
    )]
    Published,
    #[error(
        "the secret begins or ends with a blank, which is part of the hash; headers lose it, so that the \
         secret would be accepted in `Authorization: Basic` only"
    )]
    OuterBlank,
    #[error(
        "the secret holds a line break or another control character, which is part of the hash; no header \
         carries it, so that the secret would be accepted in `Authorization: Basic` only"
    )]
    ControlCharacter,
    #[error("the secret is short; if a person chose it, hash it with --argon2id")]
    Short,
}

/// Prints the hash of a secret: SHA-256, or argon2id.
pub fn hash(argon2id: bool) -> ExitCode {
    let stdin = io::stdin();
    let by_hand = stdin.is_terminal();
    if by_hand {
        tell("waiting for the secret; type it and press Enter (it is shown as you type)");
    }
    let hash = read_secret(stdin.lock(), by_hand).and_then(|secret| {
        let hash = if argon2id {
            client_files::argon2id(&secret).map_err(HashFault::Argon2id)?
        } else {
            client_files::sha256(&secret)
        };
        Ok((hash, caution(&secret, argon2id)))
    });
    match hash {
        Ok((hash, caution)) => {
            if let Some(caution) = caution {
                tell(format_args!("warning: {caution}"));
            }
            say(&hash)
        }
        Err(fault) => {
            let code = match fault {
                HashFault::Empty | HashFault::TooLong => UNUSABLE,
                HashFault::Unreadable(_) | HashFault::Argon2id(_) => FAILED,
            };
            tell(fault);
            ExitCode::from(code)
        }
    }
}

/// All of the input, or its first line; one line break at its end is not part of the secret.
fn read_secret(input: impl Read, one_line: bool) -> Result<Vec<u8>, HashFault> {
    // Room for a line break, and for one byte that tells a longer secret from one that just fits.
    let mut input = BufReader::new(input.take(SECRET_MAX as u64 + 3));
    let mut secret = Vec::new();
    let read = if one_line { input.read_until(b'\n', &mut secret) } else { input.read_to_end(&mut secret) };
    read.map_err(HashFault::Unreadable)?;
    if secret.ends_with(b"\n") {
        secret.pop();
        if secret.ends_with(b"\r") {
            secret.pop();
        }
    }
    match secret.len() {
        0 => Err(HashFault::Empty),
        length if length > SECRET_MAX => Err(HashFault::TooLong),
        _ => Ok(secret),
    }
}

/// The gravest thing to know of a secret.
fn caution(secret: &[u8], argon2id: bool) -> Option<Caution> {
    if is_published_secret(&Sha256::digest(secret).into()) {
        Some(Caution::Published)
    } else if secret.iter().any(u8::is_ascii_control) {
        Some(Caution::ControlCharacter)
    } else if secret.trim_ascii().len() < secret.len() {
        Some(Caution::OuterBlank)
    } else {
        (!argon2id && secret.len() < RANDOM_MIN).then_some(Caution::Short)
    }
}

#[cfg(test)]
mod tests;
