//! The thousand clients of a run and their API keys.
//!
//! Owns     the keys in clear (they are invented for the run) and their SHA-256 hashes.
//! Called   by [`crate::nginx`] (keys), [`crate::gateway`] (hashes) and [`crate::load`] (keys).
//! Fails    as [`LoadError`] when the system's `sha256sum` is missing or gives no hashes.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::error::LoadError;

/// How many clients share the load.
pub const CLIENTS: usize = 1_000;

/// The key the fake upstream wants: what a gateway keeps for its provider and a caller never sees.
pub const UPSTREAM_KEY: &str = "load-upstream-key-77b5e1c04f";

/// A key of the right form that belongs to nobody.
pub const UNKNOWN_KEY: &str = "load-key-of-nobody-5c1d9a7e20b34f68";

/// The id of a client, which is also its file's name.
pub fn client_id(index: usize) -> String {
    format!("load-{index:04}")
}

/// The API key of a client: as long as real ones are. No colon, which would make it an id with a secret.
pub fn api_key(index: usize) -> String {
    // Knuth's multiplicative hash spreads the index, so that keys differ in more than their last digits.
    let spread = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("load-key-{index:04}-{spread:016x}{:016x}", spread.rotate_left(29))
}

/// The SHA-256 of every key, in lower-case hex and in order. One call of `sha256sum` hashes them all.
pub async fn hashes(folder: &Path) -> Result<Vec<String>, LoadError> {
    let folder = folder.join("keys");
    fs::create_dir(&folder).map_err(LoadError::io("making a folder for the keys"))?;
    let mut files = Vec::with_capacity(CLIENTS);
    for index in 0..CLIENTS {
        let file = folder.join(client_id(index));
        fs::write(&file, api_key(index)).map_err(LoadError::io("writing a key"))?;
        files.push(file);
    }
    let program = PathBuf::from("sha256sum");
    let output = Command::new(&program)
        .args(&files)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| LoadError::NotRunnable { program, source })?;
    parse_hashes(&String::from_utf8_lossy(&output.stdout)).ok_or(LoadError::NoHashes)
}

/// One line per file, in the order of the arguments: the hash, two spaces, the file.
fn parse_hashes(text: &str) -> Option<Vec<String>> {
    let hashes: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().next())
        .filter(|hash| hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .map(str::to_owned)
        .collect();
    (hashes.len() == CLIENTS).then_some(hashes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::run_folder::RunFolder;

    #[test]
    fn no_two_clients_share_a_key_and_none_looks_like_an_id_with_a_secret() {
        let keys: HashSet<String> = (0..CLIENTS).map(api_key).collect();
        assert_eq!(keys.len(), CLIENTS);
        assert!(keys.iter().all(|key| !key.contains(':')));
        assert!(!keys.contains(UNKNOWN_KEY));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn every_key_is_hashed() {
        let folder = RunFolder::create().unwrap();
        let hashes = hashes(folder.path()).await.unwrap();
        assert_eq!(hashes.len(), CLIENTS);
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), CLIENTS);
    }
}
