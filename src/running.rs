//! A whole gateway: how it starts, and the order in which it stops.
//!
//! Owns     the listener, the connections, the tree and the watch on the clients folder.
//! Called   by `main`, tests and examples.
//! Fails    at start with a [`StartFault`]. Stopping ends within `shutdown_delay`, `shutdown_grace` and some
//!          seconds more, whatever connections and actors do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use gateway_actors::gate::Gate;
use gateway_actors::ledger::{Backing, Recovered, Store, StoreFault, StoreSettings};
use gateway_actors::{ClientTable, Ended, RootEnded};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::accept::{self, ConnectionSettings, Door};
use crate::admin_guesses::AdminGuesses;
use crate::admin_token::AdminToken;
use crate::audit::AuditLog;
use crate::credentials::Authenticator;
use crate::cut_off::CutOff;
use crate::front::{self, Front};
use crate::handlers::kept::OwnerReader;
use crate::handlers::live::LiveView;
use crate::handlers::usage::UsageReader;
use crate::live::Live;
use crate::model_list::ModelList;
use crate::observer::Observer;
use crate::reload::{Origins, Reloader};
use crate::retirements::Retirements;
use crate::settings::{LedgerSettings, Loaded, ServerSettings};
use crate::telemetry::{Exporting, Telemetry};
use crate::tls::Identity;
use crate::watch;

/// Connections beyond `max_in_flight` that may be open: pools of clients keep many idle.
const IDLE_CONNECTIONS_MAX: usize = 10_000;

/// How often a ledger that another gateway has is asked for: what this adds to the pause of a hand-over, at most.
const LOCK_PERIOD: Duration = Duration::from_millis(10);

/// How long streams get to send their error event, once the grace is over.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; {}", cure_of_listening(.error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        error: io::Error,
    },
    /// The data folder cannot be used.
    #[error("cannot use the data folder {folder}: {error}{}", cure_of_folder(.error))]
    Data {
        /// The folder.
        folder: String,
        /// The system's word.
        error: io::Error,
    },
    /// The platform's TLS set-up cannot be used.
    #[error("the HTTP client cannot be built: {0}")]
    Upstreams(#[from] rustls::Error),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] StoreFault),
    /// The metrics contradict each other.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The exporter of traces and metrics cannot be set up.
    #[error("[telemetry] cannot be used: {0}")]
    Telemetry(reqwest::Error),
    /// An actor could not be started.
    #[error("the supervision tree did not start: {0}")]
    Tree(#[from] ractor::SpawnErr),
}

fn cure_of_listening(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "is another program using it?",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are the superuser's: take a higher one, or have systemd open it and hand it over, as \
             dsp-ai-gateway.socket does"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; 0.0.0.0 or [::] listens on all that it has"
        }
        _ => "name another address with --listen, or as `listen` below [server]",
    }
}

fn cure_of_folder(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give the gateway's user the right to read and write it, or name another with --data"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; its file system is mounted read-only: mount it to be written, or name another with --data"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file stands in its way: move that aside, or name another with --data"
        }
        // It says the cure itself.
        io::ErrorKind::InvalidData => "",
        _ => "; name another with --data",
    }
}

/// The gateway.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

impl Gateway {
    /// Starts the tree and the listener. `origins` is where a reload reads again.
    ///
    /// # Errors
    /// When the port, the data folder or the platform's TLS cannot be used.
    pub async fn start(loaded: Loaded, origins: Origins) -> Result<Running, StartFault> {
        // Fails when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Loaded { settings, clients, warnings } = loaded;
        let address = settings.server.listen;
        let unusable = |error| StartFault::Listen { address, error };
        let door = open_door(&settings.server, &origins).map_err(unusable)?;
        let address = door.address().map_err(unusable)?;
        let hands_over = door.hands_over();
        let folder = &settings.data_dir;
        let admin_token = AdminToken::load(settings.admin_token.as_ref(), folder)
            .map_err(|error| StartFault::Data { folder: folder.display().to_string(), error })?;
        let audit = AuditLog::new(folder);
        let (backing, recovered) = open_ledger(&settings.ledger).await?;
        let clients = Arc::new(ClientTable::new(1, clients));
        let mut observer = Observer::new()?;
        let to_export = settings.telemetry.otlp_endpoint.clone().map(|endpoint| {
            let lost = observer.metrics.telemetry_lost.clone();
            let (telemetry, records) = Telemetry::new(&settings.telemetry, lost);
            observer.telemetry = Some(telemetry);
            (endpoint, settings.telemetry.clone(), records)
        });
        let started = settings.clone();
        let live = Live::new(settings, Arc::clone(&clients), None)?;
        let (gateway, root) = gateway_actors::start_with(clients, live.pools(), backing, recovered).await?;
        let front = Arc::new(Front {
            gateway,
            usage: UsageReader::new(live.settings.ledger.path.clone()),
            owners: OwnerReader::new(live.settings.ledger.path.clone()),
            authenticator: Authenticator::default(),
            budget: Arc::default(),
            in_flight: Gate::new(usize::try_from(live.settings.server.max_in_flight).unwrap_or(usize::MAX)),
            background: Arc::default(),
            model_list: ModelList::default(),
            retirements: Retirements::default(),
            reloader: Reloader::new(
                origins,
                started,
                audit,
                warnings.iter().map(ToString::to_string).collect(),
            ),
            admin_token,
            admin_guesses: AdminGuesses::default(),
            draining: AtomicBool::new(false),
            stop_accepting: CancellationToken::new(),
            cut_off: CutOff::default(),
            observer: Arc::new(observer),
            live_view: LiveView::default(),
            live: ArcSwap::from_pointee(live),
        });
        let kill = CancellationToken::new();
        let for_connections = Arc::clone(&front);
        let first = front.live.load().settings.server.tls.clone();
        let is_tls = first.is_some();
        let connections = tokio::spawn(accept::serve(
            door,
            TowerToHyperService::new(warp::service(front::filter(Arc::clone(&front)))),
            front::panicked,
            move || connection_settings(&for_connections, first.as_ref()),
            front.stop_accepting.clone(),
            kill.clone(),
        ));
        let watch = watch::start(&front);
        let exporting = to_export
            .map(|(endpoint, settings, records)| Exporting::start(&settings, &endpoint, &front, records));
        let exporting = exporting.transpose().map_err(StartFault::Telemetry)?;
        Ok(Running { address, is_tls, hands_over, front, root, connections, watch, exporting, kill })
    }
}

