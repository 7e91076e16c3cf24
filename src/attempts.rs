//! One request's attempts: who is asked after whom, until one of them answers or nobody is left.
//!
//! Owns     what was tried, and the request as it is written for the target in hand.
//! Called   by the handlers, with a charge for the first attempt; by `relay.rs` where a stream broke off.
//! Bounded  by `max_attempts`, by the retry budget of each provider's pool, by `WAIT_MAX` of waiting in all, and by the
//!          clock of the whole request.
//! Fails    with the last upstream's fault, settled as failed or refused. It runs in the request's own future: a client
//!          that leaves ends it wherever it is, also in a pause, and nobody is asked any more.
//!
//! What follows from which fault is the table of [`failover`](crate::failover), what is done about it `next.rs`; who is
//! asked then is the pools' choice.

mod billed;
mod mending;
mod next;
mod passing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_actors::{GatewayHandle, Tried};
use gateway_protocols::event::AnswerStream;
use gateway_protocols::translate::{Mendable, Resume};
use http::HeaderValue;
use tokio::time::Instant;

use crate::call::{Begun, Call, ReadWhole, Whole};
use crate::charge::Charge;
use crate::fault::Fault;
use crate::resolve::Leg;
use crate::settings::Midstream;
use crate::upstream::{AnswerBody, UpstreamRequest, Upstreams};

use billed::Seen;
use next::Trouble;

pub use mending::{Broken, Mend, Unmended};
pub use passing::Taken;

/// Writes one request for any of its targets, and reads what they answer.
pub trait Writer: std::fmt::Debug + Send + Sync + 'static {
    /// The request for this target.
    ///
    /// # Errors
    /// When it has no form there.
    fn write(&self, leg: &Leg, at: usize) -> Result<Written, Fault>;

    /// How this target's whole answer becomes the client's.
    fn read_whole(&self, leg: &Leg, at: usize) -> ReadWhole;
}

/// A writer of requests whose answers may be streams.
pub trait StreamWriter: Writer {
    /// How this target's stream becomes the client's.
    fn stream(&self, leg: &Leg, at: usize) -> Box<dyn AnswerStream>;

    /// Has a stream that broke off go on with this target. Only called for streams that are mendable.
    fn resume(&self, _leg: &Leg, _at: usize, _stream: &mut Mendable, _how: Resume) {}

    /// The request for this target with the beginning of its answer; `None` where that cannot be.
    fn continued(&self, _leg: &Leg, _at: usize, _text: &str) -> Option<Written> {
        None
    }
}

/// A request as one target takes it.
#[derive(Debug)]
pub struct Written {
    /// What is sent.
    pub request: UpstreamRequest,
    /// Members that had no equal and were left out.
    pub dropped: Vec<String>,
}

/// What all attempts of a request have in common.
#[derive(Debug)]
pub struct Course {
    /// The tree.
    pub gateway: GatewayHandle,
    /// The HTTP clients.
    pub upstreams: Arc<Upstreams>,
    /// The targets, as in the plan of the admission.
    pub legs: Arc<[Leg]>,
    /// When the client's request arrived.
    pub arrived: Instant,
    /// How many may be asked.
    pub max_attempts: u32,
    /// The client's weight in a pool's queue.
    pub priority: u32,
    /// The request's id, for the log.
    pub request_id: Box<str>,
    /// What is done when a stream breaks off behind its first content.
    pub midstream: Midstream,
}

/// Who answered in the end, or failed last.
#[derive(Debug, Clone)]
pub struct Served {
    /// Which target.
    pub leg: Leg,
    /// The name of the key there.
    pub key: Arc<str>,
    /// How many were asked.
    pub attempts: u32,
    /// Members that had no equal there and were left out.
    pub dropped: Vec<String>,
}

/// Nobody answered.
#[derive(Debug)]
pub struct Failed {
    /// Why not, in the end.
    pub fault: Fault,
    /// Who failed last.
    pub served: Served,
}

/// A stream whose first content, or end, has come.
#[derive(Debug)]
pub struct Opened {
    /// What may go to the client at once.
    pub held: VecDeque<Bytes>,
    /// What the stream has said so far.
    pub scan: Box<dyn AnswerStream>,
    /// The rest.
    pub body: AnswerBody,
    /// The request's account.
    pub charge: Charge,
    /// Who answers.
    pub served: Served,
    /// `openai-processing-ms`, if it came.
    pub processing_ms: Option<HeaderValue>,
    /// How long the upstream took until here.
    pub upstream_time: Duration,
    /// Who goes on, should it break off.
    pub mender: Option<Box<dyn Mend>>,
}

