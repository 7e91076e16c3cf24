//! This project's gateway as it is measured: built for release, a thousand clients, every limit on; as it is, or with
//! one thing that is different.
//!
//! Owns     the configuration and client files of each gateway of a run, and its process.
//! Called   by [`crate::bench`], once for each [`Variant`] that is wanted, and by the runs that need one of their own.
//! Bounded  by [`BUILD_LIMIT`] for the build and the start limit of every server.
//! Fails    as [`LoadError`] when it does not build, or does not say where it listens; then with the end
//!          of its log. A ledger that is there and should not be, or the reverse, is an error too: the
//!          difference would be measured as nothing.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::LoadError;
use crate::keys::{CLIENTS, UPSTREAM_KEY, client_id, hashes};
use crate::load::TargetKind;
use crate::run_folder::RunFolder;
use crate::say;
use crate::scenario::Scenario;
use crate::server_process::{ServerProcess, Stop};

/// How long a release build may take; a clean one takes some minutes on two cores.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);

const PACKAGE: &str = "dsp-ai-gateway";
const LOG: &str = "gateway.log";
const KEY_FILE: &str = "upstream-key";

/// Where the gateway keeps its accounts unless it is told otherwise.
const LEDGER_FILE: &str = "data/ledger.db";

/// The gateways there are to measure, from the same binary and with the same clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Passes OpenAI's protocol on, and keeps its accounts as it does by default.
    Passing,
    /// The same with accounts in memory alone, which end with the process.
    WithoutLedger,
    /// Its upstream speaks Anthropic's protocol, its clients OpenAI's; all else as it is by default.
    Translating,
    /// Nothing is asked again.
    WithoutFailover,
    /// Each workload's model has three targets, and each target's provider two keys.
    Pooled,
}

impl Variant {
    /// All, in the order they are started.
    pub const ALL: [Self; 5] =
        [Self::Passing, Self::WithoutLedger, Self::Translating, Self::WithoutFailover, Self::Pooled];

    /// The target that the gateway is then.
    pub fn target(self) -> TargetKind {
        match self {
            Self::Passing => TargetKind::Gateway,
            Self::WithoutLedger => TargetKind::NoLedger,
            Self::Translating => TargetKind::Translated,
            Self::WithoutFailover => TargetKind::NoFailover,
            Self::Pooled => TargetKind::Pool,
        }
    }

    /// What to start, before this upstream.
    pub fn setup(self, upstream: SocketAddr) -> Setup {
        let config = match self {
            Self::Passing => provider("openai", "openai", upstream),
            Self::WithoutLedger => {
                provider("openai", "openai", upstream) + "\n[ledger]\ndurability = \"none\"\n"
            }
            Self::Translating => provider("anthropic", "anthropic", upstream),
            Self::WithoutFailover => {
                provider("openai", "openai", upstream) + "\n[retries]\nmax_attempts = 1\n"
            }
            Self::Pooled => pool(upstream),
        };
        let target = self.target();
        Setup { name: target.name(), title: target.title(), config, has_ledger: self != Self::WithoutLedger }
    }
}

/// A gateway to start.
#[derive(Debug)]
pub struct Setup {
    /// Its folder within the run's.
    pub name: &'static str,
    /// What people read, in errors.
    pub title: &'static str,
    /// Its `gateway.toml`; [`provider`] writes the tables in it.
    pub config: String,
    /// Whether it must write its accounts.
    pub has_ledger: bool,
}

/// A provider for every model whose name has no slash; all else as it is by default.
pub fn provider(name: &str, kind: &str, upstream: SocketAddr) -> String {
    format!(
        r#"[providers.{name}]
kind = "{kind}"
base_url = "http://{upstream}/v1"
api_key_file = "{KEY_FILE}"
models = ["*"]
"#
    )
}

/// Three providers with two keys each, all of them the same upstream, and an alias over them for every workload.
fn pool(upstream: SocketAddr) -> String {
    let names = ["first", "second", "third"];
    let key = |provider: &str, key: &str| {
        format!("[[providers.{provider}.keys]]\nname = \"{key}\"\napi_key_file = \"{KEY_FILE}\"\n")
    };
    let providers = names.map(|name| {
        let table = format!("[providers.{name}]\nkind = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n");
        table + &key(name, "a") + &key(name, "b")
    });
    let aliases = Scenario::ALL.map(|scenario| {
        let model = scenario.model();
        let targets = names.map(|name| format!("\"{name}/{model}\"")).join(", ");
        format!("[models.\"{model}\"]\ntargets = [{targets}]\n")
    });
    providers.concat() + &aliases.concat()
}

/// The binary that is given, else what the sources say now, built.
pub async fn program(given: Option<&Path>) -> Result<PathBuf, LoadError> {
    match given {
        Some(given) => Ok(given.to_owned()),
        None => {
            say("building the gateway: cargo build --release");
            build().await
        }
    }
}

