//! What one connection is doing, and until when it may go on doing it.
//!
//! Owns     the phase of a connection and the start of each of its clocks. Pure: the time is an
//!          argument and nothing here waits.
//! Called   by `Socket` (bytes came, writing is blocked), by an exchange (a request began, ended) and
//!          by the connection's task, which asks what is due.
//! Bounded  by its few fields; one per connection.
//! Fails    never; an event that does not fit the phase leaves it as it is.
//!
//! ```text
//! Silent ─first byte→ Head ─head complete→ Serving ─last answer ended→ Idle ─first byte→ Head …
//!    └──────── HTTP/2 preface ─────────────────────────────────────────→ Idle ─stream→ Serving …
//! Head or Serving ─closed with input unread→ Lingering
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ConnectionSettings;

/// How long a connection that was told to end may take for its farewell (an HTTP/2 GOAWAY, the ping
/// that follows it and its answer): a round trip to the far side of the world is 0.3 s.
const CLOSING_GRACE: Duration = Duration::from_secs(1);

/// A client that sends nothing for this long after our answer has stopped sending, so it reads the
/// answer now or never.
const LINGER_SILENCE: Duration = Duration::from_secs(1);

/// How long we go on taking bytes nobody wants: 5 s carry a body of the default limit, 32 MiB, at
/// 55 Mbit/s; a slower client has had the answer in its buffer for as long.
const LINGER_TOTAL: Duration = Duration::from_secs(5);

/// Which of a connection's clocks is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// A request head that has begun did not come whole within `header_timeout`.
    Header,
    /// No request for `keep_alive`.
    KeepAlive,
    /// The farewell was not answered within [`CLOSING_GRACE`].
    Closing,
    /// The client had its time to read an answer given before its body was read.
    Linger,
    /// The client took no byte for `write_timeout`.
    Write,
}

/// The clock that runs out first, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) clock: Clock,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Accepted; not a byte has come.
    Silent { since: Instant },
    /// Part of a request head has come.
    Head { since: Instant },
    /// Requests wait for their answer or are sending it: no clock for reading, the handler has its own.
    Serving { in_flight: usize },
    /// Between two requests.
    Idle { since: Instant },
    /// Our side is shut; what the client still sends is thrown away.
    Lingering { since: Instant, heard: Instant },
}

/// The phase of one connection and what decides its clocks.
#[derive(Debug)]
pub(super) struct Activity {
    phase: Phase,
    /// Frames other than requests (PING, SETTINGS, WINDOW_UPDATE) arrive between requests here, so
    /// bytes do not start the header clock.
    http2: bool,
    /// The last request on HTTP/1 has a body that was not read to its end.
    body_unread: bool,
    write_blocked_since: Option<Instant>,
    /// The connection was told to end as soon as nothing runs on it.
    closing: bool,
    /// A request has begun since.
    last_request_came: bool,
    /// The client has closed its side while a request is served.
    client_left: bool,
    /// The head that came last gives its body two lengths.
    two_lengths: bool,
}

