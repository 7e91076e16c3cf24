//! What a client is: what it may use, how much of it, and how it proves who it is.
//!
//! Owns     nothing that changes: a `Client` is read from configuration and shared until the next reload.
//! Called   by whoever builds a client table, and on each request by authentication, access and routing.
//! Bounded  by the loader, which bounds the files that clients come from.
//! Fails    closed: what a client does not name it may not use, except models and addresses, which are free
//!          until a list is given.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use gateway_limits::Limits;
use ipnet::IpNet;

use crate::glob::Glob;

/// The longest client id, in characters.
pub const CLIENT_ID_MAX: usize = 64;

/// SHA-256 hashes of secrets that stand in a published document, so that anybody may know them. The one
/// entry is `password`, the secret of the shipped example client.
const PUBLISHED_SECRETS: [[u8; 32]; 1] = [[
    0x5e, 0x88, 0x48, 0x98, 0xda, 0x28, 0x04, 0x71, 0x51, 0xd0, 0xe5, 0x6f, 0x8d, 0xc6, 0x29, 0x27, 0x73,
    0x60, 0x3d, 0x0d, 0x6a, 0xab, 0xbd, 0xd6, 0x2a, 0x11, 0xef, 0x72, 0x1d, 0x15, 0x42, 0xd8,
]];

/// Whether the SHA-256 of a secret is that of a published one.
pub fn is_published_secret(sha256: &[u8; 32]) -> bool {
    PUBLISHED_SECRETS.contains(sha256)
}

/// A client's name in requests, files and accounts: 1 to 64 of `A-Za-z0-9._-`, case-sensitive. Cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

/// The text is no client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client id is 1 to {CLIENT_ID_MAX} of the characters A-Z a-z 0-9 . _ -")]
pub struct InvalidClientId;

impl ClientId {
    /// Takes a text that keeps the rule.
    ///
    /// # Errors
    /// [`InvalidClientId`] when it is empty, longer than 64 characters or holds any other character.
    pub fn parse(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=CLIENT_ID_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidClientId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for ClientId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of names, of endpoints or of providers. The name `*` in a list stands for every name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameSet {
    /// Every name.
    All,
    /// These names; an empty set allows nothing.
    Only(BTreeSet<Box<str>>),
}

impl NameSet {
    /// The set that holds nothing.
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// Whether the set holds a name.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }
}

impl<N: AsRef<str>> FromIterator<N> for NameSet {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        let names: BTreeSet<Box<str>> = names.into_iter().map(|name| name.as_ref().into()).collect();
        if names.contains("*") { Self::All } else { Self::Only(names) }
    }
}

/// An endpoint's name out of what an operator may write: no slash at either end, and neither `api/v1/` nor
/// `v1/` before it.
pub fn endpoint_name(written: &str) -> &str {
    let name = written.trim().trim_matches('/');
    name.strip_prefix("api/v1/").or_else(|| name.strip_prefix("v1/")).unwrap_or(name)
}

/// Patterns over the models that a client may use. Here a plain `*` stands for every model, also one with `/`
/// in its name; inside a longer pattern `*` does not cross `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelGlobs {
    /// Every model.
    All,
    /// Models that fit one of these; an empty list allows nothing.
    Only(Vec<Glob>),
}

impl ModelGlobs {
    /// Whether a model fits.
    pub fn matches(&self, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(globs) => globs.iter().any(|glob| glob.matches(model)),
        }
    }
}

impl FromIterator<Glob> for ModelGlobs {
    fn from_iter<I: IntoIterator<Item = Glob>>(globs: I) -> Self {
        let globs: Vec<Glob> = globs.into_iter().collect();
        if globs.iter().any(|glob| glob.as_str() == "*") { Self::All } else { Self::Only(globs) }
    }
}

/// What a credential is presented as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// Presented together with the client's id.
    Secret,
    /// Presented alone: long and random, and found by its hash.
    ApiKey,
}

/// What is kept of a secret. `Debug` shows the kind only.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretHash {
    /// For long random secrets, which nobody can guess.
    Sha256([u8; 32]),
    /// For secrets that a person chose: a PHC string, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    Argon2id(String),
}

