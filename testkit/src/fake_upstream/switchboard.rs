//! What all connections of one fake share: the replies that wait, the requests seen, the tasks.
//!
//! Owns     all of it; [`FakeUpstream`](super::FakeUpstream) is its face.
//! Called   by the accept loop and the connections, once per request.
//! Bounded  `KEPT_REQUESTS`, but none is forgotten while it is being answered; finished tasks are
//!          collected at each new connection.
//! Fails    a task's panic is kept for [`Switchboard::dismiss`].

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Greeting, KEPT_REQUESTS};
use crate::reply::{Bill, Reply};
use crate::seen::{Billed, Finish, Peer, Progress, Request, Seen};
use crate::shelf::Shelf;

/// What a request gets, if the rule applies to it.
pub(super) type Rule = Arc<dyn Fn(&Seen) -> Option<Arc<Reply>> + Send + Sync>;

struct Desk {
    rules: Vec<Rule>,
    script: VecDeque<Arc<Reply>>,
    always: Arc<Reply>,
    greetings: VecDeque<Greeting>,
    connections: usize,
    keep: usize,
    seen: VecDeque<Seen>,
    /// How many requests came before the first of `seen`, and what they were charged.
    forgotten: usize,
    forgotten_bill: Billed,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            script: VecDeque::new(),
            always: Arc::default(),
            greetings: VecDeque::new(),
            connections: 0,
            keep: KEPT_REQUESTS,
            seen: VecDeque::new(),
            forgotten: 0,
            forgotten_bill: Billed::default(),
        }
    }
}

impl Desk {
    /// A request that is still being answered stays until it is: its bill is not written yet.
    fn forget_oldest(&mut self) {
        while self.seen.len() > self.keep
            && self.seen.front().is_some_and(Seen::is_finished)
            && let Some(oldest) = self.seen.pop_front()
        {
            self.forgotten += 1;
            self.forgotten_bill += oldest.billed();
        }
    }
}

#[derive(Default)]
struct Crew {
    tasks: JoinSet<()>,
    panicked: Option<Box<dyn Any + Send>>,
}

impl Crew {
    fn collect_finished(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(failure) = ended
                && let Ok(payload) = failure.try_into_panic()
            {
                self.panicked.get_or_insert(payload);
            }
        }
    }
}

pub(super) struct Switchboard {
    desk: Mutex<Desk>,
    /// `None` once the fake was dropped: nothing is spawned any more.
    crew: Mutex<Option<Crew>>,
    shelf: Shelf,
    arrived: watch::Sender<usize>,
    in_flight: watch::Sender<usize>,
}

