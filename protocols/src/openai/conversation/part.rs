//! The parts of a chat message's content, and what stands beside it for other vendors' sake.
//!
//! Owns     the forms of text, pictures, sound and files, and the two extensions that carry thoughts: `reasoning_details`
//!          as OpenRouter defines it, and Gemini's signature in `extra_content`.
//! Called   by the reader of messages.
//! Bounded  by the body.
//! Fails    with a [`RequestFault`] that names the part.

use std::borrow::Cow;

use super::{elements, extra, members, require, text};
use crate::conversation::{Content, Extra, Part, Source};
use crate::json::{Kind, Value};
use crate::openai::RequestFault;
use crate::path::Path;

/// The parts of `content`: a string, a list of parts, or null. Blank text is left out, for some upstreams refuse it
/// and no model reads anything in it; parts of unknown sorts become extras.
pub(super) fn parts<'a>(
    at: &Path<'_>,
    content: &Value<'a>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Vec<Part<'a>>, RequestFault> {
    let mut parts = Vec::new();
    match content.kind {
        Kind::Null => {}
        Kind::String => push_text(&mut parts, text(at, content)?, None),
        Kind::Array => elements(content, |index, part| {
            let at = at.element(index);
            require(&at, &part, Kind::Object)?;
            if !read_part(&at, &part, &mut parts, extras)? {
                extras.push(extra(&at, &part));
            }
            Ok(())
        })?,
        _ => return Err(at.expected("a string or an array of parts")),
    }
    Ok(parts)
}

/// The sorts of parts that have a place in the neutral form.
const SORTS: [&str; 5] = ["text", "refusal", "image_url", "input_audio", "file"];

/// Whether it was a part of a known sort, which is in `parts` then.
fn read_part<'a>(
    at: &Path<'_>,
    part: &Value<'a>,
    parts: &mut Vec<Part<'a>>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<bool, RequestFault> {
    let (mut sort, mut cache_control, mut others) = (None, None, Vec::new());
    members(part, |name, value| {
        match name {
            "type" => sort = Some(text(&at.member(name), &value)?),
            "cache_control" if value.kind != Kind::Null => cache_control = Some(value.raw.into()),
            // Sources that an earlier answer gave beside its text.
            "annotations" | "citations" => {}
            _ if value.is_blank() => {}
            _ => others.push((name.to_owned(), value)),
        }
        Ok(())
    })?;
    let sort = sort.ok_or_else(|| at.member("type").expected("a string"))?;
    let is_known = SORTS.contains(&&*sort);
    let others = others.iter().filter(|(name, _)| is_known && *name != sort);
    extras.extend(others.map(|(name, value)| extra(&at.member(name), value)));
    let at = at.member(&sort);
    let given = || named_like_its_sort(&at, part, &sort);
    let content = match &*sort {
        "text" => {
            push_text(parts, text(&at, &given()?)?, cache_control);
            return Ok(true);
        }
        "refusal" => Content::Refusal(text(&at, &given()?)?),
        "image_url" => image(&at, &given()?, extras)?,
        "input_audio" => sound(&at, &given()?, extras)?,
        "file" => file(&at, &given()?, extras)?,
        _ => return Ok(false),
    };
    parts.push(Part { content, cache_control });
    Ok(true)
}

/// The member that says what the part's sort promises, and is called like it.
fn named_like_its_sort<'a>(at: &Path<'_>, part: &Value<'a>, sort: &str) -> Result<Value<'a>, RequestFault> {
    let mut found = None;
    members(part, |name, value| {
        if name == sort {
            found = Some(value);
        }
        Ok(())
    })?;
    found.ok_or_else(|| at.expected("what `type` names"))
}

fn push_text<'a>(parts: &mut Vec<Part<'a>>, text: Cow<'a, str>, cache_control: Option<Cow<'a, str>>) {
    if !text.trim().is_empty() {
        parts.push(Part { content: Content::Text(text), cache_control });
    }
}

/// `{"url": …, "detail": …}`; some clients write the address alone.
fn image<'a>(
    at: &Path<'_>,
    value: &Value<'a>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Content<'a>, RequestFault> {
    let mut url = value.as_text();
    let mut detail = None;
    members(value, |name, value| {
        match name {
            "url" => url = Some(text(&at.member(name), &value)?),
            "detail" => detail = value.as_text(),
            _ if value.is_blank() => {}
            _ => extras.push(extra(&at.member(name), &value)),
        }
        Ok(())
    })?;
    let at = at.member("url");
    let url = url.ok_or_else(|| at.expected("a string"))?;
    let source = match url.starts_with("data:") {
        true => data_url(url).ok_or_else(|| at.expected("an address, or a data URL in base64"))?,
        false => Source::Url(url),
    };
    Ok(Content::Image { source, detail })
}

