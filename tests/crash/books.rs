//! The ledger's file as anybody may read it, against what clients saw and what the upstream billed.
//!
//! Why a crash can cost so little is an order: the settlement of a call is queued before its last byte goes out, and
//! the answer to the next call waits until its own reservation, queued later, is written. So a connection that has
//! got an answer has all its calls before that one settled.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use gateway_testkit::Billed;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::load::{CLIENTS, ClientLimits, Kind, LEFT_AFTER, PROMPT_TOKENS, cost, name};
use crate::trace::{End, Trace};

const MINUTE_NS: u64 = 60_000_000_000;

/// How far the wall clock may be set back in the middle of a run before it is taken for a fault.
const CLOCK_SET_BACK_MS: u64 = 1_000;

const DAY_MS: u128 = 86_400_000;

/// A settled call.
#[derive(Clone, Debug)]
struct Row {
    id: u64,
    request_id: String,
    client: String,
    day: u64,
    admitted_ms: u64,
    /// In nanoseconds, as all of this clock's.
    admitted: u64,
    settled: u64,
    bound_tokens: u64,
    bound_cost: u64,
    ending: String,
    tokens: u64,
    cost: u64,
}

impl Row {
    fn is_sent(&self) -> bool {
        self.ending != "never_sent"
    }

    fn is_crashed(&self) -> bool {
        self.ending == "crashed"
    }
}

/// What came over a life of the gateway.
#[derive(Clone, Copy, Debug, Default)]
pub struct Came {
    pub killed: bool,
    pub disk_full: bool,
}

/// What a client has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    requests: u64,
    tokens: u64,
    cost: u64,
}

/// All calls of the ledger, read life by life.
pub struct Books {
    file: PathBuf,
    rows: Vec<Row>,
    request_ids: HashSet<String>,
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crashed = self.rows.iter().filter(|row| row.is_crashed()).count();
        write!(f, "{} calls, {crashed} of them crashed", self.rows.len())
    }
}

impl Books {
    /// The books of the gateway in this folder.
    pub fn of(folder: &Path) -> Self {
        Self { file: folder.join("data/ledger.db"), rows: Vec::new(), request_ids: HashSet::new() }
    }

    /// Reads what a life has added, when it is over and its successor has settled what it left open, and compares it
    /// with what its clients saw.
    pub fn take_over(&mut self, hands: &[Vec<Trace>], bills: &HashMap<u64, Billed>, came: Came) {
        let rows = self.read();
        for row in &rows {
            assert!(self.request_ids.insert(row.request_id.clone()), "a request with two calls: {row:?}");
            assert!(row.tokens <= row.bound_tokens && row.cost <= row.bound_cost, "above its bound: {row:?}");
            assert!(came.killed || !row.is_crashed(), "nobody was killed: {row:?}");
        }
        let mut life = Life {
            rows: rows.iter().map(|row| (&*row.request_id, row)).collect(),
            bills,
            came,
            unseen: HashMap::new(),
        };
        hands.iter().for_each(|hand| life.check_hand(hand));
        life.check_unseen();
        self.rows.extend(rows);
    }

    /// The calls since the last time. None is open.
    fn read(&self) -> Vec<Row> {
        let conn = Connection::open_with_flags(&self.file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut statement = conn
            .prepare(
                "SELECT id, request_id, client, day, admitted_ms, admitted_mono, settled_mono, bound_tokens, \
                        bound_cost, ending, tokens, cost \
                 FROM calls WHERE id > ?1 ORDER BY id",
            )
            .unwrap();
        let row = |row: &rusqlite::Row<'_>| {
            let number = |at| row.get::<_, i64>(at).map(|number| u64::try_from(number).unwrap());
            Ok(Row {
                id: number(0)?,
                request_id: row.get(1)?,
                client: row.get(2)?,
                day: number(3)?,
                admitted_ms: number(4)?,
                admitted: number(5)?,
                settled: number(6)?,
                bound_tokens: number(7)?,
                bound_cost: number(8)?,
                ending: row.get(9)?,
                tokens: number(10)?,
                cost: number(11)?,
            })
        };
        let last = self.rows.last().map_or(0, |row| row.id);
        let rows = statement.query_map([i64::try_from(last).unwrap()], row).unwrap();
        rows.map(|row| row.expect("a call that is settled")).collect()
    }

    /// What the clients have used, of all days or of one.
    fn used(&self, day: Option<u64>) -> HashMap<&str, Used> {
        let mut used: HashMap<&str, Used> = HashMap::new();
        for row in self.rows.iter().filter(|row| row.is_sent() && day.is_none_or(|day| row.day == day)) {
            let used = used.entry(&row.client).or_default();
            used.requests += 1;
            used.tokens += row.tokens;
            used.cost += row.cost;
        }
        used
    }

