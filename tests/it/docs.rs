//! The documents keep what they promise: their requests are answered as they say, their commands run, their
//! configurations load, and every name in them exists.
//!
//! A fenced block says by its info string how it is held to its word: `sh NAME`, `powershell NAME` and `bat NAME`
//! are run, `sql NAME` must find something, `json NAME` and `text NAME` are what comes of it (`part`: among other
//! members; … is any rest of a line), `toml gateway`, `toml models` and `json client-file` are loaded, `by-hand` needs
//! programs that a machine may not have, and `text` alone is a picture.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dsp_ai_gateway::reload::Origins;
use dsp_ai_gateway::{Gateway, front::Front};
use gateway_actors::Ended;
use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{RawClient, TestGateway};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[path = "docs/accounts.rs"]
mod accounts;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/names.rs"]
mod names;

use markdown::{Block, Document};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document but those of dependencies and builds.
fn documents() -> Vec<Document> {
    let mut documents = Vec::new();
    for folder in ["", "docs", "docs/decisions", "examples"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(Document::read(&path));
            }
        }
    }
    documents
}

fn readme() -> Document {
    Document::read(&root().join("README.md"))
}

/// A folder of its own for a test, below the build's folder; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("docs-{:016x}", rand::random::<u64>());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(".env"), "").unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gateway with the shipped configuration, as a fresh machine has it.
struct Shipped {
    address: String,
    front: Arc<Front>,
    data: Folder,
    stop: CancellationToken,
    serving: JoinHandle<Ended>,
}

impl Shipped {
    async fn start() -> Self {
        let data = Folder::new();
        let origins = shipped("gateway.toml", data.path());
        let loaded = origins.load().unwrap_or_else(|faults| panic!("the shipped configuration:\n{faults}"));
        let running = Gateway::start(loaded, origins).await.unwrap();
        let stop = CancellationToken::new();
        let (address, front) = (running.address().to_string(), Arc::clone(running.front()));
        let serving = tokio::spawn(running.serve_until(stop.clone().cancelled_owned()));
        Self { address, front, data, stop, serving }
    }

    async fn ask(&self, request: &Request) -> Answer {
        RawClient::connect(&self.address).await.ask(request).await
    }

    fn ledger(&self) -> PathBuf {
        self.data.path().join("ledger.db")
    }

    /// What a shell would put in place of a document's `$(…)` and `${…}`.
    fn expanded(&self, snippet: &str) -> String {
        let token = std::fs::read_to_string(self.data.path().join("admin-token")).unwrap();
        snippet
            .replace("$(cat data/admin-token)", token.trim())
            .replace("${GATEWAY_URL:-http://127.0.0.1:8000}", "http://127.0.0.1:8000")
    }

    async fn ends(self) {
        assert_eq!(self.front.gateway.shared().calls_in_flight(), 0);
        self.stop.cancel();
        assert_eq!(patiently("the gateway ends", self.serving).await.unwrap(), Ended::Stopped);
    }
}

/// The shipped configuration of that name, with nothing from this machine's environment.
fn shipped(config: &str, data: &Path) -> Origins {
    Origins {
        config: Some(root().join("configs").join(config)),
        listen: Some("127.0.0.1:0".to_owned()),
        data_dir: Some(data.to_path_buf()),
        env_file: Some(data.join(".env")),
        ignore_environment: true,
    }
}

/// Compares an answer with the block that stands for it.
fn assert_told(document: &Document, told: &Block, answer: &str) {
    let place = format!("{}: `{}`", document.name(), told.info());
    if !told.has("part") {
        return assert_eq!(answer.trim_end(), told.text.trim_end(), "{place}");
    }
    if told.language() == "text" {
        assert_eq!(answer.lines().count(), told.text.lines().count(), "{place}");
        let is_told = |(told, line): (&str, &str)| match told.split_once('…') {
            Some((begin, _)) => line.starts_with(begin) && line.len() > begin.len(),
            None => line == told,
        };
        return assert!(told.text.lines().zip(answer.lines()).all(is_told), "{place}: {answer}");
    }
    let (told, answer): (Value, Value) =
        (serde_json::from_str(&told.text).unwrap(), serde_json::from_str(answer).unwrap());
    assert!(is_part(&told, &answer), "{place} is told as\n{told}\nand is\n{answer}");
}

