//! The upstreams: what they speak, where they are, with which keys.
//!
//! Owns     the settings of every `[providers.NAME]` and its pool of keys.
//! Called   by `Settings`; read by routing, by the pools and where calls are made.
//! Bounded  by the file.
//! Fails    in the report only. A key that is missing is a warning, since the other providers can serve; a
//!          key that no header can carry is a fault. Neither ever shows a key.

mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway_actors::BreakerSettings;
use gateway_actors::glob::Glob;
use gateway_actors::secret::Secret;
use gateway_protocols::gemini::MISSING_SIGNATURE;
use http::{HeaderName, HeaderValue, Uri};

use self::written::{Written, WrittenBreaker};
use super::{Env, TimeoutOverrides, Timeouts};
use crate::config::{Concern, Document, Place, Problem, Report, Section, Value, read_text, values};
use crate::upstream::Auth;

/// The heaviest weight of a key: a finer split than a thousandth is lost in the random choice.
const WEIGHT_MAX: u32 = 1_000;

/// Headers that a key may stand in.
const AUTHS: &[(&str, Auth)] = &[
    ("bearer", Auth::Bearer),
    ("api-key", Auth::ApiKey),
    ("x-api-key", Auth::XApiKey),
    ("x-goog-api-key", Auth::XGoogApiKey),
];

/// Domains that no public name lies below: RFC 6761 and 6762, and what ICANN and Kubernetes keep for private use.
const OWN_DOMAINS: &[&str] = &[".localhost", ".local", ".internal", ".test", ".home.arpa", ".svc"];

/// Whether a translation is lenient.
const TRANSLATE: &[(&str, bool)] = &[("strict", false), ("lenient", true)];

/// All providers, by name.
pub type Providers = BTreeMap<Arc<str>, Arc<ProviderSettings>>;

/// The wire protocol of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI's, which many servers speak.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Gemini's.
    Gemini,
    /// Built in: answers with the prompt and calls nobody.
    Echo,
}

impl ProviderKind {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Echo => "echo",
        }
    }
}

/// `[providers.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderSettings {
    /// Its name here.
    pub name: Arc<str>,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Its keys or regions; at least one.
    pub keys: Vec<KeySettings>,
    /// In which its servers differ from others of its kind.
    pub quirks: Quirks,
    /// Whether a translation leaves out what has no equal on its side, instead of refusing it.
    pub is_lenient: bool,
    /// The model of a request that names none.
    pub default_model: Option<String>,
    /// Model names without a provider before them that belong here.
    pub models: Vec<Glob>,
    /// Calls at once; `None` is unlimited.
    pub max_concurrency: Option<u32>,
    /// What waits when that many run.
    pub queue: QueueSettings,
    /// When a key is not asked for a model, and for how long.
    pub breaker: BreakerSettings,
    /// The clocks of its calls: the general ones with its own in their place.
    pub timeouts: Timeouts,
}

impl ProviderSettings {
    /// Whether any of its keys can be used.
    pub fn can_be_called(&self) -> bool {
        self.keys.iter().any(KeySettings::can_be_used)
    }
}

/// In which a provider's servers differ from others of its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks {
    /// The header that carries the key.
    pub auth: Auth,
    /// What follows every path, such as `api-version=2025-04-01-preview` (Azure).
    pub query: Option<String>,
    /// Headers that every request has, such as OpenRouter's `HTTP-Referer`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it has OpenAI's Responses API; else that is translated to its chat API.
    pub responses: bool,
    /// Whether it must not be asked for the usage of a stream: it refuses `stream_options`, and tells anyway.
    pub tells_usage_unasked: bool,
    /// The header that has the count of cached prompt tokens (Fireworks).
    pub cached_tokens_header: Option<HeaderName>,
    /// Whether it is known to speak HTTP/2 where its address has no TLS that could tell.
    pub http2: bool,
    /// The flags of `anthropic-beta` that go to it; `None` where all do.
    pub betas: Option<Vec<String>>,
    /// What stands for the signature of a call that a client has lost; empty for none. Gemini's own word if missing.
    pub missing_signature: Option<String>,
    /// Ids of what the operator keeps there, which every client may refer to.
    pub shared_ids: Vec<Glob>,
}

