//! One cell of the grid: a gateway, a primary upstream with a fault, a fallback without one, and clients.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_testkit::{FakeUpstream, RawClient, Reply, Seen, TestGateway};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::client::{Api, Got};
use crate::faults::{Fault, OUTAGE, WORDS, scaled};

/// A client that has nothing after so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// Between two questions of a client during an outage.
const PAUSE: Duration = Duration::from_millis(250);

/// `midstream` of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Midstream {
    Error,
    Restart,
    Continue,
}

impl Midstream {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Restart => "restart",
            Self::Continue => "continue",
        }
    }
}

/// From the best to the worst: a cell's is that of its worst client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Right,
    CleanError,
    Wrong,
}

#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub fault: Fault,
    pub stream: bool,
    pub api: Api,
    pub clients: usize,
    pub midstream: Midstream,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, stream, api, clients, midstream } = self;
        write!(f, "{} (stream: {stream}, {api:?}, clients: {clients}, {})", fault.name(), midstream.word())
    }
}

/// What came of a cell.
#[derive(Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    /// What is said of its worst client.
    pub detail: String,
    /// The most attempts that an answer's head told of.
    pub attempts: u32,
    /// How long each question took.
    pub times: Vec<Duration>,
}

/// The answers to all questions: the same from whoever is asked.
#[derive(Clone, Default)]
struct Texts(Arc<Mutex<HashMap<u64, Vec<String>>>>);

impl Texts {
    /// A new question's answer, and the number by which it is found again.
    fn add(&self, random: &mut StdRng) -> (u64, String) {
        const LETTERS: [char; 16] =
            ['a', 'e', 'i', 'o', 'n', 'r', 's', 't', 'l', 'ß', 'é', '中', '"', '\\', '👍', '\n'];
        let number = random.random();
        let word = |random: &mut StdRng| {
            let letters = random.random_range(1..9);
            let mut word: String = (0..letters).map(|_| LETTERS[random.random_range(0..16)]).collect();
            word.push(' ');
            word
        };
        let words: Vec<String> = (0..WORDS).map(|_| word(random)).collect();
        let text = words.concat();
        self.0.lock().unwrap().insert(number, words);
        (number, text)
    }

    fn words(&self, number: u64) -> Vec<String> {
        self.0.lock().unwrap()[&number].clone()
    }
}

fn prompt(number: u64) -> String {
    format!("Question #{number}# of the grid")
}

/// Which question a request asks.
fn number_in(body: &[u8]) -> Option<u64> {
    String::from_utf8_lossy(body).split('#').nth(1)?.parse().ok()
}

/// The two upstreams of a cell.
struct Upstreams {
    primary: FakeUpstream,
    fallback: FakeUpstream,
}

impl Upstreams {
    async fn start(cell: Cell, texts: &Texts) -> Self {
        let (primary, fallback) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let (began, asked) = (Instant::now(), Mutex::new(HashMap::<u64, usize>::new()));
        let own = texts.clone();
        primary.decide(move |seen| {
            let number = number_in(seen.body())?;
            let mut asked = asked.lock().unwrap();
            let before = asked.entry(number).or_default();
            *before += 1;
            let right = Reply::stream(own.words(number));
            Some(cell.fault.reply(right, cell.stream, *before - 1, began.elapsed()))
        });
        let own = texts.clone();
        fallback.decide(move |seen| {
            if cell.fault == Fault::ContentFilter {
                return Some(Reply::blocked());
            }
            let words = own.words(number_in(seen.body())?);
            let text = words.concat();
            match beginning(seen) {
                Some(_) if cell.fault == Fault::CutAndNoPrefill => Some(Reply::error(400)),
                // What follows the beginning; to go on from anything else is nothing that it can do.
                Some(beginning) => Some(match text.strip_prefix(beginning.as_str()) {
                    Some(rest) if !beginning.is_empty() => Reply::stream(pieces(rest)),
                    _ => Reply::error(400),
                }),
                // The same text, in other pieces.
                None => Some(Reply::stream(words.chunks(7).map(<[String]>::concat))),
            }
        });
        Self { primary, fallback }
    }