/// The socket that was handed to this process, else one of its own.
fn open_door(server: &ServerSettings, origins: &Origins) -> io::Result<Door> {
    if !origins.ignore_environment
        && let Some(door) = Door::inherited()?
    {
        tracing::info!("listening on the socket that was handed over; server.listen does not count");
        return Ok(door);
    }
    Door::bind(server.listen, server.reuse_port)
}

/// Opens the accounts before anything is served: in a fraction of a second, or when the gateway that has them lets go
/// within `[ledger] wait`.
async fn open_ledger(settings: &LedgerSettings) -> Result<(Backing, Recovered), StoreFault> {
    let Some(durability) = settings.durability else {
        tracing::warn!("accounts end with this process: [ledger] durability is \"none\"");
        return Ok((Backing::Nothing, Recovered::default()));
    };
    let store = StoreSettings { path: settings.path.clone(), durability, keep_days: settings.keep_days };
    let (deadline, mut waits) = (Instant::now() + settings.wait, false);
    let (store, recovered) = loop {
        match Store::open(store.clone(), unix_ms()) {
            Err(StoreFault::InUse { holder, .. }) if Instant::now() < deadline => {
                if !std::mem::replace(&mut waits, true) {
                    tracing::info!(holder, "another gateway has the ledger; waiting for it");
                }
                tokio::time::sleep(LOCK_PERIOD).await;
            }
            opened => break opened?,
        }
    };
    for warning in &recovered.warnings {
        tracing::warn!("{warning}");
    }
    if recovered.settled_at_bound > 0 {
        tracing::warn!(
            calls = recovered.settled_at_bound,
            "the last process ended with calls in flight; they count with their bounds"
        );
    }
    Ok((Backing::File(Box::new(store)), recovered))
}

fn unix_ms() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
}

/// What the next connection gets. Whether it speaks TLS at all was settled when the gateway started, with the `first`
/// certificate: a reload must not turn an open port into a plain one.
fn connection_settings(front: &Front, first: Option<&Identity>) -> ConnectionSettings {
    let live = front.live.load();
    let server = &live.settings.server;
    let identity = first.map(|first| server.tls.as_ref().unwrap_or(first));
    ConnectionSettings {
        tls: identity.map(|identity| Arc::clone(identity.server_config())),
        header_timeout: server.header_timeout,
        keep_alive: server.keep_alive,
        write_timeout: server.write_timeout,
        max_connections: front.in_flight.max().saturating_add(IDLE_CONNECTIONS_MAX),
    }
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    is_tls: bool,
    /// Another process goes on listening at the address when this one stops.
    hands_over: bool,
    front: Arc<Front>,
    root: RootEnded,
    connections: JoinHandle<()>,
    watch: AbortOnDropHandle<()>,
    exporting: Option<Exporting>,
    kill: CancellationToken,
}

impl Running {
    /// Where it listens: the real port, also when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients find it: `https://HOST:PORT` or `http://HOST:PORT`.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// What its requests share: the tree's handle, the settings in force.
    pub fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// Serves until `stop` resolves, then stops in order; or until the tree gives up.
    pub async fn serve_until(mut self, stop: impl Future<Output = ()>) -> Ended {
        tokio::select! {
            () = stop => {
                self.stop().await;
                Ended::Stopped
            }
            ended = self.root.wait() => {
                self.kill.cancel();
                ended
            }
        }
    }

    /// Stops: not ready, no new work, the grace for what runs, an error event for what is left, the tree.
    async fn stop(&mut self) {
        let server = self.front.live.load().settings.server.clone();
        self.watch.abort();
        // Whose successor listens already has nobody to send away.
        if !self.hands_over {
            self.front.draining.store(true, Ordering::Release);
            tokio::time::sleep(server.shutdown_delay).await;
        }
        self.front.stop_accepting.cancel();
        if tokio::time::timeout(server.shutdown_grace, &mut self.connections).await.is_err() {
            tracing::warn!("the grace is over; running requests are ended");
            self.front.cut_off.cancel();
            if tokio::time::timeout(LAST_WORDS, &mut self.connections).await.is_err() {
                self.kill.cancel();
                let _ = (&mut self.connections).await;
            }
        }
        self.front.background.end();
        self.front.gateway.stop().await;
        if let Some(exporting) = self.exporting.take() {
            exporting.finish().await;
        }
    }
}
