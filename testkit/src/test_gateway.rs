//! `TestGateway`: the whole gateway on port 0, in its own folder, in the test's own process.
//!
//! ```ignore
//! let upstream = FakeUpstream::start().await;
//! let gateway = TestGateway::with(&upstream).client("ada", json!({"rate_limit": {"concurrent_requests": 1}})).start().await;
//! let answer = gateway.chat("ada", "count to ten").await;
//! gateway.ends_quiet().await;
//! ```
//!
//! A client `ID` has the API key `key-ID`. [`TestGateway::ends_quiet`] stops the gateway in order and fails the
//! test when anything is still reserved, in flight or leased.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dsp_ai_gateway::reload::Origins;
use dsp_ai_gateway::{Gateway, front::Front};
use gateway_actors::tree::Node;
use gateway_actors::{ClientId, Ended, View};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::deadline::patiently;
use crate::fake_upstream::FakeUpstream;
use crate::raw_client::{Answer, RawClient, Request};

pub use tempfile::TempDir;

/// What a test's gateway is to be.
#[derive(Debug)]
pub struct Builder {
    folder: TempDir,
    toml: String,
    models: Option<String>,
    clients: Vec<(String, Value)>,
    env: String,
    watch: bool,
}

impl Builder {
    fn new(toml: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let env = "TEST_KEY=sk-test-upstream-key\n".to_owned();
        Self { folder, toml, models: None, clients: Vec::new(), env, watch: false }
    }

    /// Every request asks one upstream, once: for tests of what a single failure looks like.
    pub fn once(self) -> Self {
        self.toml("[retries]\nmax_attempts = 1")
    }

    /// More of gateway.toml, as text; sections that it opens stand before the provider's.
    pub fn toml(mut self, toml: &str) -> Self {
        self.toml = format!("{toml}\n{}", self.toml);
        self
    }

    /// More members of the provider `openai`.
    pub fn provider(mut self, toml: &str) -> Self {
        self.toml.push_str(toml);
        self.toml.push('\n');
        self
    }

    /// The table of models, models.toml, in place of the built-in one.
    pub fn models(mut self, toml: &str) -> Self {
        self.models = Some(toml.to_owned());
        self
    }

    /// A client that may use everything, with these members on top.
    pub fn client(mut self, id: &str, members: Value) -> Self {
        self.clients.push((id.to_owned(), members));
        self
    }

    /// A client as above, whose tokens are counted against a limit that no test reaches.
    pub fn metered(self, id: &str) -> Self {
        self.client(id, json!({"rate_limit": {"tokens_per_day": 1_000_000_000}}))
    }

    /// A line of the `.env` file.
    pub fn env(mut self, line: &str) -> Self {
        self.env.push_str(line);
        self.env.push('\n');
        self
    }

    /// Has changed client files reloaded by themselves; otherwise that is left to the test.
    pub fn watching(mut self) -> Self {
        self.watch = true;
        self
    }

    /// Writes the files only, for a gateway that runs as a program of its own.
    pub fn write(self) -> TempDir {
        let folder = self.folder.path();
        std::fs::create_dir(folder.join("clients")).expect("a folder for clients");
        let toml = format!("clients.watch = {}\n{}", self.watch, self.toml);
        std::fs::write(folder.join("gateway.toml"), toml).expect("gateway.toml");
        std::fs::write(folder.join(".env"), &self.env).expect(".env");
        if let Some(models) = &self.models {
            std::fs::write(folder.join("models.toml"), models).expect("models.toml");
        }
        for (id, members) in &self.clients {
            write_client(folder, id, members);
        }
        self.folder
    }

    /// Writes the files and starts.
    pub async fn start(self) -> TestGateway {
        let folder = self.write();
        let path = |name: &str| Some(folder.path().join(name));
        let origins = Origins {
            config: path("gateway.toml"),
            listen: Some("127.0.0.1:0".to_owned()),
            data_dir: path("data"),
            env_file: path(".env"),
            ignore_environment: true,
        };
        let loaded = origins.load().unwrap_or_else(|faults| panic!("the test's configuration:\n{faults}"));
        let running = Gateway::start(loaded, origins).await.expect("the gateway starts");
        let stop = CancellationToken::new();
        let (address, front) = (running.address().to_string(), Arc::clone(running.front()));
        let serving = tokio::spawn(running.serve_until(stop.clone().cancelled_owned()));
        TestGateway { address, front, stop, serving, folder }
    }
}

/// Writes `clients/ID.json`: everything allowed, no limits, the key `key-ID`, then `members` on top. Whoever reads
/// the folder meanwhile sees the old file or the new one whole.
///
/// # Panics
/// If the folder cannot be written to.
pub fn write_client(folder: &Path, id: &str, members: &Value) {
    let hash: String = Sha256::digest(format!("key-{id}")).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut client = json!({
        "client_id": id,
        "name": id,
        "allowed_providers": ["*"],
        "allowed_endpoints": ["*"],
        "default_provider": "openai",
        "credentials": [{"type": "api_key", "hash": format!("sha256:{hash}")}],
    });
    let members = members.as_object().expect("a client's members are an object");
    client.as_object_mut().expect("an object").extend(members.clone());
    let clients = folder.join("clients");
    let (part, file) = (clients.join(format!(".{id}.json.part")), clients.join(format!("{id}.json")));
    std::fs::write(&part, client.to_string()).expect("the client's file");
    std::fs::rename(part, file).expect("the client's file takes its name");
}