impl Quirks {
    /// What stands for the signature of a call that a client has lost.
    pub fn missing_signature(&self) -> Option<&str> {
        let word = self.missing_signature.as_deref().unwrap_or(MISSING_SIGNATURE);
        Some(word).filter(|word| !word.is_empty())
    }

    /// Whether every client may refer to what is kept there under this id.
    pub fn shares(&self, id: &str) -> bool {
        self.shared_ids.iter().any(|shared| shared.matches(id))
    }
}

/// Requests that wait for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How many may wait.
    pub max: u32,
    /// How long each may wait.
    pub wait: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { max: 100, wait: Duration::from_secs(5) }
    }
}

/// One key or region of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// Its name within the provider: as written, else its place in the list.
    pub name: Arc<str>,
    /// The address below which the upstream's routes lie, without a slash at the end. Empty for kind `echo`.
    pub base_url: Arc<str>,
    /// The key; `None` when it is missing or none is needed.
    pub api_key: Option<Secret>,
    /// Where the key comes from.
    pub source: KeySource,
    /// Its share of the calls, against that of the other keys.
    pub weight: u32,
}

impl KeySettings {
    /// Whether calls can be made with it.
    pub fn can_be_used(&self) -> bool {
        self.api_key.is_some() || self.source == KeySource::NotNeeded
    }
}

/// Where a key comes from. Prints what to do when it is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A variable of the environment or of `.env`.
    Variable(String),
    /// A file that holds nothing but the key.
    File(PathBuf),
    /// The upstream asks for none.
    NotNeeded,
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "set {name} in the environment or in .env"),
            Self::File(path) => write!(f, "write the key into {}", path.display()),
            Self::NotNeeded => f.write_str("no key is needed"),
        }
    }
}

/// What a provider's section alone does not tell.
pub(crate) struct Surroundings<'a> {
    pub(crate) built_in: &'a Document,
    /// What relative paths are relative to.
    pub(crate) folder: &'a Path,
    pub(crate) env: &'a Env<'a>,
    /// The general clocks.
    pub(crate) timeouts: Timeouts,
}

impl<'a> Surroundings<'a> {
    /// Reads `[providers]`; without any, the shipped ones are there.
    pub(crate) fn read(&self, written: Section<'a>, report: &mut Report) -> Providers {
        let shipped = Section::top(self.built_in).section("providers", report);
        let sections = if written.is_empty() { shipped } else { written };
        let mut providers = Providers::new();
        for (name, section) in sections.named_sections(report) {
            if !values::is_name(name) {
                report.fault(section.place(), "providers", Problem::NotAName { written: name.to_owned() });
            }
            let provider = self.provider(name, section, &providers, report);
            providers.insert(name.into(), Arc::new(provider));
        }
        providers
    }

    fn provider(
        &self,
        name: &str,
        mut section: Section<'a>,
        earlier: &Providers,
        report: &mut Report,
    ) -> ProviderSettings {
        let own = self.written(&mut section, report);
        let kind_is_faulty = own.kind.is_none() && section.has("kind");
        let written = own.or(self.shipped(name, report));
        let kind = written.kind.unwrap_or(ProviderKind::OpenAi);
        let keys = self.keys(&mut section, &written, report);
        if !kind_is_faulty {
            check_upstream(kind, &section, &keys, report);
        }
        warn_of_missing_keys(name, &keys, &section, report);
        warn_of_plain_text(name, &keys, &section, report);
        let models = written.models.unwrap_or_default();
        for (at, pattern) in models.iter().enumerate() {
            let has_it = |provider: &&Arc<ProviderSettings>| provider.models.contains(pattern);
            if let Some(winner) = earlier.values().find(has_it) {
                let (pattern, winner) = (pattern.to_string(), winner.name.to_string());
                section.warn_in("models", at, Concern::PatternTaken { pattern, winner }, report);
            }
        }
        section.finish(report);
        let queue = QueueSettings::default();
        ProviderSettings {
            name: name.into(),
            kind,
            keys,
            quirks: Quirks {
                auth: written.auth.unwrap_or(match kind {
                    ProviderKind::Anthropic => Auth::XApiKey,
                    ProviderKind::Gemini => Auth::XGoogApiKey,
                    ProviderKind::OpenAi | ProviderKind::Echo => Auth::Bearer,
                }),
                query: written.query,
                headers: written.headers.unwrap_or_default(),
                responses: written.responses.unwrap_or(false),
                tells_usage_unasked: written.stream_options == Some(false),
                cached_tokens_header: written.cached_tokens_header,
                http2: written.http2.unwrap_or(false),
                betas: written.betas,
                missing_signature: written.missing_signature,
                shared_ids: written.shared_ids.unwrap_or_default(),
            },
            is_lenient: written.is_lenient.unwrap_or(false),
            default_model: written.default_model,
            models,
            max_concurrency: written.max_concurrency.filter(|most| *most > 0),
            queue: QueueSettings {
                max: written.queue_max.unwrap_or(queue.max),
                wait: written.queue_wait.unwrap_or(queue.wait),
            },
            breaker: written.breaker.settings(),
            timeouts: self.timeouts.overridden_by(&written.timeouts),
        }
    }