    /// The limiters say of today what the calls add up to. Nothing is open.
    pub async fn check_views(&self, ask: impl AsyncFn() -> Value) {
        let day = today();
        let views = ask().await;
        if today() != day {
            // Midnight came in between.
            return;
        }
        check_within_limits(&views);
        let used = self.used(Some(day));
        let views = views["clients"].as_array().unwrap();
        assert_eq!(views.len(), CLIENTS);
        for view in views {
            let used = used.get(view["id"].as_str().unwrap()).copied().unwrap_or_default();
            assert_eq!(view["used"]["tokens_per_day"], used.tokens, "{view}, {used:?}");
            assert_eq!(pico(&view["used"]["usd_per_day"]), used.cost, "{view}, {used:?}");
            let reserved = &view["reserved"];
            assert_eq!(
                (&reserved["tokens_per_day"], pico(&reserved["usd_per_day"])),
                (&0.into(), 0),
                "{view}"
            );
            assert_eq!(view["in_flight"], 0, "{view}");
        }
    }

    /// The command `usage` says what the calls add up to.
    pub fn check_usage(&self, usage: &Value) {
        let used = self.used(None);
        let lines = usage["usage"].as_array().unwrap();
        assert_eq!(lines.len(), used.len());
        for line in lines {
            let used = used[line["client"].as_str().unwrap()];
            assert_eq!(
                (&line["requests"], &line["tokens"]),
                (&used.requests.into(), &used.tokens.into()),
                "{line}"
            );
            assert_eq!(pico(&line["usd"]), used.cost, "{line}");
        }
    }

    /// Goes through every client's admissions and settlements in their order: at none of them was a limit passed.
    pub fn check_limits(&self) {
        for client in 0..CLIENTS {
            let own: Vec<&Row> = self.rows.iter().filter(|row| row.client == name(client)).collect();
            replay(&own, ClientLimits::of(client));
        }
    }
}

/// One client's calls, in the order of their admission.
fn replay(calls: &[&Row], limits: ClientLimits) {
    let sent: Vec<&&Row> = calls.iter().filter(|row| row.is_sent()).collect();
    for window in sent.windows(limits.minute + 1) {
        let (first, last) = (window[0], window[limits.minute]);
        assert!(last.admitted - first.admitted >= MINUTE_NS, "{limits:?}: {first:?} … {last:?}");
        let wall_ms = last.admitted_ms.saturating_sub(first.admitted_ms) + CLOCK_SET_BACK_MS;
        assert!(wall_ms >= MINUTE_NS / 1_000_000, "{limits:?} by the wall clock: {first:?} … {last:?}");
    }
    // A settlement at the moment of an admission came before it.
    let ends = calls.iter().map(|row| (row.settled, false, *row));
    let mut events: Vec<(u64, bool, &Row)> =
        calls.iter().map(|row| (row.admitted, true, *row)).chain(ends).collect();
    events.sort_by_key(|(at, is_admission, row)| (*at, *is_admission, row.id));
    let mut open = 0;
    // Reserved and used together.
    let mut taken: HashMap<u64, (u64, u64)> = HashMap::new();
    for (_, is_admission, row) in events {
        let (tokens, cost) = taken.entry(row.day).or_default();
        if is_admission {
            open += 1;
            *tokens += row.bound_tokens;
            *cost += row.bound_cost;
        } else {
            open -= 1;
            *tokens -= row.bound_tokens - row.tokens;
            *cost -= row.bound_cost - row.cost;
        }
        let is_within = open <= limits.slots && *tokens <= limits.day && *cost <= limits.money;
        assert!(is_within, "{limits:?}: {open} open, {tokens} tokens, {cost} pico-USD at {row:?}");
    }
}

/// One life of the gateway: its calls, what they were billed, what clients saw.
struct Life<'a> {
    rows: HashMap<&'a str, &'a Row>,
    bills: &'a HashMap<u64, Billed>,
    came: Came,
    /// By client, the requests of which it saw nothing: they may have a call, and nobody knows which.
    unseen: HashMap<usize, Vec<&'a Trace>>,
}

impl<'a> Life<'a> {
    fn billed(&self, trace: &Trace) -> Billed {
        self.bills.get(&trace.turn).copied().unwrap_or_default()
    }

    /// The requests of one connection, in their order.
    fn check_hand(&mut self, hand: &'a [Trace]) {
        let last_answered = hand.iter().rposition(Trace::is_answered).unwrap_or(0);
        for (at, trace) in hand.iter().enumerate() {
            assert!(self.came.disk_full || trace.status != Some(503), "refused without a reason: {trace:?}");
            let Some(request_id) = &trace.request_id else {
                self.unseen.entry(trace.client).or_default().push(trace);
                continue;
            };
            let row = self.rows.remove(request_id.as_str());
            // What its client left is settled when the gateway notices that, so perhaps later.
            let must_be_settled = !self.came.killed || (trace.end == End::Whole && at < last_answered);
            match row {
                Some(row) => self.check_call(trace, row, must_be_settled),
                None if trace.limited_by.is_some() => {}
                // It was refused for the ledger's sake, so it was never admitted.
                None if trace.status == Some(503) => {}
                // An error says nothing that has to be remembered, so it does not wait for the file.
                None => assert!(!trace.is_answered() && !must_be_settled, "it has no call: {trace:?}"),
            }
        }
    }

