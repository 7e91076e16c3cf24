use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;

fn parsed() -> Value {
    serde_json::from_str(document()).expect("the document is JSON")
}

/// Every value in the document with its JSON pointer, parents before children.
fn values(document: &Value) -> Vec<(String, &Value)> {
    let mut found = vec![(String::new(), document)];
    let mut next = 0;
    while let Some((pointer, value)) = found.get(next).cloned() {
        let escaped = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(members) => found.extend(members.iter().map(|(key, value)| (escaped(key), value))),
            Value::Array(items) => {
                found.extend(items.iter().enumerate().map(|(at, value)| (format!("{pointer}/{at}"), value)));
            }
            _ => {}
        }
        next += 1;
    }
    found
}

fn references(document: &Value) -> BTreeSet<&str> {
    values(document).iter().filter_map(|(_, value)| value.get("$ref")?.as_str()).collect()
}

/// The value itself, or what it refers to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            document.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere")
        }
        None => value,
    }
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    paths().map(|(method, path)| {
        let name = method.as_str().to_lowercase();
        (format!("{method} {path}"), &document["paths"][path.as_str()][name.as_str()])
    })
}

/// A schema of the document with the document's components in reach of its references.
fn faults(document: &Value, schema: &Value, example: &Value) -> Vec<String> {
    let schema = json!({ "allOf": [schema], "components": document["components"] });
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is valid");
    validator.iter_errors(example).map(|fault| fault.to_string()).collect()
}

#[test]
fn it_carries_the_version_of_this_build() {
    let document = parsed();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(SOURCE.matches(VERSION_PLACEHOLDER).count(), 1);
}

#[test]
fn paths_name_every_operation_once() {
    let all: Vec<_> = paths().map(|(method, path)| format!("{method} {path}")).collect();
    for expected in [
        "POST /api/v1/generate",
        "GET /api/v1/clients/reload",
        "POST /v1/chat/completions",
        "GET /openai/v1/models/{model}",
        "GET /",
        "POST /admin/reload",
    ] {
        assert_eq!(all.iter().filter(|operation| *operation == expected).count(), 1, "{expected}");
    }
    let document = parsed();
    let with_id = values(&document).iter().filter(|(_, value)| value.get("operationId").is_some()).count();
    assert_eq!(all.len(), with_id, "each operation has an id");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = parsed();
    for reference in references(&document) {
        let pointer = reference.strip_prefix('#').expect("references stay inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_component_is_referred_to() {
    let document = parsed();
    let used = references(&document);
    for (kind, components) in document["components"].as_object().expect("an object") {
        let by_name = kind == "securitySchemes";
        for name in components.as_object().expect("an object").keys() {
            assert!(
                by_name || used.contains(format!("#/components/{kind}/{name}").as_str()),
                "{kind}/{name}"
            );
        }
    }
}

#[test]
fn every_security_scheme_is_used_and_every_used_one_exists() {
    let document = parsed();
    let schemes: BTreeSet<_> =
        document["components"]["securitySchemes"].as_object().expect("an object").keys().collect();
    let used: BTreeSet<_> = values(&document)
        .into_iter()
        .filter_map(|(_, value)| value.get("security")?.as_array())
        .flatten()
        .flat_map(|alternative| alternative.as_object().expect("an object").keys())
        .collect();
    assert_eq!(schemes, used);
}

#[test]
fn operation_ids_are_unique() {
    let document = parsed();
    let mut count = BTreeMap::new();
    for (_, operation) in operations(&document) {
        *count.entry(operation["operationId"].as_str().expect("an id")).or_insert(0) += 1;
    }
    assert!(count.values().all(|times| *times == 1), "{count:?}");
}

#[test]
fn every_operation_has_a_tag_that_is_described() {
    let document = parsed();
    let described: BTreeSet<_> = document["tags"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tag| &tag["name"])
        .map(Value::to_string)
        .collect();
    for (name, operation) in operations(&document) {
        let tags = operation["tags"].as_array().expect("a list");
        assert!(tags.iter().any(|tag| described.contains(&tag.to_string())), "{name}");
    }
}

#[test]
fn a_path_declares_the_parameters_of_its_template() {
    let document = parsed();
    for (name, operation) in operations(&document) {
        let in_template: BTreeSet<_> =
            name.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
        let declared: BTreeSet<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| resolved(&document, parameter))
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        assert_eq!(in_template, declared, "{name}");
    }
}

#[test]
fn admin_routes_ask_for_the_admin_token_and_nothing_else() {
    let document = parsed();
    for (name, operation) in operations(&document) {
        let is_admin = name.contains(" /admin/");
        assert_eq!(operation["security"] == json!([{ "adminToken": [] }]), is_admin, "{name}");
    }
}

#[test]
fn every_answer_names_its_request() {
    let document = parsed();
    for (name, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().expect("an object") {
            let headers = &resolved(&document, response)["headers"];
            assert!(headers.get("x-request-id").is_some(), "{name} {status}");
        }
    }
}

#[test]
fn every_refusal_that_may_pass_says_when_to_come_back() {
    let document = parsed();
    for (name, operation) in operations(&document) {
        for status in ["429", "503"] {
            if let Some(response) = operation["responses"].get(status) {
                let headers = &resolved(&document, response)["headers"];
                assert!(headers.get("Retry-After").is_some(), "{name} {status}");
            }
        }
    }
}

#[test]
fn every_example_fits_its_schema() {
    let document = parsed();
    let mut checked = 0;
    for (pointer, holder) in values(&document) {
        let Some(schema) = holder.get("schema").filter(|schema| schema.is_object()) else { continue };
        let single = holder.get("example");
        let named = holder.get("examples").and_then(Value::as_object);
        let named = named.into_iter().flat_map(|examples| examples.values());
        for example in named.map(|example| &resolved(&document, example)["value"]).chain(single) {
            let faults = faults(&document, schema, example);
            assert!(faults.is_empty(), "{pointer}: {faults:#?}\n{example}");
            checked += 1;
        }
    }
    assert!(checked > 50, "examples were found: {checked}");
}

#[test]
fn every_event_of_the_example_streams_fits_its_schema() {
    let document = parsed();
    let schemas = &document["components"]["schemas"];
    for (name, last_is_done) in [("StreamEcho", true), ("StreamFailed", false)] {
        let stream = document["components"]["examples"][name]["value"].as_str().expect("a text");
        let data: Vec<_> = stream.split_terminator("\n\n").map(|event| &event["data: ".len()..]).collect();
        assert_eq!(data.last() == Some(&"[DONE]"), last_is_done, "{name}");
        for event in data.into_iter().filter(|event| *event != "[DONE]") {
            let event: Value = serde_json::from_str(event).expect("an event holds JSON");
            let schema = if event.get("error").is_some() { "OpenAiError" } else { "ChatCompletionChunk" };
            let faults = faults(&document, &schemas[schema], &event);
            assert!(faults.is_empty(), "{name}: {faults:#?}");
        }
    }
}
