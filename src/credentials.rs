//! Who is calling: finds the credentials in a request's head and proves them against the client table.
//!
//! Owns     a small cache of argon2id results and the places in which argon2id may run.
//! Called   by the front door, before the body is read; SHA-256 is checked in place, argon2id on the blocking
//!          pool.
//! Bounded  argon2id runs: as many at once as there are cores, one per address and client id, at most 1 s of
//!          waiting; the cache by `CACHE_MAX` entries.
//! Fails    with one and the same fault for a missing, unknown, wrong, expired or disabled credential; which of them
//!          it is, `unproven.rs` finds out for the operator.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dashmap::DashMap;
use gateway_actors::client::{Credential, CredentialKind, SecretHash, is_published_secret};
use gateway_actors::{Client, ClientId, ClientTable};
use http::HeaderMap;
use http::header::{AUTHORIZATION, FORWARDED, HOST, HeaderName, VIA};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::unproven::{Cause, Unproven};

mod unproven;

/// How long a request waits for a place in which argon2id may run.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// Results kept. One takes about 100 bytes; when the cache is full it starts anew.
const CACHE_MAX: usize = 16_384;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers that proxies add: with any of them a request does not come from this machine, wherever the proxy runs.
static OF_PROXIES: [HeaderName; 6] = [
    FORWARDED,
    VIA,
    X_FORWARDED_FOR,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// Pairs of headers that carry an id and its secret.
const PAIRS: [(&str, &str); 3] =
    [("client_id", "client_secret"), ("client-id", "client-secret"), ("x-client-id", "x-client-secret")];

/// Headers that carry one key.
const KEYS: [&str; 2] = ["x-api-key", "x-goog-api-key"];

/// What a caller is told whose credentials prove nothing, whatever the cause.
pub const INVALID: &str = "Invalid client credentials";

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthFault {
    /// No credential, or one that proves nothing. Nothing more is ever said to the caller.
    #[error("{INVALID}")]
    Invalid(Unproven),
    /// A credential header occurs twice.
    #[error("header `{header}` occurs more than once; send each credential once")]
    Repeated {
        /// Which header.
        header: &'static str,
    },
    /// The credentials prove two different clients.
    #[error("the request carries valid credentials of two different clients; send those of one")]
    TwoClients,
    /// The client has a secret that is published in the documentation, and the request comes from elsewhere.
    #[error(
        "client `{client}` has a published example secret and may be used from this machine only; give it a \
         secret of its own in clients/{client}.json"
    )]
    PublishedSecret {
        /// Which client.
        client: ClientId,
    },
    /// The client may not call from this address.
    #[error(
        "client `{client}` may not call from {address}; its addresses are listed in clients/{client}.json"
    )]
    AddressNotAllowed {
        /// Which client.
        client: ClientId,
        /// The caller's address, after trusted proxies.
        address: IpAddr,
    },
    /// No place to run argon2id came free in time.
    #[error("too many secrets are being checked; try again")]
    Busy,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The caller, after trusted proxies.
    pub address: IpAddr,
    /// The connection comes from this machine and is meant for it, and no proxy stands in between.
    pub is_local: bool,
}

impl Origin {
    /// Reads the origin from the connection's peer and, when a trusted proxy sent the request, from
    /// `X-Forwarded-For`: the rightmost address there that is no trusted proxy itself.
    pub fn of(peer: SocketAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Self {
        let trusted = |address: &IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
        let peer = peer.ip().to_canonical();
        let is_forwarded = OF_PROXIES.iter().any(|header| headers.contains_key(header));
        let mut address = peer;
        if trusted(&peer) {
            // Later header lines come after earlier ones, as if joined by commas. A line with bytes that are
            // no text is read like any other: passing over it would pass over the hops that proxies added.
            let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
            let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
            for hop in hops.map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()) {
                let Some(hop) = std::str::from_utf8(hop).ok().and_then(parse_hop) else { break };
                address = hop;
                if !trusted(&hop) {
                    break;
                }
            }
        }
        let asks_here = headers.get(HOST).is_none_or(|host| is_this_machine(host.as_bytes()));
        Self { address, is_local: peer.is_loopback() && !is_forwarded && asks_here }
    }
}

/// Whether a `Host` is this machine's name for itself. A proxy on this machine that adds nothing else often passes on
/// which host it was asked for.
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || parse_hop(name).is_some_and(|address| address.is_loopback())
}

/// An address with or without a port or brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| hop.parse().ok().map(|socket: SocketAddr| socket.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

/// What a request presents.
#[derive(PartialEq, Eq)]
enum Presented<'a> {
    Pair(&'a [u8], &'a [u8]),
    OwnedPair(Vec<u8>),
    Key(&'a [u8]),
    /// A header that cannot be a credential, such as an unknown scheme or an id without its secret.
    Nothing,
}

