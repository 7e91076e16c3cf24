//! Secrets over time: argon2id, rotation, expiry, and what a reload means for requests that come after it.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use futures_util::future::join_all;
use gateway_testkit::TestGateway;
use gateway_testkit::raw_client::Request;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Nobody listens here: these clients ask for the model `echo`.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

/// How long a slow check of a secret takes at least: much longer than a request.
const SLOW: Duration = Duration::from_millis(300);

fn sha256(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn argon2id_with(secret: &str, memory_kib: u32, passes: u32) -> String {
    let params = Params::new(memory_kib, passes, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(b"salt of a test").unwrap();
    argon2.hash_password(secret.as_bytes(), &salt).unwrap().to_string()
}

/// At the lowest cost there is.
fn argon2id(secret: &str) -> String {
    argon2id_with(secret, 8, 1)
}

/// At a cost that makes one check take [`SLOW`] on this machine in this build.
fn slow_argon2id(secret: &str) -> String {
    let mut memory_kib = 1024;
    loop {
        let start = Instant::now();
        let hash = argon2id_with(secret, memory_kib, 4);
        if start.elapsed() >= SLOW {
            return hash;
        }
        memory_kib *= 2;
    }
}

fn secrets(hashes: &[String]) -> Value {
    let credentials = hashes.iter().map(|hash| json!({"type": "secret", "hash": hash}));
    json!({"credentials": credentials.collect::<Vec<_>>()})
}

fn asking(client: &str, secret: &str) -> Request {
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
    let request = Request::post("/v1/chat/completions").header("client_id", client);
    request.header("client_secret", secret).json(&body)
}

async fn reload(gateway: &TestGateway) {
    let token = format!("Bearer {}", gateway.admin_token());
    let answer = gateway.ask(&Request::post("/admin/reload").header("authorization", &token)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_secret_that_a_person_chose_is_checked_by_argon2id() {
    let gateway = TestGateway::at(NOWHERE)
        .client("ada", json!({"client_secret_hash": argon2id("open sesame")}))
        .client("grace", secrets(&[sha256("one"), argon2id("two"), argon2id("three")]))
        .start()
        .await;
    for (client, secret, status) in [
        ("ada", "open sesame", 200),
        ("ada", "open sesame", 200),
        ("ada", "wrong", 401),
        ("ada", "wrong", 401),
        ("ada", "", 401),
        ("grace", "one", 200),
        ("grace", "two", 200),
        ("grace", "three", 200),
        ("grace", "open sesame", 401),
    ] {
        assert_eq!(gateway.ask(&asking(client, secret)).await.status, status, "{client} {secret}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn while_argon2id_runs_other_requests_are_answered() {
    let gateway = TestGateway::at(NOWHERE)
        .client("slow", json!({"client_secret_hash": slow_argon2id("open sesame")}))
        .client("quick", json!({"client_secret_hash": sha256("open sesame")}))
        .start()
        .await;
    let (slow, quick) = (asking("slow", "open sesame"), asking("quick", "open sesame"));
    let mut slow = Box::pin(gateway.ask(&slow));
    // This test and all of the gateway share one thread: an argon2id run on it would hold up everything.
    tokio::select! {
        biased;
        answer = &mut slow => panic!("argon2id was first: {}", answer.status),
        answer = gateway.ask(&quick) => assert_eq!(answer.status, 200),
    }
    assert_eq!(slow.await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_crowd_that_guesses_gets_401_or_503_and_hurts_neither_a_known_secret_nor_another_client() {
    let gateway = TestGateway::at(NOWHERE)
        .client("ada", json!({"client_secret_hash": slow_argon2id("open sesame")}))
        .client("grace", json!({"client_secret_hash": sha256("open sesame")}))
        .start()
        .await;
    assert_eq!(gateway.ask(&asking("ada", "open sesame")).await.status, 200);
    let guesses: Vec<Request> = (0..40).map(|n| asking("ada", &format!("guess {n}"))).collect();
    let answered = AtomicUsize::new(0);
    let guessing = join_all(guesses.iter().map(async |guess| {
        let answer = gateway.ask(guess).await;
        answered.fetch_add(1, Ordering::Relaxed);
        answer
    }));
    let meanwhile = async {
        while answered.load(Ordering::Relaxed) < guesses.len() {
            for client in ["ada", "grace"] {
                assert_eq!(gateway.ask(&asking(client, "open sesame")).await.status, 200, "{client}");
            }
        }
    };
    let (answers, ()) = tokio::join!(guessing, meanwhile);
    for answer in answers {
        match answer.status {
            401 => assert_eq!(answer.header("retry-after"), None),
            503 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.json()["error"]["code"], "overloaded");
            }
            other => panic!("a guess got {other}"),
        }
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn after_a_rotation_both_secrets_count_until_the_old_one_is_taken_out() {
    let gateway = TestGateway::at(NOWHERE).client("ada", secrets(&[sha256("old")])).start().await;
    let statuses = async || {
        let old = gateway.ask(&asking("ada", "old")).await.status;
        (old, gateway.ask(&asking("ada", "new")).await.status)
    };
    assert_eq!(statuses().await, (200, 401));
    gateway.write_client("ada", &secrets(&[sha256("old"), argon2id("new")]));
    assert_eq!(statuses().await, (200, 401), "nothing counts before the reload");
    reload(&gateway).await;
    assert_eq!(statuses().await, (200, 200));
    gateway.write_client("ada", &secrets(&[argon2id("new")]));
    reload(&gateway).await;
    assert_eq!(statuses().await, (401, 200));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_is_disabled_or_removed_is_nobody_after_the_reload() {
    let gateway = TestGateway::at(NOWHERE)
        .client("ada", secrets(&[sha256("right")]))
        .client("grace", json!({}))
        .start()
        .await;
    let ask = async || gateway.ask(&asking("ada", "right")).await.status;
    assert_eq!(ask().await, 200);
    let mut off = secrets(&[sha256("right")]);
    off["disabled"] = true.into();
    gateway.write_client("ada", &off);
    reload(&gateway).await;
    assert_eq!(ask().await, 401);
    gateway.write_client("ada", &secrets(&[sha256("right")]));
    reload(&gateway).await;
    assert_eq!(ask().await, 200);
    std::fs::remove_file(gateway.folder().join("clients/ada.json")).unwrap();
    reload(&gateway).await;
    assert_eq!(ask().await, 401);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_check_that_is_still_running_at_a_reload_does_not_bring_the_old_secret_back() {
    let old = secrets(&[slow_argon2id("old")]);
    let gateway = TestGateway::at(NOWHERE).client("ada", old).start().await;
    let old = asking("ada", "old");
    gateway.write_client("ada", &secrets(&[sha256("new")]));
    let rotated = async {
        reload(&gateway).await;
        assert_eq!(gateway.ask(&asking("ada", "old")).await.status, 401);
    };
    let (running, ()) = tokio::join!(gateway.ask(&old), rotated);
    // It began before the reload, so either answer is right; what it found must not be kept.
    assert!([200, 401].contains(&running.status));
    for _ in 0..3 {
        assert_eq!(gateway.ask(&asking("ada", "old")).await.status, 401);
        assert_eq!(gateway.ask(&asking("ada", "new")).await.status, 200);
    }
    // Nor does a reload that brings nothing new.
    reload(&gateway).await;
    assert_eq!(gateway.ask(&asking("ada", "old")).await.status, 401);
    gateway.ends_quiet().await;
}

/// Asks again and again, and checks each answer, until 20 came after the reload.
async fn asks_through(gateway: &TestGateway, secret: &str, reloaded: &Cell<bool>, asked: &Cell<usize>) {
    let (request, mut connection) = (asking("ada", secret), gateway.connect().await);
    let mut after = 0;
    let mut seen_new = false;
    while after < 20 {
        // Read before the request is sent: it is then begun after the reload's answer.
        let begun_after = reloaded.get();
        let answer = connection.ask(&request).await;
        let status = answer.status;
        if answer.header("connection") == Some("close") {
            connection = gateway.connect().await;
        }
        asked.set(asked.get() + 1);
        let (before, then) = if secret == "old" { (200, 401) } else { (401, 200) };
        assert!(status == then || (status == before && !begun_after && !seen_new), "`{secret}` got {status}");
        seen_new |= status == then;
        after += usize::from(begun_after);
    }
}

#[tokio::test]
async fn every_request_that_begins_after_the_reloads_answer_is_judged_by_the_new_secrets() {
    for (old, new) in [(sha256("old"), sha256("new")), (argon2id("old"), argon2id("new"))] {
        let gateway = TestGateway::at(NOWHERE).client("ada", secrets(&[old])).start().await;
        let (reloaded, asked) = (Cell::new(false), Cell::new(0));
        let crowd = ["old", "new"].into_iter().cycle().take(8);
        let crowd = join_all(crowd.map(|secret| asks_through(&gateway, secret, &reloaded, &asked)));
        let rotation = async {
            let mut admin = gateway.connect().await;
            let token = format!("Bearer {}", gateway.admin_token());
            let report = Request::get("/admin/tree").header("authorization", &token);
            while asked.get() < 100 {
                assert_eq!(admin.ask(&report).await.status, 200);
            }
            gateway.write_client("ada", &secrets(&[new]));
            reload(&gateway).await;
            reloaded.set(true);
        };
        tokio::join!(crowd, rotation);
        gateway.ends_quiet().await;
    }
}

/// Asks until the status is `last`, and checks each answer against the moment at which it changes.
async fn asks_until(gateway: &TestGateway, request: &Request, first: u16, last: u16, moment: Timestamp) {
    loop {
        let begun = Timestamp::now();
        let answer = gateway.ask(request).await;
        let ended = Timestamp::now();
        if answer.status == first {
            assert!(begun < moment, "still {first} after {moment}");
        } else {
            assert_eq!(answer.status, last, "{}", answer.text());
            assert!(ended >= moment, "{last} before {moment}");
            return;
        }
    }
}

#[tokio::test]
async fn a_grace_ends_and_a_new_secret_begins_to_the_millisecond() {
    // Files name moments to the millisecond here, so that they mean what the test compares with.
    let moment = Timestamp::now() + SignedDuration::from_millis(300);
    let moment = Timestamp::from_millisecond(moment.as_millisecond()).unwrap();
    let written = moment.to_string();
    let gateway = TestGateway::at(NOWHERE)
        .client(
            "ada",
            json!({"credentials": [
                {"type": "secret", "hash": sha256("old"), "expires_at": written},
                {"type": "secret", "hash": argon2id("slow old"), "expires_at": written},
                {"type": "secret", "hash": sha256("next"), "not_before": written},
                {"type": "secret", "hash": sha256("new")},
                {"type": "api_key", "hash": sha256("sk-old"), "expires_at": written},
            ]}),
        )
        .start()
        .await;
    let by_key = Request::get("/v1/models").header("x-api-key", "sk-old");
    let [old, slow_old, next, new] = ["old", "slow old", "next", "new"].map(|secret| asking("ada", secret));
    tokio::join!(
        asks_until(&gateway, &old, 200, 401, moment),
        asks_until(&gateway, &slow_old, 200, 401, moment),
        asks_until(&gateway, &next, 401, 200, moment),
        asks_until(&gateway, &by_key, 200, 401, moment),
    );
    assert_eq!(gateway.ask(&new).await.status, 200);
    gateway.ends_quiet().await;
}
