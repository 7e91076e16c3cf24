//! A value that a JSON schema allows: what structured output and tool arguments need.
//!
//! Understands JSON Schema as far as OpenAI's strict mode, Anthropic's structured outputs and
//! Gemini's `Schema` take it: `$ref` within the document, `const`, `enum`, `allOf`, `anyOf`, `oneOf`,
//! types in small or capital letters, bounds of numbers, texts and arrays, the common formats. Not
//! `pattern`, `if`, `not`, `dependentSchemas`. Bounded by [`DEEPEST`], where a schema that refers to
//! itself ends.

use serde_json::{Map, Value};

/// How many schemas deep a value goes: OpenAI allows 10 levels of nesting, each at most two schemas.
const DEEPEST: usize = 24;

/// Most elements and letters made for a lower bound.
const LONGEST: u64 = 100;

/// The smallest sensible value for a schema.
pub(super) fn sample(schema: &Value) -> Value {
    at_depth(schema, schema, 0)
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
    for alternatives in ["anyOf", "oneOf"] {
        if let Some(all) = schema[alternatives].as_array() {
            let shown = |schema: &&Value| !is_kind(schema, "null");
            return all.iter().find(shown).or(all.first()).map_or(Value::Null, deeper);
        }
    }
    if let Some(all) = schema["allOf"].as_array().filter(|all| !all.is_empty()) {
        return all.iter().map(deeper).reduce(merged).unwrap_or_default();
    }
    match kind(schema).as_deref() {
        Some("object") => {
            let properties = schema["properties"].as_object();
            let members = properties.into_iter().flatten();
            let members = members.map(|(name, schema)| (name.clone(), deeper(schema)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Some("array") => array(schema, deeper),
        Some("string") => string(schema),
        Some("integer") => integer(schema).into(),
        Some("number") => number(schema).into(),
        Some("boolean") => true.into(),
        _ => Value::Null,
    }
}

/// The first type that is not `null`; `object` where members are given without one.
fn kind(schema: &Value) -> Option<String> {
    let kind = match &schema["type"] {
        Value::Array(kinds) => {
            let named = kinds.iter().find(|kind| *kind != "null").or(kinds.first());
            named.and_then(Value::as_str)
        }
        kind => kind.as_str(),
    };
    let implied = || schema["properties"].is_object().then_some("object");
    kind.or_else(implied).map(str::to_lowercase)
}

fn is_kind(schema: &Value, kind: &str) -> bool {
    schema["type"].as_str().is_some_and(|named| named.eq_ignore_ascii_case(kind))
}

fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (Value::Null, other) => other,
        (one, _) => one,
    }
}

/// A bound; Gemini writes those of lengths as text.
fn bound(schema: &Value, name: &str) -> Option<u64> {
    let value = &schema[name];
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn array(schema: &Value, element: impl Fn(&Value) -> Value) -> Value {
    let most = bound(schema, "maxItems").unwrap_or(LONGEST).min(LONGEST);
    let least = bound(schema, "minItems").unwrap_or(1).min(most);
    let first = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
    let nth = |n: u64| {
        let own = usize::try_from(n).ok().and_then(|n| first.get(n));
        element(own.unwrap_or(&schema["items"]))
    };
    (0..least.max(first.len() as u64)).map(nth).collect()
}

fn integer(schema: &Value) -> i64 {
    let step = schema["multipleOf"].as_i64().filter(|step| *step > 0).unwrap_or(1);
    let above = schema["exclusiveMinimum"].as_i64().map(|bound| bound.saturating_add(1));
    let below = schema["exclusiveMaximum"].as_i64().map(|bound| bound.saturating_sub(1));
    let most = schema["maximum"].as_i64().or(below);
    match (schema["minimum"].as_i64().or(above), most) {
        (Some(least), _) => {
            least.div_euclid(step).saturating_add(i64::from(least % step != 0)).saturating_mul(step)
        }
        (None, Some(most)) if most < step => most.div_euclid(step) * step,
        (None, _) => step,
    }
}

fn number(schema: &Value) -> f64 {
    let of = |name: &str| schema[name].as_f64();
    if let Some(step) = of("multipleOf") {
        return of("minimum").map_or(step, |least| (least / step).ceil() * step);
    }
    let inclusive = of("minimum").or_else(|| of("maximum").filter(|most| *most < 1.5));
    let above = of("exclusiveMinimum").map(|bound| bound + 0.5);
    let below = of("exclusiveMaximum").filter(|bound| *bound <= 1.5).map(|bound| bound - 0.5);
    inclusive.or(above).or(below).unwrap_or(1.5)
}

fn string(schema: &Value) -> Value {
    let text = match schema["format"].as_str() {
        Some("date") => "2026-01-31",
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("time") => "12:00:00Z",
        Some("duration") => "P1D",
        Some("email") => "ada@example.com",
        Some("hostname") => "example.com",
        Some("uri") => "https://example.com/",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uuid") => "123e4567-e89b-42d3-a456-426614174000",
        _ => "text",
    };
    let most = bound(schema, "maxLength").and_then(|most| usize::try_from(most).ok());
    let least = bound(schema, "minLength").unwrap_or(0).min(LONGEST);
    let letters = text.chars().chain(std::iter::repeat('x'));
    let length = text.chars().count().max(usize::try_from(least).unwrap_or(0));
    letters.take(length.min(most.unwrap_or(length))).collect::<String>().into()
}
