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
use rustls::pki_types::CertificateDer;

use super::{FAILED, UNUSABLE, say, tell, unusable};
use crate::accept::SPEAKS_TLS;
use crate::reload::Origins;
use crate::settings::Settings;
use crate::upstream::{NoConnection, innermost};
use certificate::OnlyThis;

mod certificate;

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
    #[error("no TLS can be spoken: {0}")]
    Tls(rustls::Error),
    #[error(
        "no answer from {asked} within {PATIENCE:?}: is the gateway overloaded, or another program there?"
    )]
    Silent { asked: String },
    #[error("nobody listens at {asked}: is the gateway running, and does it listen there?")]
    Refused { asked: String },
    #[error("{asked} cannot be asked: {cause}")]
    Unreachable { asked: String, cause: String },
    #[error("the gateway at {asked} speaks TLS: ask it at https://{authority}")]
    SpeaksTls { asked: String, authority: String },
    #[error(
        "{asked} shows another certificate than the file that `server.tls.cert` names: is it the gateway, and was it \
         reloaded since the file was renewed?"
    )]
    OtherCertificate { asked: String },
    #[error("the gateway at {asked} takes no requests: it is stopping, or cannot work")]
    NotReady { asked: String },
    #[error("{asked} answers with status {status}, as no gateway does")]
    NoGateway { asked: String, status: StatusCode },
}

/// Whom to ask, and how to know it.
#[derive(Debug)]
struct Asked {
    /// Scheme and authority.
    base: String,
    trust: Trust,
}

/// Which certificates are taken of who answers over TLS.
#[derive(Debug)]
enum Trust {
    /// Any: the question holds no secret, and an address on the command line comes without a certificate.
    Any,
    /// The one that the configuration has the gateway show.
    Configured(CertificateDer<'static>),
}

/// Asks once: the gateway at this address, else at the one that the configuration says.
pub fn health(origins: &Origins, url: Option<&Uri>) -> ExitCode {
    let asked = match url {
        Some(url) => from_flag(url).map(|base| Asked { base, trust: Trust::Any }),
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
    match asked.and_then(|asked| runtime.block_on(ask(asked))) {
        Ok(asked) => say(&format!("the gateway at {asked} takes requests")),
        Err(fault) => {
            let code = match fault {
                HealthFault::NotAnAddress { .. } | HealthFault::PortUnknown => UNUSABLE,
                HealthFault::Client(_)
                | HealthFault::Tls(_)
                | HealthFault::OtherCertificate { .. }
                | HealthFault::Silent { .. }
                | HealthFault::Refused { .. }
                | HealthFault::Unreachable { .. }
                | HealthFault::SpeaksTls { .. }
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

fn from_settings(settings: &Settings) -> Result<Asked, HealthFault> {
    let listen = settings.server.listen;
    if listen.port() == 0 {
        return Err(HealthFault::PortUnknown);
    }
    let address = SocketAddr::new(reachable(listen.ip()), listen.port());
    Ok(match settings.server.tls.as_ref().and_then(|identity| identity.certificate()) {
        None => Asked { base: format!("http://{address}"), trust: Trust::Any },
        Some(certificate) => {
            Asked { base: format!("https://{address}"), trust: Trust::Configured(certificate.clone()) }
        }
    })
}

/// Where a listener of this machine is reached from it: one on all addresses has none of its own.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Asks whom it says; where that was, if it is ready.
async fn ask(Asked { base, trust }: Asked) -> Result<String, HealthFault> {
    // Fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder =
        reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).no_proxy();
    let (builder, only_this) = match trust {
        Trust::Any => (builder.tls_danger_accept_invalid_certs(true), None),
        Trust::Configured(certificate) => {
            let only_this = OnlyThis::new(certificate);
            let config = only_this.client_config().map_err(HealthFault::Tls)?;
            (builder.tls_backend_preconfigured(config), Some(only_this))
        }
    };
    let client = builder.build().map_err(HealthFault::Client)?;
    let asked = format!("{base}/readyz");
    let answer = client.get(&asked).send().await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) if only_this.is_some_and(|only_this| only_this.another_was_shown()) => {
            return Err(HealthFault::OtherCertificate { asked: base });
        }
        Err(error) => return Err(unanswered(asked, &error)),
    };
    match answer.status() {
        StatusCode::OK => Ok(base),
        StatusCode::SERVICE_UNAVAILABLE => Err(HealthFault::NotReady { asked: base }),
        status => match base.strip_prefix("http://").map(str::to_owned) {
            Some(authority) if says_tls(answer).await => {
                Err(HealthFault::SpeaksTls { asked: base, authority })
            }
            _ => Err(HealthFault::NoGateway { asked, status }),
        },
    }
}

/// Why no answer came.
fn unanswered(asked: String, error: &reqwest::Error) -> HealthFault {
    if error.is_timeout() {
        return HealthFault::Silent { asked };
    }
    match NoConnection::of(error) {
        NoConnection::Refused => HealthFault::Refused { asked },
        NoConnection::Dns
        | NoConnection::Tls
        | NoConnection::Certificate
        | NoConnection::Unroutable
        | NoConnection::Reset
        | NoConnection::Other => HealthFault::Unreachable { asked, cause: innermost(error) },
    }
}

/// Whether a gateway tells so that it speaks TLS where it was asked without.
async fn says_tls(answer: reqwest::Response) -> bool {
    // Of another program's answer it does not matter what is in it, or whether it ends.
    let is_short = answer.content_length().is_some_and(|length| length <= SPEAKS_TLS.len() as u64);
    is_short && answer.bytes().await.is_ok_and(|body| *body == *SPEAKS_TLS.as_bytes())
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
