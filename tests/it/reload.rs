//! Reloads: all or nothing, under load without one failed request, and what each of them changes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_request, chat_with};
use serde_json::{Value, json};

#[cfg(unix)]
use crate::program::Program;

fn limited(limits: Value) -> Value {
    json!({ "rate_limit": limits })
}

async fn admin_reload(gateway: &TestGateway) -> Answer {
    let token = format!("Bearer {}", gateway.admin_token());
    gateway.ask(&Request::post("/admin/reload").header("authorization", &token)).await
}

/// A reload that must succeed; its report.
async fn reloaded(gateway: &TestGateway) -> Value {
    let answer = admin_reload(gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The seed's reload, asked by a client.
fn seed_reload(client: &str) -> Request {
    Request::get("/api/v1/clients/reload").header("authorization", &format!("Bearer key-{client}"))
}

/// Writes a file so that whoever reads meanwhile sees the old one or the new one whole.
fn replace(file: &Path, text: &str) {
    let part = file.with_extension("part");
    std::fs::write(&part, text).unwrap();
    std::fs::rename(part, file).unwrap();
}

/// Changes gateway.toml as text.
fn edit_toml(gateway: &TestGateway, edit: impl FnOnce(String) -> String) {
    let file = gateway.folder().join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    replace(&file, &edit(text));
}

#[tokio::test]
async fn both_routes_reload_and_each_answers_in_its_own_shape() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", json!({})).client("bob", json!({})).start().await;
    gateway.write_client("cyd", &json!({}));
    let answer = gateway.ask(&seed_reload("ada")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), r#"{"message":"Successfully reloaded 3 client configurations","count":3}"#);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(gateway.chat("cyd", "hi").await.status, 200);

    gateway.write_client("dan", &json!({}));
    gateway.write_client("bob", &json!({"name": "Robert"}));
    std::fs::remove_file(gateway.folder().join("clients/cyd.json")).unwrap();
    let report = reloaded(&gateway).await;
    assert_eq!(
        report,
        json!({
            "generation": 3, "count": 3, "added": ["dan"], "changed": ["bob"], "removed": ["cyd"],
            "unchanged": 1, "settings": [], "needs_restart": [], "warnings": report["warnings"]
        })
    );
    assert_eq!(gateway.ask(&Request::post("/admin/reload")).await.status, 401);
    assert_eq!(gateway.ask(&Request::post("/api/v1/clients/reload")).await.status, 405);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_set_with_broken_files_names_each_fault_and_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream)
        .client("ada", limited(json!({"requests_per_minute": 5})))
        .client("bob", json!({}))
        .start()
        .await;
    let clients = gateway.folder().join("clients");
    replace(&clients.join("bob.json"), "{ no json");
    replace(
        &clients.join("dan.json"),
        r#"{"client_id": "not dan", "rate_limit": {"requests_per_minute": -1}}"#,
    );
    gateway.write_client("cyd", &json!({}));
    gateway.write_client("ada", &limited(json!({"requests_per_minute": 1_000})));
    edit_toml(&gateway, |toml| toml + "\nno_such_key = 1\n");

    for answer in [admin_reload(&gateway).await, gateway.ask(&seed_reload("ada")).await] {
        assert_eq!(answer.status, 422, "{}", answer.text());
        let faults = answer.json()["detail"].clone();
        let faults = faults.as_array().unwrap();
        for part in
            ["bob.json", "dan.json", "client_id", "requests_per_minute", "gateway.toml", "no_such_key"]
        {
            let names_it = |fault: &Value| fault["msg"].as_str().unwrap().contains(part);
            assert!(faults.iter().any(names_it), "no fault names {part}: {faults:?}");
        }
        for fault in faults {
            assert!(fault["type"].is_string() && fault["loc"].is_array(), "{fault}");
        }
    }
    assert_eq!(gateway.chat("bob", "hi").await.status, 200, "the old set stays, whole");
    assert_eq!(gateway.chat("cyd", "hi").await.status, 401);
    assert_eq!(gateway.chat("ada", "hi").await.header("x-ratelimit-limit-requests"), Some("5"));

    edit_toml(&gateway, |toml| toml.replace("no_such_key = 1", ""));
    gateway.write_client("bob", &json!({}));
    std::fs::remove_file(clients.join("dan.json")).unwrap();
    let report = reloaded(&gateway).await;
    assert_eq!((&report["generation"], &report["added"]), (&json!(2), &json!(["cyd"])));
    assert_eq!(gateway.chat("ada", "hi").await.header("x-ratelimit-limit-requests"), Some("1000"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn changed_limits_reach_the_live_limiter_and_its_counters_are_kept() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::text("yes").tokens(7, 3));
    let gateway = TestGateway::with(&upstream)
        .client("ada", limited(json!({"requests_per_minute": 5, "tokens_per_day": 100_000})))
        .start()
        .await;
    for _ in 0..5 {
        assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    }
    assert_eq!(gateway.chat("ada", "hi").await.status, 429);

    gateway.write_client("ada", &limited(json!({"requests_per_minute": 6, "tokens_per_day": 200_000})));
    assert_eq!(reloaded(&gateway).await["changed"], json!(["ada"]));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining-requests")), (200, Some("0")));
    let view = gateway.limits("ada").await;
    assert_eq!((view.tokens_per_day.unwrap().max, view.tokens_per_day.unwrap().used), (200_000, 60));

    // Lower than what was used, then none at all.
    gateway.write_client("ada", &limited(json!({"requests_per_minute": 2})));
    reloaded(&gateway).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 429);
    gateway.write_client("ada", &json!({}));
    reloaded(&gateway).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_client_that_leaves_and_comes_back_finds_its_counters_and_its_new_limits() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", limited(json!({"requests_per_minute": 9}))).start().await;
    for _ in 0..3 {
        assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    }
    std::fs::remove_file(gateway.folder().join("clients/ada.json")).unwrap();
    assert_eq!(reloaded(&gateway).await["removed"], json!(["ada"]));
    gateway.write_client("ada", &limited(json!({"requests_per_minute": 4})));
    assert_eq!(reloaded(&gateway).await["added"], json!(["ada"]));
    let answer = gateway.chat("ada", "hi").await;
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("4"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(gateway.chat("ada", "hi").await.status, 429);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_removed_or_disabled_clients_next_request_is_401_and_its_running_stream_goes_on() {
    let upstream = FakeUpstream::start().await;
    let gateway =
        TestGateway::with(&upstream).client("ada", json!({})).client("bob", json!({})).start().await;
    for client in ["ada", "bob"] {
        upstream.script(Reply::stream(["a", "b", "c", "d"]).gap(Duration::from_millis(40)));
        let mut stream = gateway.stream(client, "go on").await;
        match client {
            "ada" => std::fs::remove_file(gateway.folder().join("clients/ada.json")).unwrap(),
            _ => gateway.write_client("bob", &json!({"disabled": true})),
        }
        reloaded(&gateway).await;
        let refused = gateway.chat(client, "hi").await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!("invalid_api_key")));
        let mut rest = Vec::new();
        while let Some(message) = stream.next_message().await {
            rest.push(message);
        }
        assert_eq!(rest.last().map(String::as_str), Some("[DONE]"), "{rest:?}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_env_file_and_the_providers_are_read_again() {
    let (upstream, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let at_extra =
        chat_with("ada", json!({"model": "extra/m", "messages": [{"role": "user", "content": "hi"}]}));
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    assert_eq!(gateway.ask(&at_extra).await.status, 404, "no pattern of ours crosses the `/`");

    let env = gateway.folder().join(".env");
    replace(&env, "TEST_KEY=sk-rotated\nEXTRA_KEY=sk-extra\n");
    edit_toml(&gateway, |toml| {
        let extra = format!(
            "[providers.extra]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"EXTRA_KEY\"\nmodels = [\"extra/*\"]\n",
            other.base_url()
        );
        format!("{toml}\n{extra}").replace("models = [\"*\"]", "models = [\"gpt-*\"]")
    });
    assert_eq!(reloaded(&gateway).await["needs_restart"], json!([]));
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    let seen = upstream.request(upstream.requests() - 1);
    assert_eq!(seen.header("authorization"), Some("Bearer sk-rotated"));
    assert_eq!(gateway.ask(&at_extra).await.status, 200);
    assert_eq!(other.request(0).header("authorization"), Some("Bearer sk-extra"));
    let names = gateway.admin("/admin/providers").await;
    assert!(
        names["providers"].as_array().unwrap().iter().any(|provider| provider["name"] == "extra"),
        "{names}"
    );

    // And taken away again.
    edit_toml(&gateway, |toml| toml.split("[providers.extra]").next().unwrap().to_owned());
    reloaded(&gateway).await;
    assert_eq!(gateway.ask(&at_extra).await.status, 404);
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_everything_else_holds() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    edit_toml(&gateway, |toml| {
        format!("{toml}\n[server]\nmax_in_flight = 7\nmax_body_bytes = 300\n[ledger]\nkeep_days = 3\n")
    });
    replace(&gateway.folder().join(".env"), "TEST_KEY=k\nGATEWAY_ADMIN_TOKEN=another-token-0123456789\n");
    let report = reloaded(&gateway).await;
    assert_eq!(report["needs_restart"], json!(["server.max_in_flight", "ledger", "GATEWAY_ADMIN_TOKEN"]));
    assert_eq!(
        report["settings"],
        json!(["server", "ledger", "providers", "GATEWAY_ADMIN_TOKEN"]),
        "with the key"
    );
    assert_eq!(gateway.chat("ada", &"long ".repeat(100)).await.status, 413, "a new bound holds at once");
    let again = reloaded(&gateway).await;
    assert_eq!(again["needs_restart"], report["needs_restart"], "the old token is still the one");
    assert_eq!(again["settings"], json!([]), "and nothing has changed since");

    edit_toml(&gateway, |toml| toml.replace("keep_days = 3", "keep_days = \"three\""));
    assert_eq!(admin_reload(&gateway).await.status, 422);
    let waiting = gateway.admin("/admin/health").await["last_reload"]["needs_restart"].clone();
    assert_eq!(waiting, report["needs_restart"], "a reload that fails takes nothing back");

    edit_toml(&gateway, |toml| toml.replace("[ledger]\nkeep_days = \"three\"\n", ""));
    let back = reloaded(&gateway).await;
    assert_eq!(back["needs_restart"], json!(["server.max_in_flight", "GATEWAY_ADMIN_TOKEN"]));
    gateway.ends_quiet().await;
}

/// Each call finds what was written before it, whoever reloads at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_is_answered_only_by_a_reading_that_began_after_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let adds_and_asks = |n: usize| {
        let gateway = &gateway;
        async move {
            let id = format!("client-{n}");
            for round in 1..=3 {
                gateway.write_client(&id, &limited(json!({"requests_per_minute": 100 * round})));
                let answer = if n.is_multiple_of(2) {
                    admin_reload(gateway).await
                } else {
                    gateway.ask(&seed_reload("ada")).await
                };
                assert_eq!(answer.status, 200, "{}", answer.text());
                let answer = gateway.chat(&id, "hi").await;
                assert_eq!(answer.status, 200, "{id} exists once its reload was answered");
                let limit = answer.header("x-ratelimit-limit-requests").unwrap().parse::<i32>().unwrap();
                assert_eq!(limit, 100 * round, "{id} has the limits that were written before its reload");
            }
        }
    };
    join_all((0..20).map(adds_and_asks)).await;
    let generation = reloaded(&gateway).await["generation"].as_u64().unwrap();
    assert!(generation <= 62, "calls that came meanwhile share a reading: {generation}");
    gateway.ends_quiet().await;
}

/// Nor does a reload begin while another one runs, whoever asked for that and has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_in_the_middle_of_a_reload_neither_stops_it_nor_lets_another_pass_it() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for round in 1..=60_u64 {
        let mut leaves = gateway.connect().await;
        leaves.send(&seed_reload("ada")).await;
        gateway.write_client("ada", &limited(json!({"requests_per_minute": 1_000 + round})));
        leaves.reset();
        reloaded(&gateway).await;
        let limit = gateway.limits("ada").await.requests_per_minute.unwrap().max;
        assert_eq!(limit, 1_000 + round, "the last set that was written is in force");
    }
    gateway.ends_quiet().await;
}

