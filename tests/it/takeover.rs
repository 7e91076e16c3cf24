//! An upgrade under load: a second gateway takes the place of the first, with a socket that both were handed or with
//! one of its own at the same address.

#![cfg(target_os = "linux")]

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::Request;
use gateway_testkit::test_gateway::TempDir;
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request};
use serde_json::json;

use crate::program::{Program, command};

/// Clients at once; every other one keeps its connection for as long as the gateway does.
const CLIENTS: usize = 16;

/// What each of them asks before the first gateway is told to stop, and again once the second one serves.
const ROUNDS: usize = 3;

/// A second for a connection's last request, the streams' 0.1 s and the start's; the rest is for a busy machine.
const STALL_MAX: Duration = Duration::from_secs(10);

/// The program with this socket as systemd hands it over: descriptor 3, announced to this process id.
fn with_socket(folder: &Path, socket: &TcpListener) -> Command {
    let program = command(folder, &[]);
    let mut shell = Command::new("/bin/sh");
    let take = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    shell
        .current_dir(folder)
        .env_clear()
        .args(["-c", take])
        .arg(program.get_program())
        .args(program.get_args());
    shell.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    shell
}

fn folder(upstream: &FakeUpstream, toml: &str) -> TempDir {
    let gateway = TestGateway::with(upstream).toml(toml).client("ada", json!({"rate_limit": {}}));
    gateway.write()
}

/// Clients that open stream after stream.
#[derive(Default)]
struct Load {
    ends: AtomicBool,
    /// Streams that came whole.
    whole: AtomicUsize,
    /// Connections that were closed instead of an answer.
    lost: AtomicUsize,
    /// The longest that a client waited for the head of an answer.
    longest: Mutex<Duration>,
}

impl Load {
    async fn run(&self, address: &str) {
        join_all((0..CLIENTS).map(|client| self.client(address, client % 2 == 0))).await;
    }

    async fn client(&self, address: &str, keeps: bool) {
        let mut kept = None;
        while !self.ends.load(Ordering::Acquire) {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => RawClient::connect(address).await,
            };
            let asked = Instant::now();
            connection.send(&chat_request("ada", "hi", true)).await;
            let Ok(Some(head)) = connection.try_head().await else {
                self.lost.fetch_add(1, Ordering::AcqRel);
                continue;
            };
            self.waited(asked.elapsed());
            assert_eq!(head.status, 200);
            let mut last = String::new();
            while let Some(message) = connection.next_message().await {
                last = message;
            }
            assert!(connection.ended_properly() && last == "[DONE]", "a stream was cut behind `{last}`");
            self.whole.fetch_add(1, Ordering::AcqRel);
            let is_last = head.headers.get("connection").is_some_and(|value| value == "close");
            kept = (keeps && !is_last).then_some(connection);
        }
    }

    fn waited(&self, time: Duration) {
        let mut longest = self.longest.lock().unwrap();
        *longest = time.max(*longest);
    }

    /// Resolves when so many more streams have come whole.
    async fn goes_on(&self, streams: usize) {
        let target = self.whole.load(Ordering::Acquire) + streams;
        let come = async {
            while self.whole.load(Ordering::Acquire) < target {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        patiently("streams to come", come).await;
    }
}

/// Has the second gateway take over from the first under load; how many connections were lost.
async fn take_over(folder: &Path, upstream: &FakeUpstream, mut old: Program, next: Command) -> usize {
    upstream.always(Reply::stream(["a", "b", "c", "d"]).gap(Duration::from_millis(30)));
    let load = Arc::new(Load::default());
    let (running, address) = (Arc::clone(&load), old.address().to_owned());
    let clients = tokio::spawn(async move { running.run(&address).await });
    load.goes_on(CLIENTS * ROUNDS).await;

    let mut new = Program::spawned(next);
    new.until("it to wait", |new| new.log().contains("another gateway has the ledger; waiting for it")).await;
    old.signal("TERM");
    assert_eq!(old.ended().await, 0, "{}", old.log());
    new.listens().await;
    load.goes_on(CLIENTS * ROUNDS).await;
    load.ends.store(true, Ordering::Release);
    clients.await.unwrap();

    new.signal("TERM");
    assert_eq!(new.ended().await, 0, "{}", new.log());
    let usage = command(folder, &["usage", "--format", "json"]).output().unwrap();
    let usage: serde_json::Value = serde_json::from_slice(&usage.stdout).unwrap();
    let billed = upstream.billed_total();
    let total = &usage["total"];
    assert_eq!(total["requests"], load.whole.load(Ordering::Acquire));
    assert_eq!(
        (&total["input_tokens"], &total["output_tokens"]),
        (&json!(billed.prompt), &json!(billed.completion))
    );
    // The rest of the streams that run, what a connection may wait for its last request, and the start.
    let longest = *load.longest.lock().unwrap();
    assert!(longest < STALL_MAX, "somebody waited for {longest:?}");
    load.lost.load(Ordering::Acquire)
}

#[tokio::test]
async fn with_a_socket_that_both_were_handed_no_request_fails_and_no_token_is_lost() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "[ledger]\nwait = \"30s\"");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let old = Program::started(with_socket(folder.path(), &socket)).await;
    assert_eq!(old.address(), socket.local_addr().unwrap().to_string());
    let next = with_socket(folder.path(), &socket);
    assert_eq!(take_over(folder.path(), &upstream, old, next).await, 0);
}

/// The kernel may give the old gateway a connection between its last accept and its close, and resets that one.
#[tokio::test]
async fn with_a_socket_of_its_own_the_next_gateway_loses_hardly_a_connection_and_no_token() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "[server]\nreuse_port = true\n[ledger]\nwait = \"30s\"");
    let old = Program::start(folder.path()).await;
    let next = command(folder.path(), &["--listen", old.address()]);
    let lost = take_over(folder.path(), &upstream, old, next).await;
    assert!(lost <= 1, "{lost} connections were lost");
}

#[tokio::test]
async fn a_connection_without_a_request_does_not_hold_up_the_hand_over() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "[server]\nreuse_port = true\nshutdown_grace = \"10m\"");
    let mut old = Program::start(folder.path()).await;
    let mut silent = old.connect().await;
    let mut idle = old.connect().await;
    assert_eq!(idle.ask(&chat_request("ada", "hi", false)).await.status, 200);
    old.signal("TERM");
    silent.closed().await;
    idle.closed().await;
    assert_eq!(old.ended().await, 0);
}

#[tokio::test]
async fn who_watches_does_not_hold_up_the_hand_over() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "[server]\nreuse_port = true\nshutdown_grace = \"10m\"");
    let mut old = Program::start(folder.path()).await;
    let token = std::fs::read_to_string(folder.path().join("data/admin-token")).unwrap();
    let mut watcher = old.connect().await;
    let live = Request::get("/admin/live").header("authorization", &format!("Bearer {}", token.trim()));
    assert_eq!(watcher.open(&live).await.status, 200);
    old.signal("TERM");
    while watcher.next_message().await.is_some() {}
    assert_eq!(old.ended().await, 0);
}

#[tokio::test]
async fn a_ledger_that_stays_in_use_ends_the_wait_with_exit_1() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "[ledger]\nwait = \"100ms\"");
    let old = Program::start(folder.path()).await;
    let mut new = Program::spawned(command(folder.path(), &["--listen", "127.0.0.1:0"]));
    assert_eq!(new.ended().await, 1);
    let told = format!("is in use by another gateway (process {})", old.id());
    new.until("it to say why", |new| new.log().contains(&told)).await;
    assert_eq!(new.output(), "");
}
