//! Actors die while requests and streams run: they come back, the numbers are right, and callers see answers,
//! or the one 503 that says when to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway_actors::Ended;
use gateway_actors::tree::Node;
use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request};
use serde_json::{Value, json};

/// Every actor below the root while `ada` is active, apart from the echo provider's.
const ACTORS: [&str; 7] = [
    "Ledger",
    "ClientRegistry",
    "Clients",
    "RateLimiter ada",
    "Providers",
    "ProviderPool openai",
    "Provider openai/0",
];

/// Those that hold a job on its way.
const ON_THE_WAY: [&str; 4] =
    ["ClientRegistry", "RateLimiter ada", "ProviderPool openai", "Provider openai/0"];

fn limits() -> Value {
    json!({"rate_limit": {
        "requests_per_minute": 100_000, "tokens_per_day": 100_000_000, "concurrent_requests": 8
    }})
}

/// Two clients; every answer is billed as 10 tokens.
async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    upstream.always(Reply::text("yes").tokens(7, 3));
    TestGateway::with(upstream).client("ada", limits()).client("bob", limits()).start().await
}

fn generate(client: &str) -> Request {
    Request::post("/api/v1/generate")
        .header("authorization", &format!("Bearer key-{client}"))
        .json(&json!({"prompt": "hi", "model": "gpt-test", "max_tokens": 10}))
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Panic,
}

/// Has an actor fail; one that panics does so at its next message.
fn inject(node: &Node, fault: Fault) {
    match fault {
        Fault::Kill => node.cell().expect("it runs").kill(),
        Fault::Panic => node.panic_on_next_message(),
    }
}

async fn has_come_back(gateway: &TestGateway, node: &Node, restarts: u32) {
    gateway
        .until(&format!("{} to come back", node.name()), || {
            node.restarts() >= restarts && node.cell().is_some()
        })
        .await;
}

/// The contract's 503, in OpenAI's shape.
fn assert_is_overloaded(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let error = answer.json()["error"].clone();
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("overloaded")), "{error}");
    let after: u64 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    let after_ms: u64 = answer.header("retry-after-ms").expect("retry-after-ms").parse().unwrap();
    assert!(after >= 1 && after == after_ms.div_ceil(1000), "{after} s, {after_ms} ms");
}

/// Asks again and again until told to stop. Gives how many answers there were; each must be a 200, or the 503 if
/// that is allowed.
async fn goes_on_asking(gateway: &TestGateway, client: &str, stop: &AtomicBool, may_be_503: bool) -> u64 {
    let mut connection = gateway.connect().await;
    let mut answered = 0;
    while !stop.load(Ordering::Acquire) {
        let answer = connection.ask(&chat_request(client, "hi", answered % 2 == 0)).await;
        match answer.status {
            200 => answered += 1,
            _ if may_be_503 => assert_is_overloaded(&answer),
            status => panic!("{client} saw a {status}: {}", answer.text()),
        }
    }
    answered
}

async fn used(gateway: &TestGateway, client: &str) -> (u64, u64, u64) {
    let view = gateway.limits(client).await;
    let day = view.tokens_per_day.unwrap();
    (day.used, day.reserved, view.requests_per_minute.unwrap().used)
}

/// The text of a stream that was opened before, read to its end, which must be a proper one.
async fn whole_text(mut stream: RawClient) -> String {
    let mut text = String::new();
    loop {
        let data = stream.next_message().await.expect("a stream ends with its terminal event");
        if data == "[DONE]" {
            return text;
        }
        let chunk: Value = serde_json::from_str(&data).expect("a chunk");
        assert!(chunk["error"].is_null(), "{chunk}");
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or(""));
    }
}

/// The node of that name in `/admin/tree`.
async fn node_in_tree(gateway: &TestGateway, name: &str) -> Value {
    fn find(nodes: &Value, name: &str) -> Option<Value> {
        let nodes = nodes.as_array()?;
        nodes.iter().find_map(|node| {
            if node["name"] == name { Some(node.clone()) } else { find(&node["children"], name) }
        })
    }
    let tree = gateway.admin("/admin/tree").await;
    find(&tree["tree"], name).unwrap_or_else(|| panic!("no {name} in {tree}"))
}

