//! Reads the configuration again: the candidate is checked whole, then swapped in.
//!
//! Owns     where the configuration comes from, the order of reloads, and how the last one went.
//! Called   by both reload routes, by SIGHUP and by the watcher.
//! Bounded  one reload at a time. A call is answered by a reading that began after it; calls that came while
//!          another reading ran share the next one.
//! Fails    with every fault of every file, or because what changes cannot be recorded in the audit log; then the old
//!          configuration stays as it was, whole.

mod words;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use gateway_actors::{ClientId, ClientTable, Published, Refusal};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};

use crate::audit::{AuditFault, AuditLog, Author, Deed, Recorder};
use crate::client_members::changes;
use crate::config::{Faults, Place};
use crate::env_file::{DEFAULT_ENV_FILE, EnvFile};
use crate::front::Front;
use crate::live::Live;
use crate::settings::{Loaded, Settings, Sources};
use crate::upstream::Upstreams;

/// How often it is looked whether requests that were routed by older settings are over, so that the pools of removed
/// providers may go.
const RETIRE_EVERY: Duration = Duration::from_secs(10);

/// How often an actor is told that is being restarted, or has too much to do. With the pause between, longer than a child of the root
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
    /// `--env-file`, which must be there; `None` is `.env` in the working folder, which need not.
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

    /// A variable of the environment, else of the `.env` file; one that is empty counts as unset.
    ///
    /// # Errors
    /// Every fault of that file.
    pub fn environment(&self) -> Result<impl Fn(&str) -> Option<String>, Faults> {
        let env_file = match &self.env_file {
            Some(named) => EnvFile::read(named),
            None => EnvFile::read_if_there(DEFAULT_ENV_FILE.as_ref()),
        }?;
        Ok(move |name: &str| {
            let own = if self.ignore_environment { None } else { std::env::var(name).ok() };
            own.filter(|value| !value.is_empty()).or_else(|| env_file.lookup(name))
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Sources<'_>) -> Result<T, Faults>) -> Result<T, Faults> {
        let env = self.environment()?;
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
    /// What the reload would change cannot be recorded.
    #[error("{0}")]
    NotRecorded(Arc<AuditFault>),
    /// The tree could not take the new set; another reload puts everything right.
    #[error("{0}")]
    Refused(Refusal),
}

impl ReloadFault {
    /// The body of the 422.
    pub fn render(&self) -> Bytes {
        json!({ "detail": self.details() }).to_string().into()
    }

    /// Each fault with its file, line and member.
    pub fn details(&self) -> Vec<Value> {
        match self {
            Self::Faults(faults) => details(faults),
            Self::Upstreams(_) | Self::NotRecorded(_) | Self::Refused(_) => {
                vec![json!({"type": "configuration", "loc": [], "msg": self.to_string(), "input": null})]
            }
        }
    }
}

/// Faults in the form of FastAPI's validation errors; a fault's `loc` is its file, line and member.
pub fn details(faults: &Faults) -> Vec<Value> {
    let detail = |fault: &crate::config::Fault| {
        let place = match &fault.place {
            Place::File { path, position } => {
                json!([path.display().to_string(), position.map(|position| position.line), fault.member])
            }
            Place::Setting(name) => json!([name]),
        };
        json!({"type": "configuration", "loc": place, "msg": fault.to_string(), "input": null})
    };
    faults.iter().map(detail).collect()
}

/// What a reload changed.
#[derive(Debug, Clone)]
pub struct ReloadReport {
    /// What became of the clients.
    pub clients: Published,
    /// How many clients there are.
    pub count: usize,
    /// The sections and variables that are not what they were.
    pub settings: Vec<&'static str>,
    /// Settings that are not what the process started with, and need a restart to take effect.
    pub needs_restart: Vec<&'static str>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One attempt to put a configuration in force, the start's included.
#[derive(Debug)]
pub struct Attempt {
    /// When it ended.
    pub at: Timestamp,
    /// Who asked for it; `None` is the start.
    pub author: Option<Author>,
    /// Why it changed nothing, if so.
    pub fault: Option<ReloadFault>,
    /// What needs a restart to take effect.
    pub needs_restart: Vec<&'static str>,
    /// What a person should know of the files, if they could be read.
    pub warnings: Vec<String>,
}

/// Attempts as an operator asks for them.
#[derive(Debug, Clone)]
pub struct Attempts {
    /// The last one.
    pub last: Arc<Attempt>,
    /// When the configuration in force was put there.
    pub in_force_since: Timestamp,
    /// What a person should know of it.
    pub warnings: Arc<[String]>,
}

/// Reloads, one at a time.
#[derive(Debug)]
pub struct Reloader {
    origins: Origins,
    /// The settings of the start: what needs a restart is what differs from them, however many reloads ago it changed.
    started: Settings,
    audit: AuditLog,
    calls: AtomicU64,
    last: Mutex<Option<Last>>,
    attempts: ArcSwap<Attempts>,
    /// Settings that were in force, as far as requests are judged by them still.
    older: std::sync::Mutex<Vec<Weak<Upstreams>>>,
    finished: Notify,
}

#[derive(Debug)]
struct Last {
    /// Calls up to this number came before the reading began.
    covers: u64,
    result: Result<ReloadReport, ReloadFault>,
}

impl Reloader {
    /// A reloader that reads from these origins and records what it changes. Settings and warnings are those of the
    /// start.
    pub fn new(origins: Origins, started: Settings, audit: AuditLog, warnings: Vec<String>) -> Self {
        let (at, of_start) = (Timestamp::now(), warnings.as_slice().into());
        let start = Attempt { at, author: None, fault: None, needs_restart: Vec::new(), warnings };
        let attempts = Attempts { last: Arc::new(start), in_force_since: at, warnings: of_start };
        Self {
            origins,
            started,
            audit,
            calls: AtomicU64::new(0),
            last: Mutex::new(None),
            attempts: ArcSwap::from_pointee(attempts),
            older: std::sync::Mutex::default(),
            finished: Notify::new(),
        }
    }

    /// How the last attempt went, whoever asked for it.
    pub fn attempts(&self) -> Arc<Attempts> {
        self.attempts.load_full()
    }

    /// The settings that the process started with.
    pub fn started(&self) -> &Settings {
        &self.started
    }

    /// Where changes are recorded.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
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
    pub async fn reload(&self, front: &Arc<Front>, author: Author) -> Result<ReloadReport, ReloadFault> {
        let call = self.calls.fetch_add(1, Ordering::AcqRel) + 1;
        let front = Arc::clone(front);
        // In a task of its own: a caller who leaves in the middle neither stops it between two swaps nor lets
        // another one begin.
        let turn = tokio::spawn(async move { front.reloader.in_turn(&front, call, author).await });
        let died = |_| Err(ReloadFault::Refused(Refusal::Restarting { actor: "the reload" }));
        turn.await.unwrap_or_else(died)
    }

    /// Waits for its turn; then the last reading answers this call, or a new one does.
    async fn in_turn(
        &self,
        front: &Arc<Front>,
        call: u64,
        author: Author,
    ) -> Result<ReloadReport, ReloadFault> {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| last.covers >= call) {
            return last.result.clone();
        }
        let covers = self.calls.load(Ordering::Acquire);
        let result = swap(self.origins.clone(), front, self.audit.by(author.clone())).await;
        match &result {
            Ok(report) => words::tell(&author, report, &self.attempts()),
            // A line of the log is one event, however many faults there are.
            Err(fault) => tracing::error!(
                by = author.as_str(),
                fault = fault.to_string().replace('\n', "; "),
                "configuration not reloaded; the old one stays in force"
            ),
        }
        self.note(author, &result);
        *last = Some(Last { covers, result: result.clone() });
        self.finished.notify_one();
        result
    }

    /// Keeps the pools that older settings name until the last request is over that was routed by them.
    fn retire_after(&self, front: &Arc<Front>, before: &Live) {
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        older.push(Arc::downgrade(&before.upstreams));
        if older.len() > 1 {
            // Whoever looks for the one before looks for this one too.
            return;
        }
        let front = Arc::clone(front);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RETIRE_EVERY).await;
                let mut older = front.reloader.older.lock().unwrap_or_else(PoisonError::into_inner);
                older.retain(|upstreams| upstreams.strong_count() > 0);
                if older.is_empty() {
                    // A tree that is gone has no pools either.
                    let _ = front.gateway.retire_pools();
                    return;
                }
            }
        });
    }

    fn note(&self, author: Author, result: &Result<ReloadReport, ReloadFault>) {
        let (at, author, before) = (Timestamp::now(), Some(author), self.attempts());
        let attempts = match result {
            Ok(ReloadReport { needs_restart, warnings, .. }) => {
                let in_force = warnings.as_slice().into();
                let (needs_restart, warnings) = (needs_restart.clone(), warnings.clone());
                let last = Arc::new(Attempt { at, author, fault: None, needs_restart, warnings });
                Attempts { last, in_force_since: at, warnings: in_force }
            }
            Err(fault) => {
                // What is in force waits for its restart still.
                let needs_restart = before.last.needs_restart.clone();
                let fault = Some(fault.clone());
                let last = Arc::new(Attempt { at, author, fault, needs_restart, warnings: Vec::new() });
                Attempts { last, ..Attempts::clone(&before) }
            }
        };
        self.attempts.store(Arc::new(attempts));
    }
}