/// Asks until told to stop; every answer must be a success.
async fn never_fails(gateway: &TestGateway, request: &Request, stop: &AtomicBool) -> u64 {
    let mut connection = gateway.connect().await;
    let mut answered = 0;
    while !stop.load(Ordering::Acquire) {
        let answer = connection.ask(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let stream = answer.chat_stream();
        assert!(answer.complete && stream.errors.is_empty(), "{}", answer.text());
        answered += 1;
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request() {
    let (one, two) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let limits = |round: u64| {
        limited(json!({"requests_per_minute": 100_000 + round, "concurrent_requests": 100 + round}))
    };
    let gateway = TestGateway::with(&one).client("ada", limits(0)).client("bob", limits(0)).start().await;
    let stop = AtomicBool::new(false);
    let generate = Request::post("/api/v1/generate").header("authorization", "Bearer key-bob");
    let generate = generate.json(&json!({"prompt": "hi", "model": "gpt-test"}));
    let reloads = async {
        for round in 1..=40_u64 {
            gateway.write_client("ada", &limits(round));
            gateway.write_client("bob", &limits(2 * round));
            gateway.write_client(&format!("new-{round}"), &json!({}));
            let (from, to) = if round % 2 == 0 { (&two, &one) } else { (&one, &two) };
            edit_toml(&gateway, |toml| toml.replace(&from.base_url(), &to.base_url()));
            let report = reloaded(&gateway).await;
            assert_eq!(report["changed"], json!(["ada", "bob"]));
        }
        stop.store(true, Ordering::Release);
    };
    let (chat, stream) = (chat_request("ada", "hi", false), chat_request("bob", "hi there", true));
    let (.., of_ada, of_bob, seed) = tokio::join!(
        reloads,
        never_fails(&gateway, &chat, &stop),
        never_fails(&gateway, &stream, &stop),
        never_fails(&gateway, &generate, &stop),
    );
    assert!(one.requests() > 0 && two.requests() > 0, "both addresses were called");
    gateway.is_quiet().await;
    assert_eq!(gateway.limits("ada").await.requests_per_minute.unwrap().used, of_ada);
    assert_eq!(gateway.limits("bob").await.requests_per_minute.unwrap().used, of_bob + seed);
    gateway.ends_quiet().await;
}

/// A request is judged by one set from its beginning to its end, its client's part and the providers' alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_to_a_new_provider_with_a_reload_never_meets_half_of_it() {
    let upstream = FakeUpstream::start().await;
    let provider = |name: &str| {
        let base_url = upstream.base_url();
        format!(
            "[providers.{name}]\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key_env = \"TEST_KEY\"\ndefault_model = \"m-{name}\"\n"
        )
    };
    let home = |name: &str| json!({"default_provider": name, "allowed_providers": [name]});
    let gateway = TestGateway::with(&upstream).client("ada", home("home0")).start().await;
    edit_toml(&gateway, |toml| format!("{toml}\n{}", provider("home0")));
    reloaded(&gateway).await;
    let stop = AtomicBool::new(false);
    let reloads = async {
        for round in 1..=40_u32 {
            let (from, to) = (format!("home{}", round - 1), format!("home{round}"));
            gateway.write_client("ada", &home(&to));
            edit_toml(&gateway, |toml| toml.replace(&provider(&from), &provider(&to)));
            reloaded(&gateway).await;
        }
        stop.store(true, Ordering::Release);
    };
    let generate = Request::post("/api/v1/generate").header("authorization", "Bearer key-ada");
    let generate = generate.json(&json!({"prompt": "hi"}));
    let askers = join_all((0..4).map(|_| never_fails(&gateway, &generate, &stop)));
    tokio::join!(reloads, askers);
    gateway.ends_quiet().await;
}

/// An operator's reload that meets a dying actor succeeds, or is told to come again; never half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_survives_the_death_of_the_actors_that_it_tells() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    for (n, actor) in ["ClientRegistry", "Providers", "ClientRegistry", "Providers"].into_iter().enumerate() {
        let id = format!("client-{n}");
        gateway.write_client(&id, &json!({}));
        let node = gateway.actor(actor);
        gateway.until("its mailbox is empty", || node.gate().depth() == 0).await;
        node.panic_on_next_message();
        let report = reloaded(&gateway).await;
        assert_eq!(report["added"], json!([id]), "{actor}");
        assert_eq!(gateway.chat(&id, "hi").await.status, 200);
    }
    gateway.ends_quiet().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reloads_without_one_failed_request_and_a_broken_file_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let folder = TestGateway::with(&upstream).client("ada", json!({})).write();
    let clients = folder.path().join("clients");
    let mut program = Program::start(folder.path()).await;
    let chat = |client: &str| chat_request(client, "hi", false);
    assert_eq!(program.ask(&chat("bob")).await.status, 401);

    gateway_testkit::test_gateway::write_client(folder.path(), "bob", &json!({}));
    program.signal("HUP");
    let mut connection = program.connect().await;
    while program.ask(&chat("bob")).await.status != 200 {
        assert_eq!(connection.ask(&chat("ada")).await.status, 200);
    }

    let told = |program: &mut Program, words: &[&str]| {
        program.log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    let reloaded = ["configuration reloaded", "by=\"SIGHUP\"", "added=\"bob\"", "generation=2"];
    assert_eq!(told(&mut program, &reloaded), 1, "{}", program.log());

    gateway_testkit::test_gateway::write_client(
        folder.path(),
        "bob",
        &json!({"name": "Robert", "nam": "Bob"}),
    );
    let toml = std::fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    replace(&folder.path().join("gateway.toml"), &format!("{toml}\n[ledger]\nkeep_days = 3\n"));
    for generation in 3..=4 {
        program.signal("HUP");
        let next = format!("generation={generation}");
        program.until("the reload", |program| told(program, &["configuration reloaded", &next]) == 1).await;
    }
    let changed = ["generation=3", "changed=\"bob\"", "settings=\"ledger\""];
    assert_eq!(told(&mut program, &changed), 1, "{}", program.log());
    for new in [
        ["WARN", "bob.json:1:", "nam: unknown member"],
        ["WARN", "only after a restart", "settings=\"ledger\""],
    ] {
        program.until("the warning", |program| told(program, &new) > 0).await;
        assert_eq!(told(&mut program, &new), 1, "once, and not at each reload: {}", program.log());
    }

    replace(&clients.join("cyd.json"), "{");
    program.signal("HUP");
    program.until("the log to tell of the fault", |program| program.log().contains("cyd.json")).await;
    for client in ["ada", "bob"] {
        assert_eq!(connection.ask(&chat(client)).await.status, 200);
    }
    program.signal("TERM");
    assert_eq!(program.ended().await, 0, "{}", program.log());
}
