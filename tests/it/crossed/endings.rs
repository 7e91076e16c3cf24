//! Why an answer ends, over every provider.

use gateway_testkit::Reply;
use serde_json::json;

use super::pairs;
use crate::surfaces::{Api, CLAUDE, GEMINI, PLAIN, Site, Told, question, spoken, tools};

#[tokio::test]
async fn an_answer_that_met_its_cap_says_so() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let (answer, _) =
            site.ask(Reply::cut_by_cap("one two"), &question(api, model, stream, json!({}))).await;
        let told = Told::of(api, stream, &answer);
        let word = match api {
            Api::Chat => "length",
            Api::Messages => "max_tokens",
            Api::Gemini => "MAX_TOKENS",
            Api::Responses => "incomplete: max_output_tokens",
        };
        assert_eq!(
            (told.text.as_str(), told.finish.as_deref()),
            ("one two", Some(word)),
            "{api:?} over {model}, {stream}"
        );
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_filtered_answer_is_no_normal_end() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let reply = Reply::blocked().tokens(6, 0);
        let (answer, _) = site.ask(reply, &question(api, model, stream, json!({}))).await;
        let told = Told::of(api, stream, &answer);
        let word = match api {
            Api::Chat => "content_filter",
            Api::Messages => "refusal",
            Api::Gemini => "SAFETY",
            Api::Responses => "incomplete: content_filter",
        };
        assert_eq!(told.finish.as_deref(), Some(word), "{api:?} over {model}, {stream}: {}", answer.text());
        assert!(told.text.is_empty(), "{api:?} over {model}, {stream}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_refusal_is_told_as_one() {
    let site = Site::start().await;
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let (answer, _) =
            site.ask(Reply::refusal("I will not"), &question(api, model, stream, json!({}))).await;
        let told = Told::of(api, stream, &answer);
        let said = [&*told.text, &*told.refusal].concat();
        assert_eq!(said, "I will not", "{case}");
        let is_told = match api {
            Api::Chat => told.finish.as_deref() == Some("content_filter") || !told.refusal.is_empty(),
            Api::Messages => told.finish.as_deref() == Some("refusal"),
            Api::Gemini => told.finish.as_deref() == Some("SAFETY"),
            Api::Responses => {
                told.finish.as_deref() == Some("incomplete: content_filter") || !told.refusal.is_empty()
            }
        };
        assert!(is_told, "{case}: {}", answer.text());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_stop_sequence_reaches_the_model_and_is_told_where_there_is_a_place() {
    let site = Site::start().await;
    let stops = |api: Api| match api {
        Api::Chat => json!({"stop": ["two"], "messages": [{"role": "user", "content": "one two three"}]}),
        Api::Messages => {
            json!({"stop_sequences": ["two"], "messages": [{"role": "user", "content": "one two three"}]})
        }
        Api::Gemini => json!({"generationConfig": {"stopSequences": ["two"]},
            "contents": [{"role": "user", "parts": [{"text": "one two three"}]}]}),
        Api::Responses => unreachable!("it has none"),
    };
    for (api, model, stream) in pairs().filter(|(api, ..)| *api != Api::Responses) {
        let case = format!("{api:?} over {model}, stream {stream}");
        let (answer, _) = site.ask(Reply::real(), &question(api, model, stream, stops(api))).await;
        let told = Told::of(api, stream, &answer);
        assert_eq!(told.text, "You said: one ", "{case}");
        if spoken(api, model) == Api::Messages && api != Api::Gemini {
            assert_eq!(told.stop_sequence.as_deref(), Some("two"), "{case}");
        }
        if spoken(api, model) == Api::Messages && api == Api::Messages {
            assert_eq!(told.finish.as_deref(), Some("stop_sequence"), "{case}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn more_stop_sequences_than_openai_takes_are_refused_by_name() {
    let site = Site::start().await;
    let ask = question(Api::Messages, PLAIN, false, json!({"stop_sequences": ["a", "b", "c", "d", "e"]}));
    let answer = site.gateway.ask(&ask).await;
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (400, &"invalid_request_error".into()));
    assert!(answer.text().contains("stop sequences beyond the first 4"), "{}", answer.text());
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c17_every_reason_keeps_its_meaning_and_none_becomes_a_normal_stop() {
    let site = Site::start().await;
    // What an upstream says; in chat the word and, where chat says less, the upstream's own; in messages; in Gemini.
    let table = [
        (CLAUDE, "refusal", ("content_filter", Some("refusal")), "refusal", "SAFETY"),
        (
            CLAUDE,
            "model_context_window_exceeded",
            ("length", Some("model_context_window_exceeded")),
            "model_context_window_exceeded",
            "MAX_TOKENS",
        ),
        (CLAUDE, "pause_turn", ("length", Some("pause_turn")), "pause_turn", "OTHER"),
        (CLAUDE, "novel_reason", ("length", Some("novel_reason")), "novel_reason", "OTHER"),
        (PLAIN, "content_filter", ("content_filter", None), "refusal", "SAFETY"),
        (GEMINI, "SAFETY", ("content_filter", None), "refusal", "SAFETY"),
        (GEMINI, "MAX_TOKENS", ("length", None), "max_tokens", "MAX_TOKENS"),
    ];
    for (model, reason, (chat, native), messages, gemini) in table {
        for (calls, stream) in [(false, false), (false, true), (true, false), (true, true)] {
            let reply = || match calls {
                true => Reply::tool_calls([("look_up", "{}")]).finish_reason(reason),
                false => Reply::text("so far").finish_reason(reason),
            };
            for (api, word) in [(Api::Chat, chat), (Api::Messages, messages), (Api::Gemini, gemini)] {
                let case = format!("{api:?} over {model}: {reason}, calls {calls}, stream {stream}");
                let (answer, _) =
                    site.ask(reply(), &question(api, model, stream, tools(api, &["look_up"]))).await;
                let told = Told::of(api, stream, &answer);
                assert_eq!(told.finish.as_deref(), Some(word), "{case}");
                assert!(told.ended, "{case}");
                assert_eq!(told.calls.len(), usize::from(calls), "{case}");
                if api == Api::Chat {
                    assert_eq!(told.native_finish.as_deref(), native, "{case}");
                }
            }
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c17_a_reason_that_never_comes_still_ends_the_stream_legally() {
    let site = Site::start().await;
    for (api, model) in Api::ALL.into_iter().flat_map(|api| [CLAUDE, PLAIN].map(|model| (api, model))) {
        let ask = question(api, model, true, json!({}));
        let (answer, _) = site.ask(Reply::text("so far").without_finish_reason(), &ask).await;
        if spoken(api, model) == api {
            // Its own bytes, whatever they say.
            assert_eq!(answer.status, 200);
            continue;
        }
        let told = Told::of(api, true, &answer);
        assert_eq!(told.text, "so far", "{api:?} over {model}");
        assert!(told.ended != (told.errors.len() == 1), "{api:?} over {model}: {told:?}");
    }
    site.ends().await;
}
