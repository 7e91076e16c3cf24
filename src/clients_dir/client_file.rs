//! One client file: JSON members to a [`Client`].
//!
//! Owns     the meaning of each member, and what of a client deserves a warning.
//! Called   by `clients_dir`.
//! Bounded  by the file.
//! Fails    in the report only; a client whose id cannot be read is none. No message shows a hash or secret.

use argon2::password_hash::PasswordHash;
use gateway_actors::Target;
use gateway_actors::client::{
    Client, ClientId, Credential, CredentialKind, MaxTokensPolicy, ModelGlobs, NameSet, SecretHash,
    endpoint_name,
};
use gateway_limits::{Limits, Mode};

use crate::config::{Concern, Problem, Report, Section, Value, values};
use crate::resolve;
use crate::routes;
use crate::settings::{Settings, row_of};

/// The most requests per minute that can be told from none at all.
const REQUESTS_PER_MINUTE_MAX: u64 = 1_000_000_000;

/// Above it sums of tokens could pass 64 bits.
const TOKENS_MAX: u64 = 1 << 53;

/// The heaviest weight in a provider's queue: more would starve the others.
const PRIORITY_MAX: u32 = 1_000;

/// Bounds on what one check of an argon2id secret may cost: 1 GiB of memory (in KiB), passes, lanes.
const ARGON2_COSTS_MAX: [u32; 3] = [1 << 20, 100, 64];

/// The words of `max_tokens_policy`.
const POLICIES: &[(&str, MaxTokensPolicy)] =
    &[("reject", MaxTokensPolicy::Reject), ("clamp", MaxTokensPolicy::Clamp)];

/// The words of a `rate_limit`'s `mode`.
const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];

/// The words of a credential's `type`.
const KINDS: &[(&str, CredentialKind)] =
    &[("secret", CredentialKind::Secret), ("api_key", CredentialKind::ApiKey)];

/// Members in which a person may have written a secret itself, and where its hash belongs.
const PLAIN_SECRETS: &[(&str, &str)] = &[
    ("client_secret", "`client_secret_hash`"),
    ("secret", "`client_secret_hash`"),
    ("password", "`client_secret_hash`"),
    ("api_key", "`credentials` with \"type\": \"api_key\""),
];

/// Reads the client of a file.
pub(super) fn read(
    file: &str,
    mut top: Section<'_>,
    settings: &Settings,
    report: &mut Report,
) -> Option<Client> {
    let stem = file.strip_suffix(".json").unwrap_or(file);
    let id = id(file, &mut top, report);
    let name = top.get("name", values::text, report);
    let allowed_providers = allowed_providers(&mut top, settings, report);
    let default_provider = default_provider(&mut top, &allowed_providers, settings, report);
    let default_model = top.get("default_model", values::model_name, report);
    if let Some(concern) = default_model.as_deref().and_then(|model| settings.models.concern_about(model)) {
        top.warn("default_model", concern, report);
    }
    let allowed_endpoints = allowed_endpoints(&mut top, report);
    let allowed_models = top.list("allowed_models", values::pattern, report);
    let allowed_addresses = top.list("allowed_addresses", values::network, report);
    if allowed_addresses.as_ref().is_some_and(Vec::is_empty) {
        top.warn("allowed_addresses", Concern::NothingAllowed { what: "address" }, report);
    }
    let max_tokens_limit = top.get("max_tokens_limit", values::whole(0, TOKENS_MAX), report);
    let policy = top.get("max_tokens_policy", values::one_of("policy", POLICIES), report);
    let priority = top.get("priority", values::whole_u32(1, PRIORITY_MAX), report);
    let disabled = top.get("disabled", values::boolean, report).unwrap_or(false);
    let limits = limits(top.section("rate_limit", report), top.section("budget", report), report);
    let credentials = credentials(stem, &mut top, report);
    // When a person or program last touched the file is theirs to know.
    for member in ["created_at", "updated_at"] {
        top.get(member, |_| Ok(()), report);
    }
    let client = id.map(|id| Client {
        name: name.unwrap_or_else(|| id.to_string()),
        allowed_providers,
        default_provider,
        default_model,
        max_tokens_limit,
        limits,
        allowed_endpoints,
        allowed_models: allowed_models.map_or(ModelGlobs::All, |globs| globs.into_iter().collect()),
        credentials,
        allowed_addresses,
        max_tokens_policy: policy.unwrap_or_default(),
        priority: priority.unwrap_or(1),
        disabled,
        id,
    });
    if let Some(client) = &client {
        warn_of_default_model(&top, client, settings, report);
        warn_of_missing_prices(&top, client, settings, report);
    }
    top.finish(report);
    client
}

