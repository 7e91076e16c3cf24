//! A client that floods a provider with `max_concurrency`, and twenty others that ask it as they always do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request};
use serde_json::json;
use tokio::time::Instant;

/// Clients that behave, each with one question at a time.
const OTHERS: usize = 20;

/// Questions that the flood has open at once: a hundred times as many.
const FLOOD: usize = 100;

/// How long the upstream takes for each answer; four at once are two hundred a second.
const SERVICE: Duration = Duration::from_millis(20);

/// How long the others ask. Everybody has its turn about forty times.
const WINDOW: Duration = Duration::from_millis(4_000);

/// What every answer is billed.
const TOKENS: u64 = 10;

/// A machine that is busy with other things spoils a measurement of waits, so there are some more.
const TRIES: usize = 3;

/// What the others got: tokens of each, and how long each answer took, sorted.
struct Noticed {
    served: Vec<u64>,
    waits: Vec<Duration>,
}

/// Asks one after the other until told to stop.
async fn ask(address: String, client: String, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut connection = RawClient::connect(&address).await;
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = connection.ask(&chat_request(&client, "hi", false)).await;
        assert_eq!(answer.status, 200, "{client}: {}", answer.text());
        waits.push(began.elapsed());
    }
    waits
}

async fn run(has_flood: bool) -> Noticed {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::text("yes").tokens(TOKENS - 1, 1).after(SERVICE));
    let members = "max_concurrency = 4\nqueue = { max = 1000, wait = '60s' }\n";
    let names: Vec<String> = (0..OTHERS).map(|nth| format!("other-{nth}")).collect();
    let builder = TestGateway::with(&upstream).provider(members).client("flood", json!({}));
    let gateway = names.iter().fold(builder, |builder, name| builder.metered(name)).start().await;
    let stop = Arc::new(AtomicBool::new(false));
    let spawn =
        |client: &str| tokio::spawn(ask(gateway.address().to_owned(), client.to_owned(), Arc::clone(&stop)));
    let flood: Vec<_> = (0..if has_flood { FLOOD } else { 0 }).map(|_| spawn("flood")).collect();
    gateway.until("the flood to be there", || gateway.front().in_flight.depth() >= flood.len()).await;
    let others: Vec<_> = names.iter().map(|name| spawn(name)).collect();
    let began = Instant::now();
    gateway.until("the time to be over", || began.elapsed() >= WINDOW).await;
    stop.store(true, Ordering::Relaxed);
    let mut waits: Vec<Duration> =
        join_all(others).await.into_iter().flat_map(|asked| asked.unwrap()).collect();
    join_all(flood).await.into_iter().for_each(|asked| drop(asked.unwrap()));
    waits.sort();
    let mut served = Vec::new();
    for name in &names {
        served.push(gateway.tokens_used(name).await);
    }
    assert_eq!(served.iter().sum::<u64>(), waits.len() as u64 * TOKENS);
    gateway.ends_quiet().await;
    Noticed { served, waits }
}

/// One when all have the same, one over their number when one has all.
fn jains_index(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_floods_delays_the_others_by_no_more_than_its_share() {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let (calm, flooded) = (run(false).await, run(true).await);
        let p99 = |noticed: &Noticed| noticed.waits[noticed.waits.len() * 99 / 100];
        let index = jains_index(&flooded.served);
        assert!(index >= 0.99, "{index}: {:?}", flooded.served);
        let ratio = p99(&flooded).as_secs_f64() / p99(&calm).as_secs_f64();
        println!("index {index:.4}, p99 {:?} and {:?}: {ratio:.2}", p99(&calm), p99(&flooded));
        if ratio <= 1.5 {
            return;
        }
        seen.push(ratio);
    }
    panic!("the others' p99 wait grew by {seen:.2?}");
}
