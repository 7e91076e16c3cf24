//! Embeddings and OpenAI's older completions.

use gateway_testkit::Reply;
use gateway_testkit::reply::UsageStyle;
use serde_json::json;

use super::{CLAUDE, GEMINI, Site, post};

const ODD: &str = "{ \"zeta\": 9007199254740993, \"model\" :\"text-embedding-test\",\n\"input\":[\"\\u0041\",\"two \u{1f600}\"],\
    \"encoding_format\":\"base64\",\"x\":null, \"dimensions\":4 }\n";

#[tokio::test]
async fn embeddings_pass_as_floats_and_as_base64_and_are_counted() {
    let site = Site::start().await;
    for body in [
        ODD.to_owned(),
        ODD.replace("\"base64\"", "\"float\""),
        ODD.replace("[\"\\u0041\",\"two \u{1f600}\"]", "[[1,2,3]]"),
    ] {
        for path in ["/v1/embeddings", "/openai/v1/embeddings"] {
            let (answer, seen) = site.ask(Reply::real(), &post("ada", path, &body)).await;
            assert_eq!((seen.path(), seen.body().as_ref()), ("/v1/embeddings", body.as_bytes()));
            assert_eq!((answer.status, &answer.body), (200, &seen.answer_body().await), "{}", answer.text());
            let first = &answer.json()["data"][0]["embedding"];
            assert!(first.is_string() || first.as_array().unwrap().len() == 4, "{first}");
            assert!(answer.header("x-ratelimit-remaining-tokens").is_some());
        }
    }
    let row = site.booked("openai", 6).await;
    assert_eq!((&row["output_tokens"], &row["tokens"]), (&json!(0), &row["input_tokens"]), "{row}");
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn embeddings_without_usage_are_counted_from_the_input() {
    let site = Site::start().await;
    let body = json!({"model": "text-embedding-test", "input": "word ".repeat(1000)});
    let answer = json!({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]});
    let (answer, _) = site.ask(Reply::json(&answer), &post("ada", "/v1/embeddings", body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let used = site.gateway.tokens_used("ada").await;
    assert!((500..10_000).contains(&used), "{used}");
    site.ends().await;
}

#[tokio::test]
async fn c23_the_label_of_an_encoded_answer_matches_its_bytes_on_every_route() {
    let site = Site::start().await;
    let embeddings = || post("ada", "/v1/embeddings", ODD);
    for encoded in [Reply::gzip as fn(Reply) -> Reply, Reply::deflate] {
        for accepted in [None, Some("gzip, br"), Some("identity")] {
            let ask = match accepted {
                Some(accepted) => embeddings().header("accept-encoding", accepted),
                None => embeddings(),
            };
            let (answer, seen) = site.ask(encoded(Reply::real()), &ask).await;
            assert_eq!(seen.header("accept-encoding"), Some("identity"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.header("content-encoding").is_none());
            assert_eq!(answer.json()["object"], "list");
            assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));

            let (answer, _) = site.ask(encoded(Reply::error(404)), &ask).await;
            assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!("model_not_found")));
            assert!(answer.header("content-encoding").is_none());
        }
        let (answer, _) = site.ask(encoded(Reply::real()).corrupted(), &embeddings()).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("upstream_error")));
    }
    site.ends().await;
}

#[tokio::test]
async fn completions_pass_whole_and_as_streams() {
    let site = Site::start().await;
    let body = "{ \"model\":\"instruct-test\",\"zeta\": 9007199254740993,\"prompt\":[\"one\",\"two\"],\"max_tokens\":50 }";
    let (answer, seen) = site.ask(Reply::real(), &post("ada", "/v1/completions", body)).await;
    assert_eq!((seen.path(), seen.body().as_ref()), ("/v1/completions", body.as_bytes()));
    assert_eq!((answer.status, &answer.body), (200, &seen.answer_body().await), "{}", answer.text());
    assert_eq!(answer.json()["choices"].as_array().unwrap().len(), 2);

    for shown in [true, false] {
        let streamed =
            body.replacen("{ ", "{ \"stream\":true, \"stream_options\":{\"include_usage\":true}, ", 1);
        let streamed =
            streamed.replace("true}", &format!("{shown}}}")).replace("[\"one\",\"two\"]", "\"one\"");
        for style in [UsageStyle::AsAsked, UsageStyle::Always] {
            let reply = Reply::stream(["Hel", "lo"]).usage(style).tokens(7, 2);
            let (answer, seen) = site.ask(reply, &post("ada", "/openai/v1/completions", &streamed)).await;
            let stream = answer.chat_stream();
            assert_eq!(
                (answer.status, stream.done, stream.errors.len()),
                (200, true, 0),
                "{}",
                answer.text()
            );
            assert_eq!(stream.usage.len(), usize::from(shown), "{}", answer.text());
            assert_eq!(seen.json()["stream_options"]["include_usage"], true, "the accounts need it");
            let text: String = stream
                .messages
                .iter()
                .filter_map(|data| serde_json::from_str::<serde_json::Value>(data).ok())
                .filter_map(|chunk| chunk["choices"][0]["text"].as_str().map(str::to_owned))
                .collect();
            assert_eq!(text, "Hello");
        }
        let (answer, _) = site
            .ask(Reply::stream(["Hel", "lo"]).cut_after(1), &post("ada", "/v1/completions", &streamed))
            .await;
        let stream = answer.chat_stream();
        assert_eq!((stream.done, stream.errors.len()), (false, 1), "{}", answer.text());
    }
    site.ends().await;
}

#[tokio::test]
async fn what_a_provider_does_not_have_is_refused_by_name() {
    let site = Site::start().await;
    for model in [CLAUDE, GEMINI] {
        for (path, body) in [
            ("/v1/embeddings", json!({"model": model, "input": "x"})),
            ("/v1/completions", json!({"model": model, "prompt": "x"})),
            ("/v1/images/generations", json!({"model": model, "prompt": "x"})),
            ("/v1/moderations", json!({"model": model, "input": "x"})),
        ] {
            let answer = site.gateway.ask(&post("ada", path, body)).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(path.trim_start_matches("/v1/")), "{message}");
        }
    }
    assert_eq!(site.upstream.requests(), 0);
    site.ends_in_agreement().await;
}

#[tokio::test]
async fn errors_of_the_upstream_are_openais() {
    let site = Site::start().await;
    let completions = json!({"model": "instruct-test", "prompt": "x"}).to_string();
    for (path, body) in [("/v1/embeddings", ODD), ("/v1/completions", &*completions)] {
        for (status, shown) in [(400, 400), (401, 502), (429, 429), (500, 502), (503, 502)] {
            let (answer, _) = site.ask(Reply::error(status), &post("ada", path, body)).await;
            assert_eq!(answer.status, shown, "{path}: {}", answer.text());
            assert!(answer.json()["error"]["message"].is_string());
        }
        for reply in [Reply::error_in_200(), Reply::empty(), Reply::html(), Reply::null()] {
            let (answer, _) = site.ask(reply, &post("ada", path, body)).await;
            assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        }
    }
    assert_eq!(site.gateway.tokens_used("ada").await, 0);
    site.ends().await;
}
