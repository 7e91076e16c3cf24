//! Carries a stream's bytes to the client, counts what they use, and settles.
//!
//! Owns     the upstream call from its first content to its end, and the client's charge with it.
//! Called   by the connection, which polls it as the response's body: no task and no channel in between. A
//!          client that does not read stops the polling, and with it the reading from upstream.
//! Bounded  by the stall, silence and total clocks, which run only while we wait for the upstream; by the
//!          client's `write_timeout`, in the connection; by `COALESCED_MAX` bytes at a time.
//! Fails    with an error event of the client's protocol and the end of the stream, never as if complete.
//!          Dropped (the client left), it closes the upstream call at once and settles what was relayed.

mod context;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use gateway_actors::ledger::AnswerOwner;
use gateway_protocols::error::Dialect;
use gateway_protocols::event::AnswerStream;
use gateway_protocols::gemini;
use sync_wrapper::SyncWrapper;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::attempts::{Broken, Failed, Mend, Opened, Unmended};
use crate::call::{Clock, UpstreamFault};
use crate::charge::Charge;
use crate::failover::{Next, verdict};
use crate::respond::{self, Fault};
use crate::settings::Timeouts;
use crate::upstream::AnswerBody;

/// After this long without a byte to the client a comment is sent: load balancers cut idle connections after
/// 30 s and more.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// An SSE comment, which every client skips.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// The same for clients of Anthropic's API, whose SDKs know this event.
const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// U+FEFF in UTF-8, which may stand before an event stream's first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes handed to the connection at once. Larger pieces pass uncopied, one by one.
const COALESCED_MAX: usize = 64 << 10;

/// Two chunks closer than this begin a burst: holding its bytes for a moment saves a system call per chunk.
const BURST_GAP: Duration = Duration::from_micros(200);

/// Turns without a chunk that end a burst: the task of the upstream's connection needs one to hand over the next
/// chunk, and with a single turn nothing was ever saved. A turn takes microseconds.
const BURST_TURNS: u8 = 2;

/// Chunks taken in one turn: beyond them other requests of the thread, and the clocks, have theirs.
const READS_MAX: usize = 128;

/// How long the upstream may take to end its answer after the terminal event. Until then its connection is
/// not free for another call.
const END_WAIT: Duration = Duration::from_millis(100);

pub use context::{Keeper, RelayContext};

type Opening = BoxFuture<'static, Result<Opened, Box<Failed>>>;

type Mending = BoxFuture<'static, Result<Opened, Unmended>>;

#[expect(clippy::large_enum_variant, reason = "nearly all of its life it is the large one, and never moved")]
enum Phase {
    /// Content is late: the head has gone out, and the call is still being opened.
    Opening(SyncWrapper<Opening>),
    Flowing(Flow),
    /// It broke off, and somebody else is asked to go on.
    Mending(SyncWrapper<Mending>),
    /// The last event is in `out`; the upstream may still have to end its body.
    Ending(Option<Rest>),
    Done,
}

/// A stream between its first content and its end.
struct Flow {
    scan: Box<dyn AnswerStream>,
    body: AnswerBody,
    charge: Charge,
    /// Time spent waiting since the last content.
    content_wait: Duration,
    /// Who goes on, should it break off.
    mender: Option<Box<dyn Mend>>,
}

/// What is left of a stream behind its terminal event: the end of the body, and the second half of the event's
/// own line end where the network cut it.
struct Rest {
    scan: Box<dyn AnswerStream>,
    body: AnswerBody,
}

