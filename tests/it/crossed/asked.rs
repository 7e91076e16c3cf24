//! What a question says, and how it arrives at a provider of another protocol: under the eyes of an upstream that
//! refuses what the real one refuses.

use gateway_testkit::Reply;
use serde_json::{Value, json};

use super::pairs;
use crate::surfaces::{Api, CLAUDE, GEMINI, GPT, PLAIN, Site, Told, merged, question, spoken};

const PNG: &str = "iVBORw0KGgo=";
const PDF: &str = "JVBERi0xLjQK";

/// A question with these parts.
fn saying(api: Api, parts: Value) -> Value {
    match api {
        Api::Chat | Api::Messages => json!({"messages": [{"role": "user", "content": parts}]}),
        Api::Gemini => json!({"contents": [{"role": "user", "parts": parts}]}),
        Api::Responses => json!({"input": [{"role": "user", "content": parts}]}),
    }
}

#[tokio::test]
async fn instructions_stand_where_each_provider_has_them() {
    let site = Site::start().await;
    let told = |api: Api| match api {
        Api::Chat => json!({"messages": [{"role": "system", "content": "be brief"},
            {"role": "developer", "content": [{"type": "text", "text": "be kind"}]},
            {"role": "user", "content": "hi"}]}),
        Api::Messages => {
            json!({"system": [{"type": "text", "text": "be brief"}, {"type": "text", "text": "be kind"}]})
        }
        Api::Gemini => json!({"systemInstruction": {"parts": [{"text": "be brief"}, {"text": "be kind"}]}}),
        Api::Responses => json!({"instructions": "be brief",
            "input": [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "hi"}]}),
    };
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let (answer, seen) =
            site.ask(Reply::text("ok").checked(), &question(api, model, stream, told(api))).await;
        assert_eq!(Told::of(api, stream, &answer).text, "ok", "{case}");
        let sent = seen.json();
        let (instructions, said) = match spoken(api, model) {
            Api::Messages => (sent["system"].to_string(), sent["messages"].to_string()),
            Api::Gemini => (sent["systemInstruction"].to_string(), sent["contents"].to_string()),
            Api::Responses => continue,
            Api::Chat => {
                let messages = sent["messages"].as_array().unwrap();
                let of = |wanted: &[&str]| {
                    let those = messages.iter().filter(|one| wanted.contains(&one["role"].as_str().unwrap()));
                    those.map(Value::to_string).collect::<String>()
                };
                (of(&["system", "developer"]), of(&["user", "assistant"]))
            }
        };
        let (brief, kind) = (instructions.find("be brief"), instructions.find("be kind"));
        assert!(brief.is_some() && brief < kind, "{case}: {sent}");
        assert!(said.contains("hi") && !said.contains("be "), "{case}: {sent}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn pictures_are_seen_by_every_provider() {
    let site = Site::start().await;
    let url = "https://example.com/cat.png";
    let data = format!("data:image/png;base64,{PNG}");
    let parts = |api: Api| match api {
        Api::Chat => {
            json!([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": data}},
            {"type": "image_url", "image_url": {"url": url}}])
        }
        Api::Messages => json!([{"type": "text", "text": "what?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "image", "source": {"type": "url", "url": url}}]),
        Api::Gemini => json!([{"text": "what?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}},
            {"fileData": {"mimeType": "image/png", "fileUri": url}}]),
        Api::Responses => json!([{"type": "input_text", "text": "what?"},
            {"type": "input_image", "image_url": data}, {"type": "input_image", "image_url": url}]),
    };
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let ask = question(api, model, stream, saying(api, parts(api)));
        let (answer, seen) = site.ask(Reply::real(), &ask).await;
        assert_eq!(
            Told::of(api, stream, &answer).text,
            "You said: what? (images: 2)",
            "{case}: {}",
            seen.json()
        );
        let sent = seen.json().to_string();
        assert!(sent.contains(PNG) && sent.contains(url), "{case}: {sent}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn documents_are_read_by_every_provider() {
    let site = Site::start().await;
    let data = format!("data:application/pdf;base64,{PDF}");
    let parts = |api: Api| match api {
        Api::Chat => json!([{"type": "text", "text": "what?"},
            {"type": "file", "file": {"file_data": data, "filename": "a.pdf"}}]),
        Api::Messages => json!([{"type": "text", "text": "what?"}, {"type": "document", "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}]),
        Api::Gemini => {
            json!([{"text": "what?"}, {"inlineData": {"mimeType": "application/pdf", "data": PDF}}])
        }
        Api::Responses => json!([{"type": "input_text", "text": "what?"},
            {"type": "input_file", "file_data": data, "filename": "a.pdf"}]),
    };
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let ask = question(api, model, stream, saying(api, parts(api)));
        let (answer, seen) = site.ask(Reply::real(), &ask).await;
        assert_eq!(
            Told::of(api, stream, &answer).text,
            "You said: what? (images: 1)",
            "{case}: {}",
            seen.json()
        );
        assert!(seen.json().to_string().contains(PDF), "{case}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_answer_has_the_form_that_was_asked_for() {
    let site = Site::start().await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"], "additionalProperties": false});
    let format = |api: Api| match api {
        Api::Chat => json!({"response_format": {"type": "json_schema",
            "json_schema": {"name": "place", "schema": schema, "strict": true}}}),
        Api::Messages => json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        Api::Gemini => {
            json!({"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}})
        }
        Api::Responses => {
            json!({"text": {"format": {"type": "json_schema", "name": "place", "schema": schema, "strict": true}}})
        }
    };
    for (api, model, stream) in pairs() {
        let (answer, _) = site.ask(Reply::real(), &question(api, model, stream, format(api))).await;
        let told = Told::of(api, stream, &answer);
        let value: Value = serde_json::from_str(&told.text).unwrap_or_default();
        assert_eq!(
            value,
            json!({"city": "text", "people": 1}),
            "{api:?} over {model}, stream {stream}: {told:?}"
        );
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn any_json_is_asked_for_where_there_is_a_word_for_it() {
    let site = Site::start().await;
    let chat = json!({"response_format": {"type": "json_object"},
        "messages": [{"role": "user", "content": "in JSON"}]});
    for model in [PLAIN, GEMINI] {
        let (answer, _) = site.ask(Reply::real(), &question(Api::Chat, model, false, chat.clone())).await;
        let told = Told::of(Api::Chat, false, &answer);
        assert_eq!(told.text, "{\"answer\":\"in JSON\"}", "{model}");
    }
    let answer = site.gateway.ask(&question(Api::Chat, CLAUDE, false, chat)).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn how_hard_to_think_is_said_in_each_providers_terms() {
    let site = Site::start().await;
    let effort = |api: Api| match api {
        Api::Chat => json!({"reasoning_effort": "low", "max_completion_tokens": 4000}),
        Api::Messages => json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        Api::Gemini => json!({"generationConfig": {"maxOutputTokens": 4000,
            "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": true}}}),
        Api::Responses => json!({"reasoning": {"effort": "low"}, "max_output_tokens": 4000}),
    };
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let (answer, seen) =
            site.ask(Reply::text("ok").checked(), &question(api, model, stream, effort(api))).await;
        assert_eq!(Told::of(api, stream, &answer).text, "ok", "{case}");
        let sent = seen.json();
        let is_said = match spoken(api, model) {
            Api::Messages => !sent["thinking"].is_null() || !sent["output_config"]["effort"].is_null(),
            Api::Gemini => !sent["generationConfig"]["thinkingConfig"].is_null(),
            Api::Chat => sent["reasoning_effort"] == "low",
            Api::Responses => sent["reasoning"]["effort"] == "low",
        };
        assert!(is_said, "{case}: {sent}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn sampling_and_caps_keep_their_digits() {
    let site = Site::start().await;
    let members = |api: Api| match api {
        Api::Chat => json!({"temperature": 0.25, "max_completion_tokens": 321}),
        Api::Messages => json!({"temperature": 0.25, "max_tokens": 321}),
        Api::Gemini => json!({"generationConfig": {"temperature": 0.25, "maxOutputTokens": 321}}),
        Api::Responses => json!({"temperature": 0.25, "max_output_tokens": 321}),
    };
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let (answer, seen) =
            site.ask(Reply::text("ok").checked(), &question(api, model, stream, members(api))).await;
        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        let sent = seen.json();
        let (holder, cap) = match spoken(api, model) {
            Api::Messages => (&sent, "max_tokens"),
            Api::Gemini => (&sent["generationConfig"], "maxOutputTokens"),
            Api::Responses => (&sent, "max_output_tokens"),
            Api::Chat if holder_has(&sent, "max_tokens") => (&sent, "max_tokens"),
            Api::Chat => (&sent, "max_completion_tokens"),
        };
        assert_eq!((&holder[cap], &holder["temperature"]), (&json!(321), &json!(0.25)), "{case}: {sent}");
    }
    site.ends_in_agreement().await;
}

fn holder_has(json: &Value, member: &str) -> bool {
    !json[member].is_null()
}

#[tokio::test]
async fn a_clients_limit_caps_the_output_in_every_protocol() {
    let upstream = gateway_testkit::FakeUpstream::start().await;
    let limited = json!({"max_tokens_limit": 100, "max_tokens_policy": "clamp"});
    let gateway = Site::builder(&upstream, "", "").client("eve", limited).start().await;
    for (api, model, stream) in pairs() {
        let case = format!("{api:?} over {model}, stream {stream}");
        let members = match api {
            Api::Gemini => json!({"generationConfig": {"maxOutputTokens": 5000}}),
            Api::Messages => json!({"max_tokens": 5000}),
            Api::Chat => json!({"max_completion_tokens": 5000}),
            Api::Responses => json!({"max_output_tokens": 5000}),
        };
        upstream.script(Reply::text("ok").checked());
        let asked = question(api, model, stream, members).bytes();
        let asked = String::from_utf8_lossy(&asked).replace("key-ada", "key-eve");
        let mut client = gateway.connect().await;
        client.write(&asked).await.unwrap();
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        let sent = upstream.next_request().await.json();
        let caps = ["max_tokens", "max_completion_tokens", "max_output_tokens"].map(|cap| sent[cap].clone());
        let cap = sent["generationConfig"]["maxOutputTokens"].clone();
        let caps: Vec<Value> = caps.into_iter().chain([cap]).filter(|cap| !cap.is_null()).collect();
        assert_eq!(caps, [json!(100)], "{case}: {sent}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn c15_an_empty_text_beside_a_call_is_never_sent_where_it_is_refused() {
    let site = Site::start().await;
    let call =
        json!([{"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": ""}}]);
    let turns = |content: Value, calls: bool| {
        let mut said = json!({"role": "assistant", "content": content});
        let mut messages = vec![json!({"role": "user", "content": "hi"})];
        if calls {
            said["tool_calls"] = call.clone();
        }
        messages.push(said);
        if calls {
            messages.push(json!({"role": "tool", "tool_call_id": "call_1", "content": "42"}));
        }
        json!({"messages": messages})
    };
    let empty = [json!(""), json!(null), json!([]), json!([{"type": "text", "text": ""}]), json!("  ")];
    for content in empty {
        for model in [CLAUDE, GEMINI, PLAIN, GPT] {
            let ask = question(
                Api::Chat,
                model,
                false,
                merged(&[crate::surfaces::tools(Api::Chat, &["look_up"]), turns(content.clone(), true)]),
            );
            let reply = Reply::text("ok");
            // OpenAI itself is not asked to check: an empty list is the client's own.
            let reply = if [CLAUDE, GEMINI].contains(&model) { reply.checked() } else { reply };
            let (answer, seen) = site.ask(reply, &ask).await;
            assert_eq!(answer.status, 200, "{model}, {content}: {}", answer.text());
            let sent = seen.json();
            match model {
                CLAUDE => {
                    let blocks = sent["messages"][1]["content"].as_array().unwrap();
                    assert_eq!(blocks.len(), 1, "{content}: {sent}");
                    assert_eq!((&blocks[0]["type"], &blocks[0]["input"]), (&json!("tool_use"), &json!({})));
                }
                GEMINI => assert_eq!(sent["contents"][1]["parts"].as_array().unwrap().len(), 1, "{sent}"),
                _ => assert_eq!(sent["messages"][1]["content"], content, "untouched"),
            }
        }
    }
    // A turn with nothing at all is either left out or refused in our own words, never the upstream's.
    let nothing = json!({"messages": [{"role": "user", "content": ""}]});
    for model in [CLAUDE, GEMINI] {
        let answer = site.gateway.ask(&question(Api::Chat, model, false, nothing.clone())).await;
        assert_eq!(answer.status, 400, "{model}: {}", answer.text());
        assert!(
            answer.json()["error"]["message"].as_str().unwrap().contains("messages"),
            "{}",
            answer.text()
        );
    }
    site.ends_in_agreement().await;
}