    /// A request whose answer began, with its call.
    fn check_call(&self, trace: &Trace, row: &Row, must_be_settled: bool) {
        let billed = self.billed(trace);
        let context = format!("{trace:?}, {billed:?}, {row:?}");
        assert_eq!(row.client, name(trace.client), "{context}");
        assert!(trace.limited_by.is_none(), "a refused request has no call: {context}");
        let charged = (row.tokens, row.cost);
        match row.ending.as_str() {
            "crashed" => {
                assert!(!must_be_settled, "it was settled before: {context}");
                assert_eq!(charged, (row.bound_tokens, row.bound_cost), "{context}");
            }
            "answered" => assert_eq!(charged, (billed.total(), cost(billed)), "{context}"),
            // What it has seen is the least that it pays for.
            "left" | "cut" => {
                let pieces = Billed { prompt: PROMPT_TOKENS, completion: trace.pieces };
                assert!(row.tokens >= pieces.total() && row.cost >= cost(pieces), "{context}");
                assert_eq!(row.ending == "cut", trace.kind == Kind::Fails, "{context}");
            }
            "refused" | "failed" => {
                // An answer whose reservation cannot be written is withheld, and paid by nobody.
                let is_withheld = trace.status == Some(503);
                assert!(!trace.is_answered(), "{context}");
                assert!(is_withheld || (trace.kind == Kind::Fails && billed.total() == 0), "{context}");
                assert_eq!(charged, (0, 0), "{context}");
            }
            _ => panic!("no such end: {context}"),
        }
        let is_all_seen = trace.kind != Kind::LeavesFlowing;
        if trace.is_answered() && is_all_seen {
            assert!(
                row.tokens >= billed.total() && row.cost >= cost(billed),
                "for less than its bill: {context}"
            );
        }
        if trace.kind == Kind::LeavesStalled && trace.end == End::Left {
            assert_eq!(billed.completion, LEFT_AFTER, "{context}");
        }
    }

    /// What is left are calls of which no client has seen anything.
    fn check_unseen(&self) {
        for client in 0..CLIENTS {
            let traces = self.unseen.get(&client).map_or(&[][..], Vec::as_slice);
            let rows: Vec<&&Row> = self.rows.values().filter(|row| row.client == name(client)).collect();
            let context = || format!("{rows:?}, {traces:?}");
            let are = |ending: &str| rows.iter().filter(|row| row.ending == ending).count();
            assert!(rows.len() <= traces.len(), "more calls than requests: {}", context());
            let answered: Vec<u64> =
                rows.iter().filter(|row| row.ending == "answered").map(|row| row.tokens).collect();
            let billed = traces.iter().map(|trace| self.billed(trace).total());
            assert!(answered.iter().sum::<u64>() <= billed.sum(), "for more than its bill: {}", context());
            // A client may leave after its call began to be sent, and before it arrived.
            let reached = traces.iter().filter(|trace| self.bills.contains_key(&trace.turn)).count();
            let sent = rows.len() - are("never_sent");
            assert!(self.came.killed || reached <= sent, "not accounted for: {}", context());
        }
    }
}

/// Keeps the gateway in this folder from writing its ledger, until it is dropped.
pub fn lock(folder: &Path) -> Connection {
    let conn = Connection::open(folder.join("data/ledger.db")).unwrap();
    // Closed as a process that is killed leaves it: nothing of the write-ahead log is brought into the file.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    conn.execute_batch("BEGIN IMMEDIATE").expect("the file is free between two commits");
    conn
}

/// Neither what is used nor what is reserved on top is above any client's limits.
pub fn check_within_limits(views: &Value) {
    for view in views["clients"].as_array().unwrap() {
        let sum =
            |name: &str| view["used"][name].as_u64().unwrap() + view["reserved"][name].as_u64().unwrap();
        for limit in ["requests_per_minute", "tokens_per_day"] {
            assert!(sum(limit) <= view["limits"][limit].as_u64().unwrap(), "{limit}: {view}");
        }
        let spent = pico(&view["used"]["usd_per_day"]) + pico(&view["reserved"]["usd_per_day"]);
        assert!(spent <= pico(&view["limits"]["usd_per_day"]), "{view}");
        let slots = view["limits"]["concurrent_requests"].as_u64().unwrap();
        assert!(view["in_flight"].as_u64().unwrap() <= slots, "{view}");
        assert_eq!((&view["debt"], pico(&view["usd_debt"])), (&0.into(), 0), "{view}");
    }
}

/// Dollars as JSON has them, in pico-dollars: below 2^53 of them nothing is lost.
fn pico(usd: &Value) -> u64 {
    (usd.as_f64().expect("a number of dollars") * 1e12).round() as u64
}

fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis() / DAY_MS).unwrap()
}
