//! A stream that broke off behind its first content: others are asked to go on with it.
//!
//! Owns     nothing beyond the attempts that it goes on with.
//! Called   by `relay.rs`, where the model's `midstream` says so.
//! Bounded  as all attempts are: they count on from those before.
//! Fails    with the stream and the fault, for the last event; the client has paid for what it got.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use gateway_protocols::event::AnswerStream;
use gateway_protocols::translate::Resume;

use super::{Attempts, Failed, Opened, StreamWriter, Trouble};
use crate::call::UpstreamFault;
use crate::charge::Charge;
use crate::fault::Fault;
use crate::settings::Midstream;

/// Goes on with a stream that broke off behind its first content.
pub trait Mend: std::fmt::Debug + Send + Sync {
    /// Asks others. The charge is settled where nobody goes on.
    fn mend(self: Box<Self>, broken: Broken) -> BoxFuture<'static, Result<Opened, Unmended>>;
}

/// A stream that broke off.
#[derive(Debug)]
pub struct Broken {
    /// The request's account.
    pub charge: Charge,
    /// What the stream has said, and how it goes on.
    pub scan: Box<dyn AnswerStream>,
    /// Why it broke off.
    pub fault: UpstreamFault,
}

/// Nobody went on.
#[derive(Debug)]
pub struct Unmended {
    /// What goes to the client yet, before the error.
    pub held: VecDeque<Bytes>,
    /// The stream, for its last event.
    pub scan: Box<dyn AnswerStream>,
    /// Why.
    pub failed: Box<Failed>,
}

impl<W: StreamWriter> Mend for Attempts<W> {
    fn mend(mut self: Box<Self>, broken: Broken) -> BoxFuture<'static, Result<Opened, Unmended>> {
        self.is_mending = true;
        Box::pin(self.go_on(broken))
    }
}

impl<W: StreamWriter> Attempts<W> {
    /// Asks others to go on with a stream that broke off.
    async fn go_on(mut self, broken: Broken) -> Result<Opened, Unmended> {
        let Broken { mut charge, mut scan, fault } = broken;
        let mut held = VecDeque::new();
        charge.broke_off(scan.counted());
        let provider = Arc::clone(&charge.lease().target().provider);
        let mut trouble = Trouble::Upstream(fault.clone());
        loop {
            let is_unwritable = matches!(trouble, Trouble::Unwritable(_));
            charge = match self.next(charge, trouble).await {
                Ok(charge) => charge,
                Err(mut failed) => {
                    if is_unwritable {
                        failed.fault = Fault::of_call(&provider, fault);
                    }
                    return Err(Unmended { held, scan, failed });
                }
            };
            let at = charge.lease().at();
            trouble = match self.ready(&mut *scan, at) {
                Ok(()) => {
                    if self.course.midstream == Midstream::Continue {
                        charge.goes_on();
                    }
                    match self.call(at).open(&mut charge, &mut *scan, &mut held).await {
                        Ok(begun) => {
                            charge.mended(self.course.midstream == Midstream::Continue);
                            return Ok(self.opened(charge, scan, held, begun, true));
                        }
                        Err(fault) => {
                            charge.broke_off(scan.counted());
                            Trouble::Upstream(fault)
                        }
                    }
                }
                Err(fault) => Trouble::Unwritable(fault),
            };
        }
    }

    /// Writes the request for whoever is to go on, and has the stream take what he answers.
    fn ready(&mut self, scan: &mut dyn AnswerStream, at: usize) -> Result<(), Fault> {
        let leg = &self.course.legs[at];
        let cannot = || Fault::CannotGoOn { provider: leg.provider.name.to_string() };
        let stream = scan.mendable().filter(|stream| stream.can_resume()).ok_or_else(cannot)?;
        let how = match self.course.midstream {
            Midstream::Error => return Err(cannot()),
            Midstream::Restart => Resume::Anew,
            Midstream::Continue => {
                let text = stream.text_alone().ok_or_else(cannot)?;
                let written = self.writer.continued(leg, at, text).ok_or_else(cannot)?;
                self.written = Some((at, written));
                Resume::After
            }
        };
        self.writer.resume(leg, at, stream, how);
        self.write(at)
    }
}
