//! What operators change through the API: clients' files, and that it counts from the answer on.

use std::path::PathBuf;

use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Reply, TestGateway};
use serde_json::{Value, json};

/// Nobody listens here.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

/// A request of an operator.
pub async fn admin(gateway: &TestGateway, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let token = format!("Bearer {}", gateway.admin_token());
    let request = Request::new(method, path).header("authorization", &token);
    gateway.ask(&body.map_or(request.clone(), |body| request.json(body))).await
}

async fn patch(gateway: &TestGateway, client: &str, body: &Value) -> Answer {
    admin(gateway, "PATCH", &format!("/admin/clients/{client}"), Some(body)).await
}

async fn post(gateway: &TestGateway, path: &str) -> Answer {
    admin(gateway, "POST", path, None).await
}

fn file(gateway: &TestGateway, client: &str) -> PathBuf {
    gateway.folder().join(format!("clients/{client}.json"))
}

fn text(gateway: &TestGateway, client: &str) -> String {
    std::fs::read_to_string(file(gateway, client)).unwrap()
}

/// The status of a chat request with this key.
async fn with_key(gateway: &TestGateway, key: &str) -> u16 {
    let request = Request::post("/v1/chat/completions").header("authorization", &format!("Bearer {key}"));
    let body = json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]});
    gateway.ask(&request.json(&body)).await.status
}