/// Whether everything that is told is so; members that are not told may be there.
fn is_part(told: &Value, whole: &Value) -> bool {
    match (told, whole) {
        (Value::Object(told), Value::Object(whole)) => {
            told.iter().all(|(name, told)| whole.get(name).is_some_and(|whole| is_part(told, whole)))
        }
        (Value::Array(told), Value::Array(whole)) => {
            told.len() == whole.len() && told.iter().zip(whole).all(|(told, whole)| is_part(told, whole))
        }
        _ => told == whole,
    }
}

#[test]
fn every_snippet_is_of_a_kind_that_is_checked() {
    for document in documents() {
        for block in &document.blocks {
            let kind = (block.language(), block.label());
            let is_checked = match kind {
                ("text", None) | ("toml", Some("gateway" | "models")) | ("json", Some("client-file")) => true,
                ("sh" | "powershell" | "bat" | "sql", Some(_)) => true,
                // What comes of a snippet of that name.
                ("json" | "text", Some(label)) => document.runs().any(|run| run.label() == Some(label)),
                _ => false,
            };
            assert!(is_checked, "{}: nothing checks a block of `{}`", document.name(), block.info());
        }
    }
}

#[tokio::test]
async fn every_request_in_the_documents_gets_the_answer_that_is_shown() {
    let mut asked = 0;
    for document in documents() {
        if document.runs().all(|snippet| commands::requests(&snippet.text).is_empty()) {
            continue;
        }
        let gateway = Shipped::start().await;
        for snippet in document.runs() {
            for request in commands::requests(&gateway.expanded(&snippet.text)) {
                let answer = gateway.ask(&request).await;
                assert_eq!(answer.status, 200, "{}: {}: {}", document.name(), snippet.info(), answer.text());
                if let Some(told) = document.outcome_of(snippet) {
                    assert_told(&document, told, &answer.text());
                }
                asked += 1;
            }
        }
        gateway.ends().await;
    }
    assert!(asked >= 6, "only {asked} requests were found in the documents");
}

#[tokio::test]
async fn the_requests_of_the_curl_example_are_answered() {
    let script = std::fs::read_to_string(root().join("examples/clients/curl.sh")).unwrap();
    let gateway = Shipped::start().await;
    let requests = commands::requests(&gateway.expanded(&script));
    assert_eq!(requests.len(), 2);
    let own = gateway.ask(&requests[0]).await;
    assert_eq!(own.json()["text"], "Hello, world!");
    let stream = gateway.ask(&requests[1]).await;
    assert_eq!(stream.chat_stream().text, "Hello, world!");
    gateway.ends().await;
}

#[tokio::test]
async fn every_command_in_the_documents_runs() {
    let mut served = false;
    for document in documents() {
        for snippet in document.runs().filter(|snippet| snippet.label() != Some("by-hand")) {
            for command in commands::programs(&snippet.text) {
                match commands::run(root(), &command).await {
                    commands::Ran::Served => served = true,
                    commands::Ran::Said(said) => {
                        let told = document.outcome_of(snippet);
                        assert_told(&document, told.expect("what a command says is shown"), &said);
                    }
                    commands::Ran::Exists => {}
                }
            }
        }
    }
    assert!(served, "no document says how the gateway is started");
}

#[test]
fn every_configuration_in_the_documents_and_every_shipped_one_loads() {
    let data = Folder::new();
    let mut shown = 0;
    for entry in std::fs::read_dir(root().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") && !path.ends_with("models.toml") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            shipped(&name, data.path()).load().unwrap_or_else(|faults| panic!("configs/{name}:\n{faults}"));
        }
    }
    for document in documents() {
        for block in document.blocks.iter().filter(|block| block.language() == "toml") {
            let folder = Folder::new();
            std::fs::create_dir_all(folder.path().join("clients")).unwrap();
            let config = folder.path().join("gateway.toml");
            std::fs::write(&config, "").unwrap();
            let file = format!("{}.toml", block.label().unwrap());
            std::fs::write(folder.path().join(file), &block.text).unwrap();
            let origins = Origins { config: Some(config), ..shipped("", data.path()) };
            let loaded = origins.load();
            loaded.unwrap_or_else(|faults| panic!("{}: {}:\n{faults}", document.name(), block.info()));
            shown += 1;
        }
    }
    assert!(shown > 0, "no document shows a configuration");
}

