//! Models that their provider gives up: told of in a header and once a day in the log, replaced where that is set.

use gateway_testkit::{FakeUpstream, TestGateway, chat_with};
use serde_json::json;

use super::{Pair, Setting, by, question};
use crate::program::Program;

const RETIRED: &str = "[models.\"gpt-old\"]\nretired = 2024-01-31\nreplacement = 'second/gpt-new'\n\
                       [models.\"gpt-ending\"]\nretired = 9999-12-31\nreplacement = 'second/gpt-new'\n\
                       [models.\"gpt-lost\"]\nretired = 2024-01-31\n";

#[tokio::test]
async fn a_retired_model_is_replaced_and_the_client_is_told() {
    let pair = Pair::start(Setting { toml: RETIRED, ..Setting::default() }).await;
    for model in ["gpt-old", "first/gpt-old"] {
        let answer = pair.gateway.ask(&question("ada", model, false)).await;
        by(&answer, "second", 1);
        assert_eq!(answer.json()["model"], "gpt-new", "the model is the one that answered");
        let warning = answer.header("x-gateway-warning").unwrap();
        assert_eq!(warning, "model gpt-old is retired as of 2024-01-31; second/gpt-new is asked instead");
    }
    pair.ends().await;
}

#[tokio::test]
async fn a_model_without_a_replacement_or_not_retired_yet_is_asked_and_the_client_is_warned() {
    let pair = Pair::start(Setting { toml: RETIRED, ..Setting::default() }).await;
    for (model, since) in [("gpt-lost", "2024-01-31"), ("gpt-ending", "9999-12-31")] {
        let answer = pair.gateway.ask(&question("ada", &format!("first/{model}"), true)).await;
        by(&answer, "first", 1);
        let warning = format!("model {model} is retired as of {since}");
        assert_eq!(answer.header("x-gateway-warning"), Some(&*warning));
    }
    let answer = pair.ask("first/gpt-one", false).await;
    assert_eq!(answer.header("x-gateway-warning"), None);
    pair.ends().await;
}

#[tokio::test]
async fn the_log_tells_of_a_retired_model_once_a_day() {
    let upstream = FakeUpstream::start().await;
    let toml = "[models.\"gpt-lost\"]\nretired = 2024-01-31\n";
    let folder = TestGateway::with(&upstream).toml(toml).metered("ada").write();
    let mut program = Program::start(folder.path()).await;
    for _ in 0..5 {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let answer = program.ask(&chat_with("ada", json!({"model": "gpt-lost", "messages": messages}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let told =
        |program: &Program| program.log().matches("model gpt-lost is retired as of 2024-01-31").count();
    program.until("the log to say it", |program| told(program) > 0).await;
    program.signal("TERM");
    assert_eq!(program.ended().await, 0);
    assert_eq!(told(&program), 1, "{}", program.log());
}