/// `{"data": base64, "format": "wav" or "mp3"}`.
fn sound<'a>(
    at: &Path<'_>,
    value: &Value<'a>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Content<'a>, RequestFault> {
    let (mut data, mut format) = (None, None);
    members(value, |name, value| {
        match name {
            "data" => data = Some(text(&at.member(name), &value)?),
            "format" => format = Some(text(&at.member(name), &value)?),
            _ if value.is_blank() => {}
            _ => extras.push(extra(&at.member(name), &value)),
        }
        Ok(())
    })?;
    let data = data.ok_or_else(|| at.member("data").expected("a string"))?;
    let format = format.ok_or_else(|| at.member("format").expected("a string"))?;
    let media_type = format!("audio/{format}").into();
    Ok(Content::Audio { source: Source::Base64 { media_type, data } })
}

/// `{"file_data": data URL or base64, "filename": …}` or `{"file_id": …}`.
fn file<'a>(
    at: &Path<'_>,
    value: &Value<'a>,
    extras: &mut Vec<Extra<'a>>,
) -> Result<Content<'a>, RequestFault> {
    let (mut data, mut id, mut name) = (None, None, None);
    members(value, |member, value| {
        if value.kind != Kind::Null {
            match member {
                "file_data" => data = Some(text(&at.member(member), &value)?),
                "file_id" => id = Some(text(&at.member(member), &value)?),
                "filename" => name = Some(text(&at.member(member), &value)?),
                // The media type, which the data's own address says as well.
                "format" => {}
                _ if value.is_blank() => {}
                _ => extras.push(extra(&at.member(member), &value)),
            }
        }
        Ok(())
    })?;
    let source = match (data, id) {
        (Some(data), _) if data.starts_with("data:") => data_url(data)
            .ok_or_else(|| at.member("file_data").expected("base64, or a data URL in base64"))?,
        // What is sent without its type is a PDF, the one type that the API defines.
        (Some(data), _) => Source::Base64 { media_type: "application/pdf".into(), data },
        (None, Some(id)) => Source::FileId(id),
        (None, None) => return Err(at.expected("`file_data` or `file_id`")),
    };
    Ok(Content::Document { source, name })
}

/// The bytes in a data URL (RFC 2397) in base64; `None` for one in another form. Parameters of the media type are
/// left out.
pub(crate) fn data_url(url: Cow<'_, str>) -> Option<Source<'_>> {
    let (head, _) = url.split_once(',')?;
    let described = head.strip_prefix("data:")?.strip_suffix(";base64")?;
    let media_type = described.split(';').next().unwrap_or_default();
    let (type_from, type_to) = ("data:".len(), "data:".len() + media_type.len());
    let data_from = head.len() + 1;
    Some(match url {
        Cow::Borrowed(url) => Source::Base64 {
            media_type: url.get(type_from..type_to)?.into(),
            data: url.get(data_from..)?.into(),
        },
        Cow::Owned(mut url) => {
            let media_type = url.get(type_from..type_to)?.to_owned().into();
            url.drain(..data_from);
            Source::Base64 { media_type, data: url.into() }
        }
    })
}

/// `{"google": {"thought_signature": …}}`: what Gemini's own compatible surface writes beside a call.
pub(super) fn thought_signature<'a>(extra_content: &Value<'a>) -> Result<Option<Cow<'a, str>>, RequestFault> {
    let mut signature = None;
    members(extra_content, |name, value| match name {
        "google" => members(&value, |name, value| {
            if name == "thought_signature" {
                signature = value.as_text();
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    Ok(signature)
}

/// The thoughts in `reasoning_details`: pieces of one thought, which have the same `index`, joined; the signature
/// comes with any of them.
pub(super) fn thoughts<'a>(details: &Value<'a>) -> Result<Vec<Part<'a>>, RequestFault> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut index_before = None;
    elements(details, |_, detail| {
        let (mut sort, mut index) = (None, None);
        let (mut thought, mut data, mut signed) = (Cow::Borrowed(""), None, None);
        members(&detail, |name, value| {
            match name {
                "type" => sort = value.as_text(),
                "index" => index = value.as_u64(),
                "text" | "summary" => thought = value.as_text().unwrap_or_default(),
                "data" => data = value.as_text(),
                "signature" => signed = value.as_text(),
                _ => {}
            }
            Ok(())
        })?;
        let goes_on = index.is_some() && index == index_before;
        index_before = index;
        match (sort.as_deref(), data, parts.last_mut().map(|part| &mut part.content)) {
            (Some("reasoning.encrypted"), Some(data), _) => {
                parts.push(Content::RedactedThinking { data }.into());
            }
            (Some("reasoning.text"), _, Some(Content::Thinking { text, signature })) if goes_on => {
                text.to_mut().push_str(&thought);
                *signature = signed.or(signature.take());
            }
            (Some("reasoning.text" | "reasoning.summary"), ..) => {
                parts.push(Content::Thinking { text: thought, signature: signed }.into());
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(parts)
}
