//! No prompt, answer, key or secret is in anything that an operator reads: the log, the metrics, what goes to a collector,
//! the admin routes.

// It ends the program by a signal.
#![cfg(unix)]

use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::Request;
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};

use crate::program::{Program, command};
use crate::surfaces::{Api, MODELS, Site, post, question};

/// In every prompt.
const PROMPT: &str = "the-marker-of-every-prompt";

/// In every answer.
const ANSWER: &str = "the-marker-of-every-answer";

/// The key of every provider, as the test's builder sets it.
const KEY: &str = "sk-test-upstream-key";

/// A client's own key, and one that is wrong.
const CLIENT_KEY: &str = "key-ada";
const WRONG_KEY: &str = "a-wrong-key-that-somebody-may-guess-on";

/// What goes to the collector, beside what must not.
const COLLECTOR_KEY: &str = "the-key-of-the-collector";

/// A question with the marker in its prompt.
fn marked(api: Api, model: &str, stream: bool) -> Request {
    let members = match api {
        Api::Chat | Api::Messages => json!({"messages": [{"role": "user", "content": PROMPT}]}),
        Api::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}),
        Api::Responses => json!({"input": PROMPT}),
    };
    question(api, model, stream, members)
}

/// What an upstream that repeats all it was sent says of a request.
fn telltale() -> Value {
    json!({"error": {"message": format!("{KEY} said {PROMPT}"), "type": KEY, "code": KEY, "param": PROMPT}})
}

async fn use_everything(program: &Program, upstream: &FakeUpstream) {
    for (api, model, stream) in crate::crossed::pairs() {
        for reply in [
            Reply::text(ANSWER),
            Reply::json(telltale()).status(400),
            Reply::json(telltale()).status(401),
            Reply::json(telltale()).status(500),
            Reply::stream([ANSWER, ANSWER, ANSWER]).cut_after(1),
            Reply::json(telltale()),
            Reply::close(),
        ] {
            upstream.always(reply);
            program.ask(&marked(api, model, stream)).await;
        }
    }
    upstream.always(Reply::text(ANSWER));
    for (path, body) in [
        ("/v1/chat/completions", json!({"model": PROMPT.replace('-', " "), "messages": PROMPT})),
        ("/v1/chat/completions", json!({"model": "gpt-test", "messages": PROMPT})),
        ("/v1/messages", json!({"model": "claude-test", "messages": [{"role": PROMPT}]})),
        ("/v1/embeddings", json!({"model": "gpt-test", "input": PROMPT})),
        ("/v1/completions", json!({"model": "gpt-test", "prompt": PROMPT})),
        ("/v1/moderations", json!({"model": "gpt-test", "input": PROMPT})),
        (
            "/v1/messages/count_tokens",
            json!({"model": "claude-test", "messages": [{"role": "user", "content": PROMPT}]}),
        ),
        ("/api/v1/generate", json!({"prompt": PROMPT})),
        ("/api/v1/generate", json!({"prompt": PROMPT, "temperature": PROMPT})),
    ] {
        program.ask(&post("ada", path, body)).await;
    }
    program.ask(&post("ada", "/v1/chat/completions", format!("{{\"messages\": \"{PROMPT}\""))).await;
    let wrong = marked(Api::Chat, MODELS[0], false);
    program.ask(&wrong.clone().header("x-api-key", WRONG_KEY)).await;
    let bearer =
        Request::post("/v1/chat/completions").header("authorization", &format!("Bearer {WRONG_KEY}"));
    program.ask(&bearer.body(PROMPT)).await;
    let pair =
        Request::post("/api/v1/generate").header("client_id", "ada").header("client_secret", WRONG_KEY);
    program.ask(&pair.body(PROMPT)).await;
    // As Gemini's SDKs may, against the contract: in the query.
    let query = format!("/v1beta/models/gemini-3-test:generateContent?key={CLIENT_KEY}");
    program.ask(&Request::post(&query).body(PROMPT)).await;
    let mut leaving = program.connect().await;
    upstream.always(Reply::stream([ANSWER, ANSWER]).stall_after(1));
    leaving.open(&marked(Api::Chat, MODELS[0], true)).await;
    leaving.hang_up();
    upstream.always(Reply::text(ANSWER));
}

#[tokio::test]
async fn no_prompt_answer_key_or_secret_is_in_what_an_operator_reads() {
    let (upstream, collector) = (FakeUpstream::start().await, FakeUpstream::start().await);
    collector.always(Reply::json(json!({})));
    let telemetry = format!("[telemetry]\notlp_endpoint = \"{}\"\n", collector.origin());
    let folder = Site::builder(&upstream, &telemetry, "")
        .env(&format!("OTEL_EXPORTER_OTLP_HEADERS=x-key={COLLECTOR_KEY}"))
        .write();
    let folder = folder.path();
    let flags = ["--listen", "127.0.0.1:0", "--log", "debug", "--log-format", "json"];
    let mut program = Program::started(command(folder, &flags)).await;
    let token = std::fs::read_to_string(folder.join("data/admin-token")).unwrap().trim().to_owned();
    use_everything(&program, &upstream).await;

    let admin = async |path: &str| {
        let request = Request::get(path).header("authorization", &format!("Bearer {token}"));
        let answer = program.ask(&request).await;
        assert_eq!(answer.status, 200, "{path}");
        answer.text()
    };
    let mut read = Vec::new();
    for path in ["/admin/tree", "/admin/clients", "/admin/providers", "/admin/usage", "/metrics"] {
        read.push((path.to_owned(), admin(path).await));
    }
    let list = admin("/admin/requests?limit=1000").await;
    let listed: Value = serde_json::from_str(&list).unwrap();
    let listed = listed["requests"].as_array().unwrap();
    assert!(listed.len() > 200, "all of them are there: {}", listed.len());
    for request in listed {
        let path = format!("/admin/requests/{}", request["id"].as_str().unwrap());
        read.push((path.clone(), admin(&path).await));
    }
    let live = async {
        let mut watcher = program.connect().await;
        let request = Request::get("/admin/live").header("authorization", &format!("Bearer {token}"));
        watcher.open(&request).await;
        program.ask(&marked(Api::Chat, MODELS[0], false)).await;
        let mut seen = String::new();
        while !seen.contains("Message { name: \"request\"") {
            seen.push_str(&format!("{:?}", watcher.next_event().await.expect("it goes on")));
        }
        seen
    };
    read.push(("/admin/live".to_owned(), patiently("a request in the live view", live).await));
    read.push(("/admin/requests".to_owned(), list));

    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
    let exports = collector.requests();
    assert!(exports >= 2, "traces and metrics were exported");
    for number in 0..exports {
        let export = collector.request(number);
        read.push((export.path().to_owned(), String::from_utf8_lossy(export.body()).into_owned()));
    }
    let log = program.log();
    assert!(log.lines().filter(|line| line.contains("duration_ms")).count() > 200, "requests are in the log");
    read.push(("the log".to_owned(), log));

    for (what, text) in &read {
        for secret in
            [PROMPT, &PROMPT.replace('-', " "), ANSWER, KEY, CLIENT_KEY, WRONG_KEY, COLLECTOR_KEY, &token]
        {
            if let Some(at) = text.find(secret) {
                let shown = &text[text.floor_char_boundary(at.saturating_sub(200))..];
                panic!("`{secret}` is in {what}: {}", &shown[..shown.floor_char_boundary(400)]);
            }
        }
    }
}