/// The attempts of one request.
#[derive(Debug)]
pub struct Attempts<W> {
    course: Course,
    writer: W,
    /// The request for the target in hand.
    written: Option<(usize, Written)>,
    tried: Vec<Tried>,
    /// Attempts that do not count: somebody was asked only to find out whether a key works again.
    free: u32,
    /// Whether one of these was such a trial.
    has_tried: bool,
    /// Waited in all.
    waited: Duration,
    /// Whether the client has a part of the answer.
    is_mending: bool,
}

impl<W: Writer> Attempts<W> {
    /// Begins; `written` is the request for one of the targets, where it is written already.
    pub fn new(course: Course, writer: W, written: Option<(usize, Written)>) -> Self {
        Self {
            course,
            writer,
            written,
            tried: Vec::new(),
            free: 0,
            has_tried: false,
            waited: Duration::ZERO,
            is_mending: false,
        }
    }

    /// Asks until there is a whole answer. The charge is settled before this returns, or with the answer where that goes on.
    ///
    /// # Errors
    /// The last fault, when nobody is left.
    pub async fn whole(mut self, mut charge: Charge) -> Result<(Whole, Served), Box<Failed>> {
        loop {
            let at = charge.lease().at();
            let read = self.writer.read_whole(&self.course.legs[at], at);
            let asked = match self.call(at) {
                Ok(call) => call.whole(&mut charge, read).await.map_err(Trouble::whole),
                Err(fault) => Err(Trouble::Unwritable(fault)),
            };
            match asked {
                Ok(mut whole) => {
                    let served = self.served_by(&charge);
                    charge.committed();
                    if whole.answer.goes_on {
                        whole.unattended = Some(charge.leave());
                    } else {
                        charge.complete(whole.answer.usage, || whole.answer.counted);
                    }
                    return Ok((whole, served));
                }
                Err(trouble) => charge = self.next(charge, trouble).await?,
            }
        }
    }

    /// Asks until a stream's first content, or its end, has come.
    ///
    /// # Errors
    /// The last fault, when nobody is left; the charge is settled.
    pub async fn open(mut self, mut charge: Charge) -> Result<Opened, Box<Failed>>
    where
        W: StreamWriter,
    {
        loop {
            let at = charge.lease().at();
            let mut held = VecDeque::new();
            let mut scan = self.writer.stream(&self.course.legs[at], at);
            let asked = match self.call(at) {
                Ok(call) => {
                    let begun = call.open(&mut charge, &mut *scan, &mut held).await;
                    begun.map_err(|fault| Trouble::Upstream(fault, Seen::of(&*scan)))
                }
                Err(fault) => Err(Trouble::Unwritable(fault)),
            };
            match asked {
                Ok(begun) => {
                    let is_mendable = scan.mendable().is_some();
                    return Ok(self.opened(charge, scan, held, begun, is_mendable));
                }
                Err(trouble) => charge = self.next(charge, trouble).await?,
            }
        }
    }

    fn opened(
        self,
        charge: Charge,
        scan: Box<dyn AnswerStream>,
        held: VecDeque<Bytes>,
        begun: Begun,
        is_mendable: bool,
    ) -> Opened
    where
        W: StreamWriter,
    {
        let served = self.served_by(&charge);
        charge.committed();
        let Begun { body, processing_ms, upstream_time } = begun;
        // Else the request is not needed any more.
        let mender = is_mendable.then(|| Box::new(self) as Box<dyn Mend>);
        Opened { held, scan, body, charge, served, processing_ms, upstream_time, mender }
    }

    /// Whom a charge asks.
    pub fn served_by(&self, charge: &Charge) -> Served {
        let lease = charge.lease();
        let dropped = self.written.as_ref().map(|(_, written)| written.dropped.clone());
        Served {
            leg: self.course.legs[lease.at()].clone(),
            key: Arc::clone(&lease.endpoint().key_name),
            attempts: charge.attempts(),
            dropped: dropped.unwrap_or_default(),
        }
    }

    /// The call of this target; its request is written now, unless it is.
    fn call(&mut self, at: usize) -> Result<Call<'_>, Fault> {
        let (upstreams, leg) = (&*self.course.upstreams, &self.course.legs[at]);
        let written = match self.written.take().filter(|(written_for, _)| *written_for == at) {
            Some(written) => written,
            None => (at, self.writer.write(leg, at)?),
        };
        let (_, written) = self.written.insert(written);
        Ok(Call { upstreams, leg, arrived: self.course.arrived, request: &written.request })
    }
}