impl Activity {
    /// A connection accepted at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Silent { since: now },
            http2: false,
            body_unread: false,
            write_blocked_since: None,
            closing: false,
            last_request_came: false,
            client_left: false,
            two_lengths: false,
        }
    }

    /// Whether the next byte begins a request head, so that its time matters.
    pub(super) fn awaits_head(&self) -> bool {
        match self.phase {
            Phase::Silent { .. } => true,
            Phase::Idle { .. } => !self.http2,
            Phase::Head { .. } | Phase::Serving { .. } | Phase::Lingering { .. } => false,
        }
    }

    /// The first byte of a request head came.
    pub(super) fn head_begins(&mut self, now: Instant) {
        if self.awaits_head() {
            self.phase = Phase::Head { since: now };
            self.two_lengths = false;
        }
    }

    /// The head that is coming gives its body two lengths.
    pub(super) fn finds_two_lengths(&mut self) {
        self.two_lengths = true;
    }

    /// Whether the head that came last gave its body two lengths.
    pub(super) fn two_lengths(&self) -> bool {
        self.two_lengths
    }

    /// The connection's first bytes are the HTTP/2 preface.
    pub(super) fn speaks_http2(&mut self, now: Instant) {
        self.http2 = true;
        if let Phase::Silent { .. } | Phase::Head { .. } = self.phase {
            self.phase = Phase::Idle { since: now };
        }
    }

    /// A head is complete and its request is handed to the service.
    pub(super) fn request_begins(&mut self, has_body: bool) {
        self.body_unread = has_body && !self.http2;
        self.last_request_came = self.closing;
        self.phase = match self.phase {
            Phase::Serving { in_flight } => Phase::Serving { in_flight: in_flight + 1 },
            Phase::Silent { .. } | Phase::Head { .. } | Phase::Idle { .. } => Phase::Serving { in_flight: 1 },
            Phase::Lingering { .. } => return,
        };
    }

    /// The last request's body was read to its end.
    pub(super) fn body_read(&mut self) {
        self.body_unread = false;
    }

    /// Whether some of the last request's body may still be on its way; never on HTTP/2, where a
    /// stream's body is in nobody's way.
    pub(super) fn body_unread(&self) -> bool {
        self.body_unread
    }

    /// Whether what the client sends now belongs to a request after the one that is served.
    pub(super) fn reads_ahead(&self) -> bool {
        matches!(self.phase, Phase::Serving { .. }) && !self.http2 && !self.body_unread
    }

    /// The client closed its side behind a request that is still served.
    pub(super) fn client_leaves(&mut self) {
        self.client_left = true;
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn client_left(&self) -> bool {
        self.client_left
    }

    /// A request's answer has ended, or was dropped.
    pub(super) fn request_ends(&mut self, now: Instant) {
        self.phase = match self.phase {
            Phase::Serving { in_flight } if in_flight > 1 => Phase::Serving { in_flight: in_flight - 1 },
            Phase::Serving { .. } => Phase::Idle { since: now },
            Phase::Silent { .. } | Phase::Head { .. } | Phase::Idle { .. } | Phase::Lingering { .. } => {
                return;
            }
        };
    }

    /// The client's buffers are full. Only the first such event starts the clock.
    pub(super) fn write_blocks(&mut self, now: Instant) {
        self.write_blocked_since.get_or_insert(now);
    }

    /// The client took some bytes.
    pub(super) fn write_moves(&mut self) {
        self.write_blocked_since = None;
    }

    /// The connection is to end once nothing runs on it.
    pub(super) fn close(&mut self, now: Instant) {
        self.closing = true;
        if let Phase::Idle { .. } | Phase::Silent { .. } = self.phase {
            self.phase = Phase::Idle { since: now };
        }
    }

    /// Whether a closing connection can be shut without losing a request that is on its way. HTTP/2 says which requests
    /// it has seen; HTTP/1 can only say with the head of an answer that it is the last.
    pub(super) fn ends_without_loss(&self) -> bool {
        self.http2 || self.last_request_came
    }

    /// Our side is shut. Whether to go on reading, because the client may still be sending: closing
    /// now would reset the connection, and a reset makes many clients lose the answer unread.
    pub(super) fn lingers(&mut self, now: Instant) -> bool {
        let head_unfinished = matches!(self.phase, Phase::Head { .. });
        let lingers = !self.http2 && (head_unfinished || self.body_unread);
        if lingers {
            self.phase = Phase::Lingering { since: now, heard: now };
        }
        lingers
    }

    /// A lingering connection's client is still sending.
    pub(super) fn lingering_hears(&mut self, now: Instant) {
        if let Phase::Lingering { heard, .. } = &mut self.phase {
            *heard = now;
        }
    }

    /// The clock that runs out first; `None` while only the handler's own clocks run.
    pub(super) fn due(&self, settings: &ConnectionSettings) -> Option<Due> {
        let phase = match self.phase {
            Phase::Head { since } => Some(Due { at: since + settings.header_timeout, clock: Clock::Header }),
            Phase::Serving { .. } => None,
            Phase::Idle { since } if self.closing => {
                Some(Due { at: since + CLOSING_GRACE, clock: Clock::Closing })
            }
            // Clients keep connections ready that have sent nothing yet.
            Phase::Silent { since } | Phase::Idle { since } => {
                Some(Due { at: since + settings.keep_alive, clock: Clock::KeepAlive })
            }
            Phase::Lingering { since, heard } => {
                Some(Due { at: (since + LINGER_TOTAL).min(heard + LINGER_SILENCE), clock: Clock::Linger })
            }
        };
        let write = self
            .write_blocked_since
            .map(|since| Due { at: since + settings.write_timeout, clock: Clock::Write });
        match (phase, write) {
            (Some(phase), Some(write)) if write.at < phase.at => Some(write),
            (Some(phase), _) => Some(phase),
            (None, write) => write,
        }
    }
}

