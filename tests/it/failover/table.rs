//! Every row of the table in `src/failover.rs`, over HTTP.

use std::time::Duration;

use gateway_actors::provider::BreakerState;
use gateway_testkit::Reply;
use gateway_testkit::fake_upstream::Greeting;
use serde_json::json;

use super::{Pair, Setting, by, question};

/// What follows a failure of the first target.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// The request is sent once more, on another connection: it may never have been read.
    Resent,
    /// It is asked once more.
    Same,
    /// The other one is asked.
    Other,
    /// The client is told, with this status.
    Told(u16),
}

/// Whether the failure counts against the first target's health.
const BLAMED: bool = true;
const FORGIVEN: bool = false;

fn error(status: u16, code: &str) -> Reply {
    Reply::json(json!({"error": {"message": "no", "type": "invalid_request_error", "code": code}}))
        .status(status)
}

fn rows() -> Vec<(&'static str, Reply, bool, Then, bool)> {
    use Then::{Other, Resent, Same, Told};
    let text = || Reply::text("never seen");
    let soon = Reply::error(429).without_header("retry-after").header("retry-after-ms", "50");
    let later = Reply::error(429).without_header("retry-after-ms").header("retry-after", "2");
    let unsaid = Reply::error(429).without_header("retry-after-ms").without_header("retry-after");
    vec![
        ("429 that wants to be asked again soon", soon, false, Same, BLAMED),
        ("429 that wants it later", later, false, Other, BLAMED),
        ("429 that does not say when", unsaid, false, Other, BLAMED),
        ("500", Reply::error(500), false, Same, BLAMED),
        ("500 for a stream", Reply::error(500), true, Same, BLAMED),
        ("closed before a byte", Reply::close(), false, Resent, FORGIVEN),
        ("reset before a byte", Reply::reset(), true, Resent, FORGIVEN),
        ("408", Reply::error(408), false, Other, BLAMED),
        ("502", Reply::error(502), false, Other, BLAMED),
        ("503", Reply::error(503), true, Other, BLAMED),
        ("504", Reply::error(504), false, Other, BLAMED),
        ("529", Reply::error(529), false, Other, BLAMED),
        ("520", Reply::error(520), false, Other, BLAMED),
        ("silence", Reply::never(), false, Other, BLAMED),
        ("silence for a stream", Reply::never(), true, Other, BLAMED),
        ("silence behind the head", text().stall_after_head(), true, Other, BLAMED),
        ("cut behind the head", text().cut_at_byte(0), false, Other, BLAMED),
        ("cut before the first word", text().cut_after(0), true, Other, BLAMED),
        ("HTML", Reply::html(), false, Other, BLAMED),
        ("HTML for a stream", Reply::html(), true, Other, BLAMED),
        ("nothing", Reply::empty(), false, Other, BLAMED),
        ("null", Reply::null(), false, Other, BLAMED),
        ("no stream", text().not_streamed(), true, Other, BLAMED),
        ("a broken event first", text().malformed_event_after(0), true, Other, BLAMED),
        ("an error event first", Reply::error_event(), true, Other, BLAMED),
        ("an error in a 200", Reply::error_in_200(), false, Other, BLAMED),
        ("a flood of headers", Reply::header_flood(), false, Other, BLAMED),
        ("402", Reply::error(402), false, Other, BLAMED),
        ("403", Reply::error(403), false, Other, BLAMED),
        ("404", Reply::error(404), false, Other, FORGIVEN),
        ("410", Reply::error(410), true, Other, FORGIVEN),
        ("a 400 about the model", error(400, "model_decommissioned"), false, Other, FORGIVEN),
        ("a context that is too long", Reply::error(400), false, Other, FORGIVEN),
        ("a 400 about the request", error(400, "bad_tool"), false, Told(400), FORGIVEN),
        ("a content filter", error(400, "content_filter"), true, Told(400), FORGIVEN),
        ("409", error(409, "conflict"), false, Told(409), FORGIVEN),
        ("413", error(413, "too_large"), false, Told(413), FORGIVEN),
        ("422", error(422, "unprocessable"), true, Told(422), FORGIVEN),
    ]
}

#[tokio::test]
async fn every_failure_is_followed_by_what_the_table_says() {
    let clocks = "timeouts = { silence = '150ms' }\n";
    for (what, reply, stream, then, is_blamed) in rows() {
        let pair = Pair::start(Setting { first: clocks, ..Setting::default() }).await;
        pair.first.script(reply);
        let answer = pair.ask("both", stream).await;
        match then {
            Then::Resent => by(&answer, "first", 1),
            Then::Same => by(&answer, "first", 2),
            Then::Other => by(&answer, "second", 2),
            Then::Told(status) => assert_eq!(answer.status, status, "{what}: {}", answer.text()),
        }
        let asked = match then {
            Then::Resent | Then::Same => (2, 0),
            Then::Other => (1, 1),
            Then::Told(_) => (1, 0),
        };
        assert_eq!(pair.requests(), asked, "{what}");
        assert!(!answer.text().contains("never seen"), "{what}: {}", answer.text());
        assert_eq!(pair.key("first").await.health.failed, u64::from(is_blamed), "{what}");
        let billed = match then {
            Then::Resent | Then::Same => 8,
            Then::Other => 11,
            Then::Told(_) => 0,
        };
        assert_eq!(pair.gateway.tokens_used("ada").await, billed, "{what}");
        pair.ends().await;
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_never_asked_twice() {
    let pair = Pair::start(Setting::default()).await;
    pair.first.greet(2, Greeting::Reset);
    let answer = pair.ask("both", false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(pair.first.connections() <= 2);
    pair.ends().await;
}

#[tokio::test]
async fn the_clock_of_the_whole_request_ends_it() {
    let clocks = "timeouts = { total = '150ms' }\n";
    let pair = Pair::start(Setting { first: clocks, ..Setting::default() }).await;
    pair.first.script(Reply::never());
    let answer = pair.ask("both", false).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(pair.requests(), (1, 0));
    pair.ends().await;
}

#[tokio::test]
async fn the_first_token_clock_moves_a_stream_on() {
    let clocks = "timeouts = { first_token = '150ms' }\n";
    let pair = Pair::start(Setting { first: clocks, ..Setting::default() }).await;
    pair.first.script(Reply::text("late").first_piece_after(Duration::from_secs(60)));
    by(&pair.ask("both", true).await, "second", 2);
    pair.first.next_request().await.connection_closed().await;
    pair.ends().await;
}

#[tokio::test]
async fn a_failure_says_the_same_of_a_request_that_has_one_target() {
    let pair = Pair::start(Setting::default()).await;
    pair.first.always(Reply::error(503));
    let answer = pair.gateway.ask(&question("ada", "first/gpt-one", false)).await;
    assert_eq!((answer.status, answer.header("x-gateway-attempts")), (502, Some("1")), "{}", answer.text());
    assert!(matches!(pair.key("first").await.breaker, BreakerState::Closed));
    pair.ends().await;
}
