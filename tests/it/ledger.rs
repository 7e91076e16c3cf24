//! The ledger's file beside a gateway that runs as a program: what it survives, what it waits for, and when it is
//! refused.

#![cfg(unix)]

mod contents;
mod disk;
mod restart;
mod start;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use gateway_testkit::deadline::{PATIENCE, patiently};
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::test_gateway::TempDir;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::program::Program;

/// Money by the pico-dollar: what an answer costs is its number of tokens, in millionths of a dollar.
const PRICES: &str = "[openai.gpt-test]\ninput = 1\noutput = 1\n";

/// What every answer is billed, unless a test says otherwise.
const PROMPT_TOKENS: u64 = 7;
const OUTPUT_TOKENS: u64 = 3;
const BILLED: u64 = PROMPT_TOKENS + OUTPUT_TOKENS;

/// The folder of a gateway that is started and ended by its test, and its upstream.
struct Site {
    upstream: FakeUpstream,
    folder: TempDir,
    data: PathBuf,
}

impl Site {
    /// With a client `ada`, who has every limit and meets none.
    async fn new() -> Self {
        Self::with("", json!({})).await
    }

    /// With more of gateway.toml, and other limits of ada's in these places.
    async fn with(toml: &str, limits: Value) -> Self {
        let upstream = FakeUpstream::start().await;
        upstream.always(Reply::text("yes").tokens(PROMPT_TOKENS, OUTPUT_TOKENS));
        let mut rate_limit = json!({
            "requests_per_minute": 100_000, "tokens_per_day": 100_000_000, "concurrent_requests": 100
        });
        rate_limit.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        let members = json!({"rate_limit": rate_limit, "budget": {"usd_per_day": "1000"}});
        let builder = TestGateway::with(&upstream).models(PRICES).toml(toml).client("ada", members);
        let folder = builder.write();
        Self { upstream, data: folder.path().join("data"), folder }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of its data folder.
    fn data(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    fn ledger(&self) -> PathBuf {
        self.data("ledger.db")
    }

    /// A connection of another program.
    fn sqlite(&self) -> Connection {
        Connection::open(self.ledger()).unwrap()
    }

    /// One number out of the ledger.
    fn number(&self, sql: &str) -> i64 {
        self.sqlite().query_row(sql, (), |row| row.get(0)).unwrap()
    }

    async fn start(&self) -> Program {
        Program::start(self.folder()).await
    }

    async fn admin(&self, program: &Program, path: &str) -> Value {
        let token = std::fs::read_to_string(self.data("admin-token")).unwrap();
        let request = Request::get(path).header("authorization", &format!("Bearer {}", token.trim()));
        let answer = program.ask(&request).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The tokens that ada has used today.
    async fn used(&self, program: &Program) -> u64 {
        let ada = self.admin(program, "/admin/clients/ada").await;
        assert_eq!(ada["reserved"]["tokens_per_day"], 0, "{ada}");
        assert_eq!(ada["in_flight"], 0, "{ada}");
        let usd = ada["used"]["usd_per_day"].as_f64().unwrap();
        let tokens = ada["used"]["tokens_per_day"].as_u64().unwrap();
        assert_eq!((usd * 1e6).round() as u64, tokens, "money goes with the tokens: {ada}");
        tokens
    }

    /// Resolves when the file has all that has happened.
    async fn is_written(&self, program: &Program) {
        let has_more = async || {
            let tree = self.admin(program, "/admin/tree").await;
            (&tree["ledger_behind"], &tree["open_admissions"]) != (&0.into(), &0.into())
        };
        patiently("the ledger to have all", async { while has_more().await {} }).await;
    }

    /// What the tree says of the Ledger's trouble.
    async fn trouble(&self, program: &Program) -> Option<String> {
        let tree = self.admin(program, "/admin/tree").await;
        let children = tree["tree"][0]["children"].as_array().unwrap();
        let ledger = children.iter().find(|node| node["name"] == "Ledger").unwrap();
        assert_eq!(ledger["state"], "running", "trouble with its file does not end it");
        ledger["reason"].as_str().map(str::to_owned)
    }
}

/// Another program's lock: nothing can be written while it lasts.
struct Locked(Connection);

impl Locked {
    fn take(site: &Site) -> Self {
        let conn = site.sqlite();
        conn.execute_batch("BEGIN IMMEDIATE").expect("the file is free between two commits");
        Self(conn)
    }

    fn end(self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// Runs a command until its end, which must come by itself.
async fn ended(mut command: Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut has_ended = || child.try_wait().expect("it is our child").is_some();
    let ends = async {
        while !has_ended() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, ends).await.is_err() {
        child.kill().expect("it runs");
    }
    // What it says is less than a pipe holds.
    child.wait_with_output().expect("it has ended")
}

/// Starts a gateway that must refuse to start. Gives what it says.
async fn ended_by_a_fault(command: Command) -> String {
    let ended = ended(command).await;
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// The program, started by a user to whom the rights of files mean something. One who may do everything gives that
/// up first.
#[cfg(target_os = "linux")]
fn without_special_rights(site: &Site) -> Command {
    use std::os::unix::fs::MetadataExt;
    let program = crate::program::command(site.folder(), &["--listen", "127.0.0.1:0"]);
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return program;
    }
    let mut setpriv = Command::new("setpriv");
    setpriv.current_dir(site.folder()).env_clear().args(["--inh-caps=-all", "--bounding-set=-all"]);
    setpriv.arg(program.get_program()).args(program.get_args());
    setpriv
}

/// Resolves when the log has these words: it comes through a pipe, and so behind the answers.
async fn is_logged(program: &Program, words: &str) {
    let comes = async {
        while !program.log().contains(words) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let awaited = format!("`{words}` in the log");
    patiently(&awaited, comes).await;
}

/// A request of each kind: a whole answer, a stream, one of the seed's API.
fn one_of_each() -> [Request; 3] {
    let generate = Request::post("/api/v1/generate")
        .header("authorization", "Bearer key-ada")
        .json(&json!({"prompt": "hi", "model": "gpt-test"}));
    [chat_request("ada", "hi", false), chat_request("ada", "hi", true), generate]
}

async fn chat(program: &Program) -> Answer {
    program.ask(&chat_request("ada", "hi", false)).await
}

/// So many answers.
async fn answers(program: &Program, count: usize) {
    for _ in 0..count {
        let answer = chat(program).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Asks until it is answered. Gives how many times it was told to come again.
async fn answered_in_the_end(program: &Program) -> usize {
    let asking = async {
        let mut refused = 0;
        loop {
            let answer = chat(program).await;
            if answer.status == 200 {
                return refused;
            }
            assert_is_refused(&answer);
            refused += 1;
        }
    };
    patiently("the ledger to be written again", asking).await
}

/// The 503 of a gateway that cannot account for what it does; it says when to come again, and not what is wrong
/// with whose disk.
fn assert_is_refused(answer: &Answer) {
    let text = answer.text();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{text}");
    assert_eq!(answer.header("retry-after-ms"), Some("1000"));
    let body = answer.json();
    if body["detail"].is_null() {
        let error = &body["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("server_error"), &json!("overloaded")),
            "{error}"
        );
    }
    assert!(text.contains("accounts cannot be written right now") && !text.contains("ledger.db"), "{text}");
}
