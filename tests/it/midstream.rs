//! Streams that break off behind their first content: restarted, continued, or ended in an error.

use std::time::Duration;

use gateway_testkit::raw_client::Answer;
use gateway_testkit::{FakeUpstream, Reply, TestGateway, chat_with};
use serde_json::json;

use crate::surfaces::post;

const WORDS: [&str; 5] = ["One ", "two ", "three ", "four ", "five"];
const WHOLE: &str = "One two three four five";

/// A gateway whose model `both` goes from the first upstream to the second.
async fn gateway(first: &FakeUpstream, second: &FakeUpstream, midstream: &str) -> TestGateway {
    with_models(first, second, midstream, "[second.\"gpt-other\"]\ntakes_prefill = true\n").await
}

/// The same with this table of models.
async fn with_models(
    first: &FakeUpstream,
    second: &FakeUpstream,
    midstream: &str,
    models: &str,
) -> TestGateway {
    let toml = format!(
        "[models.both]\ntargets = ['openai/gpt-test', 'second/gpt-other']\nmidstream = '{midstream}'\n\
         [providers.second]\nkind = 'openai'\nbase_url = '{}'\n",
        second.base_url()
    );
    TestGateway::with(first).toml(&toml).models(models).metered("ada").start().await
}

async fn ask(gateway: &TestGateway) -> Answer {
    let ask = json!({"model": "both", "stream": true, "messages": [{"role": "user", "content": "count"}]});
    gateway.ask(&chat_with("ada", ask)).await
}

#[tokio::test]
async fn a_restarted_stream_is_given_once_and_says_so_behind_its_end() {
    for breaks in [
        Reply::stream(WORDS).cut_after(2),
        Reply::stream(WORDS).error_event_after(2),
        Reply::stream(WORDS).malformed_event_after(3),
    ] {
        let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let gateway = gateway(&first, &second, "restart").await;
        first.script(breaks);
        second.script(Reply::stream(["One two th", "ree four", " five"]));
        let answer = ask(&gateway).await;
        let stream = answer.chat_stream();
        assert_eq!(
            (stream.text.as_str(), stream.done, stream.errors.len()),
            (WHOLE, true, 0),
            "{}",
            answer.text()
        );
        assert!(
            answer.text().contains(": gateway: the answer broke off; second went on, attempt 2"),
            "{}",
            answer.text()
        );
        assert_eq!((first.requests(), second.requests()), (1, 1));
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_restarted_answer_that_differs_ends_in_an_error_and_nothing_is_given_twice() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = gateway(&first, &second, "restart").await;
    first.script(Reply::stream(WORDS).cut_after(2));
    second.script(Reply::stream(["One two, or ", "three"]));
    let answer = ask(&gateway).await;
    let stream = answer.chat_stream();
    assert_eq!(
        (stream.text.as_str(), stream.done, stream.errors.len()),
        ("One two ", false, 1),
        "{}",
        answer.text()
    );
    gateway.ends_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_mended_too() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = gateway(&first, &second, "restart").await;
    first.script(Reply::stream(WORDS).stall_after(2));
    second.script(Reply::stream(WORDS).gap(Duration::from_millis(20)));
    let answer = ask(&gateway).await;
    assert_eq!(answer.chat_stream().text, WHOLE, "{}", answer.text());
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_continued_stream_goes_on_from_the_text_so_far() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = gateway(&first, &second, "continue").await;
    first.script(Reply::stream(WORDS).cut_after(2));
    second.script(Reply::stream(["three ", "four five"]));
    let answer = ask(&gateway).await;
    let stream = answer.chat_stream();
    assert_eq!((stream.text.as_str(), stream.done), (WHOLE, true), "{}", answer.text());
    let asked = second.request(0).json();
    assert_eq!(asked["messages"][1], json!({"role": "assistant", "content": "One two"}));
    assert_eq!(asked["model"], "gpt-other");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_model_that_takes_no_beginning_of_its_answer_is_not_asked_to_continue() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = with_models(&first, &second, "continue", "").await;
    first.script(Reply::stream(WORDS).cut_after(2));
    let answer = ask(&gateway).await;
    let stream = answer.chat_stream();
    assert_eq!(
        (stream.text.as_str(), stream.done, stream.errors.len()),
        ("One two ", false, 1),
        "{}",
        answer.text()
    );
    assert_eq!(second.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn clients_of_every_protocol_read_one_whole_answer() {
    let requests = [
        post(
            "ada",
            "/v1/messages",
            json!({"model": "both", "max_tokens": 50, "stream": true,
             "messages": [{"role": "user", "content": "count"}]}),
        ),
        post("ada", "/v1/responses", json!({"model": "both", "stream": true, "input": "count"})),
        post(
            "ada",
            "/v1beta/models/both:streamGenerateContent?alt=sse",
            json!({"contents": [{"role": "user", "parts": [{"text": "count"}]}]}),
        ),
        post(
            "ada",
            "/v1beta/models/both:streamGenerateContent",
            json!({"contents": [{"role": "user", "parts": [{"text": "count"}]}]}),
        ),
    ];
    for request in requests {
        let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let gateway = gateway(&first, &second, "restart").await;
        first.script(Reply::stream(WORDS).cut_after(2));
        second.script(Reply::stream(WORDS));
        let answer = gateway.ask(&request).await;
        let text = answer.text();
        for word in ["One ", "three ", "five"] {
            let delta = [format!("\"text\":\"{word}\""), format!("\"delta\":\"{word}\"")];
            let times: usize = delta.iter().map(|delta| text.matches(delta.as_str()).count()).sum();
            assert_eq!(times, 1, "{word}: {text}");
        }
        assert!(!text.contains("error\":{"), "{text}");
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn a_client_pays_for_what_it_got_when_nobody_goes_on() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let gateway = gateway(&first, &second, "restart").await;
    first.script(Reply::stream(WORDS).cut_after(3));
    second.script(Reply::error(503));
    let answer = ask(&gateway).await;
    assert_eq!(answer.chat_stream().errors.len(), 1, "{}", answer.text());
    assert!(gateway.tokens_used("ada").await > 0);
    gateway.ends_quiet().await;
}
