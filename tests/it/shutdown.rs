//! How the program starts and ends: its one line of output, its exit codes, and what signals do.

#![cfg(unix)]

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request};
use serde_json::{Value, json};

use crate::program::{Program, command};

/// A folder with the configuration of a gateway that stops within `grace`, announced `delay` before.
fn folder(upstream: &FakeUpstream, grace: &str, delay: &str) -> impl AsRef<Path> {
    let server = format!("[server]\nshutdown_grace = \"{grace}\"\nshutdown_delay = \"{delay}\"");
    TestGateway::with(upstream).toml(&server).client("ada", json!({})).write()
}

/// A stream of `ada`'s whose first piece has come.
async fn open_stream(program: &Program) -> RawClient {
    let mut stream = program.connect().await;
    let head = stream.open(&chat_request("ada", "go on", true)).await;
    assert_eq!(head.status, 200);
    while !stream.next_message().await.expect("the stream goes on").contains("\"content\":\"a\"") {}
    stream
}

/// The messages of a stream until its end.
async fn rest_of(stream: &mut RawClient) -> Vec<String> {
    let mut messages = Vec::new();
    while let Some(message) = stream.next_message().await {
        messages.push(message);
    }
    messages
}

fn assert_is_draining(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "overloaded");
    assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("1"), Some("1000")));
}

/// Runs the program to its end, which must come by itself.
async fn runs(folder: &Path, arguments: &'static [&'static str]) -> Output {
    let mut command = command(folder, arguments);
    let run = tokio::task::spawn_blocking(move || command.output().expect("the program runs"));
    gateway_testkit::deadline::patiently("the program to end", run).await.unwrap()
}

#[tokio::test]
async fn sigterm_and_sigint_let_running_streams_finish_and_exit_with_0() {
    for signal in ["TERM", "INT"] {
        let upstream = FakeUpstream::start().await;
        let folder = folder(&upstream, "20s", "0s");
        let mut program = Program::start(folder.as_ref()).await;
        upstream.always(Reply::stream(["a", "b", "c", "d"]).gap(Duration::from_millis(100)));
        let mut stream = open_stream(&program).await;
        let mut whole = program.connect().await;
        upstream.script(Reply::text("an answer that takes its time").after(Duration::from_millis(300)));
        whole.send(&chat_request("ada", "hi", false)).await;
        upstream.arrived(2).await;
        let mut idle = program.connect().await;
        assert_eq!(idle.ask(&Request::get("/readyz")).await.status, 200);

        program.signal(signal);
        idle.closed().await;
        let messages = rest_of(&mut stream).await;
        assert_eq!(messages.last().map(String::as_str), Some("[DONE]"), "{messages:?}");
        let answer = whole.answer().await;
        assert_eq!((answer.status, answer.complete), (200, true));
        assert_eq!(program.ended().await, 0, "{}", program.log());
        assert_eq!(program.output().lines().count(), 1, "standard output has one line: {}", program.output());
    }
}

#[tokio::test]
async fn while_it_drains_it_is_not_ready_and_new_work_on_open_connections_is_told_to_come_again() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "20s", "2s");
    let mut program = Program::start(folder.as_ref()).await;
    let mut kept = program.connect().await;
    assert_eq!(kept.ask(&chat_request("ada", "hi", false)).await.status, 200);
    upstream.script(Reply::stream(["a", "b", "c"]).gap(Duration::from_millis(300)));
    let mut stream = open_stream(&program).await;

    program.signal("TERM");
    while kept.ask(&Request::get("/readyz")).await.status != 503 {}
    for connection in [&mut kept, &mut program.connect().await] {
        let ready = connection.ask(&Request::get("/readyz")).await;
        assert_eq!(ready.status, 503);
        assert_eq!((ready.header("retry-after"), ready.header("retry-after-ms")), (Some("1"), Some("1000")));
        for probe in ["/health", "/livez"] {
            assert_eq!(connection.ask(&Request::get(probe)).await.status, 200, "it lives: {probe}");
        }
        assert_is_draining(&connection.ask(&chat_request("ada", "hi", false)).await);
    }
    let messages = rest_of(&mut stream).await;
    assert_eq!(messages.last().map(String::as_str), Some("[DONE]"), "{messages:?}");
    assert_eq!(program.ended().await, 0, "{}", program.log());
    assert_eq!(upstream.requests(), 2, "nothing new was sent");
}