#[tokio::test]
async fn the_live_tree_is_the_one_that_is_documented() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    let root = node_in_tree(&gateway, "Gateway").await;
    let below = |node: &Value| -> Vec<(String, String)> {
        let word = |node: &Value, key: &str| node[key].as_str().unwrap().to_owned();
        node["children"]
            .as_array()
            .unwrap()
            .iter()
            .map(|child| (word(child, "name"), word(child, "kind")))
            .collect()
    };
    let named = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
    };
    let children = [
        ("ClientRegistry", "ClientRegistry"),
        ("Clients", "ClientsSupervisor"),
        ("Ledger", "Ledger"),
        ("Providers", "ProvidersSupervisor"),
    ];
    assert_eq!(below(&root), named(&children));
    assert_eq!(below(&node_in_tree(&gateway, "Clients").await), named(&[("RateLimiter ada", "RateLimiter")]));
    let pools = [("ProviderPool echo", "ProviderPool"), ("ProviderPool openai", "ProviderPool")];
    assert_eq!(below(&node_in_tree(&gateway, "Providers").await), named(&pools));
    let keys = [("Provider openai/0", "Provider")];
    assert_eq!(below(&node_in_tree(&gateway, "ProviderPool openai").await), named(&keys));
    for actor in ACTORS {
        let node = node_in_tree(&gateway, actor).await;
        assert_eq!((&node["state"], &node["restarts"]), (&json!("running"), &json!(0)), "{node}");
        assert!(node["mailbox"]["depth"].as_u64() < node["mailbox"]["max"].as_u64(), "{node}");
        assert!(node["age_ms"].is_u64(), "{node}");
    }
    gateway.ends_quiet().await;
}

/// The whole promise, for each actor and both ways to die.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_actor_may_die_while_requests_and_streams_run() {
    for fault in [Fault::Kill, Fault::Panic] {
        for actor in ACTORS {
            let upstream = FakeUpstream::start().await;
            let gateway = gateway(&upstream).await;
            upstream.script(
                Reply::stream(["a", "b", "c", "d", "e", "f"]).gap(Duration::from_millis(15)).tokens(7, 6),
            );
            let stream = gateway.stream("ada", "go on").await;
            let node = gateway.actor(actor);
            let (of_ada, of_bob) = dies_under_load(&gateway, &node, fault).await;

            assert_eq!(whole_text(stream).await, "abcdef", "{actor}, {fault:?}");
            gateway.is_quiet().await;
            assert_eq!(used(&gateway, "ada").await, (10 * of_ada + 13, 0, of_ada + 1), "{actor}, {fault:?}");
            assert_eq!(used(&gateway, "bob").await, (10 * of_bob, 0, of_bob), "{actor}, {fault:?}");
            let billed = upstream.billed_total().total();
            assert_eq!(billed, 10 * (of_ada + of_bob) + 13, "what was billed is what was booked");
            assert_eq!(node_in_tree(&gateway, actor).await["restarts"], 1);
            gateway.ends_quiet().await;
        }
    }
}

/// Two clients ask without a pause while the actor dies and comes back; how many answers each got.
async fn dies_under_load(gateway: &TestGateway, node: &Node, fault: Fault) -> (u64, u64) {
    let stop = AtomicBool::new(false);
    // A client has a limiter of its own; all else is shared.
    let only_adas = node.name() == "RateLimiter ada";
    let dies = async {
        gateway
            .until("both clients are at work", || {
                gateway.front().gateway.shared().tree().find("RateLimiter bob").is_some()
            })
            .await;
        inject(node, fault);
        // A supervisor that is told nothing takes up no message; these two have it told something.
        let _ = gateway.admin("/admin/providers").await;
        has_come_back(gateway, node, 1).await;
        // The next requests find it back.
        for client in ["ada", "bob"] {
            answered_in_the_end(gateway, client).await;
        }
        stop.store(true, Ordering::Release);
    };
    let (of_ada, of_bob, ()) = tokio::join!(
        goes_on_asking(gateway, "ada", &stop, true),
        goes_on_asking(gateway, "bob", &stop, !only_adas),
        dies,
    );
    (of_ada + 1, of_bob + 1)
}

/// As SDKs do it: a 503 is asked again.
async fn answered_in_the_end(gateway: &TestGateway, client: &str) {
    loop {
        let answer = gateway.chat(client, "hi").await;
        if answer.status == 200 {
            return;
        }
        assert_is_overloaded(&answer);
    }
}

