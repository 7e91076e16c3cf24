//! A request in one line: what its steps come to.
//!
//! Called   by the log line, the request log, the metrics and the exporter of traces, so that all of them tell
//!          the same of a request.
//! Fails    never: what a request did not come to is absent.

use std::time::Duration;

use gateway_limits::Usage;

use super::{End, Facts, Noted, Record, Step};

/// The status under which a request is listed whose client left before its answer's head: nginx's.
pub const CLIENT_LEFT: u16 = 499;

/// The status of a handler that panicked.
const PANICKED: u16 = 500;

/// What a request came to so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outline<'a> {
    /// The endpoint's name.
    pub endpoint: Option<&'static str>,
    /// Whose request it is, once its credentials have proved it.
    pub client: Option<&'a str>,
    /// The model that was asked for.
    pub model: Option<&'a str>,
    /// Whether the answer was to be streamed.
    pub stream: Option<bool>,
    /// The provider that was asked last.
    pub provider: Option<&'a str>,
    /// The key's name that was used last.
    pub key: Option<&'a str>,
    /// The model that this provider was asked for.
    pub upstream_model: Option<&'a str>,
    /// The answer's status; [`CLIENT_LEFT`] if the client left before there was one.
    pub status: Option<u16>,
    /// Why nobody was asked (any more).
    pub refused: Option<&'static str>,
    /// What else is known of that.
    pub facts: Option<&'a Facts>,
    /// `running`, `panicked`, or the ledger's word for how the call ended.
    pub ending: &'static str,
    /// How many upstreams were asked.
    pub attempts: u32,
    /// What the call used.
    pub usage: Option<Usage>,
    /// How the usage came to be known.
    pub grade: Option<&'static str>,
    /// Pico-USD, where the model has a price.
    pub cost: Option<u64>,
    /// From the body's last byte to the first upstream's call: what the gateway itself took.
    pub overhead: Option<Duration>,
    /// From the head to the first content of a stream, or the whole answer.
    pub first_token: Option<Duration>,
    /// From the head to the end of the answer.
    pub duration: Option<Duration>,
}

impl Record {
    /// Reads the request's outline.
    pub fn outline<T>(&self, read: impl FnOnce(&Outline<'_>) -> T) -> T {
        let end = self.end();
        self.read(|steps, _| read(&Outline::of(steps, end)))
    }
}

impl<'a> Outline<'a> {
    /// What these steps come to.
    pub fn of(steps: &'a [Noted], end: Option<End>) -> Self {
        let mut outline = Self::default();
        let mut body_read = None;
        let mut settled = None;
        for Noted { at, step } in steps {
            match step {
                Step::Routed { endpoint } => outline.endpoint = Some(endpoint),
                Step::Known { client } => outline.client = Some(client.as_str()),
                Step::BodyRead { .. } => body_read = Some(*at),
                Step::Asked { model, stream } => {
                    (outline.model, outline.stream) = (Some(&**model), Some(*stream));
                }
                Step::Refused { status, why, facts } => {
                    (outline.status, outline.refused) = (Some(*status), Some(*why));
                    outline.facts = Some(facts).filter(|facts| !facts.is_empty());
                }
                Step::Leased { provider, key, model, attempt } => {
                    outline.provider = Some(provider);
                    outline.key = Some(key);
                    outline.upstream_model = Some(model);
                    outline.attempts = outline.attempts.max(*attempt);
                    let read = body_read.unwrap_or_default();
                    outline.overhead.get_or_insert(at.saturating_sub(read));
                }
                Step::Committed => outline.first_token = outline.first_token.or(Some(*at)),
                Step::Settled { ending, usage, grade, cost, attempts } => {
                    settled = Some(*ending);
                    (outline.usage, outline.grade, outline.cost) = (Some(*usage), Some(*grade), *cost);
                    outline.attempts = outline.attempts.max(*attempts);
                }
                Step::Answered { status } => outline.status = Some(*status),
                Step::Targets(_)
                | Step::Dropped { .. }
                | Step::WouldRefuse { .. }
                | Step::Admitted { .. }
                | Step::AttemptFailed { .. }
                | Step::Waiting { .. }
                | Step::Restarted
                | Step::Continued => {}
            }
        }
        outline.ending = match end {
            None => "running",
            Some(End { panicked: true, .. }) => "panicked",
            Some(_) => settled.unwrap_or(match (outline.refused, outline.status) {
                (Some(_), _) => "refused",
                (None, Some(_)) => "answered",
                (None, None) => "left",
            }),
        };
        if let Some(End { after, panicked }) = end {
            outline.duration = Some(after);
            outline.status = outline.status.or(Some(if panicked { PANICKED } else { CLIENT_LEFT }));
        }
        outline
    }
}
