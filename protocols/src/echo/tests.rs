use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::estimate::{prompt_tokens, text_tokens};

fn answer(body: &Json) -> EchoAnswer {
    EchoAnswer::new(body.to_string().as_bytes(), "req_1", 1_700_000_000).unwrap()
}

fn fault(body: &Json) -> EchoFault {
    EchoAnswer::new(body.to_string().as_bytes(), "req_1", 0).unwrap_err()
}

fn asking(content: &str) -> Json {
    json!({"model": "echo", "messages": [{"role": "user", "content": content}]})
}

fn text(frames: impl Iterator<Item = Bytes>) -> String {
    String::from_utf8(frames.flatten().collect()).unwrap()
}

/// The chunks of a stream as JSON, after its framing is checked.
fn chunks(answer: EchoAnswer) -> Vec<Json> {
    let mut frames: Vec<Bytes> = answer.frames().collect();
    assert_eq!(frames.pop().unwrap(), "data: [DONE]\n\n");
    let chunk = |frame: &Bytes| {
        let data = frame.strip_prefix(b"data: ").unwrap().strip_suffix(b"\n\n").unwrap();
        assert!(!data.contains(&b'\n'));
        serde_json::from_slice(data).unwrap()
    };
    frames.iter().map(chunk).collect()
}

fn contents(chunks: &[Json], choice: u64) -> Vec<String> {
    let of_choice = chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|c| c["index"] == choice);
    of_choice.filter_map(|c| Some(c["delta"]["content"].as_str()?.to_owned())).collect()
}

#[test]
fn the_last_user_message_comes_back_whole() {
    let body = json!({
        "model": "echo", "temperature": 0, "tools": [{"type": "function"}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "user", "content": [
                {"type": "text", "text": "two "},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "text", "text": "\"three\""},
            ]},
            {"role": "assistant", "content": "ok"},
        ],
    });
    assert_eq!(
        answer(&body).json(),
        concat!(
            r#"{"id":"chatcmpl-req_1","object":"chat.completion","created":1700000000,"model":"echo","#,
            r#""choices":[{"index":0,"message":{"role":"assistant","content":"two \"three\"","refusal":null},"#,
            r#""logprobs":null,"finish_reason":"stop"}],"#,
            r#""usage":{"prompt_tokens":6,"completion_tokens":2,"total_tokens":8}}"#
        )
    );
}

#[test]
fn a_stream_is_role_tokens_finish_and_done() {
    assert_eq!(
        text(answer(&asking("to be\nor")).frames()),
        concat!(
            r#"data: {"id":"chatcmpl-req_1","object":"chat.completion.chunk","created":1700000000,"model":"echo","#,
            r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"#,
            r#""finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"id":"chatcmpl-req_1","object":"chat.completion.chunk","created":1700000000,"model":"echo","#,
            r#""choices":[{"index":0,"delta":{"content":"to"},"logprobs":null,"finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"id":"chatcmpl-req_1","object":"chat.completion.chunk","created":1700000000,"model":"echo","#,
            r#""choices":[{"index":0,"delta":{"content":" be"},"logprobs":null,"finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"id":"chatcmpl-req_1","object":"chat.completion.chunk","created":1700000000,"model":"echo","#,
            r#""choices":[{"index":0,"delta":{"content":"\nor"},"logprobs":null,"finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"id":"chatcmpl-req_1","object":"chat.completion.chunk","created":1700000000,"model":"echo","#,
            r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
            "\n\ndata: [DONE]\n\n",
        )
    );
}

