//! The settings and clients in force, and what is built from them; swapped whole at a reload.
//!
//! A request takes one `Arc` of it at its start and is judged by that to its end.

use std::sync::Arc;

use gateway_actors::provider_pool::KeySettings;
use gateway_actors::{ClientTable, Endpoint, PoolSettings, RetryBudgetSettings};

use crate::resolve;
use crate::settings::{ProviderSettings, Settings};
use crate::upstream::Upstreams;

/// One generation of settings and clients.
#[derive(Debug)]
pub struct Live {
    /// The settings.
    pub settings: Settings,
    /// The clients that came with these settings. The tree has the same table, and a client that is not in it
    /// any more gets no admission; this one is for requests that must see one generation of both.
    pub clients: Arc<ClientTable>,
    /// HTTP clients with their connect timeouts.
    pub upstreams: Arc<Upstreams>,
}

impl Live {
    /// Builds what the settings need. HTTP clients that `before` has are kept, with their connections.
    ///
    /// # Errors
    /// When the platform's TLS set-up cannot be used.
    pub fn new(
        settings: Settings,
        clients: Arc<ClientTable>,
        before: Option<&Self>,
    ) -> Result<Self, rustls::Error> {
        let before = before.map(|before| &*before.upstreams);
        let upstreams = Arc::new(Upstreams::new(resolve::connect_timeouts(&settings), before)?);
        Ok(Self { settings, clients, upstreams })
    }

    /// What the pools are to be.
    pub fn pools(&self) -> Vec<PoolSettings> {
        let retries = RetryBudgetSettings {
            ratio: self.settings.retries.budget_ratio,
            floor: self.settings.retries.budget_floor,
        };
        self.settings.providers.values().map(|provider| pool(provider, retries)).collect()
    }
}

/// A provider's pool; keys that are missing take no part, unless all are.
fn pool(provider: &ProviderSettings, retries: RetryBudgetSettings) -> PoolSettings {
    let keys = provider.keys.iter().filter(|key| key.can_be_used() || !provider.can_be_called());
    let key = |key: &crate::settings::KeySettings| KeySettings {
        endpoint: Arc::new(Endpoint {
            provider: Arc::clone(&provider.name),
            key_name: Arc::clone(&key.name),
            base_url: Arc::clone(&key.base_url),
            api_key: key.api_key.clone(),
        }),
        weight: key.weight,
    };
    PoolSettings {
        name: Arc::clone(&provider.name),
        keys: keys.map(key).collect(),
        max_concurrency: provider.max_concurrency.and_then(|max| usize::try_from(max).ok()),
        queue_max: usize::try_from(provider.queue.max).unwrap_or(usize::MAX),
        queue_wait: provider.queue.wait,
        breaker: provider.breaker,
        retries,
    }
}