async fn swap(origins: Origins, front: &Arc<Front>, recorder: Recorder) -> Result<ReloadReport, ReloadFault> {
    let loaded = blocking("the loader", move || origins.load()).await?;
    let Loaded { settings, clients, warnings } =
        loaded.map_err(|faults| ReloadFault::Faults(Arc::new(faults)))?;
    let before = front.live.load_full();
    let needs_restart = needs_restart(front.reloader.started(), &settings);
    let changed = changed_settings(&before.settings, &settings);
    let generation = front.gateway.shared().clients().generation() + 1;
    let count = clients.len();
    let table = Arc::new(ClientTable::new(generation, clients));
    let live = Live::new(settings, Arc::clone(&table), Some(&before));
    let live = Arc::new(live.map_err(|error| ReloadFault::Upstreams(Arc::new(error)))?);
    // All that can be wrong has been seen; what follows changes something.
    let (old, new, record, settings) =
        (Arc::clone(&before), Arc::clone(&live), recorder.clone(), changed.clone());
    let recorded = blocking("the audit log", move || record_reload(&record, &old, &new, &settings)).await?;
    recorded.map_err(|fault| ReloadFault::NotRecorded(Arc::new(fault)))?;
    let clients = match told_all(front, &live, table).await {
        Ok(clients) => clients,
        Err(refusal) => {
            // Half of it may be in force: back to what was. Should that be refused as well, the next reload tells all.
            let _ = told(|| front.gateway.apply_pools(before.pools())).await;
            let told = refusal.clone();
            let failed = move || recorder.record_failure(Timestamp::now(), None, &told);
            blocking("the audit log", failed).await?;
            return Err(ReloadFault::Refused(refusal));
        }
    };
    front.live.store(live);
    front.reloader.retire_after(front, &before);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    Ok(ReloadReport { clients, count, settings: changed, needs_restart, warnings })
}

