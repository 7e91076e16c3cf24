//! A client's history, decided by a seed, each step checked against a model that forgets nothing.
//!
//! A seed decides the limits, the prices, the time of the beginning (most are shortly before a
//! midnight, many of them a month's end), and every step: calls, their ends, ends that come twice,
//! commits of the ledger, limits that change, limiters, ledgers and processes that die, wall clocks
//! that step either way. An answer only reaches the client once its reservation is committed.
//!
//! After every step the account shows what the model counts, and no limit is passed by more than
//! what settlements had above their bounds. After every crash of the process the account has all
//! that was delivered and billed, and at most the bounds of what was in flight on top of it.

mod journal;
mod model;

use gateway_limits::{Account, AdmissionId, Ask, Limits, Now, Outcome, Price, Record, Saved, Usage};
use journal::{Journal, moment_of};
use model::{Call, Counts, DAY_MS, End, MINUTE, month_of};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

const STEPS: usize = 200;

/// Midnights to begin before, in days since 1970-01-01: new year 2026, the end of a February of 28
/// days, 2028-02-29 and the day after it, the end of February 2100 (no leap year), any day.
const MIDNIGHTS: [u64; 6] = [20_454, 20_513, 21_243, 21_244, 47_541, 20_621];

/// Runs the history of `seed`; panics where a promise is broken.
pub fn run(seed: u64) {
    let mut simulation = Simulation::new(seed);
    for _ in 0..STEPS {
        simulation.step();
        simulation.check();
    }
    simulation.end();
}

