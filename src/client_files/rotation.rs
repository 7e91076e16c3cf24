//! New credentials beside the old ones: a client file's text to the next one.
//!
//! Owns     how long an old credential goes on.
//! Called   by `client_files::rotate`, with a file that has no fault.
//! Bounded  by the file. What has ended is taken out, so that rotating does not let it grow.
//! Fails    with the scanner's fault.

use std::time::Duration;

use gateway_actors::client::Credential;
use gateway_protocols::json::{Cursor, JsonFault, Value};
use jiff::Timestamp;

use super::object_edit::ObjectEdit;
use super::{Issued, moment, sha256};

/// What became of a client's old credentials.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OldCredentials {
    /// How many are still accepted for a while.
    pub ending: usize,
    /// When the last of them is accepted no more.
    pub end: Timestamp,
    /// How many were taken out; the published ones are among them.
    pub removed: usize,
    /// How many were taken out before the grace, because anybody may know them.
    pub published: usize,
}

/// What happens to one old credential.
enum Fate {
    /// It ends by itself, and early enough.
    Stays,
    /// It gets an end.
    Ends,
    /// It is taken out.
    Goes,
}

impl Fate {
    /// Both moments in milliseconds since 1970.
    fn of(credential: &Credential, now_ms: u64, end_ms: u64) -> Self {
        let end = credential.expires_at.map_or(end_ms, |own| own.min(end_ms));
        // A published secret keeps the client out from all other machines for as long as the file names it.
        if credential.is_published() || end <= now_ms.max(credential.not_before.unwrap_or(0)) {
            Self::Goes
        } else if credential.expires_at == Some(end) {
            Self::Stays
        } else {
            Self::Ends
        }
    }
}

/// The text with the hashes of new credentials, and what became of the old ones. `credentials` are those that
/// were read from the text.
pub(super) fn rotated(
    text: &str,
    credentials: &[Credential],
    issued: &Issued,
    grace: Duration,
    now: Timestamp,
) -> Result<(String, OldCredentials), JsonFault> {
    let mut edit = ObjectEdit::new(text)?;
    // In the order in which credentials are read.
    let mut written = Vec::with_capacity(credentials.len());
    if let Some(hash) = edit.value("client_secret_hash") {
        written.push(format!("{{\"type\": \"secret\", \"hash\": {}}}", hash.raw));
    }
    if let Some(list) = edit.value("credentials") {
        written.extend(elements(list)?.into_iter().map(str::to_owned));
    }
    // To the second, as people write times; it shortens the grace by less than one.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let now_ms = unix_ms(now);
    let end = now.checked_add(grace).unwrap_or(Timestamp::MAX);
    let mut old = OldCredentials::default();
    let mut entries = Vec::with_capacity(written.len() + 2);
    for (written, credential) in written.into_iter().zip(credentials) {
        match Fate::of(credential, now_ms, unix_ms(end)) {
            Fate::Goes => {
                old.removed += 1;
                old.published += usize::from(credential.is_published());
                continue;
            }
            Fate::Stays => {
                let own = credential.expires_at.and_then(|own| i64::try_from(own).ok());
                let own = own.and_then(|own| Timestamp::from_millisecond(own).ok());
                old.end = old.end.max(own.unwrap_or(end));
                entries.push(written);
            }
            Fate::Ends => {
                let mut edit = ObjectEdit::new(&written)?;
                edit.set("expires_at", format!("\"{end}\""));
                old.end = old.end.max(end);
                entries.push(edit.apply());
            }
        }
        old.ending += 1;
    }
    entries.extend(new_entries(issued, now));
    let list = edit.list(&entries);
    edit.set_instead_of("client_secret_hash", "credentials", list);
    edit.set("updated_at", moment(now));
    Ok((edit.apply(), old))
}

/// The entries of new credentials in a file, labelled with their day.
pub(super) fn new_entries(issued: &Issued, now: Timestamp) -> [String; 2] {
    let day = now.strftime("%Y-%m-%d");
    [("secret", &issued.secret), ("api_key", &issued.api_key)].map(|(kind, secret)| {
        let hash = sha256(secret.expose().as_bytes());
        format!("{{\"type\": \"{kind}\", \"hash\": \"{hash}\", \"label\": \"{day}\"}}")
    })
}

fn elements<'t>(list: &Value<'t>) -> Result<Vec<&'t str>, JsonFault> {
    let mut cursor = Cursor::new(list.raw);
    cursor.enter_array()?;
    let mut elements = Vec::new();
    while cursor.next_element()? {
        elements.push(cursor.value()?.raw);
    }
    Ok(elements)
}

fn unix_ms(moment: Timestamp) -> u64 {
    u64::try_from(moment.as_millisecond()).unwrap_or(0)
}