    fn shipped(&self, name: &str, report: &mut Report) -> Written {
        let all = Section::top(self.built_in).section("providers", report).named_sections(report);
        let same = all.into_iter().find(|(shipped, _)| *shipped == name);
        same.map(|(_, mut section)| self.written(&mut section, report)).unwrap_or_default()
    }

    fn written(&self, section: &mut Section<'a>, report: &mut Report) -> Written {
        let mut queue = section.section("queue", report);
        let queue_max = queue.get("max", values::whole_u32(0, u32::MAX), report);
        let queue_wait = queue.get("wait", values::duration, report);
        queue.finish(report);
        Written {
            kind: section.get("kind", kind, report),
            base_url: section.get("base_url", values::base_url, report),
            source: self.source(section, report),
            default_model: section.get("default_model", values::model_name, report),
            models: section.list("models", values::pattern, report),
            max_concurrency: section.get("max_concurrency", values::whole_u32(0, u32::MAX), report),
            queue_max,
            queue_wait,
            breaker: WrittenBreaker::read(section.section("breaker", report), report),
            timeouts: TimeoutOverrides::read(section.section("timeouts", report), report),
            auth: section.get("auth", values::one_of("header", AUTHS), report),
            query: section.get("query", values::query, report),
            headers: section.list("headers", values::header, report),
            responses: section.get("responses", values::boolean, report),
            stream_options: section.get("stream_options", values::boolean, report),
            cached_tokens_header: section.get("cached_tokens_header", values::header_name, report),
            http2: section.get("http2", values::boolean, report),
            betas: section.list("betas", values::beta, report),
            is_lenient: section.get("translate", values::one_of("way to translate", TRANSLATE), report),
            missing_signature: section.get("missing_signature", values::text, report),
            shared_ids: section.list("shared_ids", values::pattern, report),
        }
    }

    fn source(&self, section: &mut Section<'a>, report: &mut Report) -> Option<KeySource> {
        let variable = section.get("api_key_env", values::variable_name, report);
        let file = section.get("api_key_file", values::path, report);
        if variable.is_some() && file.is_some() {
            section.fault("api_key_file", Problem::TwoKeySources, report);
        }
        let file = file.map(|file| KeySource::File(self.folder.join(file)));
        variable.map(KeySource::Variable).or(file)
    }

    /// The pool as written, else one key with the provider's own address and key.
    fn keys(&self, section: &mut Section<'a>, written: &Written, report: &mut Report) -> Vec<KeySettings> {
        let base_url = written.base_url.as_deref().unwrap_or_default();
        let source = written.source.clone().unwrap_or(KeySource::NotNeeded);
        let mut keys = Vec::new();
        let mut names = BTreeSet::new();
        for (at, mut key) in section.sections("keys", report).into_iter().enumerate() {
            let name = key.get("name", values::name, report).unwrap_or_else(|| at.to_string());
            if !names.insert(name.clone()) {
                key.fault("name", Problem::Duplicate, report);
            }
            let own_url = key.get("base_url", values::base_url, report);
            let source = self.source(&mut key, report).unwrap_or_else(|| source.clone());
            let weight = key.get("weight", values::whole_u32(1, WEIGHT_MAX), report).unwrap_or(1);
            keys.push(KeySettings {
                name: name.into(),
                base_url: own_url.as_deref().unwrap_or(base_url).into(),
                api_key: self.api_key(&source, &key, report),
                source,
                weight,
            });
            key.finish(report);
        }
        if keys.is_empty() {
            let api_key = self.api_key(&source, section, report);
            keys.push(KeySettings {
                name: "0".into(),
                base_url: base_url.into(),
                api_key,
                source,
                weight: 1,
            });
        }
        keys
    }

