//! What the program tells its operator: its log, its exit, and who may read its files.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request};
use serde_json::{Value, json};

use crate::program::{Program, command};

/// A line of the log with this in it.
fn line<'a>(log: &'a str, part: &str) -> &'a str {
    log.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no line with `{part}` in\n{log}"))
}

/// Runs the program to its end.
async fn run(folder: &Path, arguments: &'static [&'static str]) -> (Option<i32>, String) {
    let mut command = command(folder, arguments);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[tokio::test]
async fn the_log_has_a_line_for_the_start_each_event_and_the_end() {
    let upstream = FakeUpstream::start().await;
    let folder = TestGateway::with(&upstream).client("ada", json!({})).write();
    let mut program = Program::start(folder.path()).await;
    assert_eq!(program.ask(&Request::get("/v1/chat/completions")).await.status, 405);
    assert_eq!(program.ask(&Request::get("/nowhere")).await.status, 404);
    upstream.always(Reply::error(400));
    assert_eq!(program.ask(&chat_request("ada", "hi", false)).await.status, 400);
    assert_eq!(program.ask(&chat_request("nobody", "hi", false)).await.status, 401);
    for name in ["bob", "eve"] {
        std::fs::write(folder.path().join(format!("clients/{name}.json")), "{").unwrap();
    }
    program.signal("HUP");
    program.until("the reload", |program| program.log().contains("not reloaded")).await;
    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
    program.until("its last line", |program| program.log().contains("stopped")).await;
    let log = program.log();
    let started = line(&log, "started");
    assert!(started.contains(env!("CARGO_PKG_VERSION")) && started.contains(program.address()), "{started}");
    assert!(started.contains("config=\"gateway.toml\""), "{started}");
    assert!(line(&log, "method not allowed").contains("allow=\"POST\""), "{log}");
    assert!(line(&log, "no such route").contains("address=127.0.0.1"), "{log}");
    let failed = line(&log, "attempt failed");
    assert!(failed.contains("fault=\"status 400\"") && failed.contains("next=\"answer\""), "{failed}");
    let refused = line(&log, "refused=\"invalid_credentials\"");
    assert!(
        refused.contains("because=\"cause=unknown_key\"") && refused.contains("address=127.0.0.1"),
        "{refused}"
    );
    let reload = line(&log, "not reloaded");
    assert!(
        reload.contains("fault=\"") && reload.contains("bob.json") && reload.contains("eve.json"),
        "{reload}"
    );
    assert!(line(&log, "stopping").contains("signal=\"SIGTERM\""), "{log}");
    assert!(log.lines().all(|line| line.starts_with("20")), "each line begins with its time:\n{log}");
}

#[tokio::test]
async fn wrong_admin_tokens_are_counted_and_told_of_once_a_minute() {
    let upstream = FakeUpstream::start().await;
    let program = Program::start(TestGateway::with(&upstream).write().path()).await;
    for _ in 0..3 {
        let guess = Request::get("/admin/tree").header("authorization", "Bearer guess-of-a-token");
        assert_eq!(program.ask(&guess).await.status, 401);
    }
    let metrics = program.ask(&Request::get("/metrics")).await.text();
    assert!(metrics.contains("gateway_refusals_total{reason=\"not_admin\"} 3"), "{metrics}");
    let log = program.log();
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("admin token is missing or wrong")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("WARN") && told[0].contains("address=127.0.0.1"), "{log}");
    assert!(!log.contains("guess-of-a-token"));
}

#[tokio::test]
async fn a_start_that_fails_is_told_in_json_where_the_log_is() {
    let upstream = FakeUpstream::start().await;
    let folder = TestGateway::with(&upstream).write();
    std::fs::write(folder.path().join("clients/bob.json"), "{").unwrap();
    let (code, log) = run(folder.path(), &["--log-format", "json", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(code, Some(2));
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    assert!(
        events.iter().any(|event| event["level"] == "ERROR" && message(event).contains("bob.json")),
        "{log}"
    );
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_on_is_told_with_its_own_cure() {
    let upstream = FakeUpstream::start().await;
    let folder = TestGateway::with(&upstream).write();
    let (code, told) = run(folder.path(), &["--listen", "192.0.2.1:8000"]).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("this machine has no such address") && !told.contains("another program"), "{told}");
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    let (code, told) = run(folder.path(), &["--listen", "127.0.0.1:0"]).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("name another with --data"), "{told}");
    let (code, told) = run(folder.path(), &["health", "--url", "http://127.0.0.1:9"]).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("nobody listens at http://127.0.0.1:9") && !told.contains("within"), "{told}");
}

#[tokio::test]
async fn what_the_gateway_writes_is_its_owners_to_read() {
    let upstream = FakeUpstream::start().await;
    let folder = TestGateway::with(&upstream).client("ada", json!({})).write();
    let program = Program::start(folder.path()).await;
    upstream.always(Reply::text("hello"));
    assert_eq!(program.ask(&chat_request("ada", "hi", false)).await.status, 200);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    drop(program);
}

#[tokio::test]
async fn a_collector_that_takes_nothing_is_told_of_with_its_address_and_the_cause() {
    let (upstream, collector) = (FakeUpstream::start().await, FakeUpstream::start().await);
    collector.always(Reply::error(403));
    let telemetry = format!("[telemetry]\notlp_endpoint = \"{}\"\n", collector.origin());
    let folder = TestGateway::with(&upstream).toml(&telemetry).client("ada", json!({})).write();
    let mut program = Program::start(folder.path()).await;
    upstream.always(Reply::text("hello"));
    assert_eq!(program.ask(&chat_request("ada", "hi", false)).await.status, 200);
    program.until("the warning", |program| program.log().contains("does not take")).await;
    let log = program.log();
    let warning = line(&log, "does not take");
    assert!(warning.contains("cause=\"it answers with status 403 Forbidden\""), "{warning}");
    assert!(warning.contains(&collector.origin()), "{warning}");
}
