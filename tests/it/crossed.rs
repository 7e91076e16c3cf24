//! Every protocol over every provider: what a client of one makes of a model that speaks another, read as strictly as
//! its own SDK would. Where both speak the same, the same must hold.

mod asked;
mod endings;
mod faults;
mod generate;
mod members;
mod streams;
mod tools;

use gateway_testkit::Reply;
use gateway_testkit::reply::UsageStyle;
use serde_json::json;

use crate::surfaces::{Api, CLAUDE, GEMINI, GPT, MODELS, Site, Told, question, spoken};

/// Every client's protocol, with every provider, whole and as a stream.
pub fn pairs() -> impl Iterator<Item = (Api, &'static str, bool)> {
    Api::ALL.into_iter().flat_map(|api| {
        MODELS.into_iter().flat_map(move |model| [false, true].map(|stream| (api, model, stream)))
    })
}

/// The word of a normal end.
pub fn stop_word(api: Api) -> &'static str {
    match api {
        Api::Chat => "stop",
        Api::Messages => "end_turn",
        Api::Gemini => "STOP",
        Api::Responses => "completed",
    }
}

#[tokio::test]
async fn text_comes_whole_and_in_pieces_over_every_provider() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let pieces = ["Hel", "lo \u{1f600}\n\"", "\\ there"];
        let (answer, seen) = site.ask(Reply::stream(pieces), &question(api, model, stream, json!({}))).await;
        assert_eq!(seen.model(), model, "{case}");
        let told = Told::of(api, stream, &answer);
        assert_eq!(told.text, pieces.concat(), "{case}");
        assert_eq!(told.finish.as_deref(), Some(stop_word(api)), "{case}");
        assert!(told.ended && told.calls.is_empty() && told.errors.is_empty(), "{case}: {told:?}");
        assert_eq!(told.model, model, "{case}");
        assert_eq!(told.tokens.unwrap().billed(), seen.billed(), "{case}");
        assert!(answer.header("x-gateway-dropped").is_none(), "{case}");
        assert!(answer.header("x-request-id").is_some() && answer.header("x-gateway-provider").is_some());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_answer_without_text_is_a_whole_answer() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let (answer, _) =
            site.ask(Reply::text("").tokens(5, 0), &question(api, model, stream, json!({}))).await;
        let told = Told::of(api, stream, &answer);
        assert_eq!((told.text.as_str(), told.finish.as_deref()), ("", Some(stop_word(api))), "{case}");
        assert!(told.ended, "{case}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn thoughts_are_thoughts_in_every_protocol() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let reply = Reply::text("42").reasoning(["Let me ", "think"]).tokens(7, 5);
        let (answer, seen) = site.ask(reply, &question(api, model, stream, json!({}))).await;
        let told = Told::of(api, stream, &answer);
        assert_eq!((told.thinking.as_str(), told.text.as_str()), ("Let me think", "42"), "{case}");
        let tokens = told.tokens.unwrap();
        assert_eq!((tokens.billed(), tokens.reasoning), (seen.billed(), 2), "{case}");
        // Whoever signs is heard where there is a place for it.
        if spoken(api, model) == Api::Messages && api != Api::Responses {
            assert_eq!(told.signatures.len(), 1, "{case}: {}", answer.text());
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn cached_and_reasoning_tokens_are_told_and_booked_as_the_upstream_counts_them() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let reply = Reply::text("42").reasoning(["a ", "b ", "c"]).tokens(1000, 50).cached(600, 0);
        let (answer, _) = site.ask(reply, &question(api, model, stream, json!({}))).await;
        let tokens = Told::of(api, stream, &answer).tokens.unwrap();
        assert_eq!((tokens.prompt, tokens.completion), (1000, 50), "{case}: {}", answer.text());
        assert_eq!((tokens.cached, tokens.reasoning), (600, 3), "{case}: {}", answer.text());
    }
    for (provider, calls) in [("openai", 8), ("plain", 8), ("anthropic", 8), ("gemini", 8)] {
        let row = site.booked(provider, calls).await;
        assert_eq!(row["input_tokens"], 400 * calls, "{row}");
        assert_eq!(row["cached_input_tokens"], 600 * calls, "{row}");
        assert_eq!(
            row["output_tokens"].as_u64().unwrap() + row["reasoning_tokens"].as_u64().unwrap(),
            50 * calls
        );
        assert_eq!(row["reasoning_tokens"], 3 * calls, "{row}");
        assert_eq!(row["tokens"], 1050 * calls, "{row}");
        assert_eq!(row["failed_requests"].as_u64().unwrap_or_default(), 0, "{row}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn wherever_the_usage_stands_it_is_told_once_and_booked_once() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        for style in [
            UsageStyle::AsAsked,
            UsageStyle::Always,
            UsageStyle::BesideChoices,
            UsageStyle::WithoutChoices,
            UsageStyle::OnEveryChunk,
        ] {
            let case = format!("{api:?} over {model}, stream {stream}, {style:?}");
            let reply = Reply::stream(["Hel", "lo"]).usage(style).tokens(11, 2);
            let (answer, seen) = site.ask(reply, &question(api, model, stream, json!({}))).await;
            let tokens = Told::of(api, stream, &answer).tokens;
            assert_eq!(
                tokens.map(|tokens| tokens.billed()),
                Some(seen.billed()),
                "{case}: {}",
                answer.text()
            );
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_answer_without_usage_is_counted_from_its_text_in_every_protocol() {
    let site = Site::start().await;
    let long = "word ".repeat(1000);
    let mut before = 0;
    for (api, model, stream) in pairs() {
        let reply = Reply::text(&long).usage(UsageStyle::Never);
        site.upstream.script(reply);
        let answer = site.gateway.ask(&question(api, model, stream, json!({}))).await;
        assert_eq!(answer.status, 200, "{api:?} over {model}, stream {stream}: {}", answer.text());
        let used = site.gateway.tokens_used("ada").await - before;
        assert!((500..10_000).contains(&used), "{api:?} over {model}, stream {stream}: {used}");
        before += used;
    }
    site.ends().await;
}

#[tokio::test]
async fn an_answer_cut_anywhere_by_the_network_reads_the_same() {
    let site = Site::start().await;
    for (api, model) in Api::ALL.into_iter().flat_map(|api| [GPT, CLAUDE, GEMINI].map(|model| (api, model))) {
        let reply = || {
            Reply::tool_calls([("look_up", "{\"text\":\"\u{e9}\u{1f600}\"}")])
                .reasoning(["\u{1f600}"])
                .tokens(9, 9)
        };
        let ask = question(api, model, true, crate::surfaces::tools(api, &["look_up"]));
        let (whole, _) = site.ask(reply(), &ask).await;
        let whole = Told::of(api, true, &whole);
        for size in [1, 2, 3, 7] {
            let (answer, _) = site.ask(reply().split_every(size), &ask).await;
            let told = Told::of(api, true, &answer);
            let alike = |told: &Told| {
                let calls: Vec<_> =
                    told.calls.iter().map(|call| (call.name.clone(), call.arguments.clone())).collect();
                (calls, told.thinking.clone(), told.finish.clone(), told.tokens, told.ended)
            };
            assert_eq!(alike(&told), alike(&whole), "{api:?} over {model}, pieces of {size} bytes");
        }
    }
    site.ends_in_agreement().await;
}
