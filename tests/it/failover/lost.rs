//! What attempts may be billed that failed: it is noted for the operator, and no client is charged for it.

use gateway_testkit::{Reply, chat_with};
use serde_json::{Value, json};

use super::{Pair, STURDY, Setting};

const WORDS: [&str; 5] = ["One ", "two ", "three ", "four ", "five"];

/// A millionth of a dollar for each token of the first provider; the second is free.
const MODELS: &str = "[first.\"gpt-one\"]\ninput = 1\noutput = 1\n\
                      [second.\"gpt-two\"]\ninput = 0\noutput = 0\ntakes_prefill = true\n";

async fn pair(midstream: &str) -> Pair {
    let toml = format!(
        "[models.mended]\ntargets = ['first/gpt-one', 'second/gpt-two']\nmidstream = '{midstream}'\n"
    );
    Pair::start(Setting { toml: &toml, first: STURDY, second: STURDY, models: MODELS, ..Setting::default() })
        .await
}

/// A streamed question that is answered: the failures that its trail tells of.
async fn failures(pair: &Pair, model: &str, stream: bool) -> Vec<Value> {
    let messages = json!([{"role": "user", "content": "count to five"}]);
    let ask = chat_with("ada", json!({"model": model, "stream": stream, "messages": messages}));
    let answer = pair.gateway.ask(&ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    pair.gateway.is_quiet().await;
    let id = answer.header("x-request-id").unwrap();
    let trail = pair.gateway.admin(&format!("/admin/requests/{id}")).await;
    let steps = trail["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["step"] == "attempt_failed").cloned().collect()
}

/// What the ledger says of a provider, once it has so many failed attempts of it.
async fn usage(pair: &Pair, provider: &str, failed: u64) -> Value {
    loop {
        let usage = pair.gateway.admin("/admin/usage?by=provider").await;
        let mut rows = usage["usage"].as_array().unwrap().iter();
        if let Some(row) = rows.find(|row| row["provider"] == provider)
            && row["failed_attempts"].as_u64() >= Some(failed)
        {
            return row.clone();
        }
        tokio::task::yield_now().await;
    }
}

fn tokens(usage: &Value) -> (u64, u64) {
    (usage["input"].as_u64().unwrap(), usage["output"].as_u64().unwrap())
}

#[tokio::test]
async fn a_stream_that_broke_off_is_noted_where_it_did_and_its_client_pays_for_the_answer_alone() {
    for midstream in ["restart", "continue"] {
        let pair = pair(midstream).await;
        pair.first.script(Reply::stream(WORDS).cut_after(2));
        let rest = if midstream == "restart" { &WORDS[..] } else { &WORDS[2..] };
        pair.second.script(Reply::stream(rest.iter().copied()).tokens(20, 5));
        let failures = failures(&pair, "mended", true).await;
        let [failed] = &failures[..] else { panic!("{failures:?}") };
        let (input, output) = tokens(&failed["usage"]);
        assert!(input > 0 && output > 0 && output < 25, "{failed}");
        assert_eq!(
            (&failed["provider"], &failed["key"], &failed["grade"]),
            (&json!("first"), &json!("0"), &json!("counted"))
        );
        assert_eq!(failed["cost_usd"].as_f64().unwrap(), (input + output) as f64 / 1e6);
        let lost = usage(&pair, "first", 1).await;
        assert_eq!((&lost["requests"], &lost["tokens"]), (&json!(0), &json!(0)));
        assert_eq!(lost["failed_attempt_tokens"], input + output);
        assert_eq!(lost["failed_attempt_usd"], failed["cost_usd"]);
        let answered = usage(&pair, "second", 0).await;
        assert_eq!(
            (&answered["tokens"], &answered["failed_attempts"]),
            (&json!(25), &json!(0)),
            "{midstream}"
        );
        pair.ends().await;
    }
}

#[tokio::test]
async fn an_upstream_that_answers_with_an_error_has_used_nothing_and_one_that_is_lost_may_have() {
    let pair = pair("error").await;
    pair.first.script(Reply::error(503));
    let refused = failures(&pair, "both", false).await;
    assert_eq!((&refused[0]["status"], tokens(&refused[0]["usage"])), (&json!(503), (0, 0)), "{refused:?}");
    pair.first.script(Reply::text("a long answer").cut_at_byte(40));
    let lost = failures(&pair, "both", false).await;
    let (input, output) = tokens(&lost[0]["usage"]);
    assert!(input > 0 && output == 0, "{lost:?}");
    assert_eq!((&lost[0]["status"], &lost[0]["grade"]), (&Value::Null, &json!("estimated")));
    // The one that was refused may not be billed, and so is in no sum.
    let lost = usage(&pair, "first", 1).await;
    assert_eq!(lost["failed_attempt_tokens"], input);
    pair.ends().await;
}