impl Default for Switchboard {
    fn default() -> Self {
        Self {
            desk: Mutex::default(),
            crew: Mutex::new(Some(Crew::default())),
            shelf: Shelf::default(),
            arrived: watch::Sender::default(),
            in_flight: watch::Sender::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No invariant spans two statements here, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Switchboard {
    pub(super) fn script(&self, reply: Reply) {
        lock(&self.desk).script.push_back(Arc::new(reply));
    }

    pub(super) fn script_left(&self) -> usize {
        lock(&self.desk).script.len()
    }

    pub(super) fn always(&self, reply: Reply) {
        lock(&self.desk).always = Arc::new(reply);
    }

    pub(super) fn decide(&self, rule: Rule) {
        lock(&self.desk).rules.push(rule);
    }

    pub(super) fn greet(&self, n: usize, greeting: Greeting) {
        let greetings = std::iter::repeat_n(greeting, n);
        lock(&self.desk).greetings.extend(greetings);
    }

    pub(super) fn keep_requests(&self, n: usize) {
        let mut desk = lock(&self.desk);
        desk.keep = n;
        desk.forget_oldest();
    }

    /// Counts a connection: its number, and what it meets.
    pub(super) fn connected(&self) -> (usize, Option<Greeting>) {
        let mut desk = lock(&self.desk);
        desk.connections += 1;
        (desk.connections - 1, desk.greetings.pop_front())
    }

    pub(super) fn connections(&self) -> usize {
        lock(&self.desk).connections
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    pub(super) fn requests(&self) -> usize {
        *self.arrived.borrow()
    }

    pub(super) async fn arrived(&self, n: usize) {
        let mut arrived = self.arrived.subscribe();
        // The sender is in `self`, so this cannot fail while it is awaited.
        let _ = arrived.wait_for(|arrived| *arrived >= n).await;
    }

    pub(super) fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    pub(super) async fn idle(&self) {
        let mut in_flight = self.in_flight.subscribe();
        // As above.
        let _ = in_flight.wait_for(|in_flight| *in_flight == 0).await;
    }

    pub(super) fn request(&self, n: usize) -> Seen {
        let desk = lock(&self.desk);
        let arrived = desk.forgotten + desk.seen.len();
        let place = n.checked_sub(desk.forgotten);
        let seen = place.and_then(|place| desk.seen.get(place)).cloned();
        drop(desk);
        seen.unwrap_or_else(|| panic!("no request {n} is kept; {arrived} have arrived"))
    }

    pub(super) fn billed(&self) -> Vec<Billed> {
        lock(&self.desk).seen.iter().map(Seen::billed).collect()
    }

    pub(super) fn billed_total(&self) -> Billed {
        let desk = lock(&self.desk);
        let mut total = desk.forgotten_bill;
        desk.seen.iter().for_each(|seen| total += seen.billed());
        total
    }

    /// Takes a request in: what it gets, and the ticket under which it is answered.
    pub(super) fn receive(
        self: &Arc<Self>,
        arrival: impl FnOnce(usize) -> Request,
        peer: watch::Receiver<Peer>,
    ) -> (Arc<Reply>, Ticket) {
        let (progress, watched) = watch::channel(Progress::default());
        let mut desk = lock(&self.desk);
        let number = desk.forgotten + desk.seen.len();
        let seen = Seen::new(arrival(number), watched, peer);
        desk.seen.push_back(seen.clone());
        desk.forget_oldest();
        let rules = desk.rules.clone();
        drop(desk);

        self.in_flight.send_modify(|in_flight| *in_flight += 1);
        let ticket = Ticket { seen, progress, switchboard: Arc::clone(self) };
        self.arrived.send_modify(|arrived| *arrived += 1);
        (self.choose(&rules, &ticket.seen), ticket)
    }

    /// Rules are asked without the lock: they are the test's code and may panic.
    fn choose(&self, rules: &[Rule], seen: &Seen) -> Arc<Reply> {
        if let Some(reply) = rules.iter().find_map(|rule| rule(seen)) {
            return reply;
        }
        if seen.method() != "POST" {
            return Arc::default();
        }
        let mut desk = lock(&self.desk);
        desk.script.pop_front().unwrap_or_else(|| Arc::clone(&desk.always))
    }

    /// Runs a task until it ends or the fake is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(crew) = lock(&self.crew).as_mut() {
            crew.collect_finished();
            crew.tasks.spawn(task);
        }
    }

    /// Ends all tasks; the payload of the first one that panicked.
    pub(super) fn dismiss(&self) -> Option<Box<dyn Any + Send>> {
        let mut crew = lock(&self.crew).take()?;
        crew.collect_finished();
        crew.panicked
    }
}

/// The right to answer one request. Dropped early, the answer counts as left by the client.
pub(super) struct Ticket {
    seen: Seen,
    progress: watch::Sender<Progress>,
    switchboard: Arc<Switchboard>,
}

impl Ticket {
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Notes body bytes that were written, and whether they ended a piece.
    pub(super) fn wrote(&self, bytes: &Bytes, piece: bool, bill: Bill) {
        self.progress.send_modify(|progress| {
            progress.keep(bytes);
            if piece {
                progress.pieces += 1;
                progress.billed = bill.after(progress.pieces);
            }
        });
    }

    /// The answer was written as planned.
    pub(super) fn finished(self) {
        self.end(Finish::AsPlanned);
    }

    fn end(&self, finish: Finish) {
        self.progress.send_modify(|progress| {
            progress.finish.get_or_insert(finish);
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(Finish::ClientLeft);
        self.switchboard.in_flight.send_modify(|in_flight| *in_flight -= 1);
    }
}