impl SecretHash {
    /// Reads a SHA-256 hash as 64 hexadecimal digits in either case.
    pub fn sha256_from_hex(hex: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if hex.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            // Two digits below 16 make at most 255.
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Self::Sha256(hash))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Sha256(***)",
            Self::Argon2id(_) => "Argon2id(***)",
        })
    }
}

/// One way for a client to prove who it is. Several are valid at once, so that secrets can be rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// How it is presented.
    pub kind: CredentialKind,
    /// What it is checked against.
    pub hash: SecretHash,
    /// Not valid before this moment, in milliseconds since 1970.
    pub not_before: Option<u64>,
    /// Not valid from this moment on, in milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// The operator's own name for it.
    pub label: Option<String>,
}

impl Credential {
    /// Whether the credential counts at a moment, in milliseconds since 1970.
    pub fn is_valid_at(&self, unix_ms: u64) -> bool {
        self.not_before.is_none_or(|from| from <= unix_ms)
            && self.expires_at.is_none_or(|until| unix_ms < until)
    }

    /// Whether its secret is a published one. Only a SHA-256 hash shows that; a secret behind argon2id is
    /// asked about with [`is_published_secret`] once it is presented.
    pub fn is_published(&self) -> bool {
        matches!(&self.hash, SecretHash::Sha256(hash) if is_published_secret(hash))
    }
}

/// What happens when a caller asks for more output tokens than its client may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaxTokensPolicy {
    /// The request is refused.
    #[default]
    Reject,
    /// The request goes out with the client's limit instead.
    Clamp,
}

/// One client, as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Who it is.
    pub id: ClientId,
    /// The name that people read.
    pub name: String,
    /// Providers that it may use, also by falling back to them.
    pub allowed_providers: NameSet,
    /// Where a request goes that names neither provider nor a model that tells.
    pub default_provider: Option<String>,
    /// The model of a request that names none, at the default provider only.
    pub default_model: Option<String>,
    /// The most output tokens that one request may ask for; `None` is unlimited, 0 is blocked.
    pub max_tokens_limit: Option<u64>,
    /// Requests, tokens, calls at once and money.
    pub limits: Limits,
    /// Names of endpoints that it may use, without slashes at the ends.
    pub allowed_endpoints: NameSet,
    /// Models that it may use, also by falling back to them.
    pub allowed_models: ModelGlobs,
    /// How it proves who it is; with none it cannot.
    pub credentials: Vec<Credential>,
    /// Where it may call from; `None` is anywhere, an empty list is nowhere.
    pub allowed_addresses: Option<Vec<IpNet>>,
    /// What happens above `max_tokens_limit`.
    pub max_tokens_policy: MaxTokensPolicy,
    /// Its weight in a provider's queue, against that of other clients.
    pub priority: u32,
    /// Whether its access is taken away.
    pub disabled: bool,
}

impl Client {
    /// A client that may use no provider, no endpoint and has no credential, but no limits either.
    pub fn new(id: ClientId) -> Self {
        Self {
            name: id.to_string(),
            id,
            allowed_providers: NameSet::none(),
            default_provider: None,
            default_model: None,
            max_tokens_limit: None,
            limits: Limits::default(),
            allowed_endpoints: NameSet::none(),
            allowed_models: ModelGlobs::All,
            credentials: Vec::new(),
            allowed_addresses: None,
            max_tokens_policy: MaxTokensPolicy::default(),
            priority: 1,
            disabled: false,
        }
    }

    /// Whether it may use an endpoint, by the name of the matched route.
    pub fn may_use_endpoint(&self, endpoint: &str) -> bool {
        self.allowed_endpoints.contains(endpoint)
    }

    /// Whether it may use a provider.
    pub fn may_use_provider(&self, provider: &str) -> bool {
        self.allowed_providers.contains(provider)
    }

    /// Whether it may use a model.
    pub fn may_use_model(&self, model: &str) -> bool {
        self.allowed_models.matches(model)
    }

    /// Whether it may call from an address. An IPv4 address that arrives in its IPv6 form counts as IPv4.
    pub fn may_call_from(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed_addresses
            .as_ref()
            .is_none_or(|networks| networks.iter().any(|network| network.contains(&address)))
    }

    /// Whether a credential of it holds a published secret.
    pub fn has_published_secret(&self) -> bool {
        self.credentials.iter().any(Credential::is_published)
    }
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