/// A running gateway.
#[derive(Debug)]
pub struct TestGateway {
    address: String,
    front: Arc<Front>,
    stop: CancellationToken,
    serving: JoinHandle<Ended>,
    folder: TempDir,
}

impl TestGateway {
    /// A gateway whose provider `openai` is this upstream; all bare model names belong to it.
    pub fn with(upstream: &FakeUpstream) -> Builder {
        Self::at(&upstream.base_url())
    }

    /// A gateway whose provider `openai` lies at this address.
    pub fn at(base_url: &str) -> Builder {
        Builder::new(format!(
            "[providers.echo]\nkind = \"echo\"\ndefault_model = \"echo\"\nmodels = [\"echo\"]\n\n\
             [providers.openai]\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key_env = \"TEST_KEY\"\n\
             default_model = \"gpt-test\"\nmodels = [\"*\"]\n"
        ))
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What its requests share.
    pub fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// The folder with its configuration; its data are in `data` below it.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Writes a client's file anew; a reload makes it count.
    pub fn write_client(&self, id: &str, members: &Value) {
        write_client(self.folder.path(), id, members);
    }

    /// The admin token.
    pub fn admin_token(&self) -> String {
        let file = self.folder.path().join("data/admin-token");
        std::fs::read_to_string(file).expect("the admin token's file").trim().to_owned()
    }

    /// A connection of its own.
    pub async fn connect(&self) -> RawClient {
        RawClient::connect(&self.address).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: &Request) -> Answer {
        self.connect().await.ask(request).await
    }

    /// One chat request of a client, not streamed.
    pub async fn chat(&self, client: &str, prompt: &str) -> Answer {
        self.ask(&chat_request(client, prompt, false)).await
    }

    /// A chat stream of a client, opened: its head has been read and must be a 200.
    pub async fn stream(&self, client: &str, prompt: &str) -> RawClient {
        let mut connection = self.connect().await;
        let head = connection.open(&chat_request(client, prompt, true)).await;
        assert_eq!(head.status, 200, "a stream opens");
        connection
    }

    /// A GET below `/admin`, as JSON.
    pub async fn admin(&self, path: &str) -> Value {
        let token = format!("Bearer {}", self.admin_token());
        let answer = self.ask(&Request::get(path).header("authorization", &token)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The actor of that name in the tree.
    pub fn actor(&self, name: &str) -> Arc<Node> {
        let node = self.front.gateway.shared().tree().find(name);
        node.unwrap_or_else(|| panic!("no actor `{name}` in the tree"))
    }

    /// The state of a client's limits, from its limiter.
    pub async fn limits(&self, client: &str) -> View {
        let id = ClientId::parse(client).expect("a client id");
        self.front.gateway.inspect(id).await.expect("a limiter answers")
    }

    /// The tokens that a [`Builder::metered`] client has used today, once nothing is open any more.
    pub async fn tokens_used(&self, client: &str) -> u64 {
        self.is_quiet().await;
        self.limits(client).await.tokens_per_day.expect("the client's tokens are counted").used
    }

    /// Resolves when nothing is reserved, in flight or leased.
    pub async fn is_quiet(&self) {
        let shared = self.front.gateway.shared();
        self.until("nothing is open", || {
            shared.open_admissions().is_empty()
                && shared.calls_in_flight() == 0
                && self.front.in_flight.depth() == 0
        })
        .await;
    }

    /// Polls a condition until it holds.
    pub async fn until(&self, awaited: &str, holds: impl Fn() -> bool) {
        let poll = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        patiently(awaited, poll).await;
    }

    /// Tells it to stop, as a signal does, without waiting.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Waits for its end, however it came.
    pub async fn ended(self) -> Ended {
        patiently("the gateway ends", self.serving).await.expect("serving does not panic")
    }

    /// Waits until nothing is open, stops, and checks that it stopped in order.
    pub async fn ends_quiet(self) {
        self.is_quiet().await;
        self.begin_stop();
        assert_eq!(self.ended().await, Ended::Stopped);
    }
}

/// A chat request of a client.
pub fn chat_request(client: &str, prompt: &str, stream: bool) -> Request {
    chat_with(client, json!({"messages": [{"role": "user", "content": prompt}], "stream": stream}))
}

/// A chat request of a client with these members, and the model `gpt-test` unless they name one.
pub fn chat_with(client: &str, members: Value) -> Request {
    let mut body = json!({"model": "gpt-test"});
    let members = members.as_object().expect("members are an object").clone();
    body.as_object_mut().expect("an object").extend(members);
    Request::post("/v1/chat/completions").header("authorization", &format!("Bearer key-{client}")).json(&body)
}
