//! `check --online`: whether each provider answers, takes our key, and has the models that the settings name.
//!
//! Owns     one question per key: `GET BASE_URL/models`, which all providers of kind `openai` answer and none bills.
//! Called   by `check`.
//! Bounded  by [`PATIENCE`] for each answer, all keys at once.
//! Fails    never: what does not answer is what is looked for.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::progress;
use crate::settings::{KeySettings, ProviderKind, ProviderSettings, Settings};

/// How long one provider may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Listed {
    data: Vec<ListedModel>,
}

#[derive(Deserialize)]
struct ListedModel {
    id: String,
}

/// Asks every key that can be used; the findings, in the order of the settings.
pub(super) async fn findings(settings: &Settings) -> Vec<String> {
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
    let keys = settings.providers.values().filter(|provider| provider.kind == ProviderKind::OpenAi);
    let keys = keys.flat_map(|provider| {
        provider.keys.iter().filter(|key| key.can_be_used()).map(move |key| (provider, key))
    });
    let client = &client;
    let asked = keys.map(|(provider, key)| async move { (provider, key, ask(client, key).await) });
    let said = progress::join_all("answers of providers", asked.collect()).await;
    said.iter().flat_map(|(provider, key, answer)| judge(settings, provider, key, answer)).collect()
}

/// What a provider said of its models.
enum Said {
    /// Their names.
    Models(Vec<String>),
    /// An answer that is no list.
    NoList,
    Status(StatusCode),
    Silent,
}

async fn ask(client: &reqwest::Client, key: &KeySettings) -> Said {
    let mut request = client.get(format!("{}/models", key.base_url));
    if let Some(secret) = &key.api_key {
        request = request.bearer_auth(secret.expose());
    }
    let Ok(answer) = request.send().await else { return Said::Silent };
    if !answer.status().is_success() {
        return Said::Status(answer.status());
    }
    let Ok(body) = answer.bytes().await else { return Said::Silent };
    match serde_json::from_slice::<Listed>(&body) {
        Ok(listed) => Said::Models(listed.data.into_iter().map(|model| model.id).collect()),
        Err(_) => Said::NoList,
    }
}

fn judge(settings: &Settings, provider: &ProviderSettings, key: &KeySettings, said: &Said) -> Vec<String> {
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
            let own = settings.models.iter().flat_map(|(_, entry)| &entry.targets);
            let own = own.filter(|target| target.provider == provider.name).map(|target| &*target.model);
            let mut named: Vec<&str> = own.chain(provider.default_model.as_deref()).collect();
            named.sort_unstable();
            named.dedup();
            let missing = named.into_iter().filter(|name| !models.iter().any(|model| model == name));
            missing.map(|name| format!("{who} does not list the model `{name}`")).collect()
        }
    }
}
