//! `check --online`: whether each provider answers, takes our key, and has the models that the settings name.
//!
//! Owns     one question per key: for the list of models, which every kind of provider answers and none bills.
//! Called   by `check`.
//! Bounded  by [`PATIENCE`] for each answer, all keys at once.
//! Fails    never: what does not answer is what is looked for.

use std::collections::BTreeSet;
use std::time::Duration;

use gateway_actors::{Client, Target};
use reqwest::StatusCode;

use super::progress;
use crate::model_list;
use crate::resolve;
use crate::settings::{KeySettings, ProviderKind, ProviderSettings, Settings};

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
    said.iter().flat_map(|(provider, key, answer)| judge(settings, &named, provider, key, answer)).collect()
}

/// What a provider said of its models.
enum Said {
    /// Their names.
    Models(BTreeSet<String>),
    /// An answer that is no list.
    NoList,
    Status(StatusCode),
    Silent,
}

async fn ask(client: &reqwest::Client, provider: &ProviderSettings, key: &KeySettings) -> Said {
    let (path, mut headers) = model_list::question(provider);
    if let Some(secret) = &key.api_key {
        // A key that no header carries is a fault of the configuration already.
        headers.extend(provider.quirks.auth.header(secret.expose()));
    }
    let request = client.get(format!("{}{path}", key.base_url)).headers(headers);
    let Ok(answer) = request.send().await else { return Said::Silent };
    if !answer.status().is_success() {
        return Said::Status(answer.status());
    }
    let Ok(body) = answer.bytes().await else { return Said::Silent };
    model_list::names(provider, &body).map_or(Said::NoList, Said::Models)
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
        Said::Silent => vec![format!("{who} does not answer at {}", key.base_url)],
        Said::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            vec![format!("{who} refuses its key: {}", key.source)]
        }
        // Some compatible servers have no list; that they answer is all that can be known.
        Said::Status(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) | Said::NoList => Vec::new(),
        Said::Status(status) => vec![format!("{who} answers with status {status}")],
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
            missing.map(|name| format!("{who} does not list the model `{name}`")).collect()
        }
    }
}