    /// What the upstream that answered a question in the end has billed for it. The fallback answers all that it is
    /// asked, so it is the fallback if it was.
    fn billed(&self) -> HashMap<u64, u64> {
        let mut billed = HashMap::new();
        for upstream in [&self.primary, &self.fallback] {
            for seen in (0..upstream.requests()).map(|n| upstream.request(n)) {
                if let Some(number) = number_in(seen.body()) {
                    billed.insert(number, seen.billed().total());
                }
            }
        }
        billed
    }
}

/// The beginning of its own answer that a chat request ends in, if it does.
fn beginning(seen: &Seen) -> Option<String> {
    let request = seen.json();
    let last = request["messages"].as_array()?.last().filter(|last| last["role"] == "assistant")?;
    let text = |content: &serde_json::Value| content.as_str().map(str::to_owned);
    text(&last["content"])
        .or_else(|| last["content"].as_array()?.iter().map(|part| text(&part["text"])).collect())
}

/// A text in pieces of so many characters.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(23).map(|piece| piece.iter().collect()).collect()
}

async fn start_gateway(cell: Cell, upstreams: &Upstreams) -> TestGateway {
    let kind = cell.api.primary_kind();
    let address = match kind {
        "gemini" => format!("{}/v1beta", upstreams.primary.origin()),
        _ => upstreams.primary.base_url(),
    };
    let ms = |seconds| format!("\"{}ms\"", scaled(seconds).as_millis());
    let toml = format!(
        "[models.grid]\ntargets = ['primary/gpt-primary', 'fallback/gpt-fallback']\nmidstream = '{midstream}'\n\
         [providers.primary]\nkind = '{kind}'\nbase_url = '{address}'\napi_key_env = 'TEST_KEY'\n{responses}\
         {clocks}\
         breaker = {{ window = {window}, cooling = {cooling}, cooling_max = {cooling_max} }}\n\
         [providers.fallback]\nkind = 'openai'\nbase_url = '{fallback}'\napi_key_env = 'TEST_KEY'\n",
        midstream = cell.midstream.word(),
        responses = if cell.api == Api::Responses { "responses = true\n" } else { "" },
        clocks = match cell.fault.is_of_time() {
            true => format!("timeouts = {{ first_token = {0}, silence = {0}, stall = {0} }}\n", ms(15)),
            // The usual ones: nobody is failed for being slow on a busy machine.
            false => String::new(),
        },
        window = ms(10),
        cooling = ms(1),
        cooling_max = ms(15),
        fallback = upstreams.fallback.base_url(),
    );
    let models = "[fallback.\"gpt-fallback\"]\ntakes_prefill = true\n";
    TestGateway::with(&upstreams.fallback).toml(&toml).models(models).metered("ada").start().await
}

/// One question and what came of it.
struct Asked {
    number: u64,
    verdict: Verdict,
    detail: String,
    attempts: u32,
    took: Duration,
    is_primary: bool,
}

async fn ask(cell: Cell, address: String, (number, text): (u64, String)) -> Asked {
    let began = Instant::now();
    let request = cell.api.question("grid", cell.stream, &prompt(number));
    let asking = tokio::spawn(async move {
        let answer = RawClient::connect(&address).await.ask(&request).await;
        let header = |name| answer.header(name).unwrap_or_default().to_owned();
        let attempts = header("x-gateway-attempts").parse().unwrap_or_default();
        (Got::of(cell.api, cell.stream, &answer), attempts, header("x-gateway-provider") == "primary")
    });
    let asked = tokio::time::timeout(HANGS_AFTER, asking).await;
    let took = began.elapsed();
    let (verdict, detail, attempts, is_primary) = match asked {
        Err(_) => (Verdict::Wrong, "it hangs".to_owned(), 0, false),
        // The reader's panic says what it could not read.
        Ok(Err(broken)) => (Verdict::Wrong, broken.to_string(), 0, false),
        Ok(Ok((got, attempts, is_primary))) => {
            let (verdict, detail) = judge(cell, &got, &text, is_primary);
            (verdict, detail, attempts, is_primary)
        }
    };
    Asked { number, verdict, detail, attempts, took, is_primary }
}

