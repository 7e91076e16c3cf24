//! `check`, as a person runs it: every fault and every warning with its place and its cure.

use gateway_testkit::{FakeUpstream, Reply, Seen};
use serde_json::json;

use crate::commands::Folder;

const TOML: &str = "[providers.echo]\n[providers.openai]\n[providers.groq]\n";

/// What `check` tells of a client `ada` with these members beside what everybody needs.
fn told_of(toml: &str, members: &str) -> String {
    let folder = Folder::new();
    folder.write("gateway.toml", toml);
    let text = format!(
        "{{\n\"client_id\": \"ada\",\n\"allowed_providers\": [\"*\"], \"allowed_endpoints\": [\"*\"],\n{members}\n}}"
    );
    folder.write("clients/ada.json", &text);
    let ran = folder.run(&["check"], b"");
    assert_eq!(ran.code, 0, "{}", ran.told);
    ran.told
}

#[test]
fn every_fault_of_every_file_is_named_with_its_line_its_member_and_the_cure() {
    let folder = Folder::new();
    folder.write(
        "gateway.toml",
        "[server]\nlisten = \"here\"\nheader_timeout = 5\n[providers.echo]\nkind = \"ecko\"\n",
    );
    folder.write(
        "clients/ada.json",
        "{\n\"client_id\": \"bob\",\n\"priority\": 0,\n\"rate_limit\": {\"mode\": \"off\"}\n}",
    );
    folder.write("clients/cyd.json", "{\n\"client_id\": \"cyd\",\n\"client_secret_hash\": \"secret\"\n");
    let ran = folder.run(&["check"], b"");
    assert_eq!((ran.code, ran.said.as_str()), (2, ""));
    for told in [
        "gateway.toml:2:10: server.listen: `here` is not an address to listen on; write one such as",
        "gateway.toml:3:18: server.header_timeout: `5` is not a duration; write a whole number and a unit",
        "gateway.toml:5:8: providers.echo.kind: unknown kind `ecko`; use one of openai, anthropic, gemini, echo",
        "ada.json:2:14: client_id: client_id is `bob` but the file is named ada.json; name it bob.json",
        "ada.json:3:13: priority: 0 is too small; use 1 or more",
        "ada.json:4:24: rate_limit.mode: unknown mode `off`; use one of enforce, shadow",
        "cyd.json:4:1: not valid JSON: EOF while parsing",
    ] {
        assert!(ran.told.contains(told), "no `{told}` in:\n{}", ran.told);
    }
}

#[test]
fn what_a_person_should_know_is_warned_of_and_does_not_fail() {
    let published = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
    let retired = format!("{TOML}[models.old]\nretired = 2020-01-01\nreplacement = \"groq/new\"\n");
    for (toml, members, told) in [
        (TOML, "\"nam\": \"Ada\"", "ada.json:4:1: nam: unknown member, ignored; did you mean `name`?"),
        (
            TOML,
            &*format!("\"client_secret_hash\": \"{published}\""),
            "ada.json:4:23: client_secret_hash: the published secret of the examples; it is accepted from this \
             machine only, so make your own with `dsp-ai-gateway client rotate ada`",
        ),
        (
            TOML,
            "\"client_secret\": \"in the open\"",
            "ada.json:4:18: client_secret: a secret in plain text, ignored; put its hash, made with \
             `dsp-ai-gateway hash`, into `client_secret_hash` and remove it here",
        ),
        (
            TOML,
            "\"name\": \"Ada\"",
            "ada.json: no credential, so that the client cannot authenticate; make one with `dsp-ai-gateway client \
             rotate ada`",
        ),
        (
            &retired,
            "\"default_provider\": \"groq\", \"default_model\": \"old\"",
            "default_model: model `old` is retired as of 2020-01-01; its replacement is `groq/new`",
        ),
        (
            TOML,
            "\"default_provider\": \"groq\", \"default_model\": \"gpt-5.4-nano\"",
            "default_model: model `gpt-5.4-nano` belongs to provider `openai` by its `models`, and not to `groq`; \
             make that the default provider, or name a model of `groq`",
        ),
        (
            TOML,
            "\"default_model\": \"gpt-5.4-nano\"",
            "default_model: without default_provider it is never used; name its provider there",
        ),
        (
            TOML,
            "\"default_provider\": \"openai\", \"default_model\": \"gpt-5.4-nano\", \"allowed_models\": [\"o1*\"]",
            "default_model: model `gpt-5.4-nano` is not among allowed_models, so that requests without a model are \
             refused",
        ),
        (
            "[providers.openai]\ndefault_model = \"unheard-of\"\n",
            "\"budget\": {\"usd_per_day\": \"1.00\"}",
            "budget: model `unheard-of` of provider `openai` has no price, so that a budget refuses its calls; add \
             [openai.\"unheard-of\"] with `input = …` and `output = …` to models.toml",
        ),
        (TOML, "\"default_provider\": \"nobody\"", "default_provider: provider `nobody` is not configured"),
        (TOML, "\"name\": \"Ada\"", "gateway.toml:2:1: provider `openai` has no key; set OPENAI_API_KEY"),
        (
            "[providers.openai]\n[providers.groq]\ndefault_model = \"gpt-5.4-nano\"\n",
            "\"name\": \"Ada\"",
            "gateway.toml: providers.groq.default_model: model `gpt-5.4-nano` belongs to provider `openai`",
        ),
    ] {
        let all = told_of(toml, members);
        assert!(
            all.lines().any(|line| line.starts_with("warning: ") && line.contains(told)),
            "no `{told}` in:\n{all}"
        );
        assert!(!all.contains("in the open") && !all.contains(published), "no secret is shown");
    }
}