/// One connection's [`Activity`], shared by its socket, its task and its requests.
///
/// Only that connection ever takes the lock, and never across an await, so it is free but for the
/// streams of one HTTP/2 connection.
#[derive(Clone, Debug)]
pub(super) struct SharedActivity(Arc<Mutex<Activity>>);

impl SharedActivity {
    /// A connection accepted at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Activity::new(now))))
    }

    /// The activity, locked. Every method leaves it whole, so a panic elsewhere has not broken it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Activity> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: ConnectionSettings = ConnectionSettings {
        tls: None,
        header_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        write_timeout: Duration::from_secs(60),
        max_connections: 1,
    };

    fn due_after(activity: &Activity, start: Instant) -> Option<(u64, Clock)> {
        activity.due(&SETTINGS).map(|due| ((due.at - start).as_secs(), due.clock))
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_header_clock_runs_from_the_first_byte_and_never_between_requests() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        assert_eq!(due_after(&activity, start), Some((75, Clock::KeepAlive)));

        activity.head_begins(start + secs(4));
        activity.head_begins(start + secs(9));
        assert_eq!(due_after(&activity, start), Some((14, Clock::Header)));

        activity.request_begins(false);
        assert_eq!(due_after(&activity, start), None);

        activity.request_ends(start + secs(100));
        assert_eq!(due_after(&activity, start), Some((175, Clock::KeepAlive)));

        activity.head_begins(start + secs(170));
        assert_eq!(due_after(&activity, start), Some((180, Clock::Header)));
    }

    #[test]
    fn frames_between_http2_requests_start_no_header_clock() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.head_begins(start + secs(1));
        activity.speaks_http2(start + secs(1));
        assert!(!activity.awaits_head());
        activity.head_begins(start + secs(2));
        assert_eq!(due_after(&activity, start), Some((76, Clock::KeepAlive)));
    }

    #[test]
    fn a_connection_is_idle_only_when_its_last_stream_has_ended() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.speaks_http2(start);
        activity.request_begins(true);
        activity.request_begins(true);
        activity.request_ends(start + secs(1));
        assert_eq!(due_after(&activity, start), None);
        activity.request_ends(start + secs(2));
        assert_eq!(due_after(&activity, start), Some((77, Clock::KeepAlive)));
    }

    #[test]
    fn the_write_clock_runs_from_the_first_blocked_write_and_ends_with_progress() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.request_begins(false);
        activity.write_blocks(start + secs(1));
        activity.write_blocks(start + secs(30));
        assert_eq!(due_after(&activity, start), Some((61, Clock::Write)));
        activity.write_moves();
        assert_eq!(due_after(&activity, start), None);
    }

    #[test]
    fn the_earlier_of_two_clocks_is_due() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.request_begins(false);
        activity.write_blocks(start);
        activity.request_ends(start);
        assert_eq!(due_after(&activity, start), Some((60, Clock::Write)));
        activity.write_moves();
        activity.write_blocks(start + secs(40));
        assert_eq!(due_after(&activity, start), Some((75, Clock::KeepAlive)));
    }

    #[test]
    fn lingering_ends_with_silence_or_in_any_case_after_its_total() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.request_begins(true);
        activity.request_ends(start);
        assert!(activity.lingers(start));
        assert_eq!(due_after(&activity, start), Some((1, Clock::Linger)));
        activity.lingering_hears(start + secs(3));
        assert_eq!(due_after(&activity, start), Some((4, Clock::Linger)));
        activity.lingering_hears(start + secs(5));
        assert_eq!(due_after(&activity, start), Some((5, Clock::Linger)));
    }

    #[test]
    fn nothing_lingers_where_the_client_has_nothing_left_to_send() {
        let start = Instant::now();

        let mut without_body = Activity::new(start);
        without_body.request_begins(false);
        without_body.request_ends(start);
        assert!(!without_body.lingers(start));

        let mut body_read = Activity::new(start);
        body_read.request_begins(true);
        body_read.body_read();
        body_read.request_ends(start);
        assert!(!body_read.lingers(start));

        let mut http2 = Activity::new(start);
        http2.speaks_http2(start);
        http2.request_begins(true);
        http2.request_ends(start);
        assert!(!http2.lingers(start));
    }

    #[test]
    fn a_closing_connection_has_a_short_time_from_the_end_of_its_last_request() {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        activity.request_begins(false);
        activity.close(start);
        assert_eq!(due_after(&activity, start), None);
        activity.request_ends(start + secs(20));
        assert_eq!(due_after(&activity, start), Some((21, Clock::Closing)));
    }
}
