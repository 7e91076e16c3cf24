//! OpenAI's moderations, images and audio: the smallest well-formed answers.
//!
//! Fails    never; what OpenAI refuses is refused.

use serde_json::{Map, Value, json};

use super::chat_request::check_model;
use super::errors;
use crate::asked::{Asked, list, tokens_of};
use crate::seen::Seen;
use crate::vendor::{Refused, Served};

/// What is judged, and whether of images as well.
const CATEGORIES: [(&str, bool); 13] = [
    ("harassment", false),
    ("harassment/threatening", false),
    ("hate", false),
    ("hate/threatening", false),
    ("illicit", false),
    ("illicit/violent", false),
    ("self-harm", true),
    ("self-harm/intent", true),
    ("self-harm/instructions", true),
    ("sexual", true),
    ("sexual/minors", false),
    ("violence", true),
    ("violence/graphic", true),
];

/// One transparent pixel as PNG.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What OpenAI charges for a low-quality square image, in tokens.
const TOKENS_PER_PICTURE: u64 = 272;

/// What every recording says.
const TRANSCRIPT: &str = "Hello from the recording.";

/// Flags a text that holds the word `violence`.
pub(super) fn moderation(seen: &Seen, asked: &Asked) -> Result<Served, Refused> {
    let input = &asked.json["input"];
    if input.is_null() {
        return Err(errors::missing("input"));
    }
    // An array of parts is one input, an array of texts several.
    let inputs: Vec<&Value> = match list(input) {
        [] => vec![input],
        all if all.iter().all(Value::is_string) => all.iter().collect(),
        _ => vec![input],
    };
    let results: Vec<Value> = inputs.into_iter().map(verdict).collect();
    let model = if asked.model.is_empty() { "omni-moderation-latest" } else { &asked.model };
    let id = crate::answer::identifier(seen.number(), "moderation", 28);
    Ok(Served::json(json!({"id": format!("modr-{id}"), "model": model, "results": results})))
}

fn verdict(input: &Value) -> Value {
    let flagged = input.to_string().contains("violence");
    let (mut categories, mut scores, mut types) = (Map::new(), Map::new(), Map::new());
    for (name, of_images) in CATEGORIES {
        let hit = flagged && name == "violence";
        categories.insert(name.to_owned(), hit.into());
        scores.insert(name.to_owned(), (if hit { 0.98 } else { 0.000_012 }).into());
        let applied = if of_images && input.is_array() { json!(["text", "image"]) } else { json!(["text"]) };
        types.insert(name.to_owned(), applied);
    }
    json!({
        "flagged": flagged,
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": types,
    })
}

/// Generations, edits and variations: as many pixels as are asked for.
pub(super) fn image(seen: &Seen, asked: &Asked) -> Result<Served, Refused> {
    let json = &asked.json;
    let is_generation = seen.path().ends_with("/generations");
    if is_generation && json["prompt"].is_null() {
        return Err(errors::missing("prompt"));
    }
    let count = json["n"].as_u64().unwrap_or(1).clamp(1, 10);
    let by_url = json["response_format"] == "url";
    let one = || match by_url {
        true => json!({"url": "https://images.example.com/pixel.png"}),
        false => json!({"b64_json": PIXEL}),
    };
    let text = tokens_of(json["prompt"].as_str().unwrap_or_default());
    let drawn = TOKENS_PER_PICTURE * count;
    let data: Vec<Value> = (0..count).map(|_| one()).collect();
    let answer = json!({
        "created": 1_764_000_000,
        "data": data,
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "usage": {
            "input_tokens": text,
            "output_tokens": drawn,
            "total_tokens": text + drawn,
            "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
        },
    });
    Ok(Served::json(answer).billed(text, drawn))
}

pub(super) fn audio(what: &str, seen: &Seen, asked: &Asked) -> Result<Served, Refused> {
    match what {
        "speech" => speech(asked),
        "transcriptions" | "translations" => Ok(transcript(seen)),
        _ => Err(errors::no_such_url(seen.method(), seen.path())),
    }
}

/// Silence: a WAV file where one is asked for, else one frame of MP3.
fn speech(asked: &Asked) -> Result<Served, Refused> {
    check_model(asked)?;
    let Some(text) = asked.json["input"].as_str() else {
        return Err(errors::missing("input"));
    };
    let served = match asked.json["response_format"].as_str() {
        Some("wav") => Served::body("audio/wav", silent_wav()),
        Some("pcm") => Served::body("audio/pcm", vec![0_u8; 4800]),
        _ => Served::body("audio/mpeg", silent_mp3()),
    };
    Ok(served.billed(tokens_of(text), 0))
}