    fn api_key(&self, source: &KeySource, section: &Section<'a>, report: &mut Report) -> Option<Secret> {
        match source {
            KeySource::Variable(name) => {
                let key = (self.env)(name)?;
                if !values::can_be_secret(&key) {
                    section.fault("api_key_env", Problem::UnusableSecret { holder: name.clone() }, report);
                }
                Some(Secret::new(key))
            }
            KeySource::File(path) => {
                let problem = match read_text(path) {
                    Ok(text) if values::can_be_secret(text.trim()) => return Some(Secret::new(text.trim())),
                    Ok(text) if text.trim().is_empty() => return None,
                    Err(Problem::NotFound) => return None,
                    Ok(_) => Problem::UnusableSecret { holder: "the file".to_owned() },
                    Err(problem) => problem,
                };
                report.fault(Place::file(path), "", problem);
                None
            }
            KeySource::NotNeeded => None,
        }
    }
}

fn kind(value: &Value) -> Result<ProviderKind, Problem> {
    const KINDS: &[(&str, ProviderKind)] = &[
        ("openai", ProviderKind::OpenAi),
        ("anthropic", ProviderKind::Anthropic),
        ("gemini", ProviderKind::Gemini),
        ("echo", ProviderKind::Echo),
    ];
    values::one_of("kind", KINDS)(value)
}

/// Every upstream needs an address, and the echo provider has none.
fn check_upstream(kind: ProviderKind, section: &Section<'_>, keys: &[KeySettings], report: &mut Report) {
    for (of, key) in [(ProviderKind::Anthropic, "betas"), (ProviderKind::Gemini, "missing_signature")] {
        if kind != of && section.has(key) {
            section.fault(key, Problem::OnlyForKind { kind: of.as_str() }, report);
        }
    }
    match kind {
        ProviderKind::Echo => {
            for key in ["base_url", "api_key_env", "api_key_file", "keys"] {
                if section.has(key) {
                    section.fault(key, Problem::NotForEcho, report);
                }
            }
        }
        ProviderKind::OpenAi | ProviderKind::Anthropic | ProviderKind::Gemini => {
            if !section.has("base_url") && keys.iter().any(|key| key.base_url.is_empty()) {
                let expected = "the address of its API, such as \"https://api.example.com/v1\"";
                section.fault("base_url", Problem::Missing { expected }, report);
            }
        }
    }
}

fn warn_of_missing_keys(provider: &str, keys: &[KeySettings], section: &Section<'_>, report: &mut Report) {
    let some_serve = keys.iter().any(KeySettings::can_be_used);
    for key in keys.iter().filter(|key| !key.can_be_used()) {
        let (provider, cure) = (provider.to_owned(), key.source.to_string());
        let concern = match some_serve {
            true => Concern::KeyMissing { provider, key: key.name.to_string(), cure },
            false => Concern::ProviderWithoutKey { provider, cure },
        };
        report.warn(section.place(), "", concern);
    }
}

/// A key that is sent without TLS over a network that is not our own can be read on its way.
fn warn_of_plain_text(provider: &str, keys: &[KeySettings], section: &Section<'_>, report: &mut Report) {
    let is_sent = |key: &&KeySettings| key.source != KeySource::NotNeeded;
    let mut hosts: Vec<String> = keys.iter().filter(is_sent).filter_map(foreign_plain_host).collect();
    hosts.dedup();
    for host in hosts {
        let concern = Concern::KeyInPlainText { provider: provider.to_owned(), host };
        report.warn(section.place(), "", concern);
    }
}

/// The host of a key's address, if it is asked in plain text and is not on this machine or a private network. A name
/// without a dot, and one below a domain that is reserved for private use, is taken as our own.
fn foreign_plain_host(key: &KeySettings) -> Option<String> {
    let url: Uri = key.base_url.parse().ok().filter(|url: &Uri| url.scheme_str() == Some("http"))?;
    let host = url.host()?.trim_matches(['[', ']']);
    let is_own = match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            !host.contains('.') || OWN_DOMAINS.iter().any(|domain| host.ends_with(domain))
        }
    };
    (!is_own).then(|| host.to_owned())
}
