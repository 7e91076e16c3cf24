//! `health`: whether a gateway takes requests, asked by a process beside it.
//!
//! Owns     the question `GET /readyz`, for where there is nothing else to ask it with: an image that holds this program
//!          alone has no curl.
//! Called   by `main`, for probes of containers and service managers.
//! Bounded  by [`PATIENCE`], over the whole question.
//! Fails    with [`FAILED`] when the gateway is not there or not ready, with [`UNUSABLE`] when nobody knows where to ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use http::Uri;
use reqwest::StatusCode;

use super::{FAILED, UNUSABLE, say, tell, unusable};
use crate::reload::Origins;
use crate::settings::Settings;

/// How long the gateway may take. It answers within milliseconds, and probes follow each other after ten seconds and more.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// Why the gateway is not known to take requests.
#[derive(Debug, thiserror::Error)]
enum HealthFault {
    #[error("`{written}` is not an address to ask; write it as http://127.0.0.1:8000")]
    NotAnAddress { written: String },
    #[error("the configuration has the gateway listen on a port that the system picks; name it with --url")]
    PortUnknown,
    #[error("the HTTP client cannot be built: {0}")]
    Client(reqwest::Error),
    #[error("no answer from {asked} within {PATIENCE:?}: is the gateway running, and does it listen there?")]
    Silent { asked: String },
    #[error("the gateway at {asked} takes no requests: it is stopping, or cannot work")]
    NotReady { asked: String },
    #[error("{asked} answers with status {status}, as no gateway does")]
    NoGateway { asked: String, status: StatusCode },
}

/// Asks once: the gateway at this address, else at the one that the configuration says.
pub fn health(origins: &Origins, url: Option<&Uri>) -> ExitCode {
    let base = match url {
        Some(url) => from_flag(url),
        None => match origins.settings() {
            Ok(settings) => from_settings(&settings),
            Err(faults) => return unusable(&faults),
        },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(format_args!("the runtime did not start: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    match base.and_then(|base| runtime.block_on(ask(&base))) {
        Ok(asked) => say(&format!("the gateway at {asked} takes requests")),
        Err(fault) => {
            let code = match fault {
                HealthFault::NotAnAddress { .. } | HealthFault::PortUnknown => UNUSABLE,
                HealthFault::Client(_)
                | HealthFault::Silent { .. }
                | HealthFault::NotReady { .. }
                | HealthFault::NoGateway { .. } => FAILED,
            };
            tell(fault);
            ExitCode::from(code)
        }
    }
}

/// Scheme and authority of a written address. What it has behind them is not the gateway's own, and left out.
fn from_flag(url: &Uri) -> Result<String, HealthFault> {
    match (url.scheme_str(), url.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => Ok(format!("{scheme}://{authority}")),
        _ => Err(HealthFault::NotAnAddress { written: url.to_string() }),
    }
}

fn from_settings(settings: &Settings) -> Result<String, HealthFault> {
    let listen = settings.server.listen;
    match listen.port() {
        0 => Err(HealthFault::PortUnknown),
        port => Ok(format!("http://{}", SocketAddr::new(reachable(listen.ip()), port))),
    }
}

/// Where a listener of this machine is reached from it: one on all addresses has none of its own.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Asks the gateway at this base; where it was asked, if it is ready.
async fn ask(base: &str) -> Result<String, HealthFault> {
    // Fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // The question holds no secret, and no certificate names the loopback address that probes ask.
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(HealthFault::Client)?;
    let asked = format!("{base}/readyz");
    let answer = client.get(&asked).send().await;
    match answer.map(|answer| answer.status()) {
        Ok(StatusCode::OK) => Ok(base.to_owned()),
        Ok(StatusCode::SERVICE_UNAVAILABLE) => Err(HealthFault::NotReady { asked: base.to_owned() }),
        Ok(status) => Err(HealthFault::NoGateway { asked, status }),
        Err(_) => Err(HealthFault::Silent { asked }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        for (listens, asked) in [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.7", "192.0.2.7")] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        let base = |url: &str| from_flag(&url.parse().unwrap()).ok();
        assert_eq!(base("http://127.0.0.1:8000").as_deref(), Some("http://127.0.0.1:8000"));
        assert_eq!(base("https://gateway.example/v1/").as_deref(), Some("https://gateway.example"));
        for wrong in ["127.0.0.1:8000", "/readyz", "ftp://gateway.example"] {
            assert_eq!(base(wrong), None, "{wrong}");
        }
    }
}
