//! The published snapshot of all clients: who an id or an API key belongs to.
//!
//! Immutable: ClientRegistry swaps it whole at a reload, and everybody else only reads. A request keeps the
//! `Arc<Client>` it was judged by.

use std::collections::HashMap;
use std::sync::Arc;

use crate::client::{Client, ClientId, CredentialKind, SecretHash};

/// All clients of one generation.
#[derive(Debug, Default)]
pub struct ClientTable {
    generation: u64,
    by_id: HashMap<ClientId, Arc<Client>>,
    /// SHA-256 of an API key, to its client and the credential's place there.
    by_key: HashMap<[u8; 32], (Arc<Client>, usize)>,
}

impl ClientTable {
    /// The table of these clients. Of two clients with one id, the later wins; the loader refuses such a set.
    pub fn new(generation: u64, clients: Vec<Client>) -> Self {
        let mut table = Self { generation, ..Self::default() };
        for client in clients.into_iter().map(Arc::new) {
            for (place, credential) in client.credentials.iter().enumerate() {
                if let (CredentialKind::ApiKey, SecretHash::Sha256(hash)) =
                    (credential.kind, &credential.hash)
                {
                    table.by_key.insert(*hash, (Arc::clone(&client), place));
                }
            }
            table.by_id.insert(client.id.clone(), client);
        }
        table
    }

    /// Counts up by one at each reload.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The client of that id.
    pub fn get(&self, id: &str) -> Option<&Arc<Client>> {
        self.by_id.get(id)
    }

    /// The client whose API key has this SHA-256, and which of its credentials that is.
    pub fn by_api_key(&self, sha256: &[u8; 32]) -> Option<(&Arc<Client>, usize)> {
        self.by_key.get(sha256).map(|(client, place)| (client, *place))
    }

    /// All clients, in no order.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.by_id.values()
    }

    /// All ids, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &ClientId> {
        self.by_id.keys()
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
