//! For every history of changes, batches, repetitions and interruptions the file says what a plain list of the
//! calls says.

use std::collections::{BTreeMap, HashMap};

use gateway_limits::{Account, Ask, Grade, Limits, Outcome, Sums, Usage};
use proptest::prelude::*;

use super::sample::{DAY_MS, Folder, PRICE, START_MS, at, reserved, target};
use super::*;
use crate::booking::{Booking, Ending};
use crate::ledger::query::{Column, UsageQuery, UsageRow, usage};

const NAMES: [&str; 3] = ["ada", "bob", "cleo"];
const MODELS: [&str; 2] = ["mini", "nano"];
/// Histories begin two days before the end of January.
const FIRST_MS: u64 = 29 * DAY_MS;

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        client: usize,
        tokens: u64,
        has_price: bool,
    },
    Settle {
        call: usize,
        model: usize,
        ending: Ending,
        tokens: u64,
    },
    Pass {
        ms: u64,
    },
    /// Commits what was told since the last time, and perhaps tells part of it again.
    Commit {
        repeat_from: Option<usize>,
    },
    Maintain,
    Reopen,
    /// The disk fills up during a commit; there is room again later.
    Full,
    Close,
    Kill,
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        5 => Just(Ending::Answered),
        1 => Just(Ending::Left),
        1 => Just(Ending::Cut),
        1 => Just(Ending::Refused),
        1 => Just(Ending::Failed),
        1 => Just(Ending::NeverSent),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..NAMES.len(), 0..200_u64, prop::bool::weighted(0.8))
            .prop_map(|(client, tokens, has_price)| Step::Reserve { client, tokens, has_price }),
        8 => (any::<usize>(), 0..MODELS.len(), ending(), 0..300_u64)
            .prop_map(|(call, model, ending, tokens)| Step::Settle { call, model, ending, tokens }),
        3 => prop_oneof![Just(1), 0..30_000_u64, 0..2 * DAY_MS].prop_map(|ms| Step::Pass { ms }),
        6 => prop::option::of(0..10_usize).prop_map(|repeat_from| Step::Commit { repeat_from }),
        2 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
        1 => Just(Step::Full),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ]
}

/// A call as it is committed.
#[derive(Clone, Debug)]
struct Call {
    reservation: Reservation,
    end: Option<Settlement>,
}

struct History {
    folder: Folder,
    store: Option<Store>,
    recovered: Recovered,
    now_ms: u64,
    next_id: u64,
    told: Vec<Change>,
    /// Everything that was told and is not sure to be committed, by id.
    uncommitted: BTreeMap<u64, Reservation>,
    committed: BTreeMap<u64, Call>,
}

impl History {
    fn new() -> Self {
        let folder = Folder::new();
        let (store, recovered) = folder.open(FIRST_MS);
        Self {
            folder,
            store: Some(store),
            recovered,
            now_ms: FIRST_MS,
            next_id: 1,
            told: Vec::new(),
            uncommitted: BTreeMap::new(),
            committed: BTreeMap::new(),
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Reserve { client, tokens, has_price } => self.reserve(NAMES[*client], *tokens, *has_price),
            Step::Settle { call, model, ending, tokens } => self.settle(*call, *model, *ending, *tokens),
            Step::Pass { ms } => self.now_ms += ms,
            Step::Commit { repeat_from } => self.commit(*repeat_from),
            Step::Maintain => {
                let unix_ms = START_MS + self.now_ms;
                self.store().maintain(unix_ms).unwrap();
            }
            Step::Reopen => self.store().reopen().unwrap(),
            Step::Full => self.fill_up(),
            Step::Close => {
                self.store = None;
                self.start();
            }
            Step::Kill => {
                let killed = self.folder.as_after_a_kill();
                self.store = None;
                self.folder = killed;
                self.start();
            }
        }
    }