#[tokio::test]
async fn the_client_of_the_readme_gets_in_with_the_key_of_its_hash_and_holds_to_its_limits() {
    let readme = readme();
    let block = readme.blocks.iter().find(|block| block.info() == "json client-file").unwrap();
    let mut members: Value = serde_json::from_str(&block.text).unwrap();
    let id = members["client_id"].as_str().unwrap().to_owned();
    // The key of the hash that is shown was thrown away.
    let hash: String =
        Sha256::digest("a key of this test").iter().map(|byte| format!("{byte:02x}")).collect();
    members["credentials"][0]["hash"] = json!(format!("sha256:{hash}"));
    members["allowed_providers"] = json!(["openai", "groq", "echo"]);

    let gateway = TestGateway::at("http://127.0.0.1:9/v1").client(&id, members).start().await;
    let ask = |max_tokens: u64| {
        let body = json!({"model": "echo/echo", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hi"}]});
        let request =
            Request::post("/v1/chat/completions").header("authorization", "Bearer a key of this test");
        request.json(&body)
    };
    // Above `max_tokens_limit`, which it has clamped.
    let answer = gateway.ask(&ask(1_000_000)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "hi");
    gateway.ends_quiet().await;
}

#[test]
fn every_name_in_the_documents_exists() {
    let code = names::Code::read(root());
    let missing: Vec<String> = documents().iter().flat_map(|document| code.missing_from(document)).collect();
    assert!(missing.is_empty(), "names that lead nowhere:\n{}", missing.join("\n"));
}

#[test]
fn the_map_of_the_architecture_misses_no_file_of_the_program() {
    let architecture = Document::read(&root().join("ARCHITECTURE.md"));
    let map: Vec<String> = markdown::code_spans(&architecture.section("Map")).map(str::to_owned).collect();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) else {
            continue;
        };
        // A folder stands for the file that heads it.
        let folder = format!("src/{}/", name.trim_end_matches(".rs"));
        assert!(
            map.contains(&format!("src/{name}")) || map.contains(&folder),
            "ARCHITECTURE.md: no src/{name}"
        );
    }
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    for document in documents() {
        for target in document.links() {
            if target.starts_with("https://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let folder = document.path.parent().unwrap();
            let path = if file.is_empty() { document.path.clone() } else { folder.join(file) };
            assert!(path.exists(), "{}: no {target}", document.name());
            let text = || std::fs::read_to_string(&path).unwrap();
            assert!(heading.is_empty() || has_heading(&text(), heading), "{}: no {target}", document.name());
        }
    }
}

/// Whether a heading has that anchor.
fn has_heading(text: &str, anchor: &str) -> bool {
    let is_kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
    let anchor_of = |heading: &str| {
        let kept: String = heading.to_lowercase().chars().filter(is_kept).collect();
        kept.replace(' ', "-")
    };
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|heading| anchor_of(heading.trim_start_matches('#').trim())).any(|found| found == anchor)
}

#[test]
fn the_readme_lists_every_route() {
    let readme = readme();
    let mut listed = names::routes_of(&readme.section("Routes"));
    let mut served: Vec<String> = dsp_ai_gateway::routes::ROUTES
        .iter()
        .map(|line| format!("{} {}", line.method, line.path.replace('*', "ID")))
        .collect();
    listed.sort();
    listed.dedup();
    served.sort();
    assert_eq!(listed, served);
}

#[test]
fn the_changelog_begins_with_this_version() {
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest.split(' ').next(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_scripts_for_windows_run_the_commands_of_the_readme() {
    let commands = [
        ("setup_venv", "cargo build --release --locked"),
        ("run_api", "cargo run --release --locked --"),
        ("run_tests", "cargo test --workspace --locked"),
    ];
    for (script, command) in commands {
        for (extension, arguments) in [("ps1", "@args"), ("bat", "%*")] {
            let file = PathBuf::from(format!("{script}.{extension}"));
            let text = std::fs::read_to_string(root().join(&file)).unwrap();
            let line = format!("{command} {arguments}");
            assert!(text.lines().any(|written| written.trim() == line), "{}: no `{line}`", file.display());
        }
    }
}