/// The client, the world around it, and the model.
struct Simulation {
    random: StdRng,
    /// Only then the wall clock steps, and the time line says nothing about windows any more.
    has_clock_jumps: bool,
    has_overshoot: bool,
    /// Only then limits change, and may be below what counts already.
    has_reloads: bool,
    prices: [Price; 3],
    limits: Limits,
    account: Account,
    saved: Saved,
    journal: Journal,
    calls: Vec<Call>,
    next_id: u64,
    true_ns: u64,
    start_ms: u64,
    wall_offset_ms: i64,
    process: u32,
    process_started_ns: u64,
    clock_base: Duration,
    /// The latest day in which something was recorded.
    day: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let limits = some_limits(&mut random);
        let midnight = MIDNIGHTS[random.random_range(0..MIDNIGHTS.len())];
        Self {
            has_clock_jumps: random.random_bool(0.5),
            has_overshoot: random.random_bool(0.5),
            has_reloads: random.random_bool(0.5),
            prices: [Price::FREE, some_price(&mut random), some_price(&mut random)],
            limits,
            account: Account::new(limits),
            saved: Saved::default(),
            journal: Journal::default(),
            calls: Vec::new(),
            next_id: 0,
            true_ns: 0,
            start_ms: midnight * DAY_MS - random.random_range(0..1_200_000),
            wall_offset_ms: 0,
            process: 0,
            process_started_ns: 0,
            clock_base: Duration::ZERO,
            day: 0,
            random,
        }
    }

    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..34 => self.admit(),
            34..42 => self.deliver(),
            42..60 => self.settle_any(),
            60..63 => self.settle_again(),
            63..71 => self.commit(),
            71..89 => self.pass(),
            89..91 => self.limiter_dies(),
            91..92 => self.ledger_dies(),
            92..95 => self.process_crashes(),
            95..96 => self.process_stops(),
            96..98 => self.change_limits(),
            _ => self.step_wall_clock(),
        }
    }

    fn now(&self) -> Now {
        let mono = self.clock_base + Duration::from_nanos(self.true_ns - self.process_started_ns);
        let unix_ms = (self.start_ms + self.true_ns / 1_000_000).saturating_add_signed(self.wall_offset_ms);
        Now { mono, unix_ms }
    }

    fn today(&self) -> u64 {
        self.day.max(self.now().unix_ms / DAY_MS)
    }

    fn counts(&self) -> Counts {
        Counts::of(&self.calls, self.now(), self.today(), self.process)
    }

    /// Hands a record to the ledger, which is not sure whether it has it and takes it in twice.
    /// Returns the day it is booked on and its place in the journal.
    #[expect(clippy::expect_used, reason = "a record that is ignored ends the run")]
    fn record(&mut self, record: Record) -> (u64, usize) {
        let now = self.now();
        let day = self.saved.apply(&record, now).expect("a new record changes something");
        assert_eq!(self.saved.apply(&record, now), None, "{record:?} was taken in twice");
        self.day = self.today();
        (day, self.journal.append(record, day))
    }

    fn admit(&mut self) {
        let (now, id) = (self.now(), AdmissionId(self.next_id));
        let (bound, bill) = self.some_call();
        let has_room = self.counts().have_room(&self.limits, bound);
        let before = self.account.view(now);
        match self.account.admit(now, id, bound) {
            Ok(()) => {
                assert!(has_room, "admitted what does not fit: {bound:?} at {now:?}");
                self.next_id += 1;
                let reserved = Record::Reserved { id, at: now, tokens: bound.tokens, cost: bound.cost };
                let (day, reserved_at) = self.record(reserved);
                assert_eq!(day, self.day);
                let true_ns = self.true_ns;
                let (is_delivered, end) = (false, None);
                self.calls.push(Call {
                    id,
                    true_ns,
                    at: now,
                    day,
                    bound,
                    bill,
                    is_delivered,
                    reserved_at,
                    end,
                });
                self.check_after_admission();
            }
            Err(denied) => {
                assert!(!has_room, "refused what fits: {bound:?} at {now:?}: {denied}");
                assert_eq!(self.account.view(now), before, "a refusal took something");
            }
        }
    }

    /// A call's bound, and what it will truly use.
    fn some_call(&mut self) -> (Ask, Ask) {
        let price = self.prices[self.random.random_range(0..self.prices.len())];
        let (prompt, output) = (self.random.random_range(0..60), self.random.random_range(0..60));
        let bound = Ask { tokens: prompt + output, cost: price.bound(prompt, output) };
        let factor = if self.has_overshoot { self.random.random_range(1..=3) } else { 1 };
        let mut part = |most: u64| self.random.random_range(0..=most);
        let (cache_read, reasoning) = (part(prompt), part(output));
        let cache_write = part(prompt - cache_read);
        let input = part(prompt - cache_read - cache_write) * factor;
        let usage =
            Usage { input, cache_read, cache_write, output: part(output - reasoning) * factor, reasoning };
        let bill = Ask { tokens: usage.total(), cost: price.cost(&usage) };
        assert!(self.has_overshoot || (bill.tokens <= bound.tokens && bill.cost <= bound.cost));
        (bound, bill)
    }

    /// The first byte of an answer reaches the client, if its reservation is safe.
    fn deliver(&mut self) {
        if let Some(call) = self.some_open_call()
            && self.journal.is_committed(call.reserved_at)
        {
            self.change(call.id, |call| call.is_delivered = true);
        }
    }

    /// A call ends. What was delivered is paid; what was not may have failed, or been left by a
    /// client who caused its cost all the same.
    fn settle_any(&mut self) {
        let Some(call) = self.some_open_call() else { return };
        let billed = Outcome::Spent { tokens: call.bill.tokens, cost: call.bill.cost };
        let outcome = match self.random.random_range(0..10) {
            _ if call.is_delivered => billed,
            0..4 => billed,
            4..8 => Outcome::Failed,
            _ => Outcome::NeverSent,
        };
        self.settle(call, outcome);
    }

    fn settle(&mut self, call: Call, outcome: Outcome) {
        let (now, id, process) = (self.now(), call.id, self.process);
        assert_eq!(self.account.bound(id), Some(call.bound));
        let settled = self.account.settle(now, id, outcome);
        assert_eq!(settled.map(|settled| settled.bound), Some(call.bound));
        let (day, settled_at) = self.record(Record::Settled { id, at: now, outcome });
        assert_eq!(day, call.day, "settled into another day than that of the admission");
        self.change(id, |call| call.end = Some(End { outcome, settled_at, process }));
    }

    fn settle_again(&mut self) {
        if let Some(id) = self.calls.iter().rev().find(|call| call.end.is_some()).map(|call| call.id) {
            let outcome = Outcome::Spent { tokens: 99, cost: 99 };
            assert_eq!(self.account.settle(self.now(), id, outcome), None);
        }
    }

    /// The ledger makes some of what it has safe, mostly all of it.
    fn commit(&mut self) {
        let records = if self.random.random_bool(0.7) { usize::MAX } else { self.random.random_range(0..4) };
        self.journal.commit(records);
    }

    fn pass(&mut self) {
        let minute = 60_000_000_000;
        let until_midnight_ns = (DAY_MS - self.now().unix_ms % DAY_MS) * 1_000_000;
        self.true_ns += match self.random.random_range(0..20) {
            0..2 => 0,
            2..13 => self.random.random_range(0..15_000_000_000),
            13..15 => minute,
            15..17 => self.random.random_range(0..2 * minute),
            17 => self.random.random_range(0..300 * minute),
            18 => until_midnight_ns.saturating_sub(self.random.random_range(0..3_000_000)),
            _ => until_midnight_ns,
        };
    }

    /// The limiter is lost; nothing that it did is.
    fn limiter_dies(&mut self) {
        let before = self.account.view(self.now());
        self.account = Account::restore(self.limits, &self.saved, self.now());
        assert_eq!(self.account.view(self.now()), before);
    }

    /// The ledger is lost in the middle of its work and is given again what it has not confirmed.
    fn ledger_dies(&mut self) {
        let now = self.now();
        self.saved.forget(now);
        let before = self.saved.clone();
        let is_recent = |record: &Record| moment_of(record).mono + MINUTE > now.mono;
        for record in self.journal.uncommitted().filter(is_recent) {
            assert_eq!(self.saved.apply(&record, now), None, "{record:?} was taken in again");
        }
        assert_eq!(self.saved, before);
    }

    /// `kill -9`: only what was committed is left.
    fn process_crashes(&mut self) {
        if self.random.random_bool(0.5) {
            self.commit();
        }
        let before = std::mem::take(&mut self.calls);
        let is_safe = |place: usize| self.journal.is_committed(place);
        let is_kept = |call: &&Call| is_safe(call.reserved_at);
        self.calls = before.iter().filter(is_kept).copied().collect();
        for call in &mut self.calls {
            call.end = call.end.filter(|end| is_safe(end.settled_at));
        }
        let in_flight: Vec<AdmissionId> = self.open_calls().map(|call| call.id).collect();
        self.start_process();
        self.check_recovered(&before, &in_flight);
    }

    /// An orderly stop: all calls end, and everything is committed.
    fn process_stops(&mut self) {
        self.settle_all();
        self.journal.commit(usize::MAX);
        let before = self.account.view(self.now());
        self.start_process();
        if !self.has_clock_jumps && self.day == self.today() {
            let after = self.account.view(self.now());
            assert_eq!(after.tokens_today, before.tokens_today);
            assert_eq!(after.cost_this_month, before.cost_this_month);
        }
    }

    /// A new process opens the ledger. Some time has passed, and nobody looked at the clock.
    fn start_process(&mut self) {
        self.true_ns += self.random.random_range(0..20_000_000_000);
        if self.random.random_bool(0.2) {
            self.step_wall_clock();
        }
        let opened = self.journal.reopen(self.now().unix_ms);
        self.process += 1;
        self.process_started_ns = self.true_ns;
        self.clock_base = opened.clock_base;
        self.saved = opened.saved;
        self.next_id = opened.next_id;
        self.day = self.calls.iter().map(|call| call.day).max().unwrap_or(0);
        assert!(self.open_calls().map(|call| call.id).eq(opened.settled.iter().map(|&(id, _)| id)));
        for (id, settled_at) in opened.settled {
            // The ledger settled it while it opened, before this process has an account.
            let process = self.process - 1;
            self.change(id, |call| {
                let outcome = Outcome::Spent { tokens: call.bound.tokens, cost: call.bound.cost };
                call.end = Some(End { outcome, settled_at, process });
            });
        }
        self.account = Account::restore(self.limits, &self.saved, self.now());
        assert_eq!(self.account.open().count(), 0);
    }

    fn change_limits(&mut self) {
        if self.has_reloads {
            self.limits = some_limits(&mut self.random);
            self.account.set_limits(self.limits);
        }
    }

    fn step_wall_clock(&mut self) {
        if self.has_clock_jumps {
            let most: i64 =
                [1_000, 60_000, DAY_MS as i64, 40 * DAY_MS as i64][self.random.random_range(0..4)];
            self.wall_offset_ms += self.random.random_range(-most..=most);
        }
    }

    fn open_calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.end.is_none())
    }

    fn some_open_call(&mut self) -> Option<Call> {
        let open = self.open_calls().count();
        if open == 0 {
            return None;
        }
        let nth = self.random.random_range(0..open);
        self.open_calls().nth(nth).copied()
    }

    fn change(&mut self, id: AdmissionId, change: impl FnOnce(&mut Call)) {
        if let Ok(index) = self.calls.binary_search_by_key(&id, |call| call.id) {
            change(&mut self.calls[index]);
        }
    }

    fn settle_all(&mut self) {
        while let Some(call) = self.some_open_call() {
            let Ask { tokens, cost } = call.bill;
            let is_paid = call.is_delivered;
            self.settle(call, if is_paid { Outcome::Spent { tokens, cost } } else { Outcome::Failed });
            self.check();
        }
    }

    /// Right after an admission nothing may be above its limit, also by the time that truly passed.
    fn check_after_admission(&self) {
        for meter in self.account.view(self.now()).meters() {
            assert!(meter.used + meter.reserved <= meter.max, "{meter:?}");
        }
        if !self.has_clock_jumps {
            let now = Now { mono: Duration::from_nanos(self.true_ns), ..self.now() };
            let truly = |call: &Call| Call {
                at: Now { mono: Duration::from_nanos(call.true_ns), ..call.at },
                ..*call
            };
            let calls: Vec<Call> = self.calls.iter().map(truly).collect();
            let counts = Counts::of(&calls, now, now.unix_ms / DAY_MS, self.process);
            for meter in self.account.view(self.now()).meters() {
                let count = counts.get(meter.name);
                assert!(count.total() <= meter.max, "{meter:?} is truly at {count:?}");
            }
        }
    }

    /// The account shows what the model counts, and nothing passes its limit but by what
    /// settlements had above their bounds.
    fn check(&self) {
        let (view, counts) = (self.account.view(self.now()), self.counts());
        for meter in view.meters() {
            let count = counts.get(meter.name);
            assert_eq!((meter.used, meter.reserved), (count.used, count.reserved), "{meter:?}");
            assert_eq!(meter.remaining, meter.max.saturating_sub(count.total()));
            let most = meter.max + count.over;
            assert!(self.has_reloads || count.total() <= most, "{meter:?} is above its limit: {count:?}");
        }
        assert_eq!(view.in_flight, counts.open.used);
        assert_eq!(view.tokens_today, counts.tokens_today.used);
        assert_eq!(
            (view.cost_today, view.cost_this_month),
            (counts.cost_today.used, counts.cost_this_month.used)
        );
        assert_eq!((view.debt, view.cost_debt), (counts.tokens_today.over, counts.cost_debt));
        assert!(self.has_overshoot || view.debt + view.cost_debt == 0);
    }

    /// After a crash: nothing is missing that the client received, and what is counted too much is
    /// at most what was in flight, as the ledger knew it.
    fn check_recovered(&self, before: &[Call], in_flight: &[AdmissionId]) {
        let (view, today) = (self.account.view(self.now()), self.today());
        let is_today = |call: &&Call| call.day == today;
        let is_this_month = |call: &&Call| month_of(call.day) == month_of(today);
        let today: Vec<&Call> = before.iter().filter(is_today).collect();
        let this_month: Vec<&Call> = before.iter().filter(is_this_month).collect();
        let is_in_flight = |call: &Call| in_flight.contains(&call.id);
        let check = |calls: &[&Call], recovered: u64, part: fn(Ask) -> u64| {
            // Where a bound did not hold, it is all that can be known of a call that a crash ended.
            let known_most = |call: &Call| if is_in_flight(call) { call.bound } else { call.spent() };
            let delivered = calls.iter().filter(|call| call.is_delivered);
            let delivered: u64 = delivered.map(|call| part(call.bill).min(part(known_most(call)))).sum();
            let known: u64 = calls.iter().map(|call| part(call.spent())).sum();
            let bounds: u64 =
                calls.iter().filter(|call| is_in_flight(call)).map(|call| part(call.bound)).sum();
            assert!(recovered >= delivered, "{recovered} recovered of {delivered} delivered");
            assert!(
                recovered <= known + bounds,
                "{recovered} recovered of {known} known and {bounds} in flight"
            );
        };
        check(&today, view.tokens_today, |ask| ask.tokens);
        check(&today, view.cost_today, |ask| ask.cost);
        check(&this_month, view.cost_this_month, |ask| ask.cost);
        assert_eq!(view.in_flight, 0);
    }

    /// All calls end: nothing is in flight, nothing reserved, and a minute later all is quiet.
    fn end(mut self) {
        self.settle_all();
        let view = self.account.view(self.now());
        assert_eq!(view.in_flight, 0);
        assert!(view.meters().all(|meter| meter.reserved == 0));
        self.true_ns += 60_000_000_000;
        assert!(self.account.is_idle(self.now()));
        assert!(Account::restore(self.limits, &self.saved, self.now()).is_idle(self.now()));
        self.check();
        self.process_stops();
        self.check();
    }
}

fn some_price(random: &mut StdRng) -> Price {
    let mut pico = |most: u64| random.random_range(0..=most);
    Price {
        input: pico(20),
        cache_read: pico(10),
        cache_write: pico(30),
        output: pico(60),
        reasoning: pico(60),
    }
}

fn some_limits(random: &mut StdRng) -> Limits {
    let mut some = |largest: u64| match random.random_range(0..10) {
        0..3 => None,
        3 => Some(random.random_range(0..=1)),
        _ => Some(random.random_range(1..=largest)),
    };
    Limits {
        requests_per_minute: some(12),
        tokens_per_minute: some(500),
        tokens_per_day: some(2_000),
        usd_per_day: some(40_000),
        usd_per_month: some(60_000),
        concurrent_requests: some(6),
        ..Limits::default()
    }
}