#[tokio::test]
async fn a_patched_limit_holds_from_the_answer_on_and_counters_stay() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", json!({"rate_limit": {"requests_per_minute": 60}}))
        .start()
        .await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    let answer =
        patch(&gateway, "ada", &json!({"rate_limit": {"requests_per_minute": 1}, "name": "Ada"})).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["changed"], json!(["name", "rate_limit.requests_per_minute"]));
    assert_eq!((&told["in_force"], &told["generation"]), (&json!(true), &json!(2)));
    assert_eq!(told["client"]["used"]["requests_per_minute"], 1);
    assert_eq!(told["client"]["settings"]["name"], "Ada");
    assert_eq!(gateway.chat("ada", "hi").await.status, 429);

    let answer = patch(&gateway, "ada", &json!({"rate_limit": null})).await;
    assert_eq!(answer.json()["changed"], json!(["rate_limit.requests_per_minute"]));
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_patch_that_changes_nothing_leaves_the_file_untouched() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({"priority": 2})).start().await;
    let before = text(&gateway, "ada");
    for same in [json!({}), json!({"priority": 2}), json!({"disabled": false, "max_tokens_limit": null})] {
        let answer = patch(&gateway, "ada", &same).await;
        assert_eq!((answer.status, &answer.json()["changed"]), (200, &json!([])), "{same}");
    }
    assert_eq!(text(&gateway, "ada"), before);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_patch_with_anything_wrong_is_a_422_that_names_it_and_changes_nothing() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    let before = text(&gateway, "ada");
    for (body, member) in [
        (json!({"nam": "x"}), "nam"),
        (json!({"name": "x", "rate_limit": {"requests_per_minut": 1}}), "rate_limit.requests_per_minut"),
        (json!({"name": "x", "max_tokens_limit": -1}), "max_tokens_limit"),
        (json!({"budget": {"usd_per_day": 5}}), "budget.usd_per_day"),
        (json!({"allowed_models": ["a b"]}), "allowed_models[0]"),
        // Names of nothing, which would lock the client out.
        (json!({"allowed_endpoints": ["generate", "chat/completion"]}), "allowed_endpoints[1]"),
        (json!({"allowed_providers": ["nope"]}), "allowed_providers[0]"),
        (json!({"default_provider": "nope"}), "default_provider"),
        (json!({"credentials": []}), "credentials"),
        (
            json!({"client_secret_hash": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"}),
            "client_secret_hash",
        ),
        (json!({"client_id": "bob"}), "client_id"),
        (json!([]), ""),
    ] {
        let answer = patch(&gateway, "ada", &body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        let told = &answer.json()["detail"][0];
        assert_eq!((&told["loc"][0], &told["loc"][2]), (&json!("body"), &json!(member)), "{told}");
        assert!(!told["msg"].as_str().unwrap().contains("5e884898"), "no hash is shown");
    }
    let token = format!("Bearer {}", gateway.admin_token());
    let raw = Request::new("PATCH", "/admin/clients/ada").header("authorization", &token);
    let doubled = raw
        .clone()
        .header("content-type", "application/merge-patch+json")
        .body("{\"name\":\"a\",\"name\":\"b\"}".to_owned());
    assert_eq!(gateway.ask(&doubled).await.status, 422);
    let other = raw.header("content-type", "text/plain").body("{}".to_owned());
    assert_eq!(gateway.ask(&other).await.status, 415);
    assert_eq!(patch(&gateway, "nobody", &json!({"name": "x"})).await.status, 404);
    assert_eq!(patch(&gateway, "a%20b", &json!({"name": "x"})).await.status, 404);
    assert_eq!(text(&gateway, "ada"), before);
    gateway.ends_quiet().await;
}

/// What was wrong before is not the fault of who changes something else.
#[tokio::test]
async fn a_name_of_nothing_that_a_file_has_already_is_warned_of_and_keeps_no_other_change() {
    let members = json!({"allowed_providers": ["*", "gone"]});
    let gateway = TestGateway::at(NOWHERE).client("ada", members).start().await;
    let endpoints = json!({"allowed_endpoints": ["files", "images/generations", "generate"]});
    let answer = patch(&gateway, "ada", &endpoints).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let warnings = answer.json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 1, "{warnings}");
    assert!(warnings[0].as_str().unwrap().contains("provider `gone` is not configured"), "{warnings}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn credentials_are_shown_with_their_times_and_whether_they_hold_now() {
    let hash = format!("sha256:{}", "ab".repeat(32));
    let over = json!({"type": "secret", "hash": hash, "label": "old", "expires_at": "2020-01-01T00:00:00Z"});
    let early = json!({"type": "secret", "hash": hash, "not_before": "2200-01-01T00:00:00Z"});
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({"credentials": [over, early]})).start().await;
    let answer = gateway.admin("/admin/clients/ada").await;
    let shown = json!([
        {"type": "secret", "label": "old", "not_before": null, "expires_at": "2020-01-01T00:00:00Z", "valid": false},
        {"type": "secret", "label": null, "not_before": "2200-01-01T00:00:00Z", "expires_at": null, "valid": false},
    ]);
    assert_eq!(answer["credentials"], shown);
    assert!(!answer.to_string().contains("abab"), "no hash is shown");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_is_made_rotated_and_both_its_keys_count_until_the_grace_ends() {
    let gateway = TestGateway::at(NOWHERE).start().await;
    let body = json!({"id": "ada", "name": "Ada", "provider": "echo", "model": "echo"});
    let made = admin(&gateway, "POST", "/admin/clients", Some(&body)).await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")), "{}", made.text());
    let key = |answer: &Answer| answer.json()["api_key"].as_str().unwrap().to_owned();
    let first = key(&made);
    assert_eq!(with_key(&gateway, &first).await, 200, "it counts from the answer on");
    assert!(!text(&gateway, "ada").contains(&first), "the file has its hash alone");

    let rotated = post(&gateway, "/admin/clients/ada/rotate").await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let second = key(&rotated);
    assert_eq!(rotated.json()["old_credentials"]["ending"], 2, "the secret and the key");
    assert!(rotated.json()["old_credentials"]["end"].as_str().unwrap().ends_with('Z'));
    assert_eq!([with_key(&gateway, &first).await, with_key(&gateway, &second).await], [200, 200]);

    // A grace that is over before the answer.
    let path = "/admin/clients/ada/rotate";
    let third = key(&admin(&gateway, "POST", path, Some(&json!({"grace": "1ms"}))).await);
    let old_end = async { while with_key(&gateway, &second).await != 401 {} };
    patiently("the grace to end", old_end).await;
    assert_eq!([with_key(&gateway, &first).await, with_key(&gateway, &third).await], [401, 200]);

    for (body, member) in [(json!({"grace": "soon"}), "grace"), (json!({"gracy": "1h"}), "gracy")] {
        let refused = admin(&gateway, "POST", path, Some(&body)).await;
        assert_eq!((refused.status, &refused.json()["detail"][0]["loc"][2]), (422, &json!(member)));
    }
    assert_eq!(post(&gateway, "/admin/clients/nobody/rotate").await.status, 404);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_a_new_client_cannot_be_is_told_and_nothing_is_written() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    for (body, status, told) in [
        (json!({"id": "ada"}), 409, "is there already"),
        (json!({}), 422, "the new client's id"),
        (json!({"id": "../ada"}), 422, "is not a name"),
        (json!({"id": ".ada"}), 422, "begins with a dot"),
        (json!({"id": "bob", "provider": "nobody"}), 422, "the providers are"),
        (json!({"id": "bob", "model": "a b"}), 422, "is not a model name"),
        (json!({"id": "bob", "limits": {}}), 422, "unknown key"),
    ] {
        let answer = admin(&gateway, "POST", "/admin/clients", Some(&body)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(told), "{body}: {}", answer.text());
    }
    let body = json!({"id": "bob", "provider": "nobody"});
    let told = admin(&gateway, "POST", "/admin/clients", Some(&body)).await.json();
    assert_eq!(told["detail"][0]["loc"], json!(["body", 1, "provider"]), "{told}");
    assert_eq!(std::fs::read_dir(gateway.folder().join("clients")).unwrap().count(), 1);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_request_that_begins_after_a_revocation_is_refused_and_one_that_runs_goes_on() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    upstream.script(Reply::stream(["Hel", "lo"]).stall_after(1));
    let running = gateway.stream("ada", "hi").await;
    let answer = post(&gateway, "/admin/clients/ada/disable").await;
    let expected =
        json!({"id": "ada", "disabled": true, "already": false, "in_force": true, "generation": 2});
    assert_eq!((answer.status, answer.json()), (200, expected));
    assert_eq!(gateway.chat("ada", "hi").await.status, 401);
    assert_eq!(gateway.admin("/admin/tree").await["calls_in_flight"], 1, "the one before goes on");
    assert_eq!(post(&gateway, "/admin/clients/ada/disable").await.json()["already"], true);
    running.hang_up();

    assert_eq!(post(&gateway, "/admin/clients/ada/enable").await.status, 200);
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.ends_quiet().await;
}

/// The change is made, since it must not wait for what has nothing to do with it; but nobody may think that it counts.
#[tokio::test]
async fn a_change_beside_a_broken_file_is_a_202_that_names_the_fault_and_counts_once_it_is_mended() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).client("bob", json!({})).start().await;
    std::fs::write(file(&gateway, "bob"), "{").unwrap();
    let answer = post(&gateway, "/admin/clients/ada/disable").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["in_force"], false);
    assert!(answer.json()["faults"][0]["msg"].as_str().unwrap().contains("bob.json:1:"));
    gateway.write_client("bob", &json!({}));
    assert_eq!(post(&gateway, "/admin/reload").await.json()["changed"], json!(["ada"]));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_is_being_changed_by_somebody_else_is_a_409() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    let held = gateway.folder().join("clients/.ada.json.new");
    std::fs::write(&held, "").unwrap();
    let answer = patch(&gateway, "ada", &json!({"name": "x"})).await;
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("being changed already"), "{}", answer.text());
    std::fs::remove_file(held).unwrap();
    assert_eq!(patch(&gateway, "ada", &json!({"name": "x"})).await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn health_tells_operators_of_a_broken_file_and_everybody_else_that_it_is_ok() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    let health = gateway.admin("/admin/health").await;
    assert_eq!((&health["status"], &health["generation"]), (&json!("ok"), &json!(1)));
    assert_eq!((&health["last_reload"]["by"], &health["last_reload"]["ok"]), (&json!("start"), &json!(true)));
    assert_eq!(health["ledger"], json!({"state": "running", "trouble": null, "behind": 0}));

    std::fs::write(file(&gateway, "bob"), "{\n  \"client_id\": \"bob\",\n  \"priority\": 0\n}").unwrap();
    assert_eq!(post(&gateway, "/admin/reload").await.status, 422);
    let health = gateway.admin("/admin/health").await;
    assert_eq!((&health["status"], &health["generation"]), (&json!("degraded"), &json!(1)));
    let fault = &health["last_reload"]["faults"][0];
    assert_eq!((&fault["loc"][1], &fault["loc"][2]), (&json!(3), &json!("priority")), "{fault}");
    assert_eq!(health["last_reload"]["by"], "admin");
    assert_eq!(gateway.ask(&Request::get("/health")).await.text(), "{\"status\":\"ok\"}");

    gateway.write_client("bob", &json!({}));
    assert_eq!(post(&gateway, "/admin/reload").await.status, 200);
    let mended = gateway.admin("/admin/health").await;
    assert_eq!((&mended["status"], &mended["clients"]), (&json!("ok"), &json!(2)));
    assert_ne!(mended["in_force_since"], health["in_force_since"]);
    gateway.ends_quiet().await;
}