#[test]
fn defaults_that_lead_somewhere_are_not_warned_of() {
    let alias = format!("{TOML}[models.fast]\ntargets = [\"groq/openai/gpt-oss-20b\"]\n");
    for (toml, members) in [
        (TOML, "\"default_provider\": \"groq\", \"default_model\": \"openai/gpt-oss-20b\""),
        (TOML, "\"default_provider\": \"groq\", \"default_model\": \"of-my-own\""),
        (&alias, "\"default_provider\": \"groq\", \"default_model\": \"fast\""),
        (
            "[providers.openai]\n[providers.mine]\nbase_url = \"http://127.0.0.1:9\"\n",
            "\"default_provider\": \"mine\", \"default_model\": \"gpt-5.4-nano\"",
        ),
    ] {
        let all = told_of(toml, members);
        assert!(!all.contains("default_model"), "{members}:\n{all}");
    }
}

/// Each provider is asked in its own way: one that has not got a client's default model, one that refuses its key, one
/// that is not there.
#[tokio::test]
async fn online_every_provider_is_asked_for_the_models_that_are_relied_on() {
    let (upstream, refusing) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let listed = |names: &[&str]| {
        let data: Vec<_> = names.iter().map(|name| json!({"id": name})).collect();
        json!({"object": "list", "data": data}).to_string()
    };
    let folder = Folder::new();
    let (own, other, gone) = (upstream.base_url(), refusing.base_url(), "http://127.0.0.1:9/v1");
    folder.write(
        "gateway.toml",
        &format!(
            "[providers.anthropic]\nbase_url = \"{own}\"\napi_key_env = \"KEY\"\ndefault_model = \"claude-sonnet-4-5\"\n\
             [providers.locked]\nbase_url = \"{other}\"\napi_key_env = \"KEY\"\n[providers.far]\nbase_url = \"{gone}\"\n"
        ),
    );
    folder.write(".env", "KEY=sk-test\n");
    folder.write(
        "clients/ada.json",
        &json!({
            "client_id": "ada", "allowed_providers": ["*"], "allowed_endpoints": ["*"],
            "default_provider": "anthropic", "default_model": "claude-unheard-of",
        })
        .to_string(),
    );
    let asked_for_models = |seen: &Seen| seen.path().starts_with("/v1/models");
    upstream.when(asked_for_models, Reply::json(listed(&["claude-sonnet-4-5"])));
    refusing.when(asked_for_models, Reply::error(401));
    let path = folder.0.clone();
    let ran = tokio::task::spawn_blocking(move || {
        crate::program::command(&path, &["check", "--online"]).output().unwrap()
    });
    let output = ran.await.unwrap();
    assert!(output.status.success(), "what a provider says is no fault of the configuration");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("provider `anthropic` does not list the model `claude-unheard-of`"), "{told}");
    assert!(!told.contains("does not list the model `claude-sonnet-4-5`"), "{told}");
    let refused = "gateway.toml:5:1: provider `locked` refuses its key with status 401; renew the key in KEY";
    assert!(told.contains(refused), "{told}");
    let far = format!("gateway.toml:8:1: provider `far` does not answer at {gone}: Connection refused");
    assert!(told.contains(&far), "{told}");
    assert!(!told.contains("sk-test"), "{told}");
}