fn id(file: &str, top: &mut Section<'_>, report: &mut Report) -> Option<ClientId> {
    let id = top.get("client_id", client_id, report);
    match &id {
        None if !top.has("client_id") => {
            let expected = "the client's id, which is also the name of the file before .json";
            top.fault("client_id", Problem::Missing { expected }, report);
        }
        Some(id) if file.strip_suffix(".json") != Some(id.as_str()) => {
            let problem = Problem::WrongFileName { id: id.to_string(), file: file.to_owned() };
            top.fault("client_id", problem, report);
        }
        _ => {}
    }
    id
}

/// The id of a client.
pub(crate) fn client_id(value: &Value) -> Result<ClientId, Problem> {
    let written = values::text(value)?;
    ClientId::parse(&written).map_err(|_| Problem::NotAName { written })
}

fn allowed_providers(top: &mut Section<'_>, settings: &Settings, report: &mut Report) -> NameSet {
    let providers = top.list("allowed_providers", values::filled_text, report).unwrap_or_default();
    for (at, provider) in providers.iter().enumerate() {
        if provider != "*" && !settings.providers.contains_key(provider.as_str()) {
            top.warn_in(
                "allowed_providers",
                at,
                Concern::UnknownProvider { provider: provider.clone() },
                report,
            );
        }
    }
    if providers.is_empty() {
        top.warn("allowed_providers", Concern::NothingAllowed { what: "provider" }, report);
    }
    providers.iter().collect()
}

fn default_provider(
    top: &mut Section<'_>,
    allowed: &NameSet,
    settings: &Settings,
    report: &mut Report,
) -> Option<String> {
    let provider = top.get("default_provider", values::name, report)?;
    if !settings.providers.contains_key(provider.as_str()) {
        top.warn("default_provider", Concern::UnknownProvider { provider: provider.clone() }, report);
    } else if !allowed.contains(&provider) {
        top.warn("default_provider", Concern::ProviderNotAllowed { provider: provider.clone() }, report);
    }
    Some(provider)
}

fn allowed_endpoints(top: &mut Section<'_>, report: &mut Report) -> NameSet {
    let written = top.list("allowed_endpoints", values::filled_text, report).unwrap_or_default();
    let names: Vec<&str> = written.iter().map(|written| endpoint_name(written)).collect();
    let known = routes::endpoints();
    for (at, name) in names.iter().enumerate() {
        if *name != "*" && !known.contains(name) {
            let concern = Concern::UnknownEndpoint { endpoint: (*name).to_owned(), known: known.clone() };
            top.warn_in("allowed_endpoints", at, concern, report);
        }
    }
    if names.is_empty() {
        top.warn("allowed_endpoints", Concern::NothingAllowed { what: "endpoint" }, report);
    }
    names.into_iter().collect()
}

fn limits(mut rates: Section<'_>, mut budget: Section<'_>, report: &mut Report) -> Limits {
    let requests_per_minute =
        rates.get("requests_per_minute", values::whole(0, REQUESTS_PER_MINUTE_MAX), report);
    let mut count = |key| rates.get(key, values::whole(0, TOKENS_MAX), report);
    let tokens_per_minute = count("tokens_per_minute");
    let tokens_per_day = count("tokens_per_day");
    let concurrent_requests = count("concurrent_requests");
    let mode = rates.get("mode", values::one_of("mode", MODES), report).unwrap_or_default();
    rates.finish(report);
    let usd_per_day = budget.get("usd_per_day", values::dollars, report);
    let usd_per_month = budget.get("usd_per_month", values::dollars, report);
    budget.finish(report);
    Limits {
        requests_per_minute,
        tokens_per_minute,
        tokens_per_day,
        concurrent_requests,
        usd_per_day,
        usd_per_month,
        mode,
    }
}

/// A default that leads nowhere is noticed by whoever relies on it, which is late.
fn warn_of_default_model(top: &Section<'_>, client: &Client, settings: &Settings, report: &mut Report) {
    let Some(model) = &client.default_model else { return };
    let Some(provider) = &client.default_provider else {
        return top.warn("default_model", Concern::DefaultModelAlone, report);
    };
    if let Some(concern) = settings.concern_about_provider(provider, model) {
        top.warn("default_model", concern, report);
    }
    let target = Target { provider: provider.as_str().into(), model: model.as_str().into() };
    if !resolve::may_use_model(client, &target) && settings.models.get(model).is_none() {
        top.warn("default_model", Concern::ModelNotAllowed { model: model.clone() }, report);
    }
}