/// Work that waits for the disk, away from the runtime's own threads.
async fn blocking<T: Send + 'static>(
    actor: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReloadFault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ReloadFault::Refused(Refusal::Restarting { actor }))
}

/// First the pools that are new, then who may have a limiter; how requests find both comes last.
async fn told_all(front: &Front, live: &Live, table: Arc<ClientTable>) -> Result<Published, Refusal> {
    told(|| front.gateway.apply_pools(live.pools())).await?;
    told(|| front.gateway.publish(Arc::clone(&table))).await
}

/// Records each client that comes into force in another state, and which settings do.
fn record_reload<'a>(
    recorder: &Recorder,
    before: &'a Live,
    after: &'a Live,
    changed: &[&'static str],
) -> Result<(), AuditFault> {
    let generation = after.clients.generation();
    let mut ids: Vec<_> = before.clients.ids().chain(after.clients.ids()).collect();
    ids.sort_unstable();
    ids.dedup();
    let changed_client = |client: &'a ClientId| {
        let (old, new) = (before.clients.get(client), after.clients.get(client));
        let members = || changes(old.map(|client| &**client), new.map(|client| &**client));
        (old != new).then(|| Deed::Reload { generation, client, members: members() })
    };
    let mut deeds: Vec<Deed<'_>> = ids.into_iter().filter_map(changed_client).collect();
    if !changed.is_empty() {
        deeds.push(Deed::Settings { generation, changed });
    }
    recorder.record(Timestamp::now(), &deeds)
}

/// The sections and variables that are not what they were.
fn changed_settings(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let changed = [
        ("server", before.server != after.server),
        ("clients", (&before.clients_dir, before.watch) != (&after.clients_dir, after.watch)),
        ("ledger", before.ledger != after.ledger),
        ("timeouts", before.timeouts != after.timeouts),
        ("retries", before.retries != after.retries),
        ("telemetry", before.telemetry != after.telemetry),
        ("providers", before.providers != after.providers),
        ("models", before.models != after.models),
        ("models.toml", before.capabilities != after.capabilities),
        ("data", before.data_dir != after.data_dir),
        ("DEFAULT_PROVIDER", before.default_provider != after.default_provider),
        ("DEFAULT_MODEL", before.default_model != after.default_model),
        ("GATEWAY_ADMIN_TOKEN", before.admin_token != after.admin_token),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

/// Tells the tree something, and again when the actor that was told has died with it, or has too much to do: it is the
/// whole new state, so twice is as good as once.
async fn told<T, F: Future<Output = Result<T, Refusal>>>(tell: impl Fn() -> F) -> Result<T, Refusal> {
    for _ in 1..TELL_MAX {
        match tell().await {
            Err(Refusal::Restarting { .. } | Refusal::Overloaded { .. }) => {
                tokio::time::sleep(TELL_AGAIN_AFTER).await
            }
            other => return other,
        }
    }
    tell().await
}

/// What the process took at its start alone, and would take otherwise now.
fn needs_restart(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let changed = [
        ("server.listen", before.server.listen != after.server.listen),
        ("server.reuse_port", before.server.reuse_port != after.server.reuse_port),
        ("server.tls", before.server.tls.is_some() != after.server.tls.is_some()),
        ("server.threads", before.server.threads != after.server.threads),
        ("server.max_in_flight", before.server.max_in_flight != after.server.max_in_flight),
        ("data", before.data_dir != after.data_dir),
        ("telemetry", before.telemetry != after.telemetry),
        ("ledger", before.ledger != after.ledger),
        ("GATEWAY_ADMIN_TOKEN", before.admin_token != after.admin_token),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}
