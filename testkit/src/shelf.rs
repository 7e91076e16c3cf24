//! What an upstream keeps between requests: responses, files, batches, by their ids.
//!
//! Owns     the kept objects.
//! Called   by the vendors' modules.
//! Bounded  the last [`KEPT`] objects.
//! Fails    never: an object that was not kept is `None`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;

/// How many objects are kept; tests make dozens.
const KEPT: usize = 1000;

/// One object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Itself, as its API shows it.
    pub(crate) object: Value,
    /// What belongs to it: a response's input items.
    pub(crate) items: Vec<Value>,
    /// A file's content.
    pub(crate) content: Bytes,
}

#[derive(Debug, Default)]
struct Objects {
    order: VecDeque<String>,
    by_id: HashMap<String, Option<Kept>>,
}

/// The objects of one upstream.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<Objects>);

/// What is known of an id.
pub(crate) enum Known {
    Kept(Kept),
    /// It was here and was deleted.
    Deleted,
    Never,
}

impl Shelf {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, id: &str, kept: Kept) {
        let mut objects = self.objects();
        if objects.by_id.insert(id.to_owned(), Some(kept)).is_none() {
            objects.order.push_back(id.to_owned());
        }
        while objects.order.len() > KEPT
            && let Some(oldest) = objects.order.pop_front()
        {
            objects.by_id.remove(&oldest);
        }
    }

    /// Changes an object that is kept; one that never was stays unknown.
    pub(crate) fn change(&self, id: &str, kept: Kept) {
        if let Some(Some(now)) = self.objects().by_id.get_mut(id) {
            *now = kept;
        }
    }

    pub(crate) fn find(&self, id: &str) -> Known {
        match self.objects().by_id.get(id) {
            Some(Some(kept)) => Known::Kept(kept.clone()),
            Some(None) => Known::Deleted,
            None => Known::Never,
        }
    }

    /// Forgets an object, but not that it was there.
    pub(crate) fn delete(&self, id: &str) {
        if let Some(kept) = self.objects().by_id.get_mut(id) {
            *kept = None;
        }
    }

    /// The objects whose ids begin so, the newest first.
    pub(crate) fn list(&self, prefix: &str) -> Vec<Value> {
        let objects = self.objects();
        let own = objects.order.iter().rev().filter(|id| id.starts_with(prefix));
        own.filter_map(|id| Some(objects.by_id.get(id)?.as_ref()?.object.clone())).collect()
    }
}
