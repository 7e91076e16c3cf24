//! Every clock of a call: before an answer has begun it is a 504 that names the clock, afterwards an error event
//! that does. Long clocks run on tokio's paused time, which jumps ahead whenever everybody waits.

use std::time::Duration;

use gateway_testkit::raw_client::Answer;
use gateway_testkit::test_gateway::Builder;
use gateway_testkit::{BlackHole, FakeUpstream, Reply, TestGateway, chat_request, chat_with};
use serde_json::json;

/// Clocks of the provider.
async fn started(builder: Builder, timeouts: &str) -> TestGateway {
    builder.provider(&format!("timeouts = {{ {timeouts} }}")).metered("ada").start().await
}

/// Asserts a 504 that names this clock and what it was set to.
fn names_in_504(answer: &Answer, clock: &str) {
    assert_eq!(answer.status, 504, "{}", answer.text());
    let error = &answer.json()["error"];
    assert_eq!(error["message"], format!("provider `openai`: the {clock} ran out"));
    assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("upstream_timeout")));
    assert_eq!(answer.header("x-gateway-provider"), Some("openai"));
}

/// Asserts a stream with this text that ended in an error event naming this clock.
fn names_in_event(answer: &Answer, text: &str, clock: &str) {
    assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
    let stream = answer.chat_stream();
    assert_eq!((stream.text.as_str(), stream.done), (text, false), "{}", answer.text());
    assert_eq!(stream.errors.len(), 1, "{}", answer.text());
    assert_eq!(stream.errors[0]["message"], format!("provider `openai`: the {clock} ran out"));
    assert_eq!(stream.errors[0]["code"], "upstream_timeout");
}

#[tokio::test]
async fn the_connect_clock() {
    let hole = BlackHole::start().await;
    let gateway = started(TestGateway::at(&hole.base_url()), "connect = \"150ms\"").await;
    for stream in [false, true] {
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        names_in_504(&answer, "connect clock (150ms)");
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_connect_clock_behind_a_head_that_was_sent_early() {
    let hole = BlackHole::start().await;
    let clocks = "connect = \"200ms\", hold_back = \"20ms\"";
    let gateway = started(TestGateway::at(&hole.base_url()), clocks).await;
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    names_in_event(&answer, "", "connect clock (200ms)");
    assert!(!answer.chat_stream().comments.is_empty());
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_answer_clock() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "answer = \"150ms\"").await;
    for reply in [
        Reply::never(),
        Reply::text("hello").stall_after_head(),
        Reply::text("hello").chunked().stall_after_head(),
        Reply::text("hello").content_length(1),
    ] {
        upstream.script(reply);
        names_in_504(&gateway.chat("ada", "hi").await, "answer clock (150ms)");
        upstream.next_request().await.connection_closed().await;
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_clock_runs_while_bytes_come() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "answer = \"600s\", silence = \"120s\"").await;
    upstream.script(Reply::text("hello").not_streamed().chunked().keep_alives(
        "x",
        Duration::from_secs(50),
        100,
    ));
    names_in_504(&gateway.chat("ada", "hi").await, "answer clock (600s)");
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_first_token_clock() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "first_token = \"200ms\"").await;
    for reply in [
        Reply::never(),
        Reply::stream(["late"]).stall_after_head(),
        // The role event is out by then, and it is no content.
        Reply::stream(["late"]).stall_after(0),
        Reply::only_comments("PROCESSING", Duration::from_millis(10)),
        Reply::stream(["late"]).keep_alives("still thinking", Duration::from_millis(10), 10_000),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
        names_in_504(&answer, "first_token clock (200ms)");
        upstream.next_request().await.connection_closed().await;
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_first_token_clock_behind_a_head_that_was_sent_early() {
    let upstream = FakeUpstream::start().await;
    let clocks = "first_token = \"200ms\", hold_back = \"20ms\"";
    let gateway = started(TestGateway::with(&upstream), clocks).await;
    for reply in [Reply::never(), Reply::stream(["late"]).stall_after(0)] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
        names_in_event(&answer, "", "first_token clock (200ms)");
        upstream.next_request().await.connection_closed().await;
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_total_clock_behind_a_head_that_was_sent_early() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "total = \"200ms\", hold_back = \"20ms\"").await;
    upstream.script(Reply::stream(["late"]).stall_after(0));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    names_in_event(&answer, "", "total clock (200ms)");
    assert_eq!(gateway.tokens_used("ada").await, 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_silence_clock() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "silence = \"150ms\"").await;
    for (reply, stream) in [
        (Reply::never(), false),
        (Reply::never(), true),
        (Reply::text("hello").stall_after_head(), false),
        (Reply::stream(["late"]).stall_after(0), true),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        names_in_504(&answer, "silence clock (150ms)");
        upstream.next_request().await.connection_closed().await;
    }
    assert_eq!(gateway.tokens_used("ada").await, 0);
    upstream.script(Reply::stream(["Hel", "lo"]).stall_after(1));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    names_in_event(&answer, "Hel", "silence clock (150ms)");
    upstream.next_request().await.connection_closed().await;
    assert!(gateway.tokens_used("ada").await > 0, "what was relayed is paid for");
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn comments_end_the_silence_but_not_the_stall() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "").await;
    // 300 s without content, but never more than 100 s without a byte.
    let nothing = "{\"choices\":[{\"index\":0,\"delta\":{}}]}".to_owned();
    let content = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}".to_owned();
    let mut events = vec![content];
    events.extend(std::iter::repeat_n(nothing, 20));
    upstream.script(Reply::events(events).gap(Duration::from_secs(100)));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    names_in_event(&answer, "Hel", "stall clock (300s)");
    upstream.next_request().await.connection_closed().await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_stall_clock() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "stall = \"150ms\"").await;
    for (reply, text) in [
        (Reply::stream(["Hel", "lo"]).stall_after(1), "Hel"),
        (Reply::stream(["Hel", "lo"]).stall_after(2), "Hello"),
        (Reply::stream(["x"]).reasoning(["hm"]).stall_after(1), ""),
    ] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
        names_in_event(&answer, text, "stall clock (150ms)");
        upstream.next_request().await.connection_closed().await;
    }
    gateway.ends_quiet().await;
}

