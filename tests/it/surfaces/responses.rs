//! OpenAI's responses over OpenAI, and what it keeps of them.

use gateway_testkit::raw_client::{Answer, Request};
use gateway_testkit::reply::LineEnd;
use gateway_testkit::{FakeUpstream, Reply};
use serde_json::{Value, json};

use super::{Api, GPT, PLAIN, Site, Told, get, post, question};
use crate::program::Program;

const ODD: &str = "{ \"zeta\": 9007199254740993, \"model\" :\"gpt-test\",\n\"input\":[{\"role\":\"user\",\"content\":\
    [{\"type\":\"input_text\",\"text\":\"\\u0041 \u{1f600}\",\"w\":1.0}]}],\"max_output_tokens\":4000,\"x\":null,\
    \"include\":[\"reasoning.encrypted_content\"],\"tools\":[{\"type\":\"web_search\"}], \"alpha\":[ ] }\n";

fn delete(client: &str, path: &str) -> Request {
    Request::new("DELETE", path).header("authorization", &format!("Bearer key-{client}"))
}

/// A response of ada's, made by the fake upstream.
async fn made(site: &Site, members: Value) -> String {
    let ask = question(Api::Responses, GPT, false, members);
    let (answer, _) = site.ask(Reply::real(), &ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_and_answers_pass_byte_for_byte() {
    let site = Site::start().await;
    let said = || Reply::stream(["Hel", "lo"]).reasoning(["hm"]).tokens(20, 9).cached(5, 0);
    for reply in [
        said(),
        said().line_ends(LineEnd::CrLf).split_every(1),
        said().comments("hello"),
        said().insert_after(1, "event: novel\ndata: {\"type\":\"novel\",\"n\":9007199254740993}\n\n"),
        Reply::tool_calls([("a", "{\"id\":9007199254740993}"), ("b", "")]).interleaved_tools(),
        Reply::refusal("I will not"),
        Reply::cut_by_cap("one two"),
        Reply::escaped(["\\ud83d", "\\ude00"]),
    ] {
        for path in ["/v1/responses", "/openai/v1/responses"] {
            let shown = format!("{path}: {reply:?}");
            let streamed = ODD.replacen("{ ", "{ \"stream\":true, ", 1);
            let (answer, seen) = site.ask(reply.clone(), &post("ada", path, &streamed)).await;
            assert_eq!((seen.path(), seen.body().as_ref()), ("/v1/responses", streamed.as_bytes()));
            let written = seen.answer_body().await;
            assert_eq!(answer.text(), String::from_utf8_lossy(&written), "{shown}");
            if !shown.contains("novel") {
                let (answer, seen) = site.ask(reply.clone(), &post("ada", path, ODD)).await;
                assert_eq!(seen.body(), ODD);
                assert_eq!(answer.body, seen.answer_body().await, "{shown}");
            }
        }
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_response_is_its_owners_alone() {
    let site = Site::start().await;
    let id = made(&site, json!({"input": "hello", "background": true})).await;
    let path = |rest: &str| format!("/v1/responses/{id}{rest}");
    // Nobody else's, whatever is done with it: as one that does not exist.
    let unknown = |id: &str| format!("/v1/responses/{id}");
    let before = site.upstream.requests();
    for request in [
        get("bob", &path("")),
        delete("bob", &path("")),
        get("bob", &path("/input_items")),
        post("bob", &path("/cancel"), ""),
        get("ada", &unknown("resp_of_nobody")),
        post("ada", &unknown("resp_of_nobody/cancel"), ""),
    ] {
        let answer = site.gateway.ask(&request).await;
        assert_eq!(answer.status, 404, "{request:?}: {}", answer.text());
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("no such response: resp_"), "{message}");
    }
    assert_eq!(site.upstream.requests(), before, "the upstream is not asked");

    let answer = site.gateway.ask(&get("ada", &path("?include[]=reasoning.encrypted_content"))).await;
    assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id)), "{}", answer.text());
    let seen = site.upstream.request(before);
    assert_eq!(
        (seen.method(), seen.path(), seen.query()),
        ("GET", &*path(""), "include[]=reasoning.encrypted_content")
    );
    let answer = site.gateway.ask(&get("ada", &path("/input_items?limit=2"))).await;
    assert_eq!(answer.json()["data"][0]["content"][0]["text"], "hello", "{}", answer.text());
    let answer = site.gateway.ask(&post("ada", &path("/cancel"), "")).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("cancelled")), "{}", answer.text());
    let answer = site.gateway.ask(&delete("ada", &path(""))).await;
    assert_eq!((answer.status, &answer.json()["deleted"]), (200, &json!(true)), "{}", answer.text());
    let answer = site.gateway.ask(&get("ada", &path(""))).await;
    assert_eq!(answer.status, 404, "the upstream has forgotten it: {}", answer.text());
    assert_eq!(site.gateway.ask(&get("ada", &format!("/openai{}", path("")))).await.status, 404);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_streamed_response_is_its_owners_too() {
    let site = Site::start().await;
    let (answer, _) = site.ask(Reply::real(), &question(Api::Responses, GPT, true, json!({}))).await;
    let id = Told::of(Api::Responses, true, &answer).id;
    let path = format!("/v1/responses/{id}");
    assert_eq!(site.gateway.ask(&get("bob", &path)).await.status, 404);
    assert_eq!(site.gateway.ask(&get("ada", &path)).await.status, 200);
    let replayed = site.gateway.ask(&get("ada", &format!("{path}?stream=true"))).await;
    assert_eq!(replayed.status, 200);
    assert!(replayed.text().contains("event: response.completed"), "{}", replayed.text());
    assert!(replayed.header("content-type").unwrap().starts_with("text/event-stream"));
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_goes_on_from_a_response_goes_on_from_ones_own() {
    let site = Site::start().await;
    let id = made(&site, json!({"input": "hello"})).await;
    for stream in [false, true] {
        let members = json!({"previous_response_id": id});
        let (answer, seen) =
            site.ask(Reply::real(), &question(Api::Responses, GPT, stream, members.clone())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(seen.json()["previous_response_id"], *id);

        let before = site.upstream.requests();
        let bobs = question(Api::Responses, GPT, stream, members).bytes();
        let mut client = site.gateway.connect().await;
        client.write(String::from_utf8_lossy(&bobs).replace("key-ada", "key-bob")).await.unwrap();
        let answer = client.answer().await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        let unknown = question(Api::Responses, GPT, stream, json!({"previous_response_id": "resp_none"}));
        assert_eq!(site.gateway.ask(&unknown).await.status, 404);
        assert_eq!(site.upstream.requests(), before);
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn whose_a_response_is_outlives_the_gateway() {
    let upstream = FakeUpstream::start().await;
    let folder = Site::builder(&upstream, "", "").write();
    let id = {
        let mut first = Program::start(folder.path()).await;
        let mut ids = Vec::new();
        for stream in [false, true] {
            let answer = first.ask(&question(Api::Responses, GPT, stream, json!({}))).await;
            ids.push(Told::of(Api::Responses, stream, &answer).id);
        }
        first.signal("TERM");
        assert_eq!(first.ended().await, 0, "{}", first.log());
        ids
    };
    let second = Program::start(folder.path()).await;
    for id in id {
        let asked =
            async |client: &str| -> Answer { second.ask(&get(client, &format!("/v1/responses/{id}"))).await };
        assert_eq!(asked("bob").await.status, 404);
        let answer = asked("ada").await;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id)), "{}", answer.text());
        let on =
            post("bob", "/v1/responses", json!({"model": GPT, "input": "x", "previous_response_id": id}));
        assert_eq!(second.ask(&on).await.status, 404);
    }
}

#[tokio::test]
async fn an_id_cannot_leave_its_place_in_the_path() {
    let site = Site::start().await;
    let id = made(&site, json!({})).await;
    for rest in [
        "..",
        "../models",
        "%2e%2e",
        "resp_x/../../models",
        &format!("{id}/../x"),
        &format!("{id}/novel"),
        &format!("{id}/"),
    ] {
        let before = site.upstream.requests();
        let answer = site.gateway.ask(&get("ada", &format!("/v1/responses/{rest}"))).await;
        assert_eq!(answer.status, 404, "{rest}: {}", answer.text());
        assert_eq!(site.upstream.requests(), before, "{rest}");
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn an_input_is_counted_and_compacted_where_the_provider_has_it() {
    let site = Site::start().await;
    let input = json!({"model": GPT, "input": [{"role": "user", "content": "hello"}]});
    let answer = site.gateway.ask(&post("ada", "/v1/responses/input_tokens", &input)).await;
    assert_eq!(
        (answer.status, &answer.json()["object"]),
        (200, &json!("response.input_tokens")),
        "{}",
        answer.text()
    );
    assert_eq!(site.upstream.next_request().await.path(), "/v1/responses/input_tokens");
    let answer = site.gateway.ask(&post("ada", "/v1/responses/compact", &input)).await;
    assert_eq!(
        (answer.status, &answer.json()["object"]),
        (200, &json!("response.compaction")),
        "{}",
        answer.text()
    );
    assert_eq!(site.upstream.next_request().await.path(), "/v1/responses/compact");
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_is_compacted_from_a_response_is_ones_own() {
    let site = Site::start().await;
    let id = made(&site, json!({"input": "hello"})).await;
    let before = site.upstream.requests();
    for path in ["/v1/responses/compact", "/v1/responses/input_tokens"] {
        let body = json!({"model": GPT, "previous_response_id": id});
        assert_eq!(site.gateway.ask(&post("bob", path, &body)).await.status, 404, "{path}");
        assert_eq!(site.upstream.requests(), before);
    }
    let body = json!({"model": GPT, "previous_response_id": id, "input": [{"role": "user", "content": "x"}]});
    assert_eq!(site.gateway.ask(&post("ada", "/v1/responses/compact", &body)).await.status, 200);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_response_that_nobody_keeps_is_nobodys() {
    let site = Site::start().await;
    // Translated: the upstream keeps no response under this id.
    let (answer, _) = site.ask(Reply::text("ok"), &question(Api::Responses, PLAIN, false, json!({}))).await;
    let told = Told::of(Api::Responses, false, &answer);
    let found = site.gateway.ask(&get("ada", &format!("/v1/responses/{}", told.id))).await;
    assert_eq!(found.status, 404, "{}", found.text());
    assert_eq!(answer.json()["store"], false, "which it says itself");
    site.ends_in_agreement().await;
}