/// A message that makes its actor panic is lost with it, and the caller inside is told.
#[tokio::test]
async fn the_caller_inside_a_dying_actor_gets_the_503_and_loses_nothing() {
    for actor in ON_THE_WAY {
        let upstream = FakeUpstream::start().await;
        let gateway = gateway(&upstream).await;
        assert_eq!(gateway.chat("ada", "hi").await.status, 200);
        gateway.is_quiet().await;
        let node = gateway.actor(actor);
        let requests = [chat_request("ada", "hi", false), chat_request("ada", "hi", true), generate("ada")];
        let mut served = 1;
        let mut refused = 0;
        while let Some(request) = requests.get(refused) {
            // What the last answer left behind has been taken up, so that the next message is the job; or, now and
            // then, a notice of another actor's, whose loss no caller sees.
            gateway.until("its mailbox is empty", || node.gate().depth() == 0).await;
            let restarts = node.restarts();
            node.panic_on_next_message();
            let answer = gateway.ask(request).await;
            match answer.status {
                200 => served += 1,
                _ if refused < 2 => assert_is_overloaded(&answer),
                _ => {
                    assert_eq!(answer.status, 503);
                    assert!(answer.json()["detail"].is_string() && answer.header("retry-after").is_some());
                }
            }
            refused += usize::from(answer.status == 503);
            has_come_back(&gateway, &node, restarts + 1).await;
        }
        assert_eq!(upstream.requests(), served, "{actor}: nothing was sent for the others");
        gateway.is_quiet().await;
        let served = u64::try_from(served).unwrap();
        let (tokens, reserved, requests) = used(&gateway, "ada").await;
        assert_eq!((tokens, reserved), (10 * served, 0), "{actor}");
        assert_eq!(requests, served, "{actor}: a 503 gives its request back");
        assert_eq!(gateway.chat("ada", "hi").await.status, 200);
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_limiter_that_dies_gets_its_numbers_back_with_what_is_open() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    for _ in 0..5 {
        assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    }
    upstream.script(Reply::stream(["one", "two"]).stall_after(1));
    let stream = gateway.stream("ada", "hi").await;
    let node = gateway.actor("RateLimiter ada");
    let before = gateway.limits("ada").await;
    for (n, fault) in (1..).zip([Fault::Kill, Fault::Panic, Fault::Kill]) {
        gateway.until("its mailbox is empty", || node.gate().depth() == 0).await;
        inject(&node, fault);
        if matches!(fault, Fault::Panic) {
            assert_is_overloaded(&gateway.chat("ada", "hi").await);
        }
        has_come_back(&gateway, &node, n).await;
        let after = gateway.limits("ada").await;
        assert_eq!(after.tokens_per_day.unwrap().used, 50);
        assert_eq!(after.tokens_per_day.unwrap().reserved, before.tokens_per_day.unwrap().reserved);
        assert_eq!((after.requests_per_minute.unwrap().used, after.in_flight), (6, 1));
    }
    stream.hang_up();
    gateway.is_quiet().await;
    let (tokens, reserved, requests) = used(&gateway, "ada").await;
    assert!(tokens > 50 && reserved == 0 && requests == 6, "{tokens}, {reserved}, {requests}");
    gateway.ends_quiet().await;
}

/// The stream ends, and its limiter dies, at the same time: the settlement may be lost with the mailbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_that_meets_a_dying_limiter_is_not_lost() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    let node = gateway.actor("RateLimiter ada");
    for round in 1..=5 {
        upstream.script(Reply::stream(["one", "two"]).stall_after(1).tokens(7, 3));
        let stream = gateway.stream("ada", "hi").await;
        stream.hang_up();
        node.cell().expect("it runs").kill();
        gateway.is_quiet().await;
        has_come_back(&gateway, &node, round).await;
        let (tokens, reserved, requests) = used(&gateway, "ada").await;
        assert!(tokens > 0 && reserved == 0, "{tokens}, {reserved}");
        assert_eq!(requests, u64::from(round) + 1);
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_limiter_that_keeps_failing_rests_longer_each_time_and_then_switches_its_client_off_alone() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    for client in ["ada", "bob"] {
        assert_eq!(gateway.chat(client, "hi").await.status, 200);
    }
    let node = gateway.actor("RateLimiter ada");
    for restarts in 1..=5 {
        node.cell().expect("it runs").kill();
        // A job that comes while it rests waits for it, or was inside.
        answered_in_the_end(&gateway, "ada").await;
        has_come_back(&gateway, &node, restarts).await;
    }
    node.cell().expect("it runs").kill();
    gateway.until("it is given up", || node.cell().is_none()).await;
    let refused = loop {
        let refused = gateway.chat("ada", "hi").await;
        assert_is_overloaded(&refused);
        // The one that met its end gets the short time.
        if refused.header("retry-after") != Some("1") {
            break refused;
        }
    };
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&after), "{after}");
    let node = node_in_tree(&gateway, "RateLimiter ada").await;
    assert_eq!((&node["state"], &node["restarts"]), (&json!("off"), &json!(5)));
    assert!(node["reason"].as_str().unwrap().contains("failed too often"), "{node}");
    for _ in 0..10 {
        assert_eq!(gateway.chat("bob", "hi").await.status, 200, "others are not concerned");
    }
    // A registry that dies meanwhile learns of it when it is back.
    let registry = gateway.actor("ClientRegistry");
    registry.cell().expect("it runs").kill();
    has_come_back(&gateway, &registry, 1).await;
    let asked = Instant::now();
    let refused = gateway.chat("ada", "hi").await;
    assert_is_overloaded(&refused);
    assert!(asked.elapsed() < Duration::from_secs(5), "told at once: {:?}", asked.elapsed());
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((20..=30).contains(&after), "{after}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_provider_and_a_pool_that_keep_failing_rest_and_never_take_the_gateway_along() {
    for actor in ["Provider openai/0", "ProviderPool openai"] {
        let upstream = FakeUpstream::start().await;
        let gateway = gateway(&upstream).await;
        let node = gateway.actor(actor);
        for restarts in 1..=4 {
            node.cell().expect("it runs").kill();
            answered_in_the_end(&gateway, "ada").await;
            has_come_back(&gateway, &node, restarts).await;
        }
        assert_eq!(node_in_tree(&gateway, "Gateway").await["state"], "running");
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn actors_that_end_with_their_supervisor_are_not_shown_as_running() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.actor("Clients").cell().expect("it runs").kill();
    has_come_back(&gateway, &gateway.actor("Clients"), 1).await;
    // Its limiters start again when their clients ask.
    assert_eq!(node_in_tree(&gateway, "RateLimiter ada").await["state"], "stopped");
    answered_in_the_end(&gateway, "ada").await;
    let limiter = node_in_tree(&gateway, "RateLimiter ada").await;
    assert_eq!(
        (&limiter["state"], &limiter["restarts"]),
        (&json!("running"), &json!(0)),
        "it did not fail itself"
    );
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn too_many_failures_below_the_root_end_the_gateway() {
    for actor in ["Ledger", "ClientRegistry", "Clients", "Providers"] {
        let upstream = FakeUpstream::start().await;
        let gateway = gateway(&upstream).await;
        let node = gateway.actor(actor);
        for restarts in 1..=5 {
            node.cell().expect("it runs").kill();
            has_come_back(&gateway, &node, restarts).await;
            answered_in_the_end(&gateway, "ada").await;
        }
        node.cell().expect("it runs").kill();
        assert_eq!(gateway.ended().await, Ended::Escalated, "{actor}");
    }
}

#[tokio::test]
async fn a_root_that_dies_ends_the_gateway() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    gateway.actor("Gateway").cell().expect("it runs").kill();
    assert_eq!(gateway.ended().await, Ended::Escalated);
}

/// Its gate is filled from outside, as if thousands of messages waited.
#[tokio::test]
async fn a_full_mailbox_refuses_at_once_and_a_settlement_passes_it() {
    for actor in ["Gateway", "ClientRegistry", "RateLimiter ada", "ProviderPool openai", "Provider openai/0"]
    {
        let upstream = FakeUpstream::start().await;
        let gateway = gateway(&upstream).await;
        upstream.script(Reply::stream(["one", "two"]).stall_after(1));
        let stream = gateway.stream("ada", "hi").await;
        let gate = Arc::clone(gateway.actor(actor).gate());
        let passes: Vec<_> = std::iter::from_fn(|| gate.enter()).collect();
        assert_eq!(passes.len(), gate.max());
        assert_eq!(node_in_tree(&gateway, actor).await["mailbox"]["depth"], gate.max());

        assert_is_overloaded(&gateway.chat("ada", "hi").await);
        stream.hang_up();
        gateway.is_quiet().await;
        drop(passes);
        assert_eq!(gateway.chat("ada", "hi").await.status, 200, "{actor}");
        assert_eq!(gateway.limits("ada").await.requests_per_minute.unwrap().used, 2, "{actor}");
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn operators_are_answered_while_actors_die() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway(&upstream).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    let token = format!("Bearer {}", gateway.admin_token());
    for actor in ["ClientRegistry", "RateLimiter ada", "Providers", "Clients"] {
        gateway.actor(actor).panic_on_next_message();
        let node = gateway.actor(actor);
        let restarts = node.restarts() + 1;
        for path in ["/admin/tree", "/admin/clients", "/admin/clients/ada", "/admin/providers"] {
            let answer = gateway.ask(&Request::get(path).header("authorization", &token)).await;
            match answer.status {
                200 => assert!(answer.json().is_object()),
                503 => assert!(answer.header("retry-after").is_some()),
                status => panic!("{path} while {actor} dies: {status}"),
            }
        }
        has_come_back(&gateway, &node, restarts).await;
    }
    gateway.ends_quiet().await;
}
