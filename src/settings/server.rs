//! The front door: where it listens, how long it waits, how much it holds.
//!
//! Owns     the settings of `[server]`.
//! Called   by `Settings`; read by the listener, the connections and the in-flight gate.
//! Bounded  by what each setting says.
//! Fails    in the report only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::{Concern, Place, Problem, Report, Section, values};
use crate::tls::{Files, Identity, Unusable};

/// `[server]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Whether another process may listen there too (`SO_REUSEPORT`), so that one can take over from the other.
    pub reuse_port: bool,
    /// What it shows there in TLS; `None` is plain HTTP.
    pub tls: Option<Identity>,
    /// The largest request body, in bytes.
    pub max_body_bytes: u64,
    /// From a request head's first byte to its last.
    pub header_timeout: Duration,
    /// Between two bytes of a request body.
    pub body_timeout: Duration,
    /// How long a connection may idle between requests.
    pub keep_alive: Duration,
    /// How long a client may leave its answer unread.
    pub write_timeout: Duration,
    /// Threads that handle requests; 0 is one per core.
    pub threads: u32,
    /// Requests at once.
    pub max_in_flight: u32,
    /// Request bodies held in memory, all together, in bytes.
    pub max_buffered_bytes: u64,
    /// How long running requests may go on once the gateway is told to stop.
    pub shutdown_grace: Duration,
    /// How long the gateway says that it is not ready before it stops listening.
    pub shutdown_delay: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Browsers' origins that may call; `*` is any.
    pub cors_origins: Vec<String>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            reuse_port: false,
            tls: None,
            // 32 MiB: some 20 photographs in base64.
            max_body_bytes: 32 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            threads: 0,
            max_in_flight: 10_000,
            max_buffered_bytes: 1 << 30,
            shutdown_grace: Duration::from_secs(30),
            shutdown_delay: Duration::ZERO,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
        }
    }
}

/// Beyond this threads only hand work to each other.
const THREADS_MAX: u32 = 1_024;

impl ServerSettings {
    /// How many threads handle requests: as many as were asked for, else one per core.
    pub fn worker_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        match usize::try_from(self.threads) {
            Ok(0) | Err(_) => cores,
            Ok(threads) => threads,
        }
    }

    pub(crate) fn read(mut section: Section<'_>, folder: &Path, report: &mut Report) -> Self {
        let default = Self::default();
        let mut clock = |key, default| section.get(key, values::clock, report).unwrap_or(default);
        let header_timeout = clock("header_timeout", default.header_timeout);
        let body_timeout = clock("body_timeout", default.body_timeout);
        let keep_alive = clock("keep_alive", default.keep_alive);
        let write_timeout = clock("write_timeout", default.write_timeout);
        let mut wait = |key, default| section.get(key, values::duration, report).unwrap_or(default);
        let shutdown_grace = wait("shutdown_grace", default.shutdown_grace);
        let shutdown_delay = wait("shutdown_delay", default.shutdown_delay);
        let mut size = |key, default| section.get(key, values::size, report).unwrap_or(default);
        let max_body_bytes = size("max_body_bytes", default.max_body_bytes);
        let max_buffered_bytes = size("max_buffered_bytes", default.max_buffered_bytes);
        if max_buffered_bytes < max_body_bytes {
            section.warn("max_buffered_bytes", Concern::LargestBodyNeverFits, report);
        }
        let max_in_flight = section.get("max_in_flight", values::whole_u32(1, u32::MAX), report);
        let tls =
            section.has("tls").then(|| identity(section.section("tls", report), folder, report)).flatten();
        let threads = section.get("threads", values::whole_u32(0, THREADS_MAX), report);
        let trusted_proxies = section.list("trusted_proxies", values::network, report).unwrap_or_default();
        if let Some(all) = trusted_proxies.iter().position(|network| network.prefix_len() == 0) {
            section.warn_in("trusted_proxies", all, Concern::TrustsEverybody, report);
        }
        let cors_origins = section.list("cors_origins", values::origin, report).unwrap_or_default();
        if let Some(any) = cors_origins.iter().position(|origin| origin == "*") {
            section.warn_in("cors_origins", any, Concern::AnyOrigin, report);
        }
        let server = Self {
            reuse_port: section.get("reuse_port", values::boolean, report).unwrap_or(false),
            tls,
            threads: threads.unwrap_or(default.threads),
            listen: section.get("listen", values::listen_address, report).unwrap_or(default.listen),
            max_body_bytes,
            header_timeout,
            body_timeout,
            keep_alive,
            write_timeout,
            max_in_flight: max_in_flight.unwrap_or(default.max_in_flight),
            max_buffered_bytes,
            shutdown_grace,
            shutdown_delay,
            trusted_proxies,
            cors_origins,
        };
        section.finish(report);
        server
    }

    /// What an operator should know of the address in force.
    pub(crate) fn concern(&self) -> Option<Concern> {
        let address = self.listen;
        (self.tls.is_none() && !address.ip().to_canonical().is_loopback())
            .then_some(Concern::PlainHttp { address })
    }
}

/// `[server.tls]`.
fn identity(mut section: Section<'_>, folder: &Path, report: &mut Report) -> Option<Identity> {
    let certificate = section.get("cert", values::path, report);
    let key = section.get("key", values::path, report);
    for (name, expected) in [("cert", "the file of the certificate"), ("key", "the file of its private key")]
    {
        if !section.has(name) {
            section.fault(name, Problem::Missing { expected }, report);
        }
    }
    section.finish(report);
    let files = Files { certificate: folder.join(certificate?), key: folder.join(key?) };
    match Identity::load(files.clone()) {
        Ok(identity) => {
            if let Some(concern) = identity.concern() {
                report.warn(Place::file(&files.certificate), "server.tls.cert", concern);
            }
            Some(identity)
        }
        Err(Unusable::Certificate(problem)) => {
            report.fault(Place::file(&files.certificate), "server.tls.cert", problem);
            None
        }
        Err(Unusable::Key(problem)) => {
            report.fault(Place::file(&files.key), "server.tls.key", problem);
            None
        }
    }
}
