//! Reads the configuration again: the candidate is checked whole, then swapped in.
//!
//! Owns     where the configuration comes from, and the order of reloads.
//! Called   by both reload routes, by SIGHUP and by the watcher.
//! Bounded  one reload at a time. A call is answered by a reading that began after it; calls that came while
//!          another reading ran share the next one.
//! Fails    with every fault of every file, and then the old configuration stays as it was, whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway_actors::{ClientTable, Published, Refusal};
use serde_json::json;
use tokio::sync::{Mutex, Notify};

use crate::config::{Faults, Place};
use crate::env_file::{DEFAULT_ENV_FILE, EnvFile};
use crate::front::Front;
use crate::live::Live;
use crate::settings::{Loaded, Settings, Sources};

/// How long pools of removed providers stay, for requests that were routed by the old settings: far longer
/// than a request takes from its routing to its admission.
const RETIRE_AFTER: Duration = Duration::from_secs(10);

/// How often an actor is told that is being restarted. With the pause between, longer than a child of the root
/// ever rests (200 ms).
const TELL_MAX: u32 = 6;

/// The pause between.
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Where the configuration comes from: what was given at the start, and is asked again at each reload.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// The `.env` file; `None` is the one in the working folder.
    pub env_file: Option<PathBuf>,
    /// Whether the process's environment counts. Tests turn it off.
    pub ignore_environment: bool,
}

impl Origins {
    /// Reads everything: flags before the environment, before `.env`, before the files.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(&self) -> Result<Loaded, Faults> {
        self.read(Settings::load)
    }

    /// As [`load`](Self::load), without the clients: for a change of one of their files.
    ///
    /// # Errors
    /// Every fault of the other files.
    pub fn settings(&self) -> Result<Settings, Faults> {
        self.read(Settings::read)
    }

    fn read<T>(&self, read: impl FnOnce(&Sources<'_>) -> Result<T, Faults>) -> Result<T, Faults> {
        let env_file = EnvFile::read(&self.env_file.clone().unwrap_or_else(|| DEFAULT_ENV_FILE.into()))?;
        let env = |name: &str| {
            let own = if self.ignore_environment { None } else { std::env::var(name).ok() };
            own.filter(|value| !value.is_empty()).or_else(|| env_file.lookup(name))
        };
        read(&Sources {
            config: self.config.clone(),
            listen: self.listen.clone(),
            data_dir: self.data_dir.clone(),
            env: &env,
        })
    }
}

/// Why a reload changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadFault {
    /// The files cannot be used.
    #[error("{0}")]
    Faults(Arc<Faults>),
    /// The platform's TLS set-up cannot be used.
    #[error("the HTTP client cannot be built: {0}")]
    Upstreams(Arc<rustls::Error>),
    /// The tree could not take the new set; another reload puts everything right.
    #[error("{0}")]
    Refused(Refusal),
}

impl ReloadFault {
    /// The body of the 422: each fault with its file, line and member.
    pub fn render(&self) -> Bytes {
        let detail: Vec<serde_json::Value> = match self {
            Self::Faults(faults) => faults
                .iter()
                .map(|fault| {
                    let place = match &fault.place {
                        Place::File { path, position } => {
                            let line = position.map(|position| position.line);
                            json!([path.display().to_string(), line, fault.member])
                        }
                        Place::Setting(name) => json!([name]),
                    };
                    json!({"type": "configuration", "loc": place, "msg": fault.to_string(), "input": null})
                })
                .collect(),
            Self::Upstreams(_) | Self::Refused(_) => {
                vec![json!({"type": "configuration", "loc": [], "msg": self.to_string(), "input": null})]
            }
        };
        json!({ "detail": detail }).to_string().into()
    }
}

/// What a reload changed.
#[derive(Debug, Clone)]
pub struct ReloadReport {
    /// What became of the clients.
    pub clients: Published,
    /// How many clients there are.
    pub count: usize,
    /// Settings that have changed and need a restart to take effect.
    pub needs_restart: Vec<&'static str>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Reloads, one at a time.
#[derive(Debug)]
pub struct Reloader {
    origins: Origins,
    calls: AtomicU64,
    last: Mutex<Option<Last>>,
    finished: Notify,
}

#[derive(Debug)]
struct Last {
    /// Calls up to this number came before the reading began.
    covers: u64,
    result: Result<ReloadReport, ReloadFault>,
}

impl Reloader {
    /// A reloader that reads from these origins.
    pub fn new(origins: Origins) -> Self {
        Self { origins, calls: AtomicU64::new(0), last: Mutex::new(None), finished: Notify::new() }
    }

