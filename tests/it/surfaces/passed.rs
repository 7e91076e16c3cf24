//! Images, audio and moderations, which pass as they are.

use gateway_testkit::Reply;
use gateway_testkit::raw_client::Request;
use serde_json::json;

use super::{Site, post};

/// A form with a model and a file whose bytes are no text.
fn form(model: &str) -> Vec<u8> {
    let head = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--edge\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
    );
    [head.as_bytes(), b"\x00\xff\xfe--edgy\r\n\r\n\x80", b"\r\n--edge--\r\n"].concat()
}

fn upload(client: &str, path: &str, body: Vec<u8>) -> Request {
    Request::post(path)
        .header("authorization", &format!("Bearer key-{client}"))
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(body)
}

#[tokio::test]
async fn json_requests_pass_byte_for_byte_and_their_answers_too() {
    let site = Site::start().await;
    for (path, body) in [
        (
            "/v1/images/generations",
            "{ \"model\" : \"gpt-test\", \"prompt\":\"a \\u0041\", \"n\":1,\"x\":9007199254740993 }",
        ),
        ("/v1/audio/speech", "{ \"voice\":\"alloy\",\"model\" : \"gpt-test\", \"input\":\"hello\" }"),
        ("/v1/moderations", "{ \"input\":\"violence\", \"model\" : \"gpt-test\" }"),
    ] {
        let (answer, seen) = site.ask(Reply::real(), &post("ada", path, body)).await;
        assert_eq!((seen.path(), seen.body().as_ref()), (path, body.as_bytes()));
        let written = seen.answer_body().await;
        assert!(answer.status == 200 && answer.body == written, "{path}: {}", answer.text());
        assert!(answer.header("x-gateway-provider").is_some());
    }
    site.ends().await;
}

#[tokio::test]
async fn forms_pass_with_their_files_and_the_models_own_name() {
    let site = Site::with("[models.\"ears\"]\ntargets = [\"openai/whisper-test\"]\n", "").await;
    for path in ["/v1/audio/transcriptions", "/v1/audio/translations", "/openai/v1/audio/transcriptions"] {
        for (asked, sent) in [("whisper-test", "whisper-test"), ("ears", "whisper-test")] {
            let (answer, seen) = site.ask(Reply::real(), &upload("ada", path, form(asked))).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(seen.path(), path.trim_start_matches("/openai"));
            assert_eq!(seen.body().as_ref(), form(sent), "{path}");
            assert_eq!(seen.header("content-type"), Some("multipart/form-data; boundary=edge"));
            assert_eq!(answer.body, seen.answer_body().await);
        }
    }
    site.ends().await;
}

#[tokio::test]
async fn the_tokens_of_a_picture_are_booked() {
    let site = Site::start().await;
    let (answer, seen) = site
        .ask(
            Reply::real(),
            &post("ada", "/v1/images/generations", json!({"model": "gpt-test", "prompt": "a cat"})),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(seen.billed().total() > 200, "{:?}", seen.billed());
    assert_eq!(site.gateway.tokens_used("ada").await, seen.billed().total());
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn what_names_no_model_is_refused_and_a_limit_is_a_limit() {
    let site = Site::start().await;
    for (path, body) in [
        ("/v1/images/generations", "{\"prompt\":\"x\"}"),
        ("/v1/moderations", "[]"),
        ("/v1/audio/speech", "{"),
    ] {
        let answer = site.gateway.ask(&post("ada", path, body)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (400, &json!("model")),
            "{}",
            answer.text()
        );
    }
    let answer = site.gateway.ask(&upload("ada", "/v1/audio/transcriptions", b"--edge--\r\n".to_vec())).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(site.upstream.requests(), 0);
    for status in [400, 429] {
        let (answer, _) = site
            .ask(
                Reply::error(status),
                &post("ada", "/v1/moderations", json!({"model": "gpt-test", "input": "x"})),
            )
            .await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn a_member_that_is_read_may_not_come_twice() {
    let site = Site::start().await;
    for (path, body) in [
        ("/v1/embeddings", "{\"model\":\"gpt-a\",\"input\":\"x\",\"model\":\"gpt-b\"}"),
        ("/v1/completions", "{\"model\":\"gpt-a\",\"prompt\":\"x\",\"model\":\"gpt-b\"}"),
        ("/v1/responses", "{\"model\":\"gpt-a\",\"input\":\"x\",\"model\":\"gpt-b\"}"),
        ("/v1/moderations", "{\"model\":\"gpt-a\",\"input\":\"x\",\"model\":\"gpt-b\"}"),
        ("/v1/images/generations", "{\"model\":\"gpt-a\",\"prompt\":\"x\",\"mod\\u0065l\":\"gpt-b\"}"),
    ] {
        let answer = site.gateway.ask(&post("ada", path, body)).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    assert_eq!(site.upstream.requests(), 0);
    site.ends_in_agreement().await;
}

/// A question for sound.
fn speech(members: serde_json::Value) -> Request {
    let mut body = json!({"model": "gpt-test", "voice": "alloy", "input": "hello"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    post("ada", "/v1/audio/speech", body)
}

#[tokio::test]
async fn sound_flows_before_it_is_whole() {
    let site = Site::start().await;
    let sound = vec![0xff_u8; 1000];
    site.upstream.script(Reply::body("audio/mpeg", sound).content_length(1000));
    let mut client = site.gateway.connect().await;
    client.send(&speech(json!({}))).await;
    let head = client.head().await;
    assert_eq!((head.status, head.headers.get("content-type")), (200, Some("audio/mpeg")));
    assert_eq!(client.next_bytes(1000).await.len(), 1000);
    client.hang_up();
    // That ends the call upstream, and frees its place.
    site.upstream.request(0).connection_closed().await;
    site.ends().await;
}

#[tokio::test]
async fn sound_that_breaks_off_does_not_end_as_if_it_were_whole() {
    let site = Site::start().await;
    let (answer, _) =
        site.ask(Reply::body("audio/mpeg", vec![7_u8; 4096]).cut_at_byte(1024), &speech(json!({}))).await;
    assert_eq!((answer.status, answer.complete), (200, false), "{} bytes", answer.body.len());
    let row = site.booked("openai", 1).await;
    assert_eq!(row["failed_requests"], 0, "what came of it is paid for: {row}");
    // Before its first byte an answer can still be refused.
    let (answer, _) = site.ask(Reply::error(500), &speech(json!({}))).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("upstream_error")));
    site.ends().await;
}

#[tokio::test]
async fn what_sound_tells_of_its_tokens_as_events_is_booked() {
    let site = Site::start().await;
    let events = "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\n\
        event: speech.audio.done\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\
        \"total_tokens\":115}}\n\n";
    let (answer, _) =
        site.ask(Reply::sse(events).split_every(7), &speech(json!({"stream_format": "sse"}))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, events));
    assert_eq!(site.gateway.tokens_used("ada").await, 115);
    site.ends().await;
}
