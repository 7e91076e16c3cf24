use std::fs;

use gateway_limits::Mode;
use serde_json::{Value as Json, json};

use super::*;
use crate::config::test_folder::TestFolder;
use crate::settings::Sources;

const ADA: &str = "{\n  \"client_id\": \"ada\",\n  \"x_team\": \"blue\",\n  \"rate_limit\": {\n    \"requests_per_minute\": 60,\n    \
                   \"tokens_per_day\": null\n  },\n  \"budget\": null,\n  \"allowed_endpoints\": [ \"*\" ]\n}\n";

fn settings(folder: &TestFolder) -> Settings {
    let config = Some(folder.path().join("gateway.toml"));
    Settings::read(&Sources { config, listen: None, data_dir: None, env: &|_| None }).unwrap()
}

fn patched(text: &str, patch: &str) -> Result<Merged, ChangeFault> {
    let folder = TestFolder::new().with("gateway.toml", "[providers.echo]\n").with("clients/ada.json", text);
    let file = folder.path().join("clients/ada.json");
    merged(&file, &fs::read_to_string(&file).unwrap(), patch, &settings(&folder))
}

fn text_of(patch: &str) -> String {
    patched(ADA, patch).unwrap().text
}

fn faults(patch: &str) -> Vec<String> {
    let Err(ChangeFault::Unusable(faults)) = patched(ADA, patch) else { panic!("{patch} is taken") };
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_member_is_set_where_it_is_and_all_else_stays_byte_for_byte() {
    assert_eq!(text_of("{}"), ADA);
    let text = text_of(r#"{"rate_limit": {"requests_per_minute": 5}}"#);
    assert_eq!(text, ADA.replace("\"requests_per_minute\": 60", "\"requests_per_minute\": 5"));
    let text = text_of(r#"{"rate_limit": {"mode": "shadow"}}"#);
    let with_mode = "\"tokens_per_day\": null,\n    \"mode\": \"shadow\"\n";
    assert_eq!(text, ADA.replace("\"tokens_per_day\": null\n", with_mode));
}

#[test]
fn a_member_that_is_not_there_is_written_last_also_as_an_object() {
    let text = text_of(r#"{"name": "Ada", "budget": {"usd_per_day": "1.00", "usd_per_month": null}}"#);
    let expected = ADA
        .replace("\"budget\": null", "\"budget\": {\"usd_per_day\": \"1.00\"}")
        .replace("[ \"*\" ]\n", "[ \"*\" ],\n  \"name\": \"Ada\"\n");
    assert_eq!(text, expected);
}

#[test]
fn null_takes_a_member_out() {
    let text = text_of(r#"{"rate_limit": {"requests_per_minute": null}, "budget": null, "name": null}"#);
    let file: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(file["rate_limit"], json!({"tokens_per_day": null}));
    assert!(file.get("budget").is_none());
    assert_eq!(patched(ADA, r#"{"rate_limit": null}"#).unwrap().client.limits.requests_per_minute, None);
}

#[test]
fn every_member_that_can_be_set_is_one_that_a_file_has() {
    let patch = json!({
        "name": "A", "disabled": true, "allowed_endpoints": ["models"], "allowed_providers": ["echo"],
        "allowed_models": ["echo*"], "allowed_addresses": ["10.0.0.0/8"], "default_provider": "echo",
        "default_model": "echo", "max_tokens_limit": 5, "max_tokens_policy": "clamp", "priority": 2,
        "rate_limit": {
            "requests_per_minute": 1, "tokens_per_minute": 2, "tokens_per_day": 3, "concurrent_requests": 4,
            "mode": "shadow"
        },
        "budget": {"usd_per_day": "1", "usd_per_month": "2"},
    });
    let members = patch.as_object().unwrap();
    assert!(SETTABLE.iter().all(|(name, _)| members.contains_key(*name)));
    assert_eq!(members.len(), SETTABLE.len());
    let bare = r#"{"client_id": "ada"}"#;
    let Merged { client, warnings, .. } = patched(bare, &patch.to_string()).unwrap();
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().all(|warning| warning.contains("no credential")), "{warnings:?}");
    let shown = Json::Object(crate::client_members::members(&client));
    let expected = |name: &str| match name {
        "budget" => json!({"usd_per_day": "1.00", "usd_per_month": "2.00"}),
        name => patch[name].clone(),
    };
    for (name, _) in SETTABLE {
        assert_eq!(shown[*name], expected(name), "what is shown can be sent back");
    }
    assert_eq!(client.limits.mode, Mode::Shadow);
}

#[test]
fn what_is_unknown_is_named_with_what_was_meant() {
    assert_eq!(
        faults("{\"prioriti\": 1,\n \"rate_limit\": {\"requests_per_minut\": 1}, \"x_team\": \"red\"}"),
        [
            "body:1:2: prioriti: unknown key; did you mean `priority`?",
            "body:2:17: rate_limit.requests_per_minut: unknown key; did you mean `requests_per_minute`?",
            "body:2:43: x_team: unknown key; known here: name, disabled, allowed_endpoints, allowed_providers, \
             allowed_models, allowed_addresses, default_provider, default_model, max_tokens_limit, \
             max_tokens_policy, rate_limit, budget, priority",
        ]
    );
}

#[test]
fn a_value_that_a_file_cannot_hold_is_told_at_its_place_in_the_body() {
    let told =
        faults(r#"{"name": 5, "rate_limit": {"requests_per_minute": -1, "mode": "off"}, "budget": "5"}"#);
    assert_eq!(
        told,
        [
            "body:1:2: name: expected a string, found a whole number",
            "body:1:13: rate_limit.requests_per_minute: -1 is too small; use 0 or more",
            "body:1:13: rate_limit.mode: unknown mode `off`; use one of enforce, shadow",
            "body:1:71: budget: expected an object in braces, found a string",
        ]
    );
}

#[test]
fn credentials_and_what_the_gateway_keeps_cannot_be_set() {
    for (name, _) in PROTECTED {
        let told = faults(&json!({*name: null}).to_string());
        assert!(told[0].starts_with(&format!("body:1:2: {name}: cannot be set; ")), "{told:?}");
    }
    assert!(faults(r#"{"credentials": []}"#)[0].ends_with("POST /admin/clients/ID/rotate"));
}

#[test]
fn a_body_that_is_no_object_sets_nothing() {
    for (patch, told) in [
        ("", "not valid JSON"),
        ("[]", "expected an object in braces, found a list"),
        ("{\"name\": \"a\", \"name\": \"b\"}", "written twice; keep one"),
        ("{\"name\": ", "not valid JSON"),
    ] {
        let all = faults(patch);
        assert!(all.len() == 1 && all[0].contains(told), "{patch}: {all:?}");
    }
}
