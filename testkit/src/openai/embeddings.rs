//! OpenAI's embeddings: unit vectors that follow from the text, as floats or as base64.
//!
//! Texts that are alike have no vectors that are alike; only the same text has the same vector.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::chat_request::check_model;
use super::errors;
use crate::asked::{Asked, list, tokens_of};
use crate::vendor::{Refused, Served};

/// The length of `text-embedding-3-small`'s vectors.
const DIMENSIONS: u64 = 1536;

/// The longest that OpenAI gives: `text-embedding-3-large`'s.
const MOST_DIMENSIONS: u64 = 3072;

pub(super) fn serve(asked: &Asked) -> Result<Served, Refused> {
    check_model(asked)?;
    let json = &asked.json;
    let inputs = inputs(&json["input"]);
    if inputs.is_empty() {
        return Err(if json["input"].is_null() {
            errors::missing("input")
        } else {
            errors::empty_array("input")
        });
    }
    let dimensions = json["dimensions"].as_u64().unwrap_or(DIMENSIONS).clamp(1, MOST_DIMENSIONS);
    let as_base64 = json["encoding_format"] == "base64";
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions);
            let embedding = if as_base64 { base64(&vector).into() } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens = inputs.iter().map(|input| tokens_of(input)).sum();
    let answer = json!({
        "object": "list",
        "data": data,
        "model": asked.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    Ok(Served::json(answer).billed(tokens, 0))
}

/// The texts, of which each may come as token numbers.
fn inputs(input: &Value) -> Vec<String> {
    let one = |input: &Value| input.as_str().map_or_else(|| input.to_string(), str::to_owned);
    match list(input) {
        [] if input.is_string() => vec![one(input)],
        all if all.iter().all(Value::is_number) && !all.is_empty() => vec![one(input)],
        all => all.iter().map(one).collect(),
    }
}

fn vector(input: &str, dimensions: u64) -> Vec<f32> {
    // FNV-1a for the seed, xorshift64* (Vigna, 2016) from there.
    let seed = input.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut state = seed | 1;
    let raw: Vec<f64> = (0..dimensions)
        .map(|_| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
            f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / f64::from(u32::MAX) - 0.5
        })
        .collect();
    let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    #[expect(clippy::cast_possible_truncation, reason = "a vector's elements are single floats on the wire")]
    raw.iter().map(|value| (value / length) as f32).collect()
}

/// Little-endian single floats, as the SDKs unpack them.
fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
