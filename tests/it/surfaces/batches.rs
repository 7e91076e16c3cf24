//! Batches, and the files that they are made of.

use gateway_testkit::FakeUpstream;
use gateway_testkit::raw_client::Request;
use serde_json::json;

use super::kept::{asked, ids, upload, uploaded};
use super::{GPT, Site, get, post};

/// The upload of a batch's file.
fn jsonl(client: &str, lines: &[String]) -> Request {
    let form = String::from_utf8(upload(client, &lines.join("\n")).bytes().to_vec()).unwrap();
    let body = form.split_once("\r\n\r\n").unwrap().1.replace("user_data", "batch");
    Request::post("/v1/files")
        .header("authorization", &format!("Bearer key-{client}"))
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(body)
}

fn line(model: &str, content: &str) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
    json!({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": body}).to_string()
}

async fn made(site: &Site, client: &str) -> String {
    let answer = asked(site, &jsonl(client, &[line(GPT, "hi")]), 200).await;
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_batch_is_its_owners_alone_and_takes_only_ones_own_file() {
    let site = Site::in_shadow().await;
    let (adas, bobs) = (made(&site, "ada").await, made(&site, "bob").await);
    let batch = |client: &str, file: &str| {
        post(
            client,
            "/v1/batches",
            json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}),
        )
    };
    let before = site.upstream.requests();
    asked(&site, &batch("ada", &bobs), 404).await;
    asked(&site, &batch("ada", "file-unknown"), 404).await;
    // Nor by a body that another reader might make more of.
    let forgiving = json!({"input_file_id": bobs, "endpoint": "/v1/chat/completions"}).to_string();
    let utf16: Vec<u8> = forgiving.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [
        forgiving.replace('}', ",}").into_bytes(),
        forgiving.replace('}', ",\"x\":NaN}").into_bytes(),
        forgiving.replace('"', "'").into_bytes(),
        [b"\xef\xbb\xbf", forgiving.as_bytes()].concat(),
        format!("[{forgiving}]").into_bytes(),
        json!({"input_file_id": [bobs]}).to_string().into_bytes(),
        utf16,
        b"{}".to_vec(),
    ] {
        let request = Request::post("/v1/batches")
            .header("authorization", "Bearer key-ada")
            .header("content-type", "application/json")
            .body(body);
        asked(&site, &request, 400).await;
    }
    assert_eq!(site.upstream.requests(), before);
    let answer = asked(&site, &batch("ada", &adas), 200).await;
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    asked(&site, &get("bob", &format!("/v1/batches/{id}")), 404).await;
    asked(&site, &post("bob", &format!("/v1/batches/{id}/cancel"), ""), 404).await;
    assert_eq!(ids(&asked(&site, &get("bob", "/v1/batches"), 200).await.json()), [""; 0]);
    assert_eq!(ids(&asked(&site, &get("ada", "/v1/batches"), 200).await.json()), [id.as_str()]);
    let answer = asked(&site, &get("ada", &format!("/v1/batches/{id}")), 200).await;
    // What it wrote is as much the client's as the batch.
    let output = answer.json()["output_file_id"].as_str().unwrap().to_owned();
    asked(&site, &get("ada", &format!("/v1/files/{output}/content")), 200).await;
    asked(&site, &get("bob", &format!("/v1/files/{output}/content")), 404).await;
    asked(&site, &post("ada", &format!("/v1/batches/{id}/cancel"), ""), 200).await;
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_batch_asks_only_for_what_its_client_may_use() {
    let upstream = FakeUpstream::start().await;
    let only = json!({"allowed_models": ["gpt-test", "fast"]});
    let toml = "[models.fast]\ntargets = [\"openai/gpt-test\"]\n";
    let gateway = Site::builder(&upstream, toml, "").client("eve", only).start().await;
    let foreign =
        json!({"model": GPT, "input": [{"content": [{"type": "input_file", "file_id": "file-x"}]}]});
    for (lines, status, told) in [
        (
            vec![line(GPT, "a"), line("gpt-other", "b")],
            400,
            "line 2 of the batch: Client does not have permission to use model",
        ),
        (
            vec![line("fast", "a")],
            400,
            "line 1 of the batch: a model must have the name that provider `openai` has",
        ),
        (
            vec![String::new(), "{\"body\":{}}".to_owned()],
            400,
            "line 2 of the batch: `body.model` is missing",
        ),
        (vec![json!({"body": foreign}).to_string()], 404, "no such file: file-x"),
    ] {
        let answer = gateway.ask(&jsonl("eve", &lines)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(told), "{message}");
    }
    assert_eq!(upstream.requests(), 0);
    assert_eq!(gateway.ask(&jsonl("eve", &[line(GPT, "a"), line(GPT, "b")])).await.status, 200);
    gateway.ends_quiet().await;
    upstream.finish();
}

#[tokio::test]
async fn a_page_of_others_is_followed_by_the_next() {
    let site = Site::start().await;
    // The newest come first.
    let mine = uploaded(&site, "ada").await;
    let mut bobs = Vec::new();
    for _ in 0..3 {
        bobs.push(uploaded(&site, "bob").await);
    }
    let before = site.upstream.requests();
    let list = asked(&site, &get("ada", "/v1/files?limit=1"), 200).await.json();
    assert_eq!((ids(&list), &list["has_more"]), (vec![mine.as_str()], &json!(false)), "{list}");
    let queries: Vec<String> =
        (before..before + 4).map(|nth| site.upstream.request(nth).query().to_owned()).collect();
    let expected: Vec<String> = bobs.iter().rev().map(|id| format!("limit=1&after={id}")).collect();
    assert_eq!((queries[0].as_str(), &queries[1..]), ("limit=1", &expected[..]));
    site.ends_in_agreement().await;
}
