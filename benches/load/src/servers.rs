//! The servers of a comparison: the upstream, and each target before it.
//!
//! Owns     their processes and the folder they write into.
//! Called   by [`crate::bench`] and [`crate::first_token`].
//! Bounded  by the start limit of each server.
//! Fails    as [`LoadError`] when one does not start, or a target answers wrongly when it is tried. A missing nginx is
//!          a note.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HeaderValue;

use crate::error::LoadError;
use crate::gateway::Variant;
use crate::keys::{CLIENTS, UNKNOWN_KEY, UPSTREAM_KEY, api_key};
use crate::load::{Failure, Load, Target, TargetKind, try_once};
use crate::run_folder::RunFolder;
use crate::scenario::Scenario;
use crate::server_process::ServerProcess;
use crate::{gateway, nginx, say, upstream};

const NO_NGINX: &str = "nginx not found: install it with your package manager, e.g. apt-get install nginx-light; measuring without it";

/// What is started besides the upstream.
#[derive(Debug)]
pub struct Programs {
    nginx: Option<PathBuf>,
    gateway: Option<PathBuf>,
}

impl Programs {
    /// Builds the gateway and looks for nginx where they are wanted and not given; and what a reader must know of it.
    pub async fn find(
        gateway: Option<&Path>,
        nginx: Option<&Path>,
        wanted: &[TargetKind],
    ) -> Result<(Self, Vec<String>), LoadError> {
        let mut notes = Vec::new();
        let nginx = match (nginx, wanted.contains(&TargetKind::Nginx)) {
            (_, false) => None,
            (Some(given), true) => Some(given.to_owned()),
            (None, true) => nginx::find().or_else(|| {
                say(NO_NGINX);
                notes.push(NO_NGINX.to_owned());
                None
            }),
        };
        let gateway = match Variant::ALL.iter().any(|variant| wanted.contains(&variant.target())) {
            false => None,
            true => Some(gateway::program(gateway).await?),
        };
        Ok((Self { nginx, gateway }, notes))
    }

    /// nginx's version, where it is measured.
    pub fn nginx_version(&self) -> Option<String> {
        self.nginx.as_deref().and_then(nginx::version)
    }
}

/// The running servers. Fields are dropped in order: those in front first, their folder last.
#[derive(Debug)]
pub struct Servers {
    in_front: Vec<(TargetKind, ServerProcess, SocketAddr)>,
    upstream: (ServerProcess, SocketAddr),
    _folder: RunFolder,
}

impl Servers {
    /// The upstream, and those of the wanted targets whose program there is.
    pub async fn start(programs: &Programs, wanted: &[TargetKind]) -> Result<Self, LoadError> {
        let folder = RunFolder::create().map_err(LoadError::io("making a temporary folder"))?;
        let upstream = upstream::start().await?;
        let mut in_front = Vec::new();
        if let Some(program) = &programs.nginx {
            let (process, address) = nginx::start(program, &folder, upstream.1).await?;
            in_front.push((TargetKind::Nginx, process, address));
        }
        if let Some(program) = &programs.gateway {
            for variant in Variant::ALL.into_iter().filter(|variant| wanted.contains(&variant.target())) {
                let (process, address) = gateway::start(program, &folder, &variant.setup(upstream.1)).await?;
                in_front.push((variant.target(), process, address));
            }
        }
        Ok(Self { in_front, upstream, _folder: folder })
    }

    /// Those of the wanted targets that run.
    pub fn targets(&self, wanted: &[TargetKind]) -> Vec<Target> {
        let client_keys = client_keys();
        let upstream_key: Arc<[HeaderValue]> = bearer(UPSTREAM_KEY).into_iter().collect();
        let in_front = self.in_front.iter().map(|(kind, process, address)| Target {
            kind: *kind,
            address: *address,
            pid: Some(process.pid()),
            authorizations: client_keys.clone(),
        });
        let direct = Target {
            kind: TargetKind::Direct,
            address: self.upstream.1,
            pid: None,
            authorizations: upstream_key,
        };
        std::iter::once(direct).chain(in_front).filter(|target| wanted.contains(&target.kind)).collect()
    }
}

/// The header value of every client.
pub fn client_keys() -> Arc<[HeaderValue]> {
    (0..CLIENTS).filter_map(|index| bearer(&api_key(index))).collect()
}

/// The header value for a key; `None` for a key that no header can hold, which none of ours is.
pub fn bearer(key: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Bearer {key}")).ok()
}

/// Is the target what it is said to be? It must answer every workload as it must be answered, and what stands
/// before the upstream must refuse a key that nobody has.
pub async fn try_target(target: &Target, scenarios: &[Scenario]) -> Result<(), LoadError> {
    for &scenario in scenarios {
        try_once(&Load::new(target.clone(), scenario)).await.map_err(|failure| LoadError::WrongAnswer {
            target: target.kind,
            scenario,
            failure,
        })?;
    }
    let stranger = Target { authorizations: bearer(UNKNOWN_KEY).into_iter().collect(), ..target.clone() };
    match try_once(&Load::new(stranger, Scenario::Plain)).await {
        Err(Failure::Status(StatusCode::UNAUTHORIZED, _)) => Ok(()),
        _ => Err(LoadError::UnknownKeyServed(target.kind)),
    }
}