/// Runs `cargo build --release` for the gateway, which does nothing when it is built already, and gives
/// the binary that cargo names: so what is measured is what the sources say now.
async fn build() -> Result<PathBuf, LoadError> {
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let build = tokio::process::Command::new(&cargo)
        .args(["build", "--release", "--package", PACKAGE, "--bin", PACKAGE])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(manifest)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(BUILD_LIMIT, build)
        .await
        .map_err(|_elapsed| LoadError::TimeLimit(BUILD_LIMIT))?
        .map_err(|source| LoadError::NotRunnable { program: cargo, source })?;
    if !output.status.success() {
        return Err(LoadError::BuildFailed(output.status));
    }
    executable(&String::from_utf8_lossy(&output.stdout)).ok_or(LoadError::NoExecutable)
}

/// The binary among cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == PACKAGE)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// Starts a gateway and waits until it says where it listens. It runs in a folder
/// of its own within the run's, with an empty environment, so that no `.env`, no variable of the caller's
/// and no other gateway of the run changes it.
pub async fn start(
    program: &Path,
    run_folder: &RunFolder,
    setup: &Setup,
) -> Result<(ServerProcess, SocketAddr), LoadError> {
    let folder = run_folder.path().join(setup.name);
    fs::create_dir(&folder).map_err(LoadError::io("making a gateway's folder"))?;
    write_clients(&folder, &hashes(&folder).await?).map_err(LoadError::io("writing client files"))?;
    let write = |name: &str, text: String| fs::write(folder.join(name), text);
    write(KEY_FILE, UPSTREAM_KEY.to_owned()).map_err(LoadError::io("writing the upstream's key"))?;
    write("gateway.toml", setup.config.clone())
        .map_err(LoadError::io("writing the gateway's configuration"))?;
    let log = File::create(folder.join(LOG)).map_err(LoadError::io("making the gateway's log file"))?;

    let program = fs::canonicalize(program)
        .map_err(|source| LoadError::NotRunnable { program: program.to_owned(), source })?;
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(folder.join("gateway.toml"))
        .args(["--listen", "127.0.0.1:0", "--log", "warn", "--data"])
        .arg(folder.join("data"))
        .current_dir(&folder)
        .env_clear()
        .stderr(log);
    let mut server = ServerProcess::start(command, Stop::Kill)?;
    let line = server.first_line().await;
    let address = line.as_deref().and_then(|line| line.strip_prefix("listening on http://")?.parse().ok());
    let Some(address) = address else {
        let log = run_folder.log_tail(Path::new(setup.name).join(LOG));
        return Err(LoadError::NotServing { server: setup.title, log });
    };
    let found = folder.join(LEDGER_FILE).exists();
    if found != setup.has_ledger {
        return Err(LoadError::LedgerNotAsSaid { server: setup.title, found });
    }
    Ok((server, address))
}

fn write_clients(folder: &Path, hashes: &[String]) -> std::io::Result<()> {
    let folder = folder.join("clients");
    fs::create_dir(&folder)?;
    for (index, hash) in hashes.iter().enumerate().take(CLIENTS) {
        let id = client_id(index);
        fs::write(folder.join(format!("{id}.json")), format!("{:#}", client(&id, hash)))?;
    }
    Ok(())
}

/// A client with every limit of its `rate_limit` set, so that all are checked, and so high that none is met.
fn client(id: &str, hash: &str) -> Value {
    json!({
        "client_id": id,
        "name": format!("Load client {id}"),
        "credentials": [{"type": "api_key", "hash": format!("sha256:{hash}")}],
        "allowed_endpoints": ["*"],
        "allowed_providers": ["*"],
        "allowed_models": ["*"],
        "rate_limit": {
            "requests_per_minute": 1_000_000_000_u64,
            "tokens_per_minute": 1_000_000_000_000_u64,
            "tokens_per_day": 10_000_000_000_000_u64,
            "concurrent_requests": 100_000,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_one_that_cargo_names() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"dsp_ai_gateway"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"dsp-ai-gateway"},"executable":"/t/release/dsp-ai-gateway"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/dsp-ai-gateway")));
        assert_eq!(executable("{}"), None);
    }

    #[test]
    fn each_variant_differs_from_the_passing_one_in_one_thing() {
        let upstream = SocketAddr::from(([127, 0, 0, 1], 1));
        let [passing, without_ledger, translating, without_failover, pooled] =
            Variant::ALL.map(|variant| variant.setup(upstream).config);
        assert_eq!(without_ledger.strip_prefix(&passing), Some("\n[ledger]\ndurability = \"none\"\n"));
        assert_eq!(without_failover.strip_prefix(&passing), Some("\n[retries]\nmax_attempts = 1\n"));
        assert_eq!(translating, passing.replace("openai", "anthropic"));
        assert!(!passing.contains("ledger"));
        assert_eq!(pooled.matches("[[providers.").count(), 6);
        assert_eq!(pooled.matches("targets = ").count(), Scenario::ALL.len());
    }

    #[test]
    fn a_client_file_is_written_for_every_hash() {
        let folder = RunFolder::create().unwrap();
        write_clients(folder.path(), &["00".repeat(32), "ff".repeat(32)]).unwrap();
        let text = fs::read_to_string(folder.path().join("clients/load-0001.json")).unwrap();
        let client: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(client["credentials"][0]["hash"], format!("sha256:{}", "ff".repeat(32)));
        assert!(!folder.path().join("clients/load-0002.json").exists());
    }
}