    fn reserve(&mut self, name: &str, tokens: u64, has_price: bool) {
        let mut reservation = reserved(self.next_id, name, self.now_ms);
        reservation.ask = Ask { tokens, cost: if has_price { tokens * 10 } else { 0 } };
        if !has_price {
            reservation.cost_known = false;
        }
        self.next_id += 1;
        self.uncommitted.insert(reservation.id.0, reservation.clone());
        self.told.push(reservation.into());
    }

    /// Ends any call, also one that has ended.
    fn settle(&mut self, call: usize, model: usize, ending: Ending, tokens: u64) {
        let committed = self.committed.values().map(|call| &call.reservation);
        let calls: Vec<_> = committed.chain(self.uncommitted.values()).cloned().collect();
        let Some(reservation) = calls.get(call % calls.len().max(1)) else { return };
        let usage = Usage { input: tokens / 2, reasoning: tokens - tokens / 2, ..Usage::default() };
        let booking = Booking { ending, usage, grade: Grade::Counted, attempts: 2 };
        self.told.push(
            Settlement {
                id: reservation.id,
                client: reservation.client.clone(),
                at: at(self.now_ms),
                day: reservation.day,
                outcome: booking.outcome(reservation.cost_known.then_some(&PRICE)),
                booking,
                cost_known: reservation.cost_known,
                target: target(MODELS[model]),
                key: Some("default".into()),
            }
            .into(),
        );
    }

    fn commit(&mut self, repeat_from: Option<usize>) {
        let mut batch = std::mem::take(&mut self.told);
        if let Some(from) = repeat_from {
            batch.extend_from_within(from.min(batch.len())..);
        }
        self.store().commit(&batch).unwrap();
        self.know(&batch);
    }

    fn fill_up(&mut self) {
        let batch = std::mem::take(&mut self.told);
        let conn = self.store().conn.as_ref().unwrap();
        let pages: i64 = conn.query_row("PRAGMA page_count", (), |row| row.get(0)).unwrap();
        conn.pragma_update(None, "max_page_count", pages).unwrap();
        if self.store().commit(&batch).is_err() {
            self.store().reopen().unwrap();
            self.store().commit(&batch).unwrap();
        } else {
            self.store().reopen().unwrap();
        }
        self.know(&batch);
    }

    /// The rule, as plainly as it can be said.
    fn know(&mut self, batch: &[Change]) {
        for change in batch {
            if let Change::Reserved(reservation) = change {
                self.uncommitted.remove(&reservation.id.0);
                self.committed
                    .entry(reservation.id.0)
                    .or_insert_with(|| Call { reservation: reservation.clone(), end: None });
            }
        }
        for change in batch {
            if let Change::Settled(settlement) = change
                && let Some(call) = self.committed.get_mut(&settlement.id.0)
            {
                call.end.get_or_insert_with(|| settlement.clone());
            }
        }
    }

    fn start(&mut self) {
        self.told.clear();
        self.uncommitted.clear();
        self.now_ms += 1;
        let (store, recovered) = self.folder.open(self.now_ms);
        self.store = Some(store);
        let mut open = 0;
        for call in self.committed.values_mut().filter(|call| call.end.is_none()) {
            call.end = Some(crashed(&call.reservation, self.now_ms));
            open += 1;
        }
        assert_eq!(recovered.settled_at_bound, open);
        assert_eq!(recovered.next_id, self.committed.last_key_value().map_or(0, |(id, _)| *id) + 1);
        assert_eq!(recovered.warnings, Vec::<String>::new());
        self.next_id = recovered.next_id;
        self.recovered = recovered;
        self.compare_accounts();
    }