#[tokio::test]
async fn at_the_end_of_the_grace_streams_end_with_an_error_event_and_calls_with_a_503() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "200ms", "0s");
    let mut program = Program::start(folder.as_ref()).await;
    upstream.script(Reply::stream(["a", "b", "c"]).stall_after(1));
    let mut stream = open_stream(&program).await;
    upstream.always(Reply::never());
    let (mut whole, mut opening) = (program.connect().await, program.connect().await);
    whole.send(&chat_request("ada", "hi", false)).await;
    opening.send(&chat_request("ada", "hi", true)).await;
    upstream.arrived(3).await;

    program.signal("TERM");
    let messages = rest_of(&mut stream).await;
    assert!(stream.ended_properly());
    let last: Value = serde_json::from_str(messages.last().expect("an event")).expect("JSON and not [DONE]");
    assert_eq!(last["error"]["code"], "overloaded", "{last}");
    for connection in [&mut whole, &mut opening] {
        assert_is_draining(&connection.answer().await);
    }
    assert_eq!(program.ended().await, 0, "{}", program.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let upstream = FakeUpstream::start().await;
        let folder = folder(&upstream, "10m", "0s");
        let mut program = Program::start(folder.as_ref()).await;
        upstream.script(Reply::stream(["a", "b"]).stall_after(1));
        let mut stream = open_stream(&program).await;
        program.signal(first);
        program
            .until("it to begin to stop", |program| program.log().contains("a second signal ends at once"))
            .await;
        program.signal(second);
        assert_eq!(program.ended().await, 1, "what ran was not finished");
        let messages = rest_of(&mut stream).await;
        assert!(!messages.iter().any(|message| message == "[DONE]"), "{messages:?}");
    }
}

#[tokio::test]
async fn it_listens_on_the_real_port_and_says_so_once() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "1s", "0s");
    let mut program = Program::start(folder.as_ref()).await;
    let port = program.address().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    assert_ne!(port, 0);
    let health = program.ask(&Request::get("/health")).await;
    assert_eq!(health.text(), r#"{"status":"ok"}"#);
    assert_eq!(program.output(), format!("listening on http://127.0.0.1:{port}\n"));
    assert!(!program.log().contains('\u{1b}'), "no colours in a file");
    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
}

#[tokio::test]
async fn an_idle_gateway_stops_without_waiting_for_the_grace() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "10m", "0s");
    let mut program = Program::start(folder.as_ref()).await;
    let _silent = program.connect().await;
    let mut kept = program.connect().await;
    assert_eq!(kept.ask(&chat_request("ada", "hi", false)).await.status, 200);
    let asked = Instant::now();
    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_exit_2_with_every_fault() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "1s", "0s");
    let path = folder.as_ref();
    let toml = std::fs::read_to_string(path.join("gateway.toml")).unwrap();
    std::fs::write(
        path.join("gateway.toml"),
        format!("{toml}\nno_such_key = 1\n[timeouts]\nstall = \"soon\"\n"),
    )
    .unwrap();
    std::fs::write(path.join("clients/bob.json"), "{").unwrap();
    for arguments in [&["serve"][..], &[], &["check"]] {
        let ended = runs(path, arguments).await;
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.stdout.is_empty());
        let faults = String::from_utf8(ended.stderr).unwrap();
        for part in ["no_such_key", "stall", "soon", "bob.json"] {
            assert!(faults.contains(part), "no fault names {part}: {faults}");
        }
    }
}

#[tokio::test]
async fn a_port_that_is_in_use_is_exit_1_and_names_the_address() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "1s", "0s");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let toml = std::fs::read_to_string(folder.as_ref().join("gateway.toml")).unwrap();
    let toml = toml.replace("[server]", &format!("[server]\nlisten = \"{address}\""));
    std::fs::write(folder.as_ref().join("gateway.toml"), toml).unwrap();
    let ended = runs(folder.as_ref(), &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.is_empty());
    let log = String::from_utf8(ended.stderr).unwrap();
    assert!(log.contains(&address) && log.contains("cannot listen"), "{log}");
}

#[tokio::test]
async fn a_gateway_that_stopped_is_started_again_on_the_same_port() {
    let upstream = FakeUpstream::start().await;
    let folder = folder(&upstream, "1s", "0s");
    let mut first = Program::start(folder.as_ref()).await;
    let address = first.address().to_owned();
    let mut connection = first.connect().await;
    assert_eq!(connection.ask(&chat_request("ada", "hi", false)).await.status, 200);
    first.signal("TERM");
    assert_eq!(first.ended().await, 0);
    let mut second = Program::start_at(folder.as_ref(), &address).await;
    assert_eq!(second.address(), address);
    assert_eq!(second.ask(&chat_request("ada", "hi", false)).await.status, 200);
    second.signal("TERM");
    assert_eq!(second.ended().await, 0);
}