#[test]
fn usage_comes_in_a_chunk_of_its_own_to_those_who_ask() {
    let mut body = asking("a b");
    body["stream_options"] = json!({"include_usage": true});
    let chunks = chunks(answer(&body));
    let (usage, others) = chunks.split_last().unwrap();
    assert!(others.iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], json!({"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}));

    for options in [json!(null), json!({}), json!({"include_usage": false})] {
        body["stream_options"] = options;
        assert!(!text(answer(&body).frames()).contains("usage"));
    }
}

#[test]
fn the_cap_ends_the_answer_with_length() {
    for cap in ["max_tokens", "max_completion_tokens"] {
        let mut body = asking("one two three");
        body[cap] = json!(2);
        let capped = answer(&body);
        assert_eq!(capped.usage(), Usage { input: 3, output: 2, ..Usage::default() });
        let chunks = chunks(capped);
        assert_eq!(contents(&chunks, 0), ["", "one", " two"]);
        assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");

        body[cap] = json!(3);
        let json: Json = serde_json::from_slice(&answer(&body).json()).unwrap();
        assert_eq!(json["choices"][0]["message"]["content"], "one two three");
        assert_eq!(json["choices"][0]["finish_reason"], "stop", "exactly the cap is not over it");
    }
    let mut body = asking("one two three");
    body["max_tokens"] = json!(1);
    body["max_completion_tokens"] = json!(2);
    assert_eq!(answer(&body).usage().output, 2, "the newer name wins");
}

#[test]
fn a_stop_sequence_ends_the_answer_before_itself() {
    for (stop, left) in [
        (json!(" three"), "one two"),
        (json!(["x", "wo", "two"]), "one "),
        (json!(""), "one two three"),
        (json!(null), "one two three"),
        (json!([]), "one two three"),
    ] {
        let mut body = asking("one two three");
        body["stop"] = stop;
        let json: Json = serde_json::from_slice(&answer(&body).json()).unwrap();
        assert_eq!(json["choices"][0]["message"]["content"], left);
        assert_eq!(json["choices"][0]["finish_reason"], "stop");
    }
}

#[test]
fn every_choice_is_written_and_counted() {
    let mut body = asking("one two");
    body["n"] = json!(3);
    let three = answer(&body);
    assert_eq!(three.usage().output, 6);
    let json: Json = serde_json::from_slice(&three.json()).unwrap();
    assert_eq!(json["choices"].as_array().unwrap().len(), 3);
    assert_eq!(json["choices"][2]["index"], 2);
    let chunks = chunks(three);
    for choice in 0..3 {
        assert_eq!(contents(&chunks, choice), ["", "one", " two"]);
    }
    assert_eq!(chunks.iter().filter(|c| c["choices"][0]["finish_reason"] == "stop").count(), 3);

    for n in [0, 9] {
        body["n"] = json!(n);
        let fault = fault(&body);
        assert_eq!(fault, EchoFault::Choices { n, most: 8 });
        assert_eq!(fault.param(), Some("n"));
    }
}

#[test]
fn nothing_to_say_is_an_empty_answer_that_stops() {
    for messages in [json!([]), json!([{"role": "system", "content": "x"}]), json!([{"role": "user"}])] {
        let silent = answer(&json!({"model": "echo", "messages": messages}));
        assert_eq!(silent.usage().output, 0);
        let chunks = chunks(silent);
        assert_eq!(contents(&chunks, 0), [""]);
        assert_eq!(chunks[1]["choices"][0]["finish_reason"], "stop");
    }
}

#[test]
fn a_request_that_cannot_be_read_names_the_member() {
    let with = |member: &str, value: Json| {
        let mut body = asking("x");
        body[member] = value;
        body
    };
    let cases = [
        (json!({"model": "echo"}), "`messages` is missing"),
        (json!({"messages": []}), "`model` is missing"),
        (with("model", json!(5)), "`model` is a number; it has to be a string"),
        (with("messages", json!({})), "`messages` is an object; it has to be an array of messages"),
        (with("messages", json!(["x"])), "`messages` is a string; it has to be an array of objects"),
        (
            with("messages", json!([{"role": "user", "content": 5}])),
            "`messages` is a number; it has to be a string, an array of parts or null",
        ),
        (
            with("max_tokens", json!(-1)),
            "`max_tokens` is a number; it has to be a whole number of at least 0",
        ),
        (with("n", json!("2")), "`n` is a string; it has to be a whole number of at least 0"),
        (with("stop", json!([1])), "`stop` is a number; it has to be a string, an array of strings or null"),
        (
            with("stream_options", json!(true)),
            "`stream_options` is a boolean; it has to be an object or null",
        ),
    ];
    for (body, message) in cases {
        let fault = fault(&body);
        assert_eq!(fault.to_string(), message);
        assert!(message.starts_with(&format!("`{}`", fault.param().unwrap())));
    }
    let not_json = EchoAnswer::new(b"{", "x", 0).unwrap_err();
    assert!(matches!(not_json, EchoFault::Json(_)));
    assert_eq!(not_json.param(), None);
}

#[test]
fn a_token_is_a_word_with_its_white_space_and_has_a_bound() {
    let cases: [(&str, &[&str]); 6] = [
        ("", &[]),
        (" ", &[" "]),
        ("a  b\n\n", &["a", "  b", "\n\n"]),
        ("日本語 テスト", &["日本語", " テスト"]),
        ("0123456789012345678901234567890123456789", &["01234567890123456789012345678901", "23456789"]),
        ("ééééééééééééééééxé", &["éééééééééééééééé", "xé"]),
    ];
    for (text, tokens) in cases {
        assert_eq!(PlainTokens::new(text).collect::<Vec<_>>(), tokens);
    }
}

proptest! {
    #[test]
    fn tokens_together_are_the_text(text in any::<String>()) {
        let tokens: Vec<&str> = PlainTokens::new(&text).collect();
        prop_assert_eq!(tokens.concat(), text.as_str());
        prop_assert!(tokens.iter().all(|token| !token.is_empty() && token.len() <= 32));
    }

    #[test]
    fn what_is_counted_is_never_above_what_was_reserved(content in "([!-~é中]{0,70}[ \\n\\t\\r]{0,70}){0,5}") {
        let body = asking(&content);
        prop_assert!(PlainTokens::new(&content).count() as u64 <= text_tokens(&content));
        let messages = body["messages"].to_string();
        prop_assert!(answer(&body).usage().input <= prompt_tokens(messages.as_bytes()));
    }

    #[test]
    fn what_is_streamed_is_what_is_counted(
        content in "([a-z\\n 😀\"]{0,40} ?){0,6}",
        cap in proptest::option::of(0_u64..20),
        n in 1_u64..=8,
    ) {
        let mut body = asking(&content);
        body["n"] = json!(n);
        body["max_tokens"] = json!(cap);
        let answer = answer(&body);
        let whole: Json = serde_json::from_slice(&answer.json()).unwrap();
        let usage = answer.usage();
        let chunks = chunks(answer);
        let mut streamed = 0;
        for choice in 0..n {
            let contents = contents(&chunks, choice);
            streamed += contents.len() as u64 - 1;
            let message = &whole["choices"][choice as usize]["message"]["content"];
            prop_assert_eq!(&json!(contents.concat()), message);
        }
        prop_assert_eq!(usage.output, streamed);
        prop_assert_eq!(whole["usage"]["completion_tokens"].as_u64(), Some(streamed));
        prop_assert!(cap.is_none_or(|cap| usage.output <= cap * n));
        prop_assert_eq!(usage.input, PlainTokens::new(&content).count() as u64);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = EchoAnswer::new(&body, "x", 0);
    }
}
