//! The load: 64 clients, what they ask, and what the upstream answers to that.
//!
//! Each request has a turn of its own, which its prompt tells: by it a bill of the upstream's is brought together
//! with what the client saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use gateway_testkit::raw_client::Request;
use gateway_testkit::test_gateway::Builder;
use gateway_testkit::{Billed, FakeUpstream, Reply, Seen, TestGateway, chat_with};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::trace::{End, Trace};

pub const CLIENTS: usize = 64;

/// Connections of one client that ask at the same time.
const HANDS: usize = 2;

/// What a complete answer is billed.
pub const PROMPT_TOKENS: u64 = 20;
const OUTPUT_TOKENS: u64 = 40;

/// The cap that every request names.
const CAP: u64 = 100;

/// Pieces of a stream after which a client leaves it, or an upstream breaks off.
pub const LEFT_AFTER: u64 = 2;

const PIECES: [&str; 6] = ["alpha ", "beta ", "gamma ", "delta ", "epsilon ", "zeta"];

/// Makes a prompt longer than what is billed for it: an estimate is never below the truth.
const FILLER: &str = "and how many words does it take until a question is longer than what its upstream says that it \
                      was when it comes to the bill";

/// In pico-USD per token, and the same in the table of models.
const INPUT_PRICE: u64 = 1_000_000;
const OUTPUT_PRICE: u64 = 2_000_000;
const PRICES: &str = "[openai.gpt-test]\ninput = 1\noutput = 2\n";

/// What a bill costs, in pico-USD.
pub fn cost(billed: Billed) -> u64 {
    billed.prompt * INPUT_PRICE + billed.completion * OUTPUT_PRICE
}

/// A client's limits; money in pico-USD.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    pub minute: usize,
    pub day: u64,
    pub money: u64,
    pub slots: usize,
}

impl ClientLimits {
    /// Of every eight clients, four meet one limit each, and four none.
    pub fn of(client: usize) -> Self {
        let ample = Self { minute: 100_000, day: 1_000_000_000, money: 1_000_000_000_000_000, slots: 100 };
        match client % 8 {
            0 => Self { minute: 15, ..ample },
            2 => Self { day: 6_000, ..ample },
            4 => Self { money: 6_000_000_000, ..ample },
            6 => Self { slots: 1, ..ample },
            _ => ample,
        }
    }

    fn members(self) -> Value {
        let usd = format!("{}.{:012}", self.money / 1_000_000_000_000, self.money % 1_000_000_000_000);
        json!({
            "rate_limit": {
                "requests_per_minute": self.minute,
                "tokens_per_day": self.day,
                "concurrent_requests": self.slots,
            },
            "budget": {"usd_per_day": usd},
        })
    }
}

pub fn name(client: usize) -> String {
    format!("client-{client:02}")
}

/// A gateway that has all clients.
pub fn gateway(upstream: &FakeUpstream) -> Builder {
    // What is refused for the sake of a provider that fails is not what is looked for here.
    let breaker = "breaker = { consecutive = 1000000, rate = 1.0, calls_min = 1000000 }";
    let builder = TestGateway::with(upstream).models(PRICES).once().provider(breaker);
    (0..CLIENTS)
        .fold(builder, |builder, client| builder.client(&name(client), ClientLimits::of(client).members()))
}

/// What is asked, and what becomes of it if nobody is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer in one piece.
    Whole,
    /// A stream, read to its end.
    Stream,
    /// Its client leaves without waiting for an answer.
    LeavesEarly,
    /// Its client leaves a stream that has stopped to flow.
    LeavesStalled,
    /// Its client leaves a stream that flows.
    LeavesFlowing,
    /// Its upstream fails, in one of many ways.
    Fails,
}

/// As often as they are asked.
const KINDS: [Kind; 10] = [
    Kind::Whole,
    Kind::Whole,
    Kind::Whole,
    Kind::Stream,
    Kind::Stream,
    Kind::Stream,
    Kind::LeavesEarly,
    Kind::LeavesStalled,
    Kind::LeavesFlowing,
    Kind::Fails,
];

/// An answer that is billed.
fn pieces() -> Reply {
    Reply::stream(PIECES).tokens(PROMPT_TOKENS, OUTPUT_TOKENS)
}

