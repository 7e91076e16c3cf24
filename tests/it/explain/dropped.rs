//! Which targets a request was not sent to, and why not.

use super::*;

/// The targets that a trail names as dropped, with the reasons.
fn dropped(trail: &Value) -> Vec<(&str, &str)> {
    let steps = trail["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "dropped");
    steps.map(|step| (step["target"].as_str().unwrap(), step["why"].as_str().unwrap())).collect()
}

const CHAIN: &str = "
[models.\"chain\"]
targets = [\"keyless/gpt-k\", \"other/gpt-o\", \"openai/gpt-secret\", \"openai/gpt-b\"]
[models.\"closed\"]
targets = [\"other/gpt-o\", \"openai/gpt-secret\"]
[providers.keyless]
kind = \"openai\"
base_url = \"http://127.0.0.1:9/v1\"
api_key_env = \"NO_SUCH_KEY\"
[providers.other]
kind = \"openai\"
base_url = \"http://127.0.0.1:9/v1\"
";

async fn chain() -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let ada =
        json!({"allowed_providers": ["openai", "keyless"], "allowed_models": ["gpt-k", "gpt-o", "gpt-b"]});
    let gateway = TestGateway::with(&upstream).toml(CHAIN).client("ada", ada).start().await;
    upstream.always(Reply::text("hello"));
    (upstream, gateway)
}

async fn asked(gateway: &TestGateway, model: &str) -> (u16, Value) {
    let messages = json!([{"role": "user", "content": PROMPT}]);
    let answer = gateway.ask(&chat_with("ada", json!({"model": model, "messages": messages}))).await;
    gateway.is_quiet().await;
    (answer.status, trail(gateway, answer.header("x-request-id").unwrap()).await)
}

#[tokio::test]
async fn targets_that_cannot_be_used_are_named_with_the_reason() {
    let (_upstream, gateway) = chain().await;
    let (status, trail) = asked(&gateway, "chain").await;
    let expected = [
        ("keyless/gpt-k", "the provider has no key"),
        ("other/gpt-o", "the client may not use the provider"),
        ("openai/gpt-secret", "the client may not use the model"),
    ];
    assert_eq!((status, dropped(&trail)), (200, expected.to_vec()), "{trail:#}");
    let targets = trail["steps"].as_array().unwrap().iter().find(|step| step["step"] == "targets").unwrap();
    assert_eq!(targets["targets"], json!(["openai/gpt-b"]));
    // The caller is told of the first alone.
    let (status, trail) = asked(&gateway, "closed").await;
    assert_eq!((status, dropped(&trail)), (403, expected[1..].to_vec()), "{trail:#}");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_target_that_rests_is_named_by_whoever_passes_it_over() {
    let (first, second) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let toml = format!(
        "[models.both]\ntargets = ['openai/gpt-a', 'second/gpt-b']\n\
         [providers.second]\nkind = 'openai'\nbase_url = '{}'\n",
        second.base_url()
    );
    let breaker = "breaker = { consecutive = 1, cooling = '60s', cooling_max = '60s' }\n";
    let builder = TestGateway::with(&first).provider(breaker).toml(&toml).client("ada", json!({}));
    let gateway = builder.start().await;
    first.always(Reply::error(503));
    second.always(Reply::text("hello"));
    let (status, before) = asked(&gateway, "both").await;
    assert_eq!((status, dropped(&before)), (200, Vec::new()), "{before:#}");
    let (status, trail) = asked(&gateway, "both").await;
    assert_eq!(
        (status, dropped(&trail)),
        (200, vec![("openai/gpt-a", "it rests after failures")]),
        "{trail:#}"
    );
    assert_eq!((&trail["provider"], &trail["attempts"]), (&json!("second"), &json!(1)));
    gateway.ends_quiet().await;
}
