//! What opens the admin routes: `GATEWAY_ADMIN_TOKEN`, or a token made at the first start.
//!
//! Owns     a hash of the token; the token itself lies in `DATA/admin-token`, readable by its owner alone.
//! Fails    at start, when the file can neither be read nor made.

use std::io::{self, Write};
use std::path::Path;

use gateway_actors::Secret;
use gateway_actors::ledger::private;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The file's name in the data folder.
const FILE: &str = "admin-token";

/// The admin token, as a hash: a copy of memory does not show it.
pub struct AdminToken([u8; 32]);

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

impl AdminToken {
    /// The configured token, else the one in the data folder, else a new one written there.
    ///
    /// # Errors
    /// When the data folder cannot be read or written.
    pub fn load(configured: Option<&Secret>, data_dir: &Path) -> io::Result<Self> {
        if let Some(token) = configured {
            return Ok(Self::of(token.expose()));
        }
        let file = data_dir.join(FILE);
        match std::fs::read_to_string(&file) {
            Ok(token) if !token.trim().is_empty() => {
                tracing::info!(file = %file.display(), "the admin token is in this file");
                Ok(Self::of(token.trim()))
            }
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is empty; delete it to have a new admin token made", file.display()),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // 256 bits, as hex.
                let token: String = rand::random::<[u8; 32]>().iter().map(|b| format!("{b:02x}")).collect();
                private::make_folder(data_dir)?;
                write_private(&file, &token)?;
                tracing::info!(file = %file.display(), "an admin token was made and is in this file");
                Ok(Self::of(&token))
            }
            Err(error) => Err(error),
        }
    }

    fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether these headers carry the token, exactly once.
    pub fn opens(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked(7) else { return false };
        let presented: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(presented.ct_eq(&self.0))
    }
}

/// Makes a file that only its owner can read.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    private::new_file().write(true).create_new(true).open(file)?.write_all(format!("{text}\n").as_bytes())
}
