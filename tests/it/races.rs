//! The races in which gateways overshoot, leak and forget: many at once, ends of every kind, a stop in the middle.
//! Each is told by the ledger's rows as well as by the limits.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_limits::{LimitName, Meter};
use gateway_protocols::estimate::text_tokens;
use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, RawClient, Reply, TestGateway, chat_request, chat_with};
use rusqlite::Connection;
use serde_json::{Value, json};

#[cfg(unix)]
use crate::program::{Program, command};

/// A price by which a call's bound is its cap alone: a micro-dollar per token of output.
const OUTPUT_ONLY: &str = "[openai.gpt-test]\ninput = 0\noutput = 1\n";

const PICO_PER_TOKEN: u64 = 1_000_000;

/// A chat request with this output cap, streamed or not.
fn capped(client: &str, max_tokens: u64, stream: bool) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    chat_with(client, json!({"messages": messages, "max_tokens": max_tokens, "stream": stream}))
}

/// A settled call.
#[derive(Debug)]
struct Row {
    ending: String,
    grade: String,
    tokens: u64,
    input: u64,
    output: u64,
    cost: u64,
    bound_tokens: u64,
}

/// All calls in the ledger of the gateway in this folder, in the order of their admission. None is open.
fn rows(folder: &Path) -> Vec<Row> {
    let conn = Connection::open(folder.join("data/ledger.db")).unwrap();
    let mut statement = conn
        .prepare("SELECT ending, grade, tokens, input, output, coalesce(cost, 0), bound_tokens FROM calls ORDER BY id")
        .unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        let number = |at| row.get::<_, i64>(at).map(|number| u64::try_from(number).unwrap());
        Ok(Row {
            ending: row.get(0)?,
            grade: row.get(1)?,
            tokens: number(2)?,
            input: number(3)?,
            output: number(4)?,
            cost: number(5)?,
            bound_tokens: number(6)?,
        })
    };
    statement.query_map((), row).unwrap().map(|row| row.expect("a call that is settled")).collect()
}

/// The rows of a gateway that runs, once nothing is open and all is written.
async fn written(gateway: &TestGateway) -> Vec<Row> {
    gateway.is_quiet().await;
    let shared = gateway.front().gateway.shared();
    gateway.until("the ledger has all", || shared.ledger_behind() == 0).await;
    rows(&gateway.folder())
}

async fn meters(gateway: &TestGateway) -> Vec<Meter> {
    gateway.limits("ada").await.meters().collect()
}

/// What of each limit is used, and what is reserved.
async fn taken(gateway: &TestGateway) -> Vec<(LimitName, u64, u64)> {
    meters(gateway).await.iter().map(|meter| (meter.name, meter.used, meter.reserved)).collect()
}

/// So many ask at once, again and again, until nobody is let in any more. Gives how many answers there were.
async fn ask_until_refused(gateway: &TestGateway, at_once: usize, limit: &str, cap: u64) -> u64 {
    let mut answered = 0;
    loop {
        let asked = join_all((0..at_once).map(async |number| {
            let answer = gateway.ask(&capped("ada", cap, number % 2 == 0)).await;
            if answer.status != 200 {
                let limited_by = answer.header("x-ratelimit-limited-by");
                assert_eq!((answer.status, limited_by), (429, Some(limit)), "{}", answer.text());
            }
            let meter = meters(gateway).await[0];
            assert!(meter.used + meter.reserved <= meter.max, "{meter:?}");
            answer.status == 200
        }));
        let let_in = asked.await.into_iter().filter(|is_let_in| *is_let_in).count();
        if let_in == 0 {
            return answered;
        }
        answered += let_in as u64;
    }
}