/// The response's body.
pub struct Relay {
    context: RelayContext,
    phase: Phase,
    out: VecDeque<Bytes>,
    timer: Pin<Box<Sleep>>,
    /// When we began to wait for the upstream; `None` while it keeps us busy.
    waiting_since: Option<Instant>,
    /// The last chunk outside of a burst, or the end of the last burst.
    last_chunk: Instant,
    last_sent: Instant,
    /// Whether what comes is held for what follows at once. So are the first content, for the head to travel with
    /// it, and the terminal event, for the end.
    in_burst: bool,
    turns: u8,
    /// What is told at the end of a stream that was mended.
    note: Option<String>,
    /// Notes what the upstream keeps.
    keeper: Option<Keeper>,
    /// Resolves when the gateway will wait no longer for streams to end.
    cut_off: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Relay {
    /// Relays a stream whose first content has come.
    pub fn flowing(context: RelayContext, opened: Opened, cut_off: WaitForCancellationFutureOwned) -> Self {
        let mut relay = Self::new(context, Phase::Done, cut_off);
        relay.start(opened);
        relay
    }

    /// Relays a stream whose first content is late: comments keep the connection until it comes.
    pub fn opening(context: RelayContext, opening: Opening, cut_off: WaitForCancellationFutureOwned) -> Self {
        let mut relay = Self::new(context, Phase::Opening(SyncWrapper::new(opening)), cut_off);
        relay.keep_alive();
        relay
    }

    fn new(context: RelayContext, phase: Phase, cut_off: WaitForCancellationFutureOwned) -> Self {
        let now = Instant::now();
        Self {
            context,
            phase,
            out: VecDeque::new(),
            timer: Box::pin(tokio::time::sleep_until(now + KEEP_ALIVE_EVERY)),
            waiting_since: None,
            last_chunk: now,
            last_sent: now,
            in_burst: true,
            turns: 0,
            note: None,
            keeper: None,
            cut_off: Box::pin(cut_off),
        }
    }

    fn keep_alive(&mut self) {
        let sign_of_life = match self.context.dialect {
            _ if self.context.is_array => b"\n",
            Dialect::Anthropic => PING,
            Dialect::Gemini => gemini::KEEP_ALIVE,
            Dialect::OpenAi | Dialect::Seed | Dialect::Interactions => KEEP_ALIVE,
        };
        self.out.push_back(Bytes::from_static(sign_of_life));
    }

    fn start(&mut self, opened: Opened) {
        let Opened { held, scan, body, mut charge, served, mender, .. } = opened;
        self.context.provider = Arc::clone(&served.leg.target.provider);
        self.context.timeouts = served.leg.timeouts;
        // Whoever goes on with a stream keeps an answer that the client has no id of.
        if let Some((shared, client)) = self.context.keeper.take() {
            let provider = Arc::clone(&served.leg.target.provider);
            let keeper = Keeper { shared, owner: AnswerOwner { client, provider, key: served.key } };
            scan.response_id().into_iter().for_each(|id| keeper.note(id));
            self.keeper = Some(keeper);
        }
        self.out.extend(held);
        self.in_burst = true;
        self.last_chunk = Instant::now();
        if scan.is_terminal() {
            self.tell_end();
            self.note_items(&*scan);
            charge.complete(scan.usage(), || scan.counted());
            self.phase = Phase::Ending(Some(Rest { scan, body }));
        } else {
            charge.relayed(scan.counted());
            self.phase = Phase::Flowing(Flow { scan, body, charge, content_wait: Duration::ZERO, mender });
        }
    }

    /// Of an answer that is whole, its parts can be referred to.
    fn note_items(&self, scan: &dyn AnswerStream) {
        if let Some(keeper) = &self.keeper {
            scan.item_ids().iter().for_each(|id| keeper.note(id));
        }
    }

    /// Takes what the upstream has ready. `Pending` when it has no more.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.phase {
            Phase::Opening(opening) => {
                match std::task::ready!(opening.get_mut().as_mut().poll(cx)) {
                    Ok(mut opened) => {
                        // It is a mark at a stream's beginning only, and comments have gone out.
                        if let Some(first) = opened.held.front_mut()
                            && first.starts_with(BYTE_ORDER_MARK)
                        {
                            first.advance(BYTE_ORDER_MARK.len());
                        }
                        self.start(opened);
                    }
                    // Its charge is settled already, and the log has it.
                    Err(failed) => self.close(&failed.fault, None),
                }
                Poll::Ready(())
            }
            Phase::Mending(mending) => {
                match std::task::ready!(mending.get_mut().as_mut().poll(cx)) {
                    Ok(opened) => {
                        self.note = Some(format!(
                            "gateway: the answer broke off; {} went on, attempt {}",
                            opened.served.leg.target.provider, opened.served.attempts
                        ));
                        self.start(opened);
                    }
                    // Its charge is settled already, and the log has it.
                    Err(Unmended { held, scan, failed }) => {
                        self.out.extend(held);
                        self.close(&failed.fault, Some(scan));
                    }
                }
                Poll::Ready(())
            }
            Phase::Flowing(flow) => {
                let chunk = std::task::ready!(Pin::new(&mut flow.body).poll_next(cx));
                self.take(chunk);
                Poll::Ready(())
            }
            Phase::Ending(rest) => {
                let Some(Rest { scan, body }) = rest else { return Poll::Ready(()) };
                let taken = match std::task::ready!(Pin::new(body).poll_next(cx)) {
                    // However much follows the end, it is waited for no longer than nothing.
                    Some(Ok(chunk)) if self.last_chunk.elapsed() < END_WAIT => {
                        scan.push(chunk, &mut self.out).is_ok()
                    }
                    Some(_) | None => false,
                };
                if !taken {
                    *rest = None;
                }
                Poll::Ready(())
            }
            Phase::Done => Poll::Ready(()),
        }
    }

    fn take(&mut self, chunk: Option<Result<Bytes, crate::upstream::WireFault>>) {
        let waited = self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        if !self.in_burst {
            let now = Instant::now();
            self.in_burst = now.duration_since(self.last_chunk) < BURST_GAP;
            self.last_chunk = now;
        }
        let Phase::Flowing(flow) = &mut self.phase else { return };
        let before = flow.scan.contents();
        let taken = match chunk {
            Some(Ok(chunk)) => flow.scan.push(chunk, &mut self.out).map_err(UpstreamFault::Stream),
            Some(Err(fault)) => Err(UpstreamFault::Wire(fault)),
            None => flow.scan.finish(&mut self.out).map_err(UpstreamFault::Stream),
        };
        if let Err(fault) = taken {
            return self.cut(fault);
        }
        if flow.scan.is_terminal() {
            return self.complete();
        }
        if flow.scan.contents() > before {
            flow.content_wait = Duration::ZERO;
            flow.charge.relayed(flow.scan.counted());
        } else {
            flow.content_wait += waited;
        }
    }

    /// Settles before the terminal event is handed out.
    fn complete(&mut self) {
        if let Phase::Flowing(flow) = std::mem::replace(&mut self.phase, Phase::Done) {
            let Flow { scan, charge, body, .. } = flow;
            self.tell_end();
            self.note_items(&*scan);
            charge.complete(scan.usage(), || scan.counted());
            self.phase = Phase::Ending(Some(Rest { scan, body }));
            self.in_burst = true;
            self.last_chunk = Instant::now();
        }
    }

    fn cut(&mut self, mut fault: UpstreamFault) {
        if let Phase::Flowing(flow) = std::mem::replace(&mut self.phase, Phase::Done) {
            fault = fault.without_key(flow.charge.lease());
            let Flow { mut scan, charge, mender, .. } = flow;
            let can_go_on = verdict(&fault).next != Next::Nothing
                && scan.mendable().is_some_and(|stream| stream.can_resume());
            if can_go_on && let Some(mender) = mender {
                self.phase = Phase::Mending(SyncWrapper::new(mender.mend(Broken { charge, scan, fault })));
                return;
            }
            if let Some(charge) = self.context.leave(&*scan, charge) {
                charge.cut(fault.as_str(), verdict(&fault).blame, scan.counted());
            }
            return self.end_with(fault, Some(scan));
        }
        self.end_with(fault, None);
    }

    /// A comment behind the end of a stream that was mended; an array has no place for one.
    fn tell_end(&mut self) {
        if let Some(note) = self.note.take().filter(|_| !self.context.is_array) {
            self.out.push_back(format!(": {note}\n\n").into());
        }
    }

    /// `scan` knows what of the stream has gone out.
    fn end_with(&mut self, fault: UpstreamFault, scan: Option<Box<dyn AnswerStream>>) {
        let context = &self.context;
        tracing::warn!(
            request_id = context.request_id.as_str(),
            provider = &*context.provider,
            fault = fault.as_str(),
            "stream ended in an error"
        );
        let fault = Fault::of_call(&context.provider, fault);
        self.close(&fault, scan);
    }

    /// The gateway stops and has waited long enough.
    fn cut_off(&mut self) {
        let scan = match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Flowing(flow) => {
                drop(self.context.leave(&*flow.scan, flow.charge));
                Some(flow.scan)
            }
            _ => None,
        };
        self.close(&Fault::Draining, scan);
    }

    /// The error event, and then the end.
    fn close(&mut self, fault: &Fault, scan: Option<Box<dyn AnswerStream>>) {
        let context = &self.context;
        let event = respond::stream_error(context.dialect, fault, context.request_id.as_str());
        self.out.push_back(match scan {
            Some(mut scan) => scan.closing_error(event),
            None if context.is_array => gemini::array_of(event),
            None => event,
        });
        self.phase = Phase::Ending(None);
    }

    /// The clocks, looked at when the timer fires and armed for the next one. They are not touched per chunk.
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        if self.timer.deadline() > now && self.timer.as_mut().poll(cx).is_pending() {
            let next = self.next_deadline(since).map(|(at, ..)| at);
            if next.is_some_and(|next| next < self.timer.deadline()) {
                self.timer.as_mut().reset(next.unwrap_or(now));
                return self.timer.as_mut().poll(cx);
            }
            return Poll::Pending;
        }
        match self.next_deadline(since) {
            Some((at, Some((clock, after)))) if at <= now => {
                self.cut(UpstreamFault::TimedOut { clock, after });
                return Poll::Ready(());
            }
            Some((at, None)) if at <= now => {
                if let Phase::Ending(rest) = &mut self.phase {
                    *rest = None;
                } else {
                    self.keep_alive();
                }
                return Poll::Ready(());
            }
            Some((at, _)) => self.timer.as_mut().reset(at),
            None => return Poll::Pending,
        }
        self.timer.as_mut().poll(cx)
    }

    /// What runs out first, given that we have waited since then; without a clock it is a keep-alive, or the end
    /// of the wait for the upstream's own end.
    fn next_deadline(&self, since: Instant) -> Option<(Instant, Option<(Clock, Duration)>)> {
        let keep_alive = Some((self.last_sent + KEEP_ALIVE_EVERY, None));
        let Phase::Flowing(flow) = &self.phase else {
            let end = Some((self.last_chunk + END_WAIT, None));
            // While opening, the call's own clocks run inside its future.
            return if matches!(self.phase, Phase::Ending(_)) { end } else { keep_alive };
        };
        let Timeouts { stall, silence, total, .. } = self.context.timeouts;
        let clock = |at, clock, after| Some((at, Some((clock, after))));
        [
            keep_alive,
            clock(since + silence, Clock::Silence, silence),
            clock(since + stall.saturating_sub(flow.content_wait), Clock::Stall, stall),
            total.and_then(|total| clock(self.context.arrived + total, Clock::Total, total)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Everything that is ready, as one piece where it is small.
    fn emit(&mut self) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.turns = 0;
        self.last_sent = Instant::now();
        let Some(first) = self.out.pop_front() else { return Poll::Ready(None) };
        let fits = |bytes: usize, next: &Bytes| bytes + next.len() <= COALESCED_MAX;
        if !self.out.front().is_some_and(|next| fits(first.len(), next)) {
            return Poll::Ready(Some(Ok(first)));
        }
        let mut all = BytesMut::with_capacity(COALESCED_MAX.min(self.out_bytes() + first.len()));
        all.extend_from_slice(&first);
        while let Some(next) = self.out.pop_front_if(|next| fits(all.len(), next)) {
            all.extend_from_slice(&next);
        }
        Poll::Ready(Some(Ok(all.freeze())))
    }

    fn out_bytes(&self) -> usize {
        self.out.iter().map(Bytes::len).sum()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Phase::Flowing(flow) = std::mem::replace(&mut self.phase, Phase::Done) {
            drop(self.context.leave(&*flow.scan, flow.charge));
        }
    }
}

impl Stream for Relay {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut reads = 0_usize;
        loop {
            let is_over = matches!(this.phase, Phase::Ending(None) | Phase::Done);
            if is_over || this.out_bytes() >= COALESCED_MAX {
                // Without a piece left, the end.
                return this.emit();
            }
            if this.read(cx).is_ready() {
                this.waiting_since = None;
                // The turns count in a row: more has come, so the wait begins anew.
                this.turns = 0;
                reads += 1;
                if reads.is_multiple_of(READS_MAX) {
                    // An upstream that is always ready and never says anything must not keep the thread.
                    let _ = this.poll_clocks(cx);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            if !this.out.is_empty() {
                if this.in_burst && this.turns < BURST_TURNS {
                    this.turns += 1;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if this.in_burst {
                    this.in_burst = false;
                    this.last_chunk = Instant::now();
                }
                return this.emit();
            }
            if !matches!(this.phase, Phase::Ending(_)) && this.cut_off.as_mut().poll(cx).is_ready() {
                this.cut_off();
                continue;
            }
            std::task::ready!(this.poll_clocks(cx));
        }
    }
}
