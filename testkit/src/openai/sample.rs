//! A value that a simple JSON schema allows: what structured output and tool arguments need.
//!
//! Understands the keywords that OpenAI's strict mode allows, `$ref` within the document among
//! them. Bounded by [`DEEPEST`], where a schema that refers to itself ends.

use serde_json::{Map, Value};

/// How many schemas deep a value goes: OpenAI allows 10 levels of nesting, each at most two schemas.
const DEEPEST: usize = 24;

/// The smallest sensible value for `schema`; `root` is where `$ref` begins.
pub(super) fn sample(schema: &Value, root: &Value) -> Value {
    at_depth(schema, root, 0)
}

fn at_depth(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let deeper = |schema: &Value| at_depth(schema, root, depth + 1);
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return root.pointer(pointer).map_or(Value::Null, deeper);
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    if let Some(first) = schema["anyOf"].as_array().and_then(|all| all.first()) {
        return deeper(first);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => {
            let properties = schema["properties"].as_object();
            let members = properties.into_iter().flatten();
            let members = members.map(|(name, schema)| (name.clone(), deeper(schema)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(1).min(100);
            (0..least).map(|_| deeper(&schema["items"])).collect()
        }
        Some("string") => string(schema),
        Some("integer") => schema["minimum"].as_i64().unwrap_or(1).into(),
        Some("number") => schema["minimum"].as_f64().unwrap_or(1.5).into(),
        Some("boolean") => true.into(),
        _ => Value::Null,
    }
}

fn string(schema: &Value) -> Value {
    let text = match schema["format"].as_str() {
        Some("date") => "2026-01-31",
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("time") => "12:00:00Z",
        Some("email") => "ada@example.com",
        Some("uuid") => "123e4567-e89b-42d3-a456-426614174000",
        _ => "text",
    };
    text.into()
}
