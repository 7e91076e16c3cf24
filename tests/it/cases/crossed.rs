//! The same inputs where client and upstream speak different protocols.
//!
//! More of them are where their subject is: C11 and C39 in `surfaces/messages.rs`, C13 in `surfaces/gemini.rs`, C15 in
//! `crossed/asked.rs`, C17 in `crossed/endings.rs`, C19 in `crossed/faults.rs`, C21 in `crossed/streams.rs`, C23 in
//! `surfaces/plain.rs` and `encoded_answers.rs`, C25 in `hang_ups.rs`, C37 in `secrets.rs` and `admin_changes.rs`.

use gateway_testkit::Reply;
use gateway_testkit::reply::UsageStyle;
use serde_json::{Value, json};

use crate::surfaces::{Api, CLAUDE, GEMINI, GPT, MODELS, PLAIN, Site, Told, merged, post, question, tools};

const NUMBERS: &str =
    "[9223372036854775807,12345678901234567890123456789012345678901,1.0,1e2,-0.0,0.1000,1E+30]";

fn pairs() -> impl Iterator<Item = (Api, &'static str)> {
    Api::ALL.into_iter().flat_map(|api| MODELS.map(|model| (api, model)))
}

#[tokio::test]
async fn c01_and_c03_calls_without_an_index_or_in_turns_are_apart_in_every_protocol() {
    let site = Site::start().await;
    let calls = [
        ("one", "{\"id\":9007199254740993}"),
        ("two", "{}"),
        ("three", "{\"text\":\"a long argument of its own\"}"),
    ];
    for api in Api::ALL {
        for reply in
            [Reply::tool_calls(calls).without_tool_index(), Reply::tool_calls(calls).interleaved_tools()]
        {
            let ask = question(api, PLAIN, true, tools(api, &["one", "two", "three"]));
            let (answer, _) = site.ask(reply, &ask).await;
            let told = Told::of(api, true, &answer);
            assert_eq!(told.called(), calls, "{api:?}: {}", answer.text());
            assert_ne!(told.finish.as_deref(), Some("stop"), "{api:?}");
            assert_ne!(told.finish.as_deref(), Some("end_turn"), "{api:?}");
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c05_a_call_without_arguments_has_an_empty_object_whole_streamed_and_replayed() {
    let site = Site::start().await;
    for (api, model) in pairs() {
        let offered = tools(api, &["nothing"]);
        for stream in [false, true] {
            let reply = Reply::tool_calls([("nothing", "")]);
            let (answer, _) = site.ask(reply, &question(api, model, stream, offered.clone())).await;
            let told = Told::of(api, stream, &answer);
            let own = matches!((api, model), (Api::Chat, GPT | PLAIN) | (Api::Responses, GPT));
            let expected = if own { "" } else { "{}" };
            assert_eq!(told.called(), [("nothing", expected)], "{api:?} over {model}, stream {stream}");
        }
    }
    for model in [CLAUDE, GEMINI] {
        for blank in ["", " ", "\n", "{}"] {
            let calls = json!([{"id": "call_1", "type": "function", "function": {"name": "nothing", "arguments": blank}}]);
            let messages = json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": "call_1", "content": "ok"}]});
            let ask = question(Api::Chat, model, false, merged(&[tools(Api::Chat, &["nothing"]), messages]));
            let (answer, seen) = site.ask(Reply::text("ok").checked(), &ask).await;
            assert_eq!(answer.status, 200, "{model}, {blank:?}: {}", answer.text());
            let sent = seen.json();
            let input = match model {
                CLAUDE => sent["messages"][1]["content"][0]["input"].clone(),
                _ => sent["contents"][1]["parts"][0]["functionCall"]["args"].clone(),
            };
            assert_eq!(input, json!({}), "{model}, {blank:?}");
        }
        let items = json!({"input": [{"role": "user", "content": "hi"},
            {"type": "function_call", "call_id": "call_1", "name": "nothing", "arguments": ""},
            {"type": "function_call_output", "call_id": "call_1", "output": "ok"}]});
        let ask =
            question(Api::Responses, model, false, merged(&[tools(Api::Responses, &["nothing"]), items]));
        let (answer, _) = site.ask(Reply::text("ok").checked(), &ask).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c07_neither_an_empty_reason_nor_a_late_stop_hides_a_call() {
    let site = Site::start().await;
    let words = |api: Api| match api {
        Api::Chat => "tool_calls",
        Api::Messages => "tool_use",
        Api::Gemini => "STOP",
        Api::Responses => "completed",
    };
    for api in Api::ALL {
        for (model, reply) in [
            (PLAIN, Reply::tool_calls([("look_up", "{}")]).finish_reason_throughout("")),
            (PLAIN, Reply::tool_calls([("look_up", "{}")]).finish_reason("stop")),
            (GEMINI, Reply::tool_calls([("look_up", "{}")]).finish_reason("STOP")),
            (CLAUDE, Reply::tool_calls([("look_up", "{}")]).finish_reason("end_turn")),
        ] {
            if matches!((api, model), (Api::Chat, PLAIN) | (Api::Gemini, GEMINI) | (Api::Messages, CLAUDE)) {
                continue;
            }
            let (answer, _) = site.ask(reply, &question(api, model, true, tools(api, &["look_up"]))).await;
            let told = Told::of(api, true, &answer);
            assert_eq!(told.finish.as_deref(), Some(words(api)), "{api:?} over {model}: {}", answer.text());
            assert_eq!((told.calls.len(), told.ended), (1, true));
        }
    }
    // Gemini's own repeats: the reason on every object, then the last.
    let reply = Reply::tool_calls([("look_up", "{}")]).finish_reason_throughout("");
    let (answer, _) =
        site.ask(reply, &question(Api::Chat, GEMINI, true, tools(Api::Chat, &["look_up"]))).await;
    assert_eq!(answer.chat_stream().finish_reasons, ["tool_calls"], "{}", answer.text());
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c09_a_chat_client_gets_the_usage_once_or_not_at_all_whoever_answers() {
    let site = Site::start().await;
    for model in [CLAUDE, GEMINI] {
        for style in [
            UsageStyle::AsAsked,
            UsageStyle::BesideChoices,
            UsageStyle::WithoutChoices,
            UsageStyle::OnEveryChunk,
        ] {
            for shown in [json!(true), json!(false), json!(null)] {
                let mut body =
                    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
                if !shown.is_null() {
                    body["stream_options"] = json!({"include_usage": shown});
                }
                let reply = Reply::stream(["Hel", "lo"]).usage(style).tokens(11, 2);
                let (answer, _) = site.ask(reply, &post("ada", "/v1/chat/completions", body)).await;
                let stream = answer.chat_stream();
                let case = format!("{model}, {style:?}, include_usage {shown}: {}", answer.text());
                assert_eq!((stream.text.as_str(), stream.done), ("Hello", true), "{case}");
                assert_eq!(stream.usage.len(), usize::from(shown == true), "{case}");
                let chunks = stream.messages.iter().filter(|data| *data != "[DONE]");
                for chunk in chunks.map(|data| serde_json::from_str::<Value>(data).unwrap()) {
                    assert!(chunk["choices"].is_array(), "{case}");
                    assert_eq!(chunk.as_object().unwrap().contains_key("usage"), shown == true, "{case}");
                }
            }
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c27_a_long_event_passes_through_a_translation_and_a_longer_one_is_a_named_error() {
    let site = Site::start().await;
    for (api, model) in
        [(Api::Messages, PLAIN), (Api::Chat, CLAUDE), (Api::Responses, GEMINI), (Api::Gemini, CLAUDE)]
    {
        let ask = question(api, model, true, json!({}));
        let (answer, _) = site.ask(Reply::long_line(8 << 20).tokens(1, 1), &ask).await;
        let told = Told::of(api, true, &answer);
        assert_eq!((told.text.len(), told.ended), (8 << 20, true), "{api:?} over {model}");

        let (answer, seen) = site.ask(Reply::long_line(200 << 20).tokens(0, 0), &ask).await;
        let message = match answer.status {
            200 => Told::of(api, true, &answer).broke()["message"].as_str().unwrap_or_default().to_owned(),
            status => {
                assert_eq!(status, 502, "{api:?} over {model}");
                answer.text()
            }
        };
        assert!(message.contains("an event of more than 16777216 bytes"), "{api:?} over {model}: {message}");
        seen.connection_closed().await;
        assert!(seen.bytes_written() < 48 << 20, "{} bytes were taken", seen.bytes_written());
    }
    site.ends().await;
}

#[tokio::test]
async fn c29_halves_of_an_emoji_are_joined_and_a_lone_half_ends_nothing() {
    let site = Site::start().await;
    let is_own = |api, model| crate::surfaces::spoken(api, model) == api;
    for (api, model) in pairs().filter(|(api, model)| !is_own(*api, model)) {
        for (pieces, text) in [
            (vec!["\\ud83d", "\\ude00", " x"], "\u{1f600} x"),
            (vec!["x", "\\ud83d"], "x\u{fffd}"),
            (vec!["\\ude00\\ud83d"], "\u{fffd}\u{fffd}"),
            (vec!["a\\ud83d", "b"], "a\u{fffd}b"),
        ] {
            for stream in [false, true] {
                let (answer, _) =
                    site.ask(Reply::escaped(pieces.clone()), &question(api, model, stream, json!({}))).await;
                let told = Told::of(api, stream, &answer);
                assert_eq!(
                    (&*told.text, told.ended),
                    (text, true),
                    "{api:?} over {model}, stream {stream}: {pieces:?}"
                );
            }
        }
    }
    // In arguments, which are JSON within a JSON text: both halves, and one alone.
    let chunk = |arguments: &str, finish: &str| {
        format!(
            "{{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"tool_calls\":[{{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{{\"name\":\"f\",\
             \"arguments\":\"{arguments}\"}}}}]}},\"finish_reason\":{finish}}}]}}"
        )
    };
    for (second, arguments) in [("\\ude00\\\"}", "{\"a\":\"\u{1f600}\"}"), ("\\\"}", "{\"a\":\"\u{fffd}\"}")]
    {
        for api in [Api::Messages, Api::Gemini, Api::Responses] {
            let first = chunk("{\\\"a\\\":\\\"\\ud83d", "null");
            let second = chunk(second, "null").replace(
                "\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",",
                "\"function\":{",
            );
            let last = "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\
                \"delta\":{},\"finish_reason\":\"tool_calls\"}]}";
            let usage = "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\
                \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":3,\"total_tokens\":6}}";
            let reply = Reply::events([first, second, last.to_owned(), usage.to_owned()]).tokens(3, 3);
            let (answer, _) = site.ask(reply, &question(api, PLAIN, true, tools(api, &["f"]))).await;
            assert_eq!(
                Told::of(api, true, &answer).called(),
                [("f", arguments)],
                "{api:?}: {}",
                answer.text()
            );
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c29_half_an_emoji_in_a_question_is_no_fault() {
    let site = Site::start().await;
    for (model, path) in
        [(CLAUDE, "/v1/chat/completions"), (GEMINI, "/v1/chat/completions"), (PLAIN, "/v1/messages")]
    {
        let body = format!(
            "{{\"model\":\"{model}\",\"max_tokens\":50,\"messages\":[{{\"role\":\"user\",\"content\":\"\\ud83d\\ude00 \\ud83d x\"}}]}}"
        );
        let (answer, seen) = site.ask(Reply::text("ok"), &post("ada", path, body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(seen.json().to_string().contains("\u{1f600} \u{fffd} x"), "{}", seen.json());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c31_every_digit_reaches_the_other_side_both_ways() {
    let site = Site::start().await;
    let arguments = format!("{{\"ids\":{NUMBERS}}}");
    let escaped = Value::from(&*arguments).to_string();
    let histories = [
        (
            Api::Chat,
            format!(
                "{{\"model\":\"MODEL\",\"max_completion_tokens\":50,\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}},\
             {{\"role\":\"assistant\",\"tool_calls\":[{{\"id\":\"c\",\"type\":\"function\",\"function\":\
             {{\"name\":\"f\",\"arguments\":{escaped}}}}}]}},{{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}}],\
             \"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":\"f\",\"parameters\":{{\"type\":\"object\",\"properties\":{{\"n\":{{\"enum\":{NUMBERS}}}}}}}}}}}]}}"
            ),
        ),
        (
            Api::Messages,
            format!(
                "{{\"model\":\"MODEL\",\"max_tokens\":50,\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}},\
             {{\"role\":\"assistant\",\"content\":[{{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{arguments}}}]}},\
             {{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"x\"}}]}}],\
             \"tools\":[{{\"name\":\"f\",\"input_schema\":{{\"type\":\"object\",\"properties\":{{\"n\":{{\"enum\":{NUMBERS}}}}}}}}}]}}"
            ),
        ),
        (
            Api::Gemini,
            format!(
                "{{\"contents\":[{{\"role\":\"user\",\"parts\":[{{\"text\":\"hi\"}}]}},{{\"role\":\"model\",\"parts\":\
             [{{\"functionCall\":{{\"name\":\"f\",\"id\":\"c\",\"args\":{arguments}}}}}]}},{{\"role\":\"user\",\"parts\":\
             [{{\"functionResponse\":{{\"name\":\"f\",\"id\":\"c\",\"response\":{{\"r\":{NUMBERS}}}}}}}]}}],\
             \"tools\":[{{\"functionDeclarations\":[{{\"name\":\"f\",\"parametersJsonSchema\":{{\"type\":\"object\",\"properties\":{{\"n\":{{\"enum\":{NUMBERS}}}}}}}}}]}}]}}"
            ),
        ),
    ];
    for (api, body) in &histories {
        for model in [PLAIN, CLAUDE, GEMINI] {
            for stream in [false, true] {
                let mut body = body.replace("MODEL", model);
                if stream && *api != Api::Gemini {
                    body = body.replacen(
                        '{',
                        "{\"stream\":true,\"stream_options\":{\"include_usage\":true},",
                        1,
                    );
                    if *api == Api::Messages {
                        body = body.replace("\"stream_options\":{\"include_usage\":true},", "");
                    }
                }
                let ask = post("ada", &crate::surfaces::path(*api, model, stream), body);
                let (answer, seen) = site.ask(Reply::tool_calls([("f", &*arguments)]), &ask).await;
                let told = Told::of(*api, stream, &answer);
                assert_eq!(told.called(), [("f", &*arguments)], "{api:?} over {model}, stream {stream}");
                let sent = String::from_utf8_lossy(seen.body()).into_owned();
                let times = sent.matches(NUMBERS).count();
                assert!(times >= 2, "{api:?} over {model}: the arguments and the schema: {sent}");
            }
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn c35_no_vendors_headers_reach_a_client() {
    let site = Site::start().await;
    let theirs = [
        "anthropic-",
        "cf-",
        "set-cookie",
        "alt-svc",
        "x-goog",
        "via",
        "server",
        "openai-organization",
        "x-xss",
    ];
    for (api, model) in pairs() {
        for (reply, stream) in
            [(Reply::text("ok"), false), (Reply::text("ok"), true), (Reply::error(429), false)]
        {
            let (answer, _) =
                site.ask(reply.every_header_twice(), &question(api, model, stream, json!({}))).await;
            for (name, value) in answer.headers.iter() {
                let name = name.to_lowercase();
                let is_theirs =
                    theirs.iter().any(|prefix| name.starts_with(prefix)) && name != "server-timing";
                assert!(!is_theirs, "{api:?} over {model}: {name}: {value}");
                assert_eq!(
                    answer.headers.all(&name).len(),
                    1,
                    "{api:?} over {model}: {name} came more than once"
                );
            }
            if api == Api::Messages {
                assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
            }
        }
    }
    site.ends_in_agreement().await;
}