/// Calls are settled while others are admitted: each settlement makes room that the next one may take only once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once_use_a_limit_to_its_end_and_not_a_token_or_pico_dollar_beyond() {
    const PROMPT: u64 = 5;
    const CAP: u64 = 40;
    for (limit, members, unit) in [
        ("tokens_per_minute", json!({"rate_limit": {"tokens_per_minute": 25_000}}), 1),
        ("tokens_per_day", json!({"rate_limit": {"tokens_per_day": 25_000}}), 1),
        ("usd_per_day", json!({"budget": {"usd_per_day": "0.010025"}}), PICO_PER_TOKEN),
        ("usd_per_month", json!({"budget": {"usd_per_month": "0.010025"}}), PICO_PER_TOKEN),
    ] {
        let upstream = FakeUpstream::start().await;
        upstream.always(Reply::text("yes").tokens(PROMPT, CAP));
        let gateway = TestGateway::with(&upstream).models(OUTPUT_ONLY).client("ada", members).start().await;
        let answered = ask_until_refused(&gateway, 200, limit, CAP).await;

        let rows = written(&gateway).await;
        let meter = meters(&gateway).await[0];
        assert_eq!((meter.name.as_str(), meter.reserved), (limit, 0));
        let each = if unit == 1 { PROMPT + CAP } else { CAP };
        assert_eq!(meter.used, answered * each * unit, "{limit}");
        assert!(meter.used <= meter.max, "{meter:?}");
        assert_eq!(upstream.billed_total().total(), answered * (PROMPT + CAP), "{limit}");
        let bound = if unit == 1 { rows[0].bound_tokens } else { CAP * unit };
        assert!(meter.max - meter.used < bound.max(each * unit), "what is left fits no call: {meter:?}");
        let spent: u64 = rows.iter().map(|row| if unit == 1 { row.tokens } else { row.cost }).sum();
        assert_eq!((rows.len() as u64, spent), (answered, meter.used), "the refused have no row");
        gateway.ends_quiet().await;
    }
}

/// Ways in which a call ends badly, and whether a stream is asked for.
fn bad_ends() -> Vec<(Reply, bool)> {
    let pieces = || Reply::stream(["one ", "two ", "three"]);
    vec![
        (Reply::error(500), false),
        (Reply::error(529), true),
        (Reply::error(401), false),
        (Reply::error(422), true),
        (Reply::never(), false),
        (Reply::never(), true),
        (pieces().stall_after_head(), false),
        (pieces().stall_after(0), true),
        (pieces().stall_after(2), true),
        (Reply::only_comments("wait", Duration::from_millis(10)), true),
        (Reply::close(), false),
        (Reply::reset(), true),
        (pieces().reset_after(1), true),
        (pieces().clean_cut_after(2), true),
        (pieces().error_event_after(1), true),
        (pieces().malformed_event_after(1), true),
        (pieces().gzip().corrupted(), false),
        (pieces().mislabelled("zstd"), true),
        (Reply::text("short").content_length(5), false),
        (Reply::header_flood(), false),
        (Reply::endless(), false),
        (Reply::endless(), true),
        (Reply::html(), true),
        (Reply::null(), false),
        (Reply::empty(), true),
        (Reply::error_in_200(), true),
        (Reply::error_event(), true),
    ]
}

#[tokio::test]
async fn no_way_to_end_leaves_a_slot_or_a_reservation_behind() {
    let upstream = FakeUpstream::start().await;
    let clocks =
        "timeouts = { first_token = \"150ms\", answer = \"150ms\", silence = \"150ms\", stall = \"150ms\" }";
    // With a slot and tokens for one call only, whatever is left behind refuses the next one.
    let limits = json!({"rate_limit": {"concurrent_requests": 1, "tokens_per_day": 1_000_000}});
    let gateway = TestGateway::with(&upstream).provider(clocks).client("ada", limits).start().await;
    let mut ends = 0;
    for (reply, stream) in bad_ends() {
        // Always, since a call whose connection was closed before any answer is made again.
        upstream.always(reply.clone());
        let answer = gateway.ask(&capped("ada", 900_000, stream)).await;
        assert!(
            answer.status != 200 || answer.chat_stream().errors.len() == 1,
            "{reply:?}: {}",
            answer.text()
        );
        upstream.always(Reply::text("yes").tokens(1, 1));
        let next = gateway.ask(&capped("ada", 900_000, stream)).await;
        assert_eq!(next.status, 200, "after {reply:?}: {}", next.text());
        ends += 1;
    }
    let rows = written(&gateway).await;
    assert_eq!(rows.len(), 2 * ends);
    let view = gateway.limits("ada").await;
    let day = view.tokens_per_day.unwrap();
    assert_eq!((day.reserved, view.in_flight), (0, 0));
    assert_eq!(day.used, rows.iter().map(|row| row.tokens).sum::<u64>(), "the ledger and the limiter agree");
    for row in &rows {
        let is_paid = matches!(row.ending.as_str(), "answered" | "cut");
        assert!(is_paid || (row.tokens == 0 && ["failed", "refused"].contains(&&*row.ending)), "{row:?}");
    }
    gateway.ends_quiet().await;
}

