//! `check --online`: whether each provider answers, takes our key, and has the models that the settings name.
//!
//! Owns     one question per key: for the list of models, which every kind of provider answers and none bills.
//! Called   by `check`.
//! Bounded  by [`PATIENCE`] for each answer, all keys at once.
//! Fails    never: what does not answer is what is looked for, and told with its place in the file, its cause and the cure.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use gateway_actors::{Client, Target};
use reqwest::StatusCode;

use super::progress;
use crate::config::{Document, Place, Report, Section, read_text};
use crate::model_list;
use crate::resolve;
use crate::settings::{KeySettings, KeySource, ProviderKind, ProviderSettings, Settings};

/// How long one provider may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks every key that can be used; the findings, in the order of the settings. Models that clients have as their
/// defaults must be there as well.
pub(super) async fn findings(settings: &Settings, clients: &[Client]) -> Vec<String> {
    // Fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("dsp-ai-gateway/", env!("CARGO_PKG_VERSION")))
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return vec![format!("the HTTP client cannot be built: {error}")],
    };
    let keys = settings.providers.values().filter(|provider| provider.kind != ProviderKind::Echo);
    let keys = keys.flat_map(|provider| {
        provider.keys.iter().filter(|key| key.can_be_used()).map(move |key| (provider, key))
    });
    let client = &client;
    let asked = keys.map(|(provider, key)| async move { (provider, key, ask(client, provider, key).await) });
    let said = progress::join_all("answers of providers", asked.collect()).await;
    let named: Vec<Target> =
        clients.iter().flat_map(|client| resolve::configured_targets(settings, client)).collect();
    let places = places(settings);
    let found = said.iter().flat_map(|(provider, key, answer)| {
        let findings = judge(settings, &named, provider, key, answer);
        let at = key_place(&places, provider, key);
        let at = at.cloned().unwrap_or_else(|| Place::file(&settings.config_path));
        findings.into_iter().map(move |finding| format!("{at}: {finding}"))
    });
    found.collect()
}

/// Where the file has each provider, and behind it each of its keys. The settings do not know: a line that moves is no
/// change of theirs.
fn places(settings: &Settings) -> BTreeMap<String, Vec<Place>> {
    let text = read_text(&settings.config_path).unwrap_or_default();
    let Ok(document) = Document::from_toml(&settings.config_path, &text) else { return BTreeMap::new() };
    let mut report = Report::default();
    let sections = Section::top(&document).section("providers", &mut report).named_sections(&mut report);
    let places = sections.into_iter().map(|(name, mut section)| {
        let keys = section.sections("keys", &mut Report::default());
        let places = [section.place()].into_iter().chain(keys.iter().map(Section::place));
        (name.to_owned(), places.collect())
    });
    places.collect()
}

/// The place of a key, else of its provider; `None` for one that is not written in the file.
fn key_place<'p>(
    places: &'p BTreeMap<String, Vec<Place>>,
    provider: &ProviderSettings,
    key: &KeySettings,
) -> Option<&'p Place> {
    let places = places.get(&*provider.name)?;
    let own = provider.keys.iter().position(|one| one.name == key.name)?;
    places.get(own + 1).or_else(|| places.first())
}

/// What a provider said of its models.
enum Said {
    /// Their names.
    Models(BTreeSet<String>),
    /// An answer that is no list.
    NoList,
    Status(StatusCode),
    /// None came, and why.
    Silent(String),
}

/// Why there was no answer, in the words of whoever knows best: those of the innermost error.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {PATIENCE:?}");
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn ask(client: &reqwest::Client, provider: &ProviderSettings, key: &KeySettings) -> Said {
    let (path, mut headers) = model_list::question(provider);
    if let Some(secret) = &key.api_key {
        // A key that no header carries is a fault of the configuration already.
        headers.extend(provider.quirks.auth.header(secret.expose()));
    }
    let request = client.get(format!("{}{path}", key.base_url)).headers(headers);
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Said::Silent(cause(&error)),
    };
    if !answer.status().is_success() {
        return Said::Status(answer.status());
    }
    match answer.bytes().await {
        Ok(body) => model_list::names(provider, &body).map_or(Said::NoList, Said::Models),
        Err(error) => Said::Silent(cause(&error)),
    }
}

fn judge(
    settings: &Settings,
    named: &[Target],
    provider: &ProviderSettings,
    key: &KeySettings,
    said: &Said,
) -> Vec<String> {
    let who = match provider.keys.len() {
        1 => format!("provider `{}`", provider.name),
        _ => format!("provider `{}`, key `{}`", provider.name, key.name),
    };
    match said {
        Said::Silent(cause) => vec![format!(
            "{who} does not answer at {}: {cause}; see that base_url is right, and that this machine gets there",
            key.base_url
        )],
        Said::Status(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            vec![format!("{who} refuses its key with status {}; {}", status.as_u16(), renewal(&key.source))]
        }
        // Some compatible servers have no list; that they answer is all that can be known.
        Said::Status(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) | Said::NoList => Vec::new(),
        Said::Status(status) => vec![format!(
            "{who} answers with status {status} at {}; see that base_url is right, and ask its status page",
            key.base_url
        )],
        Said::Models(models) => {
            let own = settings.models.iter().flat_map(|(_, entry)| &entry.targets).chain(named);
            let own = own.filter(|target| target.provider == provider.name).map(|target| &*target.model);
            let mut named: Vec<&str> = own.chain(provider.default_model.as_deref()).collect();
            named.sort_unstable();
            named.dedup();
            // An alias of the provider's own stands for what it leads to, which is among them.
            let is_alias =
                |name: &str| settings.models.get(name).is_some_and(|entry| !entry.targets.is_empty());
            let missing = named.into_iter().filter(|name| !models.contains(*name) && !is_alias(name));
            let told = |name| {
                format!(
                    "{who} does not list the model `{name}`; name one that it has, or see what the key may use"
                )
            };
            missing.map(told).collect()
        }
    }
}

/// What to do about a key that is there and refused.
fn renewal(source: &KeySource) -> String {
    match source {
        KeySource::Variable(name) => format!("renew the key in {name}"),
        KeySource::File(path) => format!("renew the key in {}", path.display()),
        KeySource::NotNeeded => "it wants one: name where it is with api_key_env or api_key_file".to_owned(),
    }
}
