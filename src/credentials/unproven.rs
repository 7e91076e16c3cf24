//! Why credentials proved nothing, for the operator alone: the caller is told that they did not, and nothing more.
//!
//! Called   by `credentials.rs`, once it is settled that the credentials prove nobody.
//! Fails    never. What was presented is not kept, an id that no client has included: it may be a secret that was
//!          pasted in the wrong place.
//!
//! Finding the cause takes as long for an id that nobody has as for a client's: [`COMPARED`] comparisons.

use std::sync::Arc;

use gateway_actors::client::{Credential, CredentialKind, SecretHash};
use gateway_actors::{Client, ClientId};
use subtle::{Choice, ConstantTimeEq};

/// Comparisons with old and new secrets, whether or not the client has so many: more than two are rare.
const COMPARED: usize = 8;

/// Why a credential proved nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The request carries none.
    NoCredentials,
    /// An unknown scheme, an id without its secret, or what cannot be decoded.
    Malformed,
    /// A key that no client has.
    UnknownKey,
    /// An id that no client has.
    UnknownClient,
    /// A client's id with a secret that was never its own.
    WrongSecret,
    /// A credential whose time is over.
    Expired,
    /// A credential whose time is to come.
    NotYetValid,
    /// The client is disabled.
    Disabled,
}

impl Cause {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::Malformed => "malformed_credentials",
            Self::UnknownKey => "unknown_key",
            Self::UnknownClient => "unknown_client",
            Self::WrongSecret => "wrong_secret",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Disabled => "disabled",
        }
    }
}

/// Credentials that proved nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// Why.
    pub cause: Cause,
    /// The client whose id or key it was, where there is one.
    pub client: Option<ClientId>,
}

impl Unproven {
    /// Nobody's.
    pub(super) fn nobodys(cause: Cause) -> Self {
        Self { cause, client: None }
    }

    fn of(client: &Client, cause: Cause) -> Self {
        Self { cause, client: Some(client.id.clone()) }
    }

    /// A client's key that does not count now.
    pub(super) fn of_key(client: &Client, key: &Credential, unix_ms: u64) -> Self {
        let cause = match () {
            () if client.disabled => Cause::Disabled,
            () if is_early(key, unix_ms) => Cause::NotYetValid,
            () => Cause::Expired,
        };
        Self::of(client, cause)
    }

    /// An id with a secret of this hash.
    pub(super) fn of_pair(client: Option<&Arc<Client>>, sha256: &[u8; 32], unix_ms: u64) -> Self {
        let secrets = || {
            let all = client.into_iter().flat_map(|client| &client.credentials);
            all.filter(|credential| credential.kind == CredentialKind::Secret)
        };
        let (mut is_old, mut is_new, mut compared) = (Choice::from(0), Choice::from(0), 0);
        for credential in secrets() {
            if let SecretHash::Sha256(hash) = &credential.hash {
                let is_it = hash.ct_eq(sha256);
                is_new |= is_it & Choice::from(u8::from(is_early(credential, unix_ms)));
                is_old |= is_it & Choice::from(u8::from(is_over(credential, unix_ms)));
                compared += 1;
            }
        }
        for _ in compared..COMPARED {
            // No secret hashes to all zeros; the comparison is for its time.
            is_old |= [0_u8; 32].ct_eq(sha256);
        }
        let Some(client) = client else { return Self::nobodys(Cause::UnknownClient) };
        // Of secrets behind argon2id it is not known which was presented; without one that counts it is no matter.
        let has_none = !secrets().any(|credential| credential.is_valid_at(unix_ms));
        let cause = match () {
            () if client.disabled => Cause::Disabled,
            () if is_new.into() => Cause::NotYetValid,
            () if is_old.into() => Cause::Expired,
            () if has_none && secrets().any(|credential| is_early(credential, unix_ms)) => Cause::NotYetValid,
            () if has_none && secrets().next().is_some() => Cause::Expired,
            () => Cause::WrongSecret,
        };
        Self::of(client, cause)
    }
}

fn is_early(credential: &Credential, unix_ms: u64) -> bool {
    credential.not_before.is_some_and(|from| unix_ms < from)
}

fn is_over(credential: &Credential, unix_ms: u64) -> bool {
    credential.expires_at.is_some_and(|until| until <= unix_ms)
}