/// Each of these is content, however little of it a token holds.
#[tokio::test(start_paused = true)]
async fn content_of_every_sort_winds_the_stall_clock_up() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "silence = \"1h\"").await;
    let delta = |delta: &str| format!("{{\"choices\":[{{\"index\":0,\"delta\":{{{delta}}}}}]}}");
    let finish = "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}";
    for content in [
        "\"content\":\"a\"",
        "\"content\":\" \"",
        "\"reasoning_content\":\"a\"",
        "\"reasoning\":\"a\"",
        "\"refusal\":\"a\"",
        "\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1\"}}]",
        "\"audio\":{\"id\":\"a\",\"data\":\"UklGRg==\"}",
        "\"images\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBORw0KGgo=\"}}]",
        "\"reasoning_details\":[{\"type\":\"reasoning.encrypted\",\"data\":\"x\"}]",
    ] {
        let mut events = vec![delta(content); 8];
        events.push(finish.to_owned());
        // Two gaps are longer than the clock of 300 s.
        upstream.script(Reply::events(events).gap(Duration::from_secs(160)));
        let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
        assert!(answer.chat_stream().done, "{content}: {}", answer.text());
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn the_total_clock() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "total = \"200ms\"").await;
    for (reply, stream) in [(Reply::never(), false), (Reply::stream(["late"]).stall_after(0), true)] {
        upstream.script(reply);
        let answer = gateway.ask(&chat_request("ada", "hi", stream)).await;
        names_in_504(&answer, "total clock (200ms)");
        upstream.next_request().await.connection_closed().await;
    }
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn the_total_clock_ends_a_stream_that_flows() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "total = \"95s\"").await;
    upstream.script(Reply::stream(vec!["x"; 1000]).gap(Duration::from_secs(10)));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    names_in_event(&answer, "xxxxxxxxxx", "total clock (95s)");
    upstream.next_request().await.connection_closed().await;
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_total_clock_a_stream_may_take_hours() {
    let upstream = FakeUpstream::start().await;
    let gateway = started(TestGateway::with(&upstream), "").await;
    upstream.script(Reply::stream(vec!["x"; 100]).gap(Duration::from_secs(100)));
    let answer = gateway.ask(&chat_request("ada", "hi", true)).await;
    assert_eq!(answer.chat_stream().text.len(), 100);
    assert!(answer.chat_stream().done);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_models_own_clocks_come_before_its_providers() {
    let upstream = FakeUpstream::start().await;
    let models = "[models.\"hasty\"]\ntargets = [\"openai/gpt-test\"]\ntimeouts = { answer = \"100ms\" }\n";
    let gateway = started(TestGateway::with(&upstream).toml(models), "answer = \"1h\"").await;
    upstream.always(Reply::never());
    let ask = json!({"model": "hasty", "messages": [{"role": "user", "content": "hi"}]});
    names_in_504(&gateway.ask(&chat_with("ada", ask)).await, "answer clock (100ms)");
    gateway.ends_quiet().await;
}
