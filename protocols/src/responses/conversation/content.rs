//! The parts of a message and of a tool's result.
//!
//! Owns     the forms of text, pictures, files and sound, and the extension that carries Gemini's signature.
//! Called   by the reader of items.
//! Bounded  by the body.
//! Fails    with a [`RequestFault`] that names the part. A part of an unknown sort is an extra.

use std::borrow::Cow;

use super::super::fields::{Fields, elements, extra};
use crate::conversation::{Content, Extra, Part, Source};
use crate::json::{Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// What a message may hold to be one.
pub(super) const SOMETHING: &str = "text that is not blank, or another part";

/// What stands beside a part's content and says nothing to a model: sources and probabilities of an earlier answer,
/// and marks for the upstream's cache.
const BESIDE: [&str; 3] = ["annotations", "logprobs", "prompt_cache_breakpoint"];

/// The parts of a text or of a list. Blank text is left out, for some upstreams refuse it and no model reads
/// anything in it.
pub(super) fn parts<'a>(
    content: &Value<'a>,
    at: &Path<'_>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Vec<Part<'a>>, RequestFault> {
    let mut parts = Vec::new();
    match content.kind {
        Kind::String => push_text(&mut parts, content.as_text().unwrap_or_default()),
        Kind::Array => {
            for (index, part) in elements(content)?.iter().enumerate() {
                read_part(part, &at.element(index), &mut parts, extras)?;
            }
        }
        _ => return Err(at.expected("a string or an array of parts")),
    }
    Ok(parts)
}

fn read_part<'a>(
    part: &Value<'a>,
    at: &Path<'_>,
    parts: &mut Vec<Part<'a>>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<(), RequestFault> {
    let mut fields = Fields::of(part, at)?;
    match &*fields.required("type", at)? {
        "input_text" | "output_text" | "text" => push_text(parts, fields.required("text", at)?),
        "refusal" => parts.push(Content::Refusal(fields.required("refusal", at)?).into()),
        "input_image" => parts.push(image(&mut fields, at)?.into()),
        "input_file" => parts.push(file(&mut fields, at)?.into()),
        "input_audio" => parts.push(sound(&mut fields, at)?.into()),
        _ => {
            extras.push(extra(at, part));
            return Ok(());
        }
    }
    fields.ignore(&BESIDE);
    fields.into_extras(at, extras);
    Ok(())
}

fn push_text<'a>(parts: &mut Vec<Part<'a>>, text: Cow<'a, str>) {
    if !text.trim().is_empty() {
        parts.push(Content::Text(text).into());
    }
}

/// `{"image_url": address or data URL}` or `{"file_id": …}`.
fn image<'a>(fields: &mut Fields<'a>, at: &Path<'_>) -> Result<Content<'a>, RequestFault> {
    let detail = fields.text("detail", at)?;
    let source = match (fields.text("image_url", at)?, fields.text("file_id", at)?) {
        (Some(url), _) if url.starts_with("data:") => {
            data_url(url).ok_or_else(|| at.member("image_url").expected(ADDRESS))?
        }
        (Some(url), _) => Source::Url(url),
        (None, Some(id)) => Source::FileId(id),
        (None, None) => return Err(at.expected("`image_url` or `file_id`")),
    };
    Ok(Content::Image { source, detail })
}

const ADDRESS: &str = "an address, or a data URL in base64";

/// `{"file_data": data URL or base64}`, `{"file_url": …}` or `{"file_id": …}`, each with a `filename`.
fn file<'a>(fields: &mut Fields<'a>, at: &Path<'_>) -> Result<Content<'a>, RequestFault> {
    // How closely to look at the pages: a hint that only this API has.
    fields.ignore(&["detail"]);
    let name = fields.text("filename", at)?;
    let (data, url) = (fields.text("file_data", at)?, fields.text("file_url", at)?);
    let source = match (data, url, fields.text("file_id", at)?) {
        (Some(data), ..) if data.starts_with("data:") => data_url(data)
            .ok_or_else(|| at.member("file_data").expected("base64, or a data URL in base64"))?,
        // What is sent without its type is a PDF, the one type that the API defines.
        (Some(data), ..) => Source::Base64 { media_type: "application/pdf".into(), data },
        (None, Some(url), _) => Source::Url(url),
        (None, None, Some(id)) => Source::FileId(id),
        (None, None, None) => return Err(at.expected("`file_data`, `file_url` or `file_id`")),
    };
    Ok(Content::Document { source, name })
}

/// `{"input_audio": {"data": base64, "format": "wav" or "mp3"}}`.
fn sound<'a>(fields: &mut Fields<'a>, at: &Path<'_>) -> Result<Content<'a>, RequestFault> {
    let sound = fields.object("input_audio", at)?;
    let at = at.member("input_audio");
    let sound = sound.ok_or_else(|| at.expected("an object"))?;
    let mut fields = Fields::of(&sound, &at)?;
    let media_type = format!("audio/{}", fields.required("format", &at)?).into();
    let data = fields.required("data", &at)?;
    Ok(Content::Audio { source: Source::Base64 { media_type, data } })
}

/// The bytes in a data URL (RFC 2397) in base64; `None` for one in another form. Parameters of the media type are
/// left out.
fn data_url(url: Cow<'_, str>) -> Option<Source<'_>> {
    let head = url.find(',')?;
    let described = url.get("data:".len()..head)?.strip_suffix(";base64")?;
    let media_type = described.split(';').next().unwrap_or_default().to_owned().into();
    let data = match url {
        Cow::Borrowed(url) => url.get(head + 1..)?.into(),
        Cow::Owned(mut url) => {
            url.drain(..=head);
            url.into()
        }
    };
    Some(Source::Base64 { media_type, data })
}

/// `{"google": {"thought_signature": …}}`, which an answer of ours has on a call that Gemini signed.
pub(super) fn thought_signature<'a>(
    extra_content: &Value<'a>,
    at: &Path<'_>,
) -> Result<Option<Cow<'a, str>>, RequestFault> {
    let mut fields = Fields::of(extra_content, at)?;
    match fields.object("google", at)? {
        Some(google) => Fields::of(&google, &at.member("google"))?.text("thought_signature", at),
        None => Ok(None),
    }
}
