//! What Gemini refuses of a request.
//!
//! Owns     nothing.
//! Called   by `vendor` before a request is answered.
//! Fails    with Gemini's own 400, 403 and 404.

use serde_json::Value;

use super::errors::{self, invalid};
use super::request::{member, snake};
use crate::answer::signature_of;
use crate::asked::{Asked, list};
use crate::dialect::Dialect;
use crate::seen::Seen;
use crate::vendor::{Checks, Refused, UNKNOWN};

/// What a request may hold.
const MEMBERS: [&str; 10] = [
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "systemInstruction",
    "generationConfig",
    "cachedContent",
    "model",
    "serviceTier",
    "store",
];

/// What its `generationConfig` may hold.
const CONFIG: [&str; 23] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "enableEnhancedCivicAnswers",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "routingConfig",
    "audioTimestamp",
    "modelSelectionConfig",
];

/// In place of a signature: the two values for calls that Gemini itself did not make, from Google's
/// documentation of thought signatures.
const SKIPPING: [&str; 2] = ["context_engineering_is_the_way_to_go", "skip_thought_signature_validator"];

/// Refuses what these checks refuse.
pub(crate) fn check(seen: &Seen, asked: &Asked, checks: &Checks) -> Result<(), Refused> {
    if checks.usual {
        key(seen)?;
    }
    if checks.usual && asked.dialect == Dialect::Interactions && seen.method() == "POST" {
        return match asked.json["input"].is_null() || asked.model.is_empty() {
            true => Err(invalid("Request contains an invalid argument: model and input are required.")),
            false => Ok(()),
        };
    }
    if asked.dialect != Dialect::Generate {
        return Ok(());
    }
    if checks.usual {
        if asked.model.contains(UNKNOWN) {
            return Err(errors::no_such_model(&asked.model));
        }
        names(&asked.json, &MEMBERS, "")?;
        names(member(&asked.json, "generationConfig"), &CONFIG, " at 'generation_config'")?;
        contents(&asked.json)?;
    }
    if checks.signatures {
        signatures(&asked.json)?;
    }
    Ok(())
}

fn key(seen: &Seen) -> Result<(), Refused> {
    let in_query = seen.query().split('&').find_map(|pair| pair.strip_prefix("key="));
    let bearer = seen.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
    match seen.header("x-goog-api-key").or(in_query).or(bearer) {
        None | Some("") => Err(errors::no_key()),
        Some(key) if key.contains("invalid") => Err(errors::wrong_key()),
        Some(_) => Ok(()),
    }
}

fn names(json: &Value, known: &[&str], place: &str) -> Result<(), Refused> {
    let unknown = json
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| !known.iter().any(|known| known == name || snake(known) == **name));
    match unknown {
        None => Ok(()),
        Some((name, _)) => Err(invalid(&format!(
            "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
        ))),
    }
}

fn contents(json: &Value) -> Result<(), Refused> {
    if !json.is_object() {
        return Err(invalid("Invalid JSON payload received."));
    }
    let contents = list(&json["contents"]);
    if contents.is_empty() {
        return Err(invalid("* GenerateContentRequest.contents: contents is not specified\n"));
    }
    for (at, content) in contents.iter().enumerate() {
        if !matches!(content["role"].as_str(), None | Some("user" | "model" | "function")) {
            return Err(invalid("Please use a valid role: user, model."));
        }
        let parts = list(&content["parts"]);
        if parts.is_empty() {
            return Err(invalid(&format!(
                "* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.\n"
            )));
        }
        for (nth, part) in parts.iter().enumerate() {
            let has_data = DATA.iter().any(|name| !member(part, name).is_null());
            if !has_data {
                return Err(invalid(&format!(
                    "* GenerateContentRequest.contents[{at}].parts[{nth}].data: required oneof field 'data' \
                     must have one initialized field\n"
                )));
            }
        }
    }
    Ok(())
}

/// One of which a part must have.
const DATA: [&str; 7] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];

/// The first call of each of the model's turns must be signed, and every signature must be right.
fn signatures(json: &Value) -> Result<(), Refused> {
    for (at, content) in list(&json["contents"]).iter().enumerate() {
        let calls = list(&content["parts"]).iter().filter(|part| !member(part, "functionCall").is_null());
        for (nth, part) in calls.enumerate() {
            let name = member(part, "functionCall")["name"].as_str().unwrap_or_default();
            match member(part, "thoughtSignature").as_str() {
                None if nth == 0 => {
                    return Err(invalid(&format!(
                        "Function call is missing a thought_signature in functionCall parts. This is required \
                         for tools to work correctly, and missing thought_signature may lead to degraded model \
                         performance. Additional data, function call `default_api:{name}`, position {at}."
                    )));
                }
                Some(given) if !is_right(given, name) => {
                    return Err(invalid("Thought signature is not valid"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Both of base64's alphabets are taken, as protobuf's JSON has it.
fn is_right(given: &str, name: &str) -> bool {
    let standard = given.replace('-', "+").replace('_', "/");
    standard.trim_end_matches('=') == signature_of(name).trim_end_matches('=') || SKIPPING.contains(&given)
}