/// What an upstream does to a request that fails, and whether a stream is asked for.
fn failures() -> [(Reply, bool); 8] {
    [
        (Reply::error(500), false),
        (Reply::error(409), true),
        (Reply::error(400), false),
        (Reply::html(), true),
        (Reply::close(), false),
        (Reply::reset(), true),
        (Reply::stream(PIECES).cut_at_byte(20), false),
        (pieces().cut_after(LEFT_AFTER as usize), true),
    ]
}

fn failure(turn: u64) -> (Reply, bool) {
    let [.., last] = failures();
    failures().into_iter().nth((turn % 8) as usize).unwrap_or(last)
}

/// A request whose prompt says what it is.
pub fn request(client: usize, kind: Kind, turn: u64) -> Request {
    let streams = match kind {
        Kind::Whole => false,
        Kind::Stream | Kind::LeavesStalled | Kind::LeavesFlowing => true,
        Kind::LeavesEarly => turn.is_multiple_of(2),
        Kind::Fails => failure(turn).1,
    };
    let content = format!("{turn} {kind:?} {} {FILLER}", name(client));
    let messages = json!([{"role": "user", "content": content}]);
    chat_with(&name(client), json!({"messages": messages, "max_tokens": CAP, "stream": streams}))
}

/// The turn of a request, and the name of its kind.
fn prompt(seen: &Seen) -> (u64, String) {
    let json = seen.json();
    let content = json["messages"][0]["content"].as_str().expect("a prompt of ours");
    let mut words = content.split(' ');
    let turn = words.next().and_then(|turn| turn.parse().ok()).expect("a turn");
    (turn, words.next().expect("a kind").to_owned())
}

pub fn turn_of(seen: &Seen) -> u64 {
    prompt(seen).0
}

/// What the upstream answers. Some take their time, so that a kill finds them on their way.
pub fn reply_to(seen: &Seen) -> Option<Reply> {
    let (turn, kind) = prompt(seen);
    let (wait, gap) = (Duration::from_millis(turn % 29), Duration::from_millis(turn % 5));
    Some(match kind.as_str() {
        "Whole" => pieces().after(wait),
        "Stream" | "LeavesFlowing" => pieces().gap(gap),
        "LeavesStalled" => pieces().stall_after(LEFT_AFTER as usize),
        "LeavesEarly" if turn.is_multiple_of(3) => Reply::never(),
        "LeavesEarly" => pieces().after(wait),
        _ => failure(turn).0,
    })
}

/// The load on one life of the gateway.
pub struct Load {
    address: String,
    turns: AtomicU64,
    /// Nothing new is asked once it is over, and connections may break.
    pub over: CancellationToken,
}

impl Load {
    /// On the gateway at this address; the first turn has this number.
    pub fn new(address: &str, turns: u64) -> Self {
        Self { address: address.to_owned(), turns: AtomicU64::new(turns), over: CancellationToken::new() }
    }

    /// The turn after the last one.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// All connections of all clients, until it is over. Gives for each what its requests came to, in their order.
    pub async fn run(&self, random: &mut StdRng) -> Vec<Vec<Trace>> {
        let hands = (0..CLIENTS).flat_map(|client| [client; HANDS]);
        let mut hand = |client| self.hand(client, StdRng::seed_from_u64(random.random()));
        join_all(hands.map(&mut hand).collect::<Vec<_>>()).await
    }

    /// One connection after another, each until it is left, or broken by the end of the gateway.
    async fn hand(&self, client: usize, mut random: StdRng) -> Vec<Trace> {
        let mut traces = Vec::new();
        let mut connection = None;
        while !self.over.is_cancelled() {
            let kind = *KINDS.choose(&mut random).expect("there are kinds");
            let patience = Duration::from_millis(random.random_range(0..20));
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            let trace = Trace::follow(self, &mut connection, (client, kind, turn), patience).await;
            assert!(trace.end != End::Broken || self.over.is_cancelled(), "nobody was killed: {trace:?}");
            let is_refused = trace.limited_by.is_some() || trace.status == Some(503);
            traces.push(trace);
            if is_refused {
                // A client that spins would leave the others no time.
                let pause = Duration::from_millis(random.random_range(50..250));
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.over.cancelled() => {}
                }
            }
        }
        traces
    }
}