/// Calls of a model without a price are refused under a budget, which nobody should learn from a caller.
fn warn_of_missing_prices(top: &Section<'_>, client: &Client, settings: &Settings, report: &mut Report) {
    if !client.limits.has_budget() {
        return;
    }
    for target in resolve::configured_targets(settings, client) {
        if settings.capabilities.of(&target.provider, &target.model).price.is_none() {
            let concern = Concern::NoPrice {
                provider: target.provider.to_string(),
                model: target.model.to_string(),
                row: row_of(&target.provider, &target.model),
                file: settings.models_file().display().to_string(),
            };
            top.warn("budget", concern, report);
        }
    }
}

/// The entries of `credentials`, and `client_secret_hash` as one more.
fn credentials(client: &str, top: &mut Section<'_>, report: &mut Report) -> Vec<Credential> {
    let mut credentials = Vec::new();
    if let Some(hash) = top.get("client_secret_hash", hash, report) {
        let kind = CredentialKind::Secret;
        credentials.push(Credential { kind, hash, not_before: None, expires_at: None, label: None });
        if credentials[0].is_published() {
            top.warn("client_secret_hash", Concern::PublishedSecret { client: client.to_owned() }, report);
        }
    }
    for mut section in top.sections("credentials", report) {
        let credential = credential(&mut section, report);
        if credential.as_ref().is_some_and(Credential::is_published) {
            section.warn("hash", Concern::PublishedSecret { client: client.to_owned() }, report);
        }
        section.finish(report);
        credentials.extend(credential);
    }
    warn_of_plain_secrets(top, report);
    if credentials.is_empty() {
        report.warn(top.file(), "", Concern::NoCredential { client: client.to_owned() });
    }
    credentials
}

fn credential(section: &mut Section<'_>, report: &mut Report) -> Option<Credential> {
    let kind = section.get("type", values::one_of("type", KINDS), report);
    let hash = section.get("hash", hash, report);
    let not_before = section.get("not_before", values::moment, report);
    let expires_at = section.get("expires_at", values::moment, report);
    let label = section.get("label", values::text, report);
    warn_of_plain_secrets(section, report);
    if !section.has("type") {
        section.fault("type", Problem::Missing { expected: "\"secret\" or \"api_key\"" }, report);
    }
    if !section.has("hash") {
        section.fault("hash", Problem::Missing { expected: "what `dsp-ai-gateway hash` prints" }, report);
    }
    if let (Some(CredentialKind::ApiKey), Some(SecretHash::Argon2id(_))) = (kind, &hash) {
        section.fault("hash", Problem::ApiKeyNeedsSha256, report);
    }
    if not_before.zip(expires_at).is_some_and(|(from, until)| until <= from) {
        section.fault("expires_at", Problem::NeverValid, report);
    }
    Some(Credential { kind: kind?, hash: hash?, not_before, expires_at, label })
}

fn warn_of_plain_secrets(section: &mut Section<'_>, report: &mut Report) {
    for (member, instead) in PLAIN_SECRETS {
        if section.get(member, |_| Ok(()), report).is_some() {
            section.warn(member, Concern::PlainSecret { instead }, report);
        }
    }
}

/// SHA-256 as hexadecimal digits, with or without `sha256:` before them, or an argon2id PHC string.
fn hash(value: &Value) -> Result<SecretHash, Problem> {
    let Value::Text(written) = value else { return Err(value.instead_of("a hash as a string")) };
    let hex = written.strip_prefix("sha256:").unwrap_or(written);
    if let Some(hash) = SecretHash::sha256_from_hex(hex) {
        return Ok(hash);
    }
    let phc = PasswordHash::new(written).map_err(|_| Problem::NotAHash)?;
    let is_argon2id = phc.algorithm == argon2::ARGON2ID_IDENT && phc.salt.is_some() && phc.hash.is_some();
    let params = argon2::Params::try_from(&phc).map_err(|_| Problem::NotAHash)?;
    let costs = [params.m_cost(), params.t_cost(), params.p_cost()];
    if !is_argon2id {
        return Err(Problem::NotAHash);
    }
    if costs.iter().zip(ARGON2_COSTS_MAX).any(|(cost, most)| *cost > most) {
        return Err(Problem::CostlyHash);
    }
    Ok(SecretHash::Argon2id(written.clone()))
}