/// Reads a stream until this many pieces have come.
async fn pieces(stream: &mut RawClient, count: usize) {
    let mut come = 0;
    while come < count {
        let message = stream.next_message().await.expect("the stream goes on");
        let chunk: Value = serde_json::from_str(&message).unwrap();
        let text = chunk["choices"][0]["delta"]["content"].as_str();
        come += usize::from(text.is_some_and(|text| !text.is_empty()));
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_is_booked_as_counted_with_what_was_relayed_to_the_token() {
    const PIECES: [&str; 4] = ["The answer ", "is forty-two, ", "as everybody ", "knows."];
    let upstream = FakeUpstream::start().await;
    let limits = json!({"budget": {"usd_per_day": "1"}});
    let gateway = TestGateway::with(&upstream).models(OUTPUT_ONLY).client("ada", limits).start().await;
    let mut relayed = Vec::new();
    for count in 1..PIECES.len() {
        upstream.script(Reply::stream(PIECES).stall_after(count).tokens(5, 500));
        let mut stream = gateway.stream("ada", "hi").await;
        pieces(&mut stream, count).await;
        stream.hang_up();
        gateway.is_quiet().await;
        relayed.push(PIECES[..count].concat());
    }
    // Before anything came: the upstream had the prompt.
    upstream.script(Reply::never());
    let mut waiting = gateway.connect().await;
    let seen = upstream.requests();
    waiting.send(&chat_request("ada", "hi", true)).await;
    upstream.arrived(seen + 1).await;
    waiting.hang_up();
    relayed.push(String::new());

    let rows = written(&gateway).await;
    assert_eq!(rows.len(), relayed.len());
    for (row, text) in rows.iter().zip(&relayed) {
        assert_eq!((&*row.ending, &*row.grade), ("left", "counted"), "{row:?}");
        assert_eq!(row.output, text_tokens(text), "`{text}`: {row:?}");
        assert!(row.input > 0 && row.input == rows[0].input, "the same prompt: {row:?}");
        assert_eq!((row.tokens, row.cost), (row.input + row.output, row.output * PICO_PER_TOKEN), "{row:?}");
    }
    let used = gateway.limits("ada").await.usd_per_day.unwrap().used;
    assert_eq!(used, rows.iter().map(|row| row.cost).sum::<u64>());

    // Whoever stays to the end of an upstream that reports nothing pays by the same count.
    upstream.script(Reply::stream(PIECES).clean_cut_after(2));
    let cut = gateway.ask(&chat_request("ada", "hi", true)).await;
    assert_eq!(cut.chat_stream().errors.len(), 1);
    let last = written(&gateway).await.pop().unwrap();
    assert_eq!(
        (&*last.ending, &*last.grade, last.output),
        ("cut", "counted", text_tokens(&PIECES[..2].concat()))
    );
    gateway.ends_quiet().await;
}

/// Each client leaves after another number of pieces, so that some meet the very end of their stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_as_its_answer_ends_is_booked_once() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::stream(["a ", "b ", "c"]).gap(Duration::from_millis(1)).tokens(5, 30));
    let limits = json!({"rate_limit": {"tokens_per_day": 100_000_000, "concurrent_requests": 1_000}});
    let gateway = TestGateway::with(&upstream).client("ada", limits).start().await;
    let leave = async |number: usize| {
        let mut stream = gateway.connect().await;
        assert_eq!(stream.open(&capped("ada", 100, true)).await.status, 200);
        for _ in 0..number % 8 {
            // The last one has come when there is none.
            let _ = stream.next_message().await;
        }
        stream.hang_up();
    };
    for _ in 0..4 {
        join_all((0..100).map(leave)).await;
    }
    let rows = written(&gateway).await;
    assert_eq!(rows.len(), 400);
    let view = gateway.limits("ada").await;
    let day = view.tokens_per_day.unwrap();
    assert_eq!((day.reserved, view.in_flight), (0, 0));
    assert_eq!(day.used, rows.iter().map(|row| row.tokens).sum::<u64>());
    for row in &rows {
        match &*row.ending {
            "answered" => assert_eq!((&*row.grade, row.tokens), ("reported", 35)),
            "left" => assert!(row.grade == "counted" && row.tokens <= row.bound_tokens, "{row:?}"),
            _ => panic!("{row:?}"),
        }
    }
    let of = |ending: &str| rows.iter().filter(|row| row.ending == ending).count();
    assert!(of("answered") > 0 && of("left") > 0, "some met the end: {} and {}", of("answered"), of("left"));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_refused_request_leaves_no_row_and_takes_nothing_of_any_other_limit() {
    let ample = json!({
        "rate_limit": {
            "requests_per_minute": 1_000, "tokens_per_minute": 10_000_000, "tokens_per_day": 10_000_000,
            "concurrent_requests": 100,
        },
        "budget": {"usd_per_day": "10", "usd_per_month": "10"},
    });
    for (section, limit, tight) in [
        ("rate_limit", "requests_per_minute", json!(1)),
        ("rate_limit", "tokens_per_minute", json!(1_500)),
        ("rate_limit", "tokens_per_day", json!(1_500)),
        ("rate_limit", "concurrent_requests", json!(1)),
        ("budget", "usd_per_day", json!("0.0015")),
        ("budget", "usd_per_month", json!("0.0015")),
    ] {
        let mut members = ample.clone();
        members[section][limit] = tight;
        let upstream = FakeUpstream::start().await;
        let gateway = TestGateway::with(&upstream).models(OUTPUT_ONLY).client("ada", members).start().await;
        upstream.script(Reply::stream(["one ", "two"]).stall_after(1));
        let mut running = gateway.connect().await;
        assert_eq!(running.open(&capped("ada", 1_000, true)).await.status, 200);
        let before = taken(&gateway).await;
        for stream in [false, true] {
            let refused = gateway.ask(&capped("ada", 1_000, stream)).await;
            assert_eq!((refused.status, refused.header("x-ratelimit-limited-by")), (429, Some(limit)));
        }
        assert_eq!(taken(&gateway).await, before, "{limit}");
        assert_eq!(upstream.requests(), 1);
        running.hang_up();
        let rows = written(&gateway).await;
        assert_eq!(rows.len(), 1, "{limit}: {rows:?}");
        gateway.ends_quiet().await;
    }
}

/// One connection, until it is told that the gateway stops, or is closed. Gives how many whole answers it got.
#[cfg(unix)]
async fn asks_until_stopped(program: &Program, number: usize) -> u64 {
    let mut answered = 0;
    let Ok(mut connection) = RawClient::try_connect(program.address()).await else { return answered };
    loop {
        let stream = (number + answered as usize).is_multiple_of(2);
        if connection.write(capped("ada", 100, stream).bytes()).await.is_err() {
            return answered;
        }
        let Ok(Some(answer)) = connection.try_answer().await else { return answered };
        match answer.status {
            200 => {
                assert!(answer.complete && (!stream || answer.chat_stream().done), "{}", answer.text());
                answered += 1;
            }
            503 => return answered,
            status => panic!("{status}: {}", answer.text()),
        }
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_no_row() {
    let upstream = FakeUpstream::start().await;
    upstream.always(Reply::stream(["a ", "b ", "c"]).gap(Duration::from_millis(5)).tokens(5, 30));
    let limits = json!({"rate_limit": {"tokens_per_day": 100_000_000}, "budget": {"usd_per_day": "100"}});
    let folder = TestGateway::with(&upstream)
        .toml("[server]\nshutdown_grace = \"20s\"")
        .models(OUTPUT_ONLY)
        .client("ada", limits)
        .write();
    let mut program = Program::start(folder.path()).await;
    let load = join_all((0..50).map(|number| asks_until_stopped(&program, number)));
    let stop = async {
        upstream.arrived(300).await;
        program.signal("TERM");
    };
    let (answered, ()) = tokio::join!(load, stop);
    assert_eq!(program.ended().await, 0, "{}", program.log());
    let answered: u64 = answered.into_iter().sum();

    let rows = rows(folder.path());
    let of = |ending: &str| rows.iter().filter(|row| row.ending == ending).count() as u64;
    assert_eq!(of("answered"), answered, "each answer that went out has its row, and no other");
    assert_eq!(of("answered") + of("never_sent"), rows.len() as u64, "nothing was cut off");
    let tokens: u64 = rows.iter().map(|row| row.tokens).sum();
    assert_eq!(tokens, upstream.billed_total().total());
    let usage = command(folder.path(), &["usage", "--format", "json"]).output().unwrap();
    let usage: Value = serde_json::from_slice(&usage.stdout).unwrap();
    assert_eq!((&usage["total"]["requests"], &usage["total"]["tokens"]), (&answered.into(), &tokens.into()));
}
