//! Files, and what prompts refer to: the upstream's key has them for everybody, the gateway shows each client its own.

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};

use super::{Api, CLAUDE, GEMINI, GPT, Site, get, post, question};

pub fn upload(client: &str, content: &str) -> Request {
    let body = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--edge\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{content}\r\n--edge--\r\n"
    );
    Request::post("/v1/files")
        .header("authorization", &format!("Bearer key-{client}"))
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(body)
}

fn delete(client: &str, path: &str) -> Request {
    Request::new("DELETE", path).header("authorization", &format!("Bearer key-{client}"))
}

/// Files and batches are asked for by GET as well, so nothing is scripted: the fake keeps what it gets.
pub async fn asked(site: &Site, request: &Request, status: u16) -> Answer {
    let answer = site.gateway.ask(request).await;
    assert_eq!(answer.status, status, "{request:?}: {}", answer.text());
    answer
}

pub async fn uploaded(site: &Site, client: &str) -> String {
    let answer = asked(site, &upload(client, &format!("content of {client}")), 200).await;
    answer.json()["id"].as_str().unwrap().to_owned()
}

pub fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_its_owners_alone() {
    let site = Site::start().await;
    let (adas, bobs) = (uploaded(&site, "ada").await, uploaded(&site, "bob").await);
    assert_ne!(adas, bobs);
    let list = asked(&site, &get("ada", "/v1/files"), 200).await.json();
    assert_eq!(ids(&list), [adas.as_str()], "{list}");
    let list = asked(&site, &get("bob", "/openai/v1/files"), 200).await.json();
    assert_eq!(ids(&list), [bobs.as_str()], "{list}");
    assert_eq!((&list["first_id"], &list["last_id"]), (&json!(bobs), &json!(bobs)), "{list}");

    let path = |rest: &str| format!("/v1/files/{adas}{rest}");
    let before = site.upstream.requests();
    for request in [
        get("bob", &path("")),
        get("bob", &path("/content")),
        delete("bob", &path("")),
        get("ada", "/v1/files/file-unknown"),
    ] {
        asked(&site, &request, 404).await;
    }
    assert_eq!(site.upstream.requests(), before);
    let answer = asked(&site, &get("ada", &path("/content")), 200).await;
    assert_eq!(answer.text(), "content of ada");
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    asked(&site, &delete("ada", &path("")), 200).await;
    asked(&site, &get("ada", &path("")), 404).await;
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_path_cannot_lead_from_ones_own_to_anothers() {
    let site = Site::in_shadow().await;
    let (adas, bobs) = (uploaded(&site, "ada").await, uploaded(&site, "bob").await);
    let before = site.upstream.requests();
    for rest in [
        format!("{adas}/../{bobs}"),
        format!("{adas}/../{bobs}/content"),
        format!("{adas}/%2e%2e/{bobs}"),
        format!("{adas}%2f..%2f{bobs}"),
        format!("/{bobs}"),
        format!("/{bobs}/content"),
        format!("./{bobs}"),
        format!("{adas}/"),
        "..".to_owned(),
        "/".to_owned(),
    ] {
        asked(&site, &get("ada", &format!("/v1/files/{rest}")), 404).await;
        asked(&site, &get("ada", &format!("/v1/batches/{rest}")), 404).await;
    }
    let twice = format!("{{\"input_file_id\":\"{adas}\",\"input_file_id\":\"{bobs}\",\"endpoint\":\"x\"}}");
    asked(&site, &post("ada", "/v1/batches", twice), 400).await;
    assert_eq!(site.upstream.requests(), before);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_is_no_list_shows_nothing_of_others() {
    let site = Site::start().await;
    let (adas, bobs) = (uploaded(&site, "ada").await, uploaded(&site, "bob").await);
    let both = json!([{"id": adas, "object": "file"}, {"id": bobs, "object": "file"}]);
    let no_lists = [
        ("text/plain", both.to_string()),
        ("text/plain", format!("{adas}, {bobs}")),
        ("application/json", both.to_string()),
        ("application/json", json!({"files": both}).to_string()),
        ("application/json", json!({"data": {"0": bobs}}).to_string()),
        ("application/json", format!("{{\"data\":{both},\"data\":[]}}")),
        ("application/json", format!("{{\"data\":{both}")),
        ("text/event-stream", format!("data: {{\"data\":{both}}}\n\n")),
    ];
    let cases = no_lists.len();
    // A list that calls itself something else is one all the same, and is filtered as one.
    let list = json!({"object": "list", "data": both, "has_more": false}).to_string();
    let replies: Vec<_> = no_lists.into_iter().chain([("text/plain", list)]).collect();
    site.upstream.decide(move |seen| {
        let case: usize = seen.query().strip_prefix("limit=")?.parse().ok()?;
        let (content_type, body) = replies[case].clone();
        Some(Reply::body(content_type, body).not_streamed())
    });
    for case in 0..cases {
        for path in ["/v1/files", "/v1/batches", "/openai/v1/files"] {
            let answer = asked(&site, &get("ada", &format!("{path}?limit={case}")), 502).await;
            assert!(!answer.text().contains(&bobs), "{case}: {}", answer.text());
        }
    }
    let list = asked(&site, &get("ada", &format!("/v1/files?limit={cases}")), 200).await.json();
    assert_eq!(ids(&list), [adas.as_str()], "{list}");
    site.ends().await;
}

#[tokio::test]
async fn a_list_does_not_begin_at_what_is_anothers() {
    let site = Site::start().await;
    let (adas, bobs) = (uploaded(&site, "ada").await, uploaded(&site, "bob").await);
    let before = site.upstream.requests();
    for query in [
        format!("after={bobs}"),
        format!("limit=1&before={bobs}"),
        format!("after={adas}&after={bobs}"),
        format!("%61fter={bobs}"),
        "after=file-unknown".to_owned(),
    ] {
        let answer = asked(&site, &get("ada", &format!("/v1/files?{query}")), 404).await;
        assert!(answer.json()["error"]["message"].as_str().unwrap().starts_with("no such file"));
    }
    for path in ["/v1/files/", "/v1/batches/", "/v1//files", "/v1/Files", "/v1/%66iles", "/v1/files/."] {
        asked(&site, &get("ada", path), 404).await;
        asked(&site, &delete("ada", path), 404).await;
    }
    assert_eq!(site.upstream.requests(), before);
    asked(&site, &get("ada", &format!("/v1/files?after={adas}")), 200).await;
    let head = Request::new("HEAD", "/v1/files").header("authorization", "Bearer key-ada");
    assert!(asked(&site, &head, 200).await.body.is_empty());
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_large_page_of_others_is_looked_up_at_once() {
    let site = Site::start().await;
    let mine = uploaded(&site, "ada").await;
    let mut page: Vec<Value> = (0..10_000).map(|n| json!({"id": format!("file-{n}")})).collect();
    page.push(json!({"id": mine}));
    let list = Reply::json(json!({"object": "list", "data": page, "has_more": false})).not_streamed();
    site.upstream.when(|seen| seen.query() == "limit=10000", list);
    let list = asked(&site, &get("ada", "/v1/files?limit=10000"), 200).await.json();
    assert_eq!(ids(&list), [mine.as_str()]);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_calls_itself_something_else_is_looked_into_all_the_same() {
    let site = Site::start().await;
    let bobs = uploaded(&site, "bob").await;
    let before = site.upstream.requests();
    let body = json!({"model": GPT, "input": [{"content": [{"type": "input_file", "file_id": bobs}]}]});
    for content_type in ["Application/JSON", "text/plain", "application/x-ndjson", "multipart/form-data"] {
        for path in ["/v1/responses/compact", "/v1/images/edits"] {
            let request = Request::post(path)
                .header("authorization", "Bearer key-ada")
                .header("content-type", content_type)
                .body(body.to_string());
            asked(&site, &request, 404).await;
        }
    }
    assert_eq!(site.upstream.requests(), before);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_client_with_a_budget_or_limited_tokens_makes_no_batches_but_may_keep_files() {
    let upstream = FakeUpstream::start().await;
    for (limits, told) in [
        (json!({"budget": {"usd_per_day": "1"}}), "a budget"),
        (json!({"rate_limit": {"tokens_per_day": 1_000}}), "a limit on its tokens"),
        (json!({"rate_limit": {"tokens_per_minute": 1_000}}), "a limit on its tokens"),
    ] {
        let gateway = Site::builder(&upstream, "", "").client("eve", limits).start().await;
        let file = gateway.ask(&upload("eve", "x")).await.json()["id"].clone();
        let answer = gateway.ask(&post("eve", "/v1/batches", json!({"input_file_id": file}))).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains(told), "{}", answer.text());
        gateway.ends_quiet().await;
    }
    // In shadow, and with a limit on requests alone, they may.
    for limits in [
        json!({"rate_limit": {"mode": "shadow", "tokens_per_day": 1_000}}),
        json!({"rate_limit": {"requests_per_minute": 10}}),
    ] {
        let gateway = Site::builder(&upstream, "", "").client("eve", limits).start().await;
        let file = gateway.ask(&upload("eve", "x")).await.json()["id"].clone();
        let answer = gateway.ask(&post("eve", "/v1/batches", json!({"input_file_id": file}))).await;
        assert_ne!(answer.status, 403, "{}", answer.text());
        gateway.ends_quiet().await;
    }
}

#[tokio::test]
async fn without_a_provider_that_has_files_there_are_none() {
    let upstream = FakeUpstream::start().await;
    let only = json!({"allowed_providers": ["anthropic"], "default_provider": "anthropic"});
    let gateway = Site::builder(&upstream, "", "").client("eve", only).start().await;
    for request in [upload("eve", "x"), get("eve", "/v1/files"), get("eve", "/v1/batches")] {
        let answer = gateway.ask(&request).await;
        assert_eq!(answer.status, 403, "{request:?}: {}", answer.text());
    }
    assert_eq!(upstream.requests(), 0);
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_prompt_refers_to_ones_own_files_alone() {
    let site = Site::start().await;
    let (adas, bobs) = (uploaded(&site, "ada").await, uploaded(&site, "bob").await);
    let part = |file: &str| json!([{"type": "file", "file": {"file_id": file}}]);
    let body =
        |file: &str| json!({"model": GPT, "messages": [{"role": "user", "content": part(file)}]}).to_string();
    let chat = |file: &str| post("ada", "/v1/chat/completions", body(file));
    let escaped = post("ada", "/v1/chat/completions", body(&bobs).replace("file_id", "file\\u005fid"));
    let input = |file: &str| json!([{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]);
    let responses = |file: &str| question(Api::Responses, GPT, true, json!({"input": input(file)}));
    let before = site.upstream.requests();
    let source = json!([{"type": "document", "source": {"type": "file", "file_id": "file_x"}}]);
    let uri = json!([{"parts": [{"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}}]}]);
    for (request, told) in [
        (chat(&bobs), format!("no such file: {bobs}")),
        (responses(&bobs), format!("no such file: {bobs}")),
        // Written otherwise it is still the same member.
        (escaped, format!("no such file: {bobs}")),
        (chat("file-unknown"), "no such file: file-unknown".to_owned()),
        (
            question(
                Api::Messages,
                CLAUDE,
                false,
                json!({"messages": [{"role": "user", "content": source}]}),
            ),
            "no such file: file_x".to_owned(),
        ),
        (question(Api::Gemini, GEMINI, false, json!({"contents": uri})), "no such file: files/x".to_owned()),
        (
            question(Api::Gemini, GEMINI, false, json!({"cachedContent": "cachedContents/x"})),
            "no such cached content: cachedContents/x".to_owned(),
        ),
        (
            question(Api::Responses, GPT, false, json!({"conversation": "conv_x"})),
            "no such conversation: conv_x".to_owned(),
        ),
        // Another provider knows nothing of it.
        (
            question(
                Api::Chat,
                CLAUDE,
                false,
                json!({"messages": [{"role": "user", "content": part(&adas)}]}),
            ),
            format!("no such file: {adas}"),
        ),
    ] {
        let answer = asked(&site, &request, 404).await;
        assert_eq!(answer.json()["error"]["message"], *told, "{request:?}");
    }
    assert_eq!(site.upstream.requests(), before, "the upstream is not asked");
    for request in [chat(&adas), responses(&adas)] {
        let (answer, seen) = site.ask(Reply::real(), &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(String::from_utf8_lossy(seen.body()).contains(&adas));
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_item_is_referred_to_by_whom_it_was_made_for() {
    let site = Site::start().await;
    for stream in [false, true] {
        let (answer, _) = site.ask(Reply::real(), &question(Api::Responses, GPT, stream, json!({}))).await;
        let text = answer.text();
        let id = text
            .split("\"msg_")
            .nth(1)
            .map(|rest| format!("msg_{}", rest.split('"').next().unwrap()))
            .unwrap();
        let on = |client: &str| {
            let input = json!([{"type": "item_reference", "id": id}, {"role": "user", "content": "on"}]);
            post(client, "/v1/responses", json!({"model": GPT, "input": input}))
        };
        let before = site.upstream.requests();
        let answer = asked(&site, &on("bob"), 404).await;
        assert_eq!(answer.json()["error"]["message"], format!("no such item: {id}"));
        assert_eq!(site.upstream.requests(), before);
        site.ask(Reply::text("ok"), &on("ada")).await;
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_upload_that_the_upstream_refuses_is_nobodys() {
    let site = Site::start().await;
    let (answer, _) = site.ask(Reply::error(400), &upload("ada", "x")).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(ids(&asked(&site, &get("ada", "/v1/files"), 200).await.json()), [""; 0]);
    site.ends_in_agreement().await;
}

/// What the upstream's tools ran in is kept for whoever it was made for; vector stores are nobody's but the operator's.
#[tokio::test]
async fn containers_and_stores_are_referred_to_by_their_owners_alone() {
    let site = Site::with("", "shared_ids = [\"vs_shared*\"]\n").await;
    let ran = json!({"id": "resp_ran", "object": "response", "status": "completed", "model": GPT, "output": [
        {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "container_id": "cntr_adas", "code": ""}],
        "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}});
    let tools = |tool: Value| json!({"tools": [tool]});
    let by = |client: &str, members: Value| {
        let body = super::merged(&[json!({"model": GPT, "input": "hi"}), members]);
        post(client, "/v1/responses", body)
    };
    let runs_in = |container: &str| tools(json!({"type": "code_interpreter", "container": container}));
    let searches = |store: &str| tools(json!({"type": "file_search", "vector_store_ids": [store]}));
    site.ask(Reply::json(ran), &by("ada", json!({}))).await;
    let before = site.upstream.requests();
    for (request, what) in [
        (by("bob", runs_in("cntr_adas")), "no such container: cntr_adas"),
        (by("ada", runs_in("cntr_none")), "no such container: cntr_none"),
        (by("ada", searches("vs_1")), "no such vector store: vs_1"),
    ] {
        let answer = asked(&site, &request, 404).await;
        assert_eq!(answer.json()["error"]["message"], what);
    }
    assert_eq!(site.upstream.requests(), before, "the upstream is not asked");
    for request in [by("ada", runs_in("cntr_adas")), by("ada", searches("vs_shared_docs"))] {
        let (answer, _) = site.ask(Reply::text("ok"), &request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    // Anthropic names it in the message, whole or at its stream's end.
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE, "stop_sequence": null,
        "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn",
        "container": {"id": "container_adas", "expires_at": "2026-12-01T00:00:00Z"},
        "usage": {"input_tokens": 3, "output_tokens": 1}});
    site.ask(Reply::json(&message), &question(Api::Messages, CLAUDE, false, json!({}))).await;
    let in_it = json!({"model": CLAUDE, "max_tokens": 9, "container": "container_adas",
        "messages": [{"role": "user", "content": "hi"}]});
    let answer = asked(&site, &post("bob", "/v1/messages", &in_it), 404).await;
    assert_eq!(answer.json()["error"]["message"], "no such container: container_adas");
    let (answer, _) = site.ask(Reply::text("ok"), &post("ada", "/v1/messages", &in_it)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    site.ends().await;
}

/// The key that has what is referred to decides, among all targets of a model.
#[tokio::test]
async fn a_compaction_goes_to_whoever_has_the_response() {
    let upstream = FakeUpstream::start().await;
    let other = format!(
        "[providers.other]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"TEST_KEY\"\nresponses = true\n\
         [models.pair]\ntargets = [\"other/gpt-other\", \"openai/gpt-test\"]\n",
        upstream.base_url()
    );
    let gateway = Site::builder(&upstream, &other, "").start().await;
    upstream.script(Reply::real());
    let made = gateway.ask(&question(Api::Responses, GPT, false, json!({"input": "hello"}))).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    for path in ["/v1/responses/compact", "/v1/responses/input_tokens"] {
        for (earlier, provider) in [(json!(id), "openai"), (json!(null), "other")] {
            let body = json!({"model": "pair", "previous_response_id": earlier, "input": "x"});
            let answer = gateway.ask(&post("ada", path, body)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(answer.header("x-gateway-provider"), Some(provider), "{path}");
        }
    }
    gateway.ends_quiet().await;
}