/// Proves credentials.
#[derive(Debug)]
pub struct Authenticator {
    runs: Arc<Semaphore>,
    turns: Arc<Turns>,
    /// Keyed hash of id, secret and PHC string, to the table's generation and the result.
    cache: DashMap<[u8; 32], (u64, bool)>,
    cache_key: [u8; 32],
}

impl From<Unproven> for AuthFault {
    fn from(unproven: Unproven) -> Self {
        Self::Invalid(unproven)
    }
}

impl Default for Authenticator {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            runs: Arc::new(Semaphore::new(cores)),
            turns: Arc::default(),
            cache: DashMap::new(),
            cache_key: rand::random(),
        }
    }
}

impl Authenticator {
    /// Which client sent this head. All credentials that it carries must prove the same client.
    ///
    /// # Errors
    /// [`AuthFault::Invalid`] whenever a credential proves nothing, without saying why.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        origin: Origin,
        table: &ClientTable,
        unix_ms: u64,
    ) -> Result<Arc<Client>, AuthFault> {
        let mut proven: Option<Arc<Client>> = None;
        for presented in presented(headers)? {
            let client = self.prove(&presented, origin, table, unix_ms).await?;
            match &proven {
                Some(other) if other.id != client.id => return Err(AuthFault::TwoClients),
                _ => proven = Some(client),
            }
        }
        let client = proven.ok_or_else(|| Unproven::nobodys(Cause::NoCredentials))?;
        if !origin.is_local && client.has_published_secret() {
            return Err(AuthFault::PublishedSecret { client: client.id.clone() });
        }
        if !client.may_call_from(origin.address) {
            let address = origin.address;
            return Err(AuthFault::AddressNotAllowed { client: client.id.clone(), address });
        }
        Ok(client)
    }

    async fn prove(
        &self,
        presented: &Presented<'_>,
        origin: Origin,
        table: &ClientTable,
        unix_ms: u64,
    ) -> Result<Arc<Client>, AuthFault> {
        let (id, secret) = match presented {
            Presented::Pair(id, secret) => (*id, *secret),
            Presented::OwnedPair(pair) => {
                split_pair(pair).ok_or_else(|| Unproven::nobodys(Cause::Malformed))?
            }
            Presented::Key(key) => match by_api_key(key, table, unix_ms) {
                Ok(client) => return Ok(client),
                Err(unproven) => split_pair(key).ok_or(unproven)?,
            },
            Presented::Nothing => return Err(Unproven::nobodys(Cause::Malformed).into()),
        };
        let known = std::str::from_utf8(id).ok().and_then(|id| table.get(id));
        let client = known.filter(|client| !client.disabled);
        let sha256: [u8; 32] = Sha256::digest(secret).into();
        // Evaluated for an unknown id too, against nothing, so that both take the same steps.
        let is_right = matches_sha256(client, &sha256, unix_ms);
        let unproven = || Unproven::of_pair(known, &sha256, unix_ms);
        let client = client.ok_or_else(unproven)?;
        if is_right || self.matches_argon2id(client, secret, origin, table, unix_ms).await? {
            if is_published_secret(&sha256) && !origin.is_local {
                return Err(AuthFault::PublishedSecret { client: client.id.clone() });
            }
            return Ok(Arc::clone(client));
        }
        Err(unproven().into())
    }

    async fn matches_argon2id(
        &self,
        client: &Client,
        secret: &[u8],
        origin: Origin,
        table: &ClientTable,
        unix_ms: u64,
    ) -> Result<bool, AuthFault> {
        for credential in valid(client, CredentialKind::Secret, unix_ms) {
            if let SecretHash::Argon2id(phc) = &credential.hash
                && self.argon2id(client, phc, secret, origin, table.generation()).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn argon2id(
        &self,
        client: &Client,
        phc: &str,
        secret: &[u8],
        origin: Origin,
        generation: u64,
    ) -> Result<bool, AuthFault> {
        let key = self.cache_key(client, phc, secret);
        if let Some(known) = self.cached(&key, generation) {
            return Ok(known);
        }
        let mut turn = Turn::queue(&self.turns, (origin.address, client.id.clone()));
        let places = async {
            turn.come().await;
            (turn, Arc::clone(&self.runs).acquire_owned().await)
        };
        let places = tokio::time::timeout(PLACE_WAIT, places).await.map_err(|_| AuthFault::Busy)?;
        // The one before us may have checked the same secret.
        if let Some(known) = self.cached(&key, generation) {
            return Ok(known);
        }
        let (phc, secret) = (phc.to_owned(), secret.to_vec());
        let check = move || {
            // Held here, so that a caller who leaves does not free the place of a run that goes on.
            let _places = places;
            PasswordHash::new(&phc)
                .is_ok_and(|hash| Argon2::default().verify_password(&secret, &hash).is_ok())
        };
        let is_right = tokio::task::spawn_blocking(check).await.map_err(|_| AuthFault::Busy)?;
        if self.cache.len() >= CACHE_MAX {
            self.cache.clear();
        }
        self.cache.insert(key, (generation, is_right));
        Ok(is_right)
    }

    fn cached(&self, key: &[u8; 32], generation: u64) -> Option<bool> {
        self.cache.get(key).filter(|entry| entry.0 == generation).map(|entry| entry.1)
    }

    /// Keyed, so that the cache cannot be searched for secrets by someone who reads memory without the key,
    /// and length-prefixed, so that no two triples share a text.
    fn cache_key(&self, client: &Client, phc: &str, secret: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(self.cache_key);
        for part in [client.id.as_bytes(), phc.as_bytes(), secret] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// Who waits for a run of argon2id: one runs at a time per address and id, so that guessing one client's secret
/// from one place does not take all the places.
type Turns = DashMap<(IpAddr, ClientId), Arc<Semaphore>>;

/// A place in the queue of one address and id. The last one that is dropped takes the queue with it, also when
/// its caller has left: guesses from ever new addresses leave nothing behind.
struct Turn {
    turns: Arc<Turns>,
    who: (IpAddr, ClientId),
    queue: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    fn queue(turns: &Arc<Turns>, who: (IpAddr, ClientId)) -> Self {
        let queue = Arc::clone(&turns.entry(who.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))));
        Self { turns: Arc::clone(turns), who, queue: Some(queue), permit: None }
    }

    async fn come(&mut self) {
        if let Some(queue) = &self.queue {
            self.permit = Arc::clone(queue).acquire_owned().await.ok();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop((self.permit.take(), self.queue.take()));
        // Nobody else holds it any more when only the map does.
        self.turns.remove_if(&self.who, |_, queue| Arc::strong_count(queue) == 1);
    }
}

fn by_api_key(key: &[u8], table: &ClientTable, unix_ms: u64) -> Result<Arc<Client>, Unproven> {
    let sha256: [u8; 32] = Sha256::digest(key).into();
    let found = table.by_api_key(&sha256);
    let found = found.and_then(|(client, place)| Some((client, client.credentials.get(place)?)));
    let (client, credential) = found.ok_or_else(|| Unproven::nobodys(Cause::UnknownKey))?;
    if client.disabled || !credential.is_valid_at(unix_ms) {
        return Err(Unproven::of_key(client, credential, unix_ms));
    }
    Ok(Arc::clone(client))
}

fn valid(client: &Client, kind: CredentialKind, unix_ms: u64) -> impl Iterator<Item = &Credential> {
    client.credentials.iter().filter(move |c| c.kind == kind && c.is_valid_at(unix_ms))
}

/// Compares with every valid hash, or with a hash of nothing, in constant time each.
fn matches_sha256(client: Option<&Arc<Client>>, sha256: &[u8; 32], unix_ms: u64) -> bool {
    let mut found = Choice::from(0);
    let mut compared = false;
    for credential in client.into_iter().flat_map(|client| valid(client, CredentialKind::Secret, unix_ms)) {
        if let SecretHash::Sha256(hash) = &credential.hash {
            found |= hash.ct_eq(sha256);
            compared = true;
        }
    }
    if !compared {
        // No secret hashes to all zeros; the comparison is for its time.
        found |= [0_u8; 32].ct_eq(sha256);
    }
    found.into()
}

/// `ID:SECRET`, cut at the first colon: an id holds none.
fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some((&pair[..colon], &pair[colon + 1..]))
}

/// All credentials of a head, in a fixed order.
fn presented(headers: &HeaderMap) -> Result<Vec<Presented<'_>>, AuthFault> {
    let mut all = Vec::new();
    for (id, secret) in PAIRS {
        match (once(headers, id)?, once(headers, secret)?) {
            (None, None) => {}
            (Some(id), Some(secret)) => all.push(Presented::Pair(id, secret)),
            _ => all.push(Presented::Nothing),
        }
    }
    if let Some(authorization) = once(headers, AUTHORIZATION.as_str())? {
        all.push(authorized(authorization));
    }
    for key in KEYS {
        all.extend(once(headers, key)?.map(Presented::Key));
    }
    Ok(all)
}

fn once<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a [u8]>, AuthFault> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(AuthFault::Repeated { header: name });
    }
    Ok(value.map(|value| value.as_bytes().trim_ascii()))
}

fn authorized(value: &[u8]) -> Presented<'_> {
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return Presented::Nothing };
    let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        Presented::Key(rest)
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        STANDARD.decode(rest).map_or(Presented::Nothing, Presented::OwnedPair)
    } else {
        Presented::Nothing
    }
}

#[cfg(test)]
#[path = "credentials/tests.rs"]
mod tests;
