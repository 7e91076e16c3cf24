//! Streams that are cut, that stall, that are slow, and that nobody waits for, in every protocol over every provider.

use std::time::Duration;

use gateway_testkit::Reply;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::surfaces::{Api, CLAUDE, GEMINI, GPT, MODELS, Site, Told, question};

fn all() -> impl Iterator<Item = (Api, &'static str)> {
    Api::ALL.into_iter().flat_map(|api| MODELS.map(|model| (api, model)))
}

fn hello() -> Reply {
    Reply::stream(["Hel", "lo ", "there"])
}

/// The message of the error that a broken stream ends in.
fn message(api: Api, error: &Value) -> String {
    match api {
        Api::Chat => assert_eq!(error["code"], "upstream_error", "{error}"),
        Api::Messages => assert_eq!(error["type"], "api_error", "{error}"),
        Api::Gemini => assert_eq!(error["status"], "UNAVAILABLE", "{error}"),
        Api::Responses => {}
    }
    error["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_cut_stream_ends_in_its_protocols_error_event() {
    let site = Site::start().await;
    let mut used = 0;
    for (api, model) in all() {
        for (what, reply) in [
            ("cut", hello().cut_after(2)),
            ("clean cut", hello().clean_cut_after(2)),
            ("reset", hello().reset_after(2)),
            ("error event", hello().error_event_after(2)),
            ("malformed", hello().malformed_event_after(2)),
            ("gzip", hello().gzip().cut_after(2)),
        ] {
            let case = format!("{api:?} over {model}, {what}");
            let (answer, _) = site.ask(reply, &question(api, model, true, json!({}))).await;
            let told = Told::of(api, true, &answer);
            let error = told.broke();
            assert!("Hello ".starts_with(&*told.text) && told.text.len() >= 3, "{case}: {}", answer.text());
            if what != "error event" {
                assert!(!message(api, error).is_empty(), "{case}: {error}");
            }
            let now = site.gateway.tokens_used("ada").await;
            assert!(
                (1..1000).contains(&(now - used)),
                "{case}: what was relayed is paid for: {}",
                now - used
            );
            used = now;
        }
    }
    site.ends().await;
}

#[tokio::test]
async fn a_stream_without_its_terminal_event_is_no_clean_end() {
    let site = Site::start().await;
    for (api, model) in all() {
        let (answer, _) = site
            .ask(hello().without_done().without_finish_reason(), &question(api, model, true, json!({})))
            .await;
        let told = Told::of(api, true, &answer);
        told.broke();
        assert_eq!(told.text, "Hello there", "{api:?} over {model}");
    }
    site.ends().await;
}

#[tokio::test]
async fn a_stalled_stream_ends_in_its_protocols_error_event() {
    let site = Site::with("[timeouts]\nstall = \"100ms\"\nsilence = \"2s\"\n", "").await;
    let asked = all().map(|(api, model)| {
        let site = &site;
        async move {
            let mut client = site.gateway.connect().await;
            let answer = client.ask(&question(api, model, true, json!({}))).await;
            let told = Told::of(api, true, &answer);
            assert!(
                message(Api::Responses, told.broke()).contains("stall"),
                "{api:?} over {model}: {}",
                answer.text()
            );
            assert_eq!(told.text, "Hello ", "{api:?} over {model}");
        }
    });
    site.upstream.always(hello().stall_after(2));
    futures_util::future::join_all(asked).await;
    site.ends().await;
}

#[tokio::test(start_paused = true)]
async fn c21_a_silent_stream_is_kept_alive_in_every_protocol() {
    let site = Site::start().await;
    for (api, model) in all() {
        for reply in [
            Reply::stream(["a", "b"]).gap(Duration::from_secs(60)),
            Reply::stream(["a", "b"]).after(Duration::from_secs(60)),
            Reply::stream(["a", "b"]).pings(Duration::from_secs(5), 12),
        ] {
            site.upstream.script(reply);
            let mut client = site.gateway.connect().await;
            client.send(&question(api, model, true, json!({}))).await;
            let head = client.head().await;
            assert_eq!(head.status, 200);
            let (mut last, mut body) = (Instant::now(), Vec::new());
            while let Some(data) = client.next_data().await {
                assert!(
                    last.elapsed() <= Duration::from_secs(15),
                    "{api:?} over {model}: {:?}",
                    last.elapsed()
                );
                last = Instant::now();
                body.extend_from_slice(&data);
            }
            let answer = gateway_testkit::raw_client::Answer {
                status: head.status,
                headers: head.headers,
                body: body.into(),
                complete: client.ended_properly(),
            };
            let told = Told::of(api, true, &answer);
            assert_eq!((&*told.text, told.ended), ("ab", true), "{api:?} over {model}");
            assert!(told.signs_of_life >= 3, "{api:?} over {model}: {}", answer.text());
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_its_upstream_and_pays_for_what_came() {
    let site = Site::start().await;
    let mut used = 0;
    for (api, model) in Api::ALL.into_iter().flat_map(|api| [GPT, CLAUDE, GEMINI].map(|model| (api, model))) {
        site.upstream.script(Reply::stream(["one ", "two "]).stall_after(2));
        let mut client = site.gateway.connect().await;
        let head = client.open(&question(api, model, true, json!({}))).await;
        assert_eq!(head.status, 200);
        while let Some(event) = client.next_message().await {
            if event.contains("two") {
                break;
            }
        }
        client.hang_up();
        let seen = site.upstream.next_request().await;
        seen.connection_closed().await;
        let now = site.gateway.tokens_used("ada").await;
        assert!((2..1000).contains(&(now - used)), "{api:?} over {model}: {}", now - used);
        used = now;
    }
    site.ends().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_on_a_whole_answer_stops_its_upstream() {
    let site = Site::start().await;
    for (api, model) in all() {
        site.upstream.script(Reply::never());
        let mut client = site.gateway.connect().await;
        client.send(&question(api, model, false, json!({}))).await;
        let seen = site.upstream.next_request().await;
        client.hang_up();
        seen.connection_closed().await;
        site.gateway.is_quiet().await;
    }
    site.ends().await;
}
