//! The tree without HTTP: what callers see and what is recovered when any of its actors dies.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use gateway_actors::client::Client;
use gateway_actors::{
    Ask, Booking, ClientId, ClientTable, Dispatch, Ended, Ending, Endpoint, GatewayHandle, KeySettings,
    Limits, PoolSettings, Refusal, Refused, RootEnded, Target, Usage, start,
};
use gateway_limits::{DenyReason, LimitName};

fn id(id: &str) -> ClientId {
    ClientId::parse(id).unwrap()
}

fn client(name: &str, limits: Limits) -> Client {
    Client { limits, ..Client::new(id(name)) }
}

fn pool() -> PoolSettings {
    PoolSettings::with_key(Endpoint::new("openai", "0", "http://127.0.0.1:9"))
}

async fn tree(clients: Vec<Client>, pool: PoolSettings) -> (GatewayHandle, RootEnded) {
    start(ClientTable::new(1, clients), vec![pool]).await.unwrap()
}

async fn admit(gateway: &GatewayHandle, client: &str, tokens: u64) -> Result<Dispatch, Refused> {
    let target = Target { provider: "openai".into(), model: "m".into() };
    gateway.admit(id(client), Ask::from(tokens), target).await
}

/// Admits, trying again while an actor restarts, as SDKs do.
async fn admit_patiently(gateway: &GatewayHandle, client: &str, tokens: u64) -> Dispatch {
    loop {
        match admit(gateway, client, tokens).await {
            Ok(dispatch) => return dispatch,
            Err(Refused { refusal: Refusal::Restarting { .. }, .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("refused for another reason: {other:?}"),
        }
    }
}

async fn until(holds: impl Fn() -> bool) {
    let poll = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.expect("the condition holds in time");
}

fn kill(gateway: &GatewayHandle, actor: &str) {
    gateway.shared().tree().find(actor).unwrap().cell().unwrap().kill();
}

async fn used_today(gateway: &GatewayHandle, client: &str) -> (u64, u64) {
    let meter = gateway.inspect(id(client)).await.unwrap().tokens_per_day.unwrap();
    (meter.used, meter.reserved)
}

fn day(tokens: u64) -> Limits {
    Limits { tokens_per_day: Some(tokens), ..Limits::default() }
}

async fn ends_quiet(gateway: GatewayHandle, mut ended: RootEnded) {
    until(|| gateway.shared().open_admissions().is_empty() && gateway.shared().calls_in_flight() == 0).await;
    gateway.stop().await;
    assert_eq!(ended.wait().await, Ended::Stopped);
}

#[tokio::test]
async fn a_job_comes_back_as_a_dispatch_for_its_target() {
    let (gateway, ended) = tree(vec![client("ada", day(1_000))], pool()).await;
    let dispatch = admit(&gateway, "ada", 400).await.unwrap();
    assert_eq!(&*dispatch.lease.endpoint().provider, "openai");
    assert_eq!(dispatch.limits.unwrap().tokens_per_day.unwrap().remaining, 600);
    assert_eq!(used_today(&gateway, "ada").await, (0, 400));
    dispatch.admission.settle(Booking::counted(Usage { output: 150, ..Usage::default() }));
    drop(dispatch.lease);
    assert_eq!(used_today(&gateway, "ada").await, (150, 0));
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn an_admission_that_is_dropped_gives_everything_back() {
    let limits = Limits { requests_per_minute: Some(1), concurrent_requests: Some(1), ..day(1_000) };
    let (gateway, ended) = tree(vec![client("ada", limits)], pool()).await;
    for _ in 0..100 {
        drop(admit(&gateway, "ada", 1_000).await.unwrap());
    }
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn a_call_whose_task_panics_is_settled_once_to_what_it_said_last() {
    let limits = Limits { concurrent_requests: Some(1), ..day(1_000) };
    let (gateway, ended) = tree(vec![client("ada", limits)], pool()).await;
    for used in [40, 80, 120] {
        let mut dispatch = admit_patiently(&gateway, "ada", 500).await;
        let usage = Usage { input: 40, ..Usage::default() };
        let call = tokio::spawn(async move {
            dispatch.admission.if_dropped(Booking { ending: Ending::Left, ..Booking::counted(usage) });
            panic!("a fault in the middle of a call");
        });
        assert!(call.await.unwrap_err().is_panic());
        assert_eq!(used_today(&gateway, "ada").await, (used, 0));
    }
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn an_unknown_and_a_disabled_client_are_refused() {
    let disabled = Client { disabled: true, ..client("bob", Limits::default()) };
    let (gateway, ended) = tree(vec![disabled], pool()).await;
    for name in ["bob", "eve"] {
        let refused = admit(&gateway, name, 1).await.unwrap_err();
        assert_eq!(refused.refusal, Refusal::UnknownClient { client: id(name) });
    }
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn a_target_without_a_pool_is_refused_and_costs_nothing() {
    let (gateway, ended) = tree(vec![client("ada", day(1_000))], pool()).await;
    let target = Target { provider: "nobody".into(), model: "m".into() };
    let refused = gateway.admit(id("ada"), Ask::from(10), target).await.unwrap_err();
    assert_eq!(refused.refusal, Refusal::NoProvider { provider: "nobody".to_owned() });
    assert_eq!(used_today(&gateway, "ada").await, (0, 0));
    ends_quiet(gateway, ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_at_once_never_pass_a_limit() {
    let limits = Limits { requests_per_minute: Some(100), ..day(5_000) };
    let (gateway, ended) = tree(vec![client("ada", limits)], pool()).await;
    let callers = (0..1_000).map(|_| {
        let gateway = gateway.clone();
        tokio::spawn(async move { admit(&gateway, "ada", 100).await })
    });
    let mut admitted = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        match caller.await.unwrap() {
            Ok(dispatch) => admitted.push(dispatch),
            Err(refused) => assert!(matches!(refused.refusal, Refusal::LimitReached(_))),
        }
    }
    assert_eq!(admitted.len(), 50, "5,000 tokens a day are 50 calls of 100");
    assert_eq!(used_today(&gateway, "ada").await, (0, 5_000));
    drop(admitted);
    ends_quiet(gateway, ended).await;
}

/// The numbers come back from the ledger, the reservations that are open included.
#[tokio::test]
async fn a_killed_limiter_comes_back_with_its_numbers() {
    let limits = Limits { requests_per_minute: Some(10), concurrent_requests: Some(3), ..day(1_000) };
    let (gateway, ended) = tree(vec![client("ada", limits)], pool()).await;
    admit(&gateway, "ada", 300)
        .await
        .unwrap()
        .admission
        .settle(Booking::counted(Usage { output: 120, ..Usage::default() }));
    let open = admit(&gateway, "ada", 200).await.unwrap();

    kill(&gateway, "RateLimiter ada");
    let node = gateway.shared().tree().find("RateLimiter ada").unwrap();
    until(|| node.restarts() == 1).await;

    let view = gateway.inspect(id("ada")).await.unwrap();
    assert_eq!((view.tokens_per_day.unwrap().used, view.tokens_per_day.unwrap().reserved), (120, 200));
    assert_eq!(view.requests_per_minute.unwrap().used, 2);
    assert_eq!(view.in_flight, 1);
    open.admission.settle(Booking::counted(Usage { output: 80, ..Usage::default() }));
    drop(open.lease);
    until(|| gateway.shared().open_admissions().is_empty()).await;
    assert_eq!(used_today(&gateway, "ada").await, (200, 0));
    ends_quiet(gateway, ended).await;
}

/// The settlement happens while no limiter is there to take it.
#[tokio::test]
async fn a_settlement_that_meets_a_dead_limiter_is_not_lost() {
    let (gateway, ended) = tree(vec![client("ada", day(1_000))], pool()).await;
    for round in 1..=4 {
        let dispatch = admit_patiently(&gateway, "ada", 100).await;
        kill(&gateway, "RateLimiter ada");
        // The message to the dying limiter is queued, and lost with it.
        dispatch.admission.settle(Booking::counted(Usage { output: 10, ..Usage::default() }));
        drop(dispatch.lease);
        until(|| gateway.shared().open_admissions().is_empty()).await;
        assert_eq!(used_today(&gateway, "ada").await, (10 * round, 0));
    }
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn every_child_of_the_root_can_be_killed_and_the_next_job_is_granted() {
    for actor in
        ["Ledger", "ClientRegistry", "Clients", "Providers", "ProviderPool openai", "Provider openai/0"]
    {
        let (gateway, ended) = tree(vec![client("ada", day(1_000))], pool()).await;
        let open = admit(&gateway, "ada", 100).await.unwrap();
        kill(&gateway, actor);
        let after = admit_patiently(&gateway, "ada", 100).await;
        after.admission.settle(Booking::counted(Usage { output: 7, ..Usage::default() }));
        open.admission.settle(Booking::counted(Usage { output: 5, ..Usage::default() }));
        drop((after.lease, open.lease));
        until(|| gateway.shared().open_admissions().is_empty()).await;
        assert_eq!(used_today(&gateway, "ada").await, (12, 0), "after {actor} was killed");
        ends_quiet(gateway, ended).await;
    }
}

#[tokio::test]
async fn calls_that_are_out_are_still_counted_by_a_reborn_pool() {
    let one_at_a_time = PoolSettings { max_concurrency: Some(1), queue_max: 0, ..pool() };
    let (gateway, ended) = tree(vec![client("ada", Limits::default())], one_at_a_time).await;
    let out = admit(&gateway, "ada", 1).await.unwrap();
    for actor in ["ProviderPool openai", "Providers"] {
        let node = gateway.shared().tree().find(actor).unwrap();
        let before = node.restarts();
        kill(&gateway, actor);
        until(|| node.restarts() > before).await;
        let refused = admit(&gateway, "ada", 1).await.unwrap_err();
        assert!(matches!(refused.refusal, Refusal::ProviderFull { .. }), "{refused:?} after {actor} died");
    }
    drop(out);
    drop(admit_patiently(&gateway, "ada", 1).await);
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn jobs_queue_for_a_full_provider_and_a_caller_that_leaves_gives_its_slot_back() {
    let limits = Limits { concurrent_requests: Some(2), ..Limits::default() };
    let one_at_a_time = PoolSettings { max_concurrency: Some(1), ..pool() };
    let (gateway, ended) = tree(vec![client("ada", limits)], one_at_a_time).await;
    let first = admit(&gateway, "ada", 1).await.unwrap();

    // It waits in the pool's queue and holds its client's second slot.
    let mut waiting = Box::pin(admit(&gateway, "ada", 1));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there is no room yet"),
        () = until(|| gateway.shared().open_admissions().len() == 2) => {}
    }
    drop(waiting);
    until(|| gateway.shared().open_admissions().len() == 1).await;

    let second = tokio::spawn({
        let gateway = gateway.clone();
        async move { admit(&gateway, "ada", 1).await }
    });
    until(|| gateway.shared().open_admissions().len() == 2).await;
    drop(first);
    drop(second.await.unwrap().unwrap());
    ends_quiet(gateway, ended).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_too_long_for_a_provider_is_turned_away() {
    let one_at_a_time = PoolSettings { max_concurrency: Some(1), ..pool() };
    let (gateway, ended) = tree(vec![client("ada", Limits::default())], one_at_a_time).await;
    let out = admit(&gateway, "ada", 1).await.unwrap();
    let asked = tokio::time::Instant::now();
    let refused = admit(&gateway, "ada", 1).await.unwrap_err();
    assert_eq!(refused.refusal, Refusal::ProviderFull { provider: "openai".to_owned(), waiting: 1 });
    assert!((5..7).contains(&asked.elapsed().as_secs()), "the queue's wait is 5 s");
    drop(out);
    ends_quiet(gateway, ended).await;
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_keeps_failing_is_switched_off_alone_and_comes_back_after_its_rest() {
    let clients = vec![client("ada", Limits::default()), client("bob", Limits::default())];
    let (gateway, ended) = tree(clients, pool()).await;
    drop(admit(&gateway, "ada", 1).await.unwrap());
    let node = gateway.shared().tree().find("RateLimiter ada").unwrap();
    let mut pauses = 0;
    for failure in 0..6 {
        until(|| node.cell().is_some()).await;
        kill(&gateway, "RateLimiter ada");
        until(|| node.cell().is_none() || node.restarts() > failure).await;
        pauses += u32::from(node.cell().is_none());
    }
    assert!(pauses >= 4, "restarts rest in between");
    let refused = admit(&gateway, "ada", 1).await.unwrap_err();
    assert!(matches!(refused.refusal, Refusal::SwitchedOff { .. }), "{refused:?}");
    drop(admit(&gateway, "bob", 1).await.unwrap());
    tokio::time::sleep(Duration::from_secs(31)).await;
    drop(admit(&gateway, "ada", 1).await.unwrap());
    ends_quiet(gateway, ended).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_below_the_root_end_the_tree() {
    let (gateway, mut ended) = tree(vec![client("ada", Limits::default())], pool()).await;
    let node = gateway.shared().tree().find("ClientRegistry").unwrap();
    for _ in 0..6 {
        until(|| node.cell().is_some()).await;
        let before = node.restarts();
        kill(&gateway, "ClientRegistry");
        until(|| node.cell().is_none() || node.restarts() > before).await;
    }
    assert_eq!(ended.wait().await, Ended::Escalated);
    assert_eq!(admit(&gateway, "ada", 1).await.unwrap_err().refusal, Refusal::Stopping);
}

#[tokio::test(start_paused = true)]
async fn an_idle_limiter_retires_and_its_client_starts_where_it_was() {
    let (gateway, ended) = tree(vec![client("ada", day(1_000))], pool()).await;
    admit(&gateway, "ada", 100)
        .await
        .unwrap()
        .admission
        .settle(Booking::counted(Usage { output: 60, ..Usage::default() }));
    until(|| gateway.shared().open_admissions().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(130)).await;
    until(|| gateway.shared().tree().find("RateLimiter ada").is_none()).await;
    assert_eq!(used_today(&gateway, "ada").await, (60, 0));
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn a_reload_tells_the_live_limiter_and_keeps_its_counters() {
    let (gateway, ended) = tree(vec![client("ada", day(1_000)), client("bob", day(1))], pool()).await;
    admit(&gateway, "ada", 900)
        .await
        .unwrap()
        .admission
        .settle(Booking::counted(Usage { output: 900, ..Usage::default() }));
    let table = ClientTable::new(2, vec![client("ada", day(950)), client("cyd", day(1))]);
    let published = gateway.publish(table).await.unwrap();
    assert_eq!(published.generation, 2);
    assert_eq!((published.added, published.removed), (vec![id("cyd")], vec![id("bob")]));
    assert_eq!(published.changed, vec![id("ada")]);

    let Refusal::LimitReached(denied) = admit(&gateway, "ada", 100).await.unwrap_err().refusal else {
        panic!("the new limit holds")
    };
    assert_eq!((denied.limit, denied.reason), (LimitName::TokensPerDay, DenyReason::Spent));
    assert_eq!(used_today(&gateway, "ada").await, (900, 0));
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn pools_come_and_go_with_a_reload_while_calls_are_out() {
    let (gateway, ended) = tree(vec![client("ada", Limits::default())], pool()).await;
    let out = admit(&gateway, "ada", 1).await.unwrap();
    let groq = PoolSettings::with_key(Endpoint::new("groq", "0", "http://127.0.0.1:9"));
    gateway.apply_pools(vec![groq]).await.unwrap();
    // The old pool stays for what was routed before.
    drop(admit(&gateway, "ada", 1).await.unwrap());
    gateway.retire_pools().unwrap();
    until(|| gateway.shared().tree().find("ProviderPool openai").is_none()).await;
    assert!(matches!(admit(&gateway, "ada", 1).await.unwrap_err().refusal, Refusal::NoProvider { .. }));
    let target = Target { provider: "groq".into(), model: "m".into() };
    drop(gateway.admit(id("ada"), Ask::from(1), target).await.unwrap());
    drop(out);
    ends_quiet(gateway, ended).await;
}

#[tokio::test]
async fn of_two_keys_the_less_busy_one_is_called() {
    let key = |name: &str| KeySettings {
        endpoint: Arc::new(Endpoint::new("openai", name, "http://127.0.0.1:9")),
        weight: 1,
    };
    let two = PoolSettings { keys: vec![key("a"), key("b")], ..pool() };
    let (gateway, ended) = tree(vec![client("ada", Limits::default())], two).await;
    let mut out = Vec::new();
    for _ in 0..100 {
        out.push(admit(&gateway, "ada", 1).await.unwrap());
    }
    let of_a = out.iter().filter(|dispatch| &*dispatch.lease.endpoint().key_name == "a").count();
    // The less busy one is not always drawn, but the more likely the less busy it is: it does not drift.
    assert!((35..=65).contains(&of_a), "{of_a} of 100");
    drop(out);
    ends_quiet(gateway, ended).await;
}