fn judge(cell: Cell, got: &Got, text: &str, is_primary: bool) -> (Verdict, String) {
    let detail = format!("{} for {text:?}", got.told());
    let verdict = match got {
        Got::Answer { text: got, finish, .. } if cell.fault == Fault::ContentFilter => {
            let finish = finish.to_lowercase();
            let is_refusal = ["filter", "refusal", "safety", "prohibited", "block"]
                .iter()
                .any(|word| finish.contains(word));
            if got.is_empty() && is_refusal { Verdict::Right } else { Verdict::Wrong }
        }
        Got::Answer { text: got, model, .. } => {
            // A stream that was restarted has named its model already.
            let is_checked = cell.fault == Fault::UnavailableModelCheck;
            let is_true = !is_checked || (model == "gpt-fallback" && !is_primary);
            if got == text && is_true { Verdict::Right } else { Verdict::Wrong }
        }
        Got::Error { text: got, .. } if text.starts_with(got.as_str()) => Verdict::CleanError,
        Got::Error { .. } | Got::Broken(_) => Verdict::Wrong,
    };
    (verdict, detail)
}

impl Cell {
    /// Runs it, with texts from this seed.
    pub async fn run(self, seed: u64) -> Outcome {
        let (texts, mut random) = (Texts::default(), StdRng::seed_from_u64(seed));
        let upstreams = Upstreams::start(self, &texts).await;
        let gateway = start_gateway(self, &upstreams).await;
        let address = gateway.address().to_owned();
        let mut asked = Vec::new();
        let began = Instant::now();
        loop {
            let questions: Vec<_> = (0..self.clients).map(|_| texts.add(&mut random)).collect();
            let asking = questions.into_iter().map(|question| ask(self, address.clone(), question));
            let round = futures_util::future::join_all(asking).await;
            // An outage is over when the primary has answered again.
            let has_recovered = round.iter().any(|asked| asked.is_primary && asked.verdict == Verdict::Right);
            asked.extend(round);
            if self.fault != Fault::Outage || (has_recovered && began.elapsed() > OUTAGE) {
                break;
            }
            if began.elapsed() > HANGS_AFTER {
                asked[0].verdict = Verdict::Wrong;
                asked[0].detail = "the primary is not asked again after its outage".to_owned();
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let used = gateway.tokens_used("ada").await;
        gateway.ends_quiet().await;
        let mut outcome = summed(&asked);
        let billed = upstreams.billed();
        let owed: u64 = asked.iter().filter_map(|asked| billed.get(&asked.number)).sum();
        if outcome.verdict == Verdict::Right && used != owed {
            outcome.verdict = Verdict::Wrong;
            outcome.detail = format!("{used} tokens are booked, {owed} were billed");
        }
        let others = upstreams.fallback.requests();
        if self.fault == Fault::ContentFilter && self.clients == 1 && others > 0 {
            outcome.verdict = Verdict::Wrong;
            outcome.detail = "a filter's refusal was tried elsewhere".to_owned();
        }
        outcome
    }
}

fn summed(asked: &[Asked]) -> Outcome {
    let worst = asked.iter().max_by_key(|asked| asked.verdict).expect("somebody was asked");
    Outcome {
        verdict: worst.verdict,
        detail: worst.detail.clone(),
        attempts: asked.iter().map(|asked| asked.attempts).max().unwrap_or_default(),
        times: asked.iter().map(|asked| asked.took).collect(),
    }
}