    /// Resolves when a reload has finished since this was last called. For one caller, the watcher: the settings
    /// may name another folder now.
    pub async fn has_finished(&self) {
        self.finished.notified().await;
    }

    /// Reads the configuration and swaps it in.
    ///
    /// # Errors
    /// All that is wrong with it; the configuration in force stays.
    pub async fn reload(&self, front: &Arc<Front>) -> Result<ReloadReport, ReloadFault> {
        let call = self.calls.fetch_add(1, Ordering::AcqRel) + 1;
        let front = Arc::clone(front);
        // In a task of its own: a caller who leaves in the middle neither stops it between two swaps nor lets
        // another one begin.
        let turn = tokio::spawn(async move { front.reloader.in_turn(&front, call).await });
        let died = |_| Err(ReloadFault::Refused(Refusal::Restarting { actor: "the reload" }));
        turn.await.unwrap_or_else(died)
    }

    /// Waits for its turn; then the last reading answers this call, or a new one does.
    async fn in_turn(&self, front: &Arc<Front>, call: u64) -> Result<ReloadReport, ReloadFault> {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.covers >= call) {
            return last.result.clone();
        }
        let covers = self.calls.load(Ordering::Acquire);
        let result = swap(self.origins.clone(), front).await;
        match &result {
            Ok(report) => tracing::info!(
                generation = report.clients.generation,
                clients = report.count,
                "configuration reloaded"
            ),
            Err(fault) => tracing::error!(%fault, "configuration not reloaded; the old one stays in force"),
        }
        *last = Some(Last { covers, result: result.clone() });
        self.finished.notify_one();
        result
    }
}

async fn swap(origins: Origins, front: &Arc<Front>) -> Result<ReloadReport, ReloadFault> {
    let loaded = tokio::task::spawn_blocking(move || origins.load()).await;
    let loaded = loaded.map_err(|_| ReloadFault::Refused(Refusal::Restarting { actor: "the loader" }))?;
    let Loaded { settings, clients, warnings } =
        loaded.map_err(|faults| ReloadFault::Faults(Arc::new(faults)))?;
    let before = front.live.load_full();
    let needs_restart = needs_restart(&before.settings, &settings);
    let generation = front.gateway.shared().clients().generation() + 1;
    let count = clients.len();
    let table = Arc::new(ClientTable::new(generation, clients));
    let live = Live::new(settings, Arc::clone(&table), Some(&before));
    let live = live.map_err(|error| ReloadFault::Upstreams(Arc::new(error)))?;
    // First the pools that are new, then who may have a limiter, then how requests find both.
    let pools = || front.gateway.apply_pools(live.pools());
    told(pools).await.map_err(ReloadFault::Refused)?;
    let clients = told(|| front.gateway.publish(Arc::clone(&table))).await.map_err(ReloadFault::Refused)?;
    front.live.store(Arc::new(live));
    let front = Arc::clone(front);
    tokio::spawn(async move {
        tokio::time::sleep(RETIRE_AFTER).await;
        // A tree that is gone has no pools either.
        let _ = front.gateway.retire_pools();
    });
    let warnings = warnings.iter().map(ToString::to_string).collect();
    Ok(ReloadReport { clients, count, needs_restart, warnings })
}

/// Tells the tree something, and again when the actor that was told has died with it: it is the whole new state,
/// so twice is as good as once.
async fn told<T, F: Future<Output = Result<T, Refusal>>>(tell: impl Fn() -> F) -> Result<T, Refusal> {
    for _ in 1..TELL_MAX {
        match tell().await {
            Err(Refusal::Restarting { .. }) => tokio::time::sleep(TELL_AGAIN_AFTER).await,
            other => return other,
        }
    }
    tell().await
}

fn needs_restart(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let changed = [
        ("server.listen", before.server.listen != after.server.listen),
        ("server.threads", before.server.threads != after.server.threads),
        ("server.max_in_flight", before.server.max_in_flight != after.server.max_in_flight),
        ("data", before.data_dir != after.data_dir),
        ("telemetry", before.telemetry != after.telemetry),
        ("ledger", before.ledger != after.ledger),
        ("GATEWAY_ADMIN_TOKEN", before.admin_token != after.admin_token),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}