/// A tenth of a second, 24 kHz, 16 bits, one channel.
fn silent_wav() -> Vec<u8> {
    const SAMPLES: u32 = 2400;
    const RATE: u32 = 24_000;
    let size = 2 * SAMPLES;
    let mut wav = Vec::with_capacity(44 + 4800);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + size).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(&(2 * RATE).to_le_bytes());
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&size.to_le_bytes());
    wav.resize(44 + 4800, 0);
    wav
}

/// MPEG 1 layer III, 128 kbit/s, 44.1 kHz: a frame is 417 bytes.
fn silent_mp3() -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90, 0x64];
    frame.resize(417, 0);
    frame
}

/// The form's fields decide on the shape; the recording is not listened to.
fn transcript(seen: &Seen) -> Served {
    let field = |name: &str| form_field(seen.body(), name);
    let format = field("response_format").unwrap_or_default();
    let prompt = seen.body().len() as u64 / 1000 + 1;
    let completion = tokens_of(TRANSCRIPT);
    let usage = json!({
        "type": "tokens",
        "input_tokens": prompt,
        "input_token_details": {"text_tokens": 0, "audio_tokens": prompt},
        "output_tokens": completion,
        "total_tokens": prompt + completion,
    });
    if field("stream").as_deref() == Some("true") {
        return Served::body("text/event-stream; charset=utf-8", transcript_events(&usage))
            .billed(prompt, completion);
    }
    let served = match format.as_str() {
        "text" => Served::body("text/plain; charset=utf-8", format!("{TRANSCRIPT}\n")),
        "srt" => {
            let srt = format!("1\n00:00:00,000 --> 00:00:02,000\n{TRANSCRIPT}\n\n");
            Served::body("text/plain; charset=utf-8", srt)
        }
        "vtt" => {
            let vtt = format!("WEBVTT\n\n00:00:00.000 --> 00:00:02.000\n{TRANSCRIPT}\n\n");
            Served::body("text/plain; charset=utf-8", vtt)
        }
        "verbose_json" => Served::json(json!({
            "task": "transcribe",
            "language": "english",
            "duration": 2.0,
            "text": TRANSCRIPT,
            "segments": [{
                "id": 0, "seek": 0, "start": 0.0, "end": 2.0, "text": TRANSCRIPT, "tokens": [50364],
                "temperature": 0.0, "avg_logprob": -0.3, "compression_ratio": 1.0, "no_speech_prob": 0.01,
            }],
            "usage": {"type": "duration", "seconds": 2},
        })),
        _ => Served::json(json!({"text": TRANSCRIPT, "usage": usage})),
    };
    served.billed(prompt, completion)
}

fn transcript_events(usage: &Value) -> String {
    let deltas = TRANSCRIPT.split_inclusive(' ');
    let mut events: Vec<Value> =
        deltas.map(|delta| json!({"type": "transcript.text.delta", "delta": delta})).collect();
    events.push(json!({"type": "transcript.text.done", "text": TRANSCRIPT, "usage": usage}));
    let event = |event: &Value| format!("data: {event}\n\n");
    events.iter().map(event).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// The text of a field of a multipart form (RFC 7578), without its line end.
pub(super) fn form_field(body: &[u8], name: &str) -> Option<String> {
    let part = form_part(body, &format!("name=\"{name}\""))?;
    Some(String::from_utf8_lossy(part.1).into_owned())
}

/// A part of a multipart form whose header holds this text: its header and its content.
pub(super) fn form_part<'a>(body: &'a [u8], holds: &str) -> Option<(&'a [u8], &'a [u8])> {
    let line_end = memchr::memmem::find(body, b"\r\n")?;
    let boundary = [b"\r\n", &body[..line_end]].concat();
    let mut rest = &body[line_end + 2..];
    loop {
        let head_end = memchr::memmem::find(rest, b"\r\n\r\n")?;
        let (head, content) = (&rest[..head_end], &rest[head_end + 4..]);
        let end = memchr::memmem::find(content, &boundary)?;
        if memchr::memmem::find(head, holds.as_bytes()).is_some() {
            return Some((head, &content[..end]));
        }
        rest = content.get(end + boundary.len() + 2..)?;
    }
}

/// Whether the constant picture is what it says.
#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_picture_is_a_png_and_a_forms_parts_are_found() {
        let picture = STANDARD.decode(PIXEL).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
        let form = b"--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\ntwo\r\n--b--\r\n";
        assert_eq!(form_field(form, "a").as_deref(), Some("1"));
        assert_eq!(form_field(form, "file").as_deref(), Some("two"));
        assert_eq!(form_field(form, "none"), None);
    }
}