    /// What the list says was used, told apart by everything.
    fn expected(&self) -> Vec<UsageRow> {
        let mut rows: BTreeMap<(u64, String, String), UsageRow> = BTreeMap::new();
        for end in self.committed.values().filter_map(|call| call.end.as_ref()) {
            let (tokens, cost) = (end.outcome.tokens(), end.outcome.cost());
            if end.booking.ending == Ending::NeverSent {
                continue;
            }
            let key = (end.day, end.client.to_string(), end.target.model.to_string());
            let row = rows.entry(key).or_default();
            row.client = Some(end.client.as_str().into());
            row.model = Some(end.target.model.clone());
            row.day = Some(end.day);
            row.requests += 1;
            row.tokens += tokens;
            row.cost_pico += cost;
            match end.outcome {
                Outcome::Spent { .. } => {
                    row.input += end.booking.usage.input;
                    row.reasoning += end.booking.usage.reasoning;
                    row.unpriced_requests += u64::from(!end.cost_known);
                }
                Outcome::Failed | Outcome::NeverSent => row.failed += 1,
            }
        }
        rows.into_values().collect()
    }

    fn compare_usage(&self) {
        let by = vec![Column::Day, Column::Client, Column::Model];
        let read = |by| usage(&self.folder.path(), &UsageQuery { by, ..UsageQuery::default() }).unwrap();
        let rows = read(by);
        assert_eq!(rows, self.expected());
        let total = read(Vec::new()).pop().unwrap_or_default();
        assert_eq!(total.tokens, rows.iter().map(|row| row.tokens).sum::<u64>());
        assert_eq!(total.cost_pico, rows.iter().map(|row| row.cost_pico).sum::<u64>());
    }

    /// Each client's latest day with entries, by the list; the account that was recovered has that much used.
    fn compare_accounts(&self) {
        let mut sums: HashMap<String, Sums> = HashMap::new();
        let ends = || {
            let ends = self.committed.values().filter_map(|call| call.end.as_ref());
            ends.filter(|end| end.booking.ending != Ending::NeverSent)
        };
        for end in ends() {
            let sum = sums.entry(end.client.to_string()).or_default();
            sum.day = sum.day.max(end.day);
        }
        for end in ends() {
            let Some(sum) = sums.get_mut(end.client.as_str()) else { continue };
            let bound = self.committed[&end.id.0].reservation.ask.tokens;
            if end.day == sum.day {
                sum.tokens += end.outcome.tokens();
                sum.debt += end.outcome.tokens().saturating_sub(bound);
                sum.cost += end.outcome.cost();
            }
            // The history is shorter than a year.
            if is_february(end.day) == is_february(sum.day) && is_march(end.day) == is_march(sum.day) {
                sum.month_cost += end.outcome.cost();
            }
        }
        for (name, sum) in sums {
            let on_its_day = Now { mono: self.recovered.clock_base, unix_ms: sum.day * DAY_MS };
            let saved = &self.recovered.accounts[name.as_str()];
            let view = Account::restore(Limits::default(), saved, on_its_day).view(on_its_day);
            let found = (view.tokens_today, view.debt, view.cost_today, view.cost_this_month);
            assert_eq!(found, (sum.tokens, sum.debt, sum.cost, sum.month_cost), "{name} on day {}", sum.day);
        }
    }
}

fn is_february(day: u64) -> bool {
    let first = START_MS / DAY_MS + 31;
    (first..first + 28).contains(&day)
}

fn is_march(day: u64) -> bool {
    let first = START_MS / DAY_MS + 31 + 28;
    (first..first + 31).contains(&day)
}

fn crashed(reservation: &Reservation, ms: u64) -> Settlement {
    let Ask { tokens, cost } = reservation.ask;
    Settlement {
        id: reservation.id,
        client: reservation.client.clone(),
        at: at(ms),
        day: reservation.day,
        booking: Booking::without_usage(Ending::Crashed, 0),
        outcome: Outcome::Spent { tokens, cost },
        cost_known: reservation.cost_known,
        target: reservation.target.clone(),
        key: None,
    }
}

proptest! {
    // Each case opens a file some ten times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_file_says_what_a_list_of_the_calls_says(steps in prop::collection::vec(step(), 0..80)) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        history.compare_usage();
        history.take(&Step::Kill);
        history.compare_usage();
        history.take(&Step::Maintain);
        history.take(&Step::Close);
        history.compare_usage();
    }
}
