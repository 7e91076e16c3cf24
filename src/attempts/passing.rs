//! Attempts whose answer may be of any type: JSON is taken whole, all else begins to flow.
//!
//! Called   by the handlers of what passes.
//! Bounded  as all attempts are.
//! Fails    as all attempts do, until the first piece has come; behind it nobody else is asked.

use super::{Attempts, Failed, Served, Trouble, Writer};
use crate::call::{Came, Pieces, Whole};
use crate::charge::Charge;

/// What came of a request that passes.
#[derive(Debug)]
pub enum Taken {
    /// JSON; its charge is settled.
    Whole(Whole),
    /// The first piece of all else, and the account of the rest.
    Flowing(Box<Pieces>, Charge),
}

impl<W: Writer> Attempts<W> {
    /// Asks until there is a whole answer in JSON, or the first piece of another.
    ///
    /// # Errors
    /// The last fault, when nobody is left; the charge is settled.
    pub async fn taken(mut self, mut charge: Charge) -> Result<(Taken, Served), Box<Failed>> {
        loop {
            let at = charge.lease().at();
            let asked = match self.write(at) {
                Ok(()) => {
                    let read = self.writer.read_whole(&self.course.legs[at], at);
                    self.call(at).begin(&mut charge, read).await.map_err(Trouble::Upstream)
                }
                Err(fault) => Err(Trouble::Unwritable(fault)),
            };
            match asked {
                Ok(Came::Whole(whole)) => {
                    let served = self.served_by(&charge);
                    charge.complete(whole.answer.usage, || whole.answer.counted);
                    return Ok((Taken::Whole(whole), served));
                }
                Ok(Came::Pieces(pieces)) => {
                    let served = self.served_by(&charge);
                    return Ok((Taken::Flowing(Box::new(pieces), charge), served));
                }
                Err(trouble) => charge = self.next(charge, trouble).await?,
            }
        }
    }
}
