//! What the upstreams say they offer: asked for `GET /v1/models`, and kept for a while.
//!
//! Owns     the last list of each provider.
//! Called   by the models handler.
//! Bounded  by `KEPT_FOR`, `WAIT` and `LIST_MAX`; one question at a time per provider.
//! Fails    with the last list, or none: a provider that does not answer never keeps the others' models from
//!          being listed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use futures_util::StreamExt;
use gateway_actors::Endpoint;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::live::Live;
use crate::settings::{ProviderKind, ProviderSettings};
use crate::upstream::{UpstreamRequest, with_query};

/// How long a list is good.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// How long a caller waits for an upstream's list.
const WAIT: Duration = Duration::from_secs(2);

/// The largest list that is read: OpenRouter's, with some 500 models, has 0.6 MB.
const LIST_MAX: usize = 8 << 20;

/// Names of models.
type Names = Arc<BTreeSet<String>>;

/// A list and when it came; the lock lets one caller ask while the others wait for it.
type Kept = Option<(Instant, Names)>;

/// The lists, by provider.
#[derive(Debug, Default)]
pub struct ModelList {
    providers: DashMap<Arc<str>, Arc<Mutex<Kept>>>,
}

/// A list in OpenAI's and Anthropic's form, or in Gemini's.
#[derive(Deserialize)]
struct Listed {
    #[serde(default, alias = "models")]
    data: Vec<ListedModel>,
}

#[derive(Deserialize)]
struct ListedModel {
    #[serde(alias = "name")]
    id: String,
}

/// What stands before each name in Gemini's list.
const GEMINI_PREFIX: &str = "models/";

/// The longest page that Anthropic and Gemini give.
const ONE_PAGE: [(ProviderKind, &str); 2] =
    [(ProviderKind::Anthropic, "/models?limit=1000"), (ProviderKind::Gemini, "/models?pageSize=1000")];

impl ModelList {
    /// The models that a provider says it has; asks it when the last list is too old.
    pub async fn of(&self, live: &Live, provider: &ProviderSettings) -> Names {
        if provider.kind == ProviderKind::Echo {
            return Names::default();
        }
        let kept = Arc::clone(&self.providers.entry(Arc::clone(&provider.name)).or_default());
        let Ok(mut kept) = tokio::time::timeout(WAIT, kept.lock()).await else { return Names::default() };
        if let Some((at, names)) = &*kept
            && at.elapsed() < KEPT_FOR
        {
            return Arc::clone(names);
        }
        let asked = tokio::time::timeout(WAIT, ask(live, provider)).await.ok().flatten();
        let names = match (asked, &*kept) {
            (Some(names), _) => Arc::new(names),
            (None, Some((_, old))) => Arc::clone(old),
            (None, None) => Names::default(),
        };
        // A failure is kept as well: a provider that is down is not asked at every request.
        *kept = Some((Instant::now(), Arc::clone(&names)));
        names
    }
}

async fn ask(live: &Live, provider: &ProviderSettings) -> Option<BTreeSet<String>> {
    let key = provider.keys.iter().find(|key| key.can_be_used())?;
    let endpoint = Endpoint {
        provider: Arc::clone(&provider.name),
        key_name: Arc::clone(&key.name),
        base_url: Arc::clone(&key.base_url),
        api_key: key.api_key.clone(),
    };
    let method = Method::GET;
    let (path, headers) = question(provider);
    let (auth, http2) = (provider.quirks.auth, provider.quirks.http2);
    let request = UpstreamRequest { method, path, auth, http2, headers, body: bytes::Bytes::new() };
    let mut answer = live.upstreams.send(provider.timeouts.connect, &endpoint, &request).await.ok()?;
    if answer.status != StatusCode::OK {
        return None;
    }
    let mut list = Vec::new();
    while let Some(piece) = answer.body.next().await {
        list.extend_from_slice(&piece.ok()?);
        if list.len() > LIST_MAX {
            return None;
        }
    }
    names(provider, &list)
}

/// The path and headers, but for the key's, of the question for a provider's models.
pub(crate) fn question(provider: &ProviderSettings) -> (Cow<'static, str>, HeaderMap) {
    let mut headers = HeaderMap::from_iter(provider.quirks.headers.iter().cloned());
    if provider.kind == ProviderKind::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    let path = ONE_PAGE.iter().find(|(kind, _)| *kind == provider.kind).map_or("/models", |(_, path)| path);
    (with_query(path.into(), provider.quirks.query.as_deref()), headers)
}

/// The names in a provider's list; `None` for what is no list.
pub(crate) fn names(provider: &ProviderSettings, list: &[u8]) -> Option<BTreeSet<String>> {
    let listed: Listed = serde_json::from_slice(list).ok()?;
    let name = |model: ListedModel| match model.id.strip_prefix(GEMINI_PREFIX) {
        Some(name) if provider.kind == ProviderKind::Gemini => name.to_owned(),
        _ => model.id,
    };
    Some(listed.data.into_iter().map(name).collect())
}
