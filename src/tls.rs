//! The certificate and key that the listener shows: read, checked, and made ready for handshakes.
//!
//! Owns     the pair, and what rustls makes of it.
//! Called   by the settings of `[server.tls]`, at start, by `check` and at each reload; the listener takes the ready
//!          configuration for each new connection.
//! Bounded  by the largest configuration file.
//! Fails    with the file that cannot be used, and why. What is merely doubtful is a [`Concern`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::config::{Concern, Problem, read_text};

/// A certificate that ends sooner is warned of: public authorities give out 90 days and renew at a third of it.
const ENDS_SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A certificate with its chain, its key, and the files they came from.
#[derive(Debug, Clone)]
pub struct Identity {
    files: Files,
    chain: Vec<CertificateDer<'static>>,
    not_after: Duration,
    config: Arc<ServerConfig>,
}

/// Where a pair is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and behind it those that sign it, in PEM.
    pub certificate: PathBuf,
    /// The private key, in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Which file cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    Certificate(Problem),
    Key(Problem),
}

impl PartialEq for Identity {
    /// Whether clients would see the same: a key follows from its certificate.
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files && self.chain == other.chain
    }
}

impl Identity {
    /// Reads and checks a pair.
    pub(crate) fn load(files: Files) -> Result<Self, Unusable> {
        let chain = certificates(&files.certificate).map_err(Unusable::Certificate)?;
        let first = chain.first().ok_or(Unusable::Certificate(Problem::NoCertificate))?;
        let not_after = not_after(first).map_err(Unusable::Certificate)?;
        let key = private_key(&files.key).map_err(Unusable::Key)?;
        let config = server_config(chain.clone(), key)?;
        Ok(Self { files, chain, not_after, config: Arc::new(config) })
    }

    /// Where the pair is kept.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The certificate that clients are shown, without its chain. [`Self::load`] takes none that has not one.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.chain.first()
    }

    /// What a handshake needs.
    pub fn server_config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// When the certificate ends, since 1970.
    pub fn not_after(&self) -> Duration {
        self.not_after
    }

    /// What an operator should know of the certificate's time.
    pub(crate) fn concern(&self) -> Option<Concern> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let end =
            i64::try_from(self.not_after.as_secs()).ok().and_then(|end| Timestamp::from_second(end).ok());
        if self.not_after <= now {
            return Some(Concern::CertificateExpired { end: end.unwrap_or(Timestamp::MAX) });
        }
        let soon = self.not_after - now < ENDS_SOON;
        soon.then(|| Concern::CertificateEndsSoon { end: end.unwrap_or(Timestamp::MAX) })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let text = pem_text(file)?;
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    certificates.map_err(|error| Problem::NotPem { message: error.to_string() })
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    let text = pem_text(file)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if text.contains("ENCRYPTED PRIVATE KEY") => Problem::EncryptedKey,
        pem::Error::NoItemsFound => Problem::NoPrivateKey,
        // The message may quote the line that it stumbles over, and this file is a secret.
        _ => Problem::NotPem { message: "a line of base64 or a mark is damaged".to_owned() },
    })
}

/// PEM is text, so what is no text is most likely the same in DER.
fn pem_text(file: &Path) -> Result<String, Problem> {
    read_text(file).map_err(|problem| match problem {
        Problem::NotUtf8 => Problem::NotPem { message: "it is binary, such as DER".to_owned() },
        other => other,
    })
}

/// When a certificate ends, since 1970.
fn not_after(certificate: &CertificateDer<'_>) -> Result<Duration, Problem> {
    let certificate = Certificate::from_der(certificate)
        .map_err(|error| Problem::UnusableCertificate { message: error.to_string() })?;
    Ok(certificate.tbs_certificate.validity.not_after.to_unix_duration())
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Unusable> {
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            Unusable::Key(Problem::KeyOfAnotherCertificate)
        }
        rustls::Error::InvalidCertificate(_) => {
            Unusable::Certificate(Problem::UnusableCertificate { message: error.to_string() })
        }
        // What else can be wrong is a kind or size of key that TLS or we do not know.
        other => Unusable::Key(Problem::UnusableKey { message: other.to_string() }),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(unusable)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
