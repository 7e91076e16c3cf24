//! Requests that pass as they are but for the model's name: JSON or a form with files.
//!
//! Owns     the search for the name, and its replacement.
//! Called   by the handlers of images, audio, moderations, files and batches.
//! Bounded  by the body; one pass over a form, a scan of JSON.
//! Fails    never: a body without a name that can be found has none.
//!
//! A form is RFC 7578's multipart/form-data: parts between `--BOUNDARY` lines, each with headers and a blank line.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use crate::json::{Cursor, Kind, Value, quoted, utf8};
use crate::usage::{self, Usage};

/// A model's name and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Its bytes in the body, quotes included where it is JSON.
    place: Range<usize>,
    is_json: bool,
}

/// The model that a body names. `content_type` is the request's.
pub fn model(body: &[u8], content_type: &str) -> Option<Named> {
    match boundary(content_type) {
        Some(boundary) => form_field(body, boundary, "model"),
        None => json_member(body, "model"),
    }
}

/// The body with another name in its place.
pub fn renamed(body: &Bytes, named: &Named, model: &str) -> Bytes {
    if named.name == model {
        return body.clone();
    }
    let (Some(before), Some(after)) = (body.get(..named.place.start), body.get(named.place.end..)) else {
        return body.clone();
    };
    let written = if named.is_json { quoted(model) } else { model.to_owned() };
    let mut renamed = BytesMut::with_capacity(body.len() + written.len());
    renamed.extend_from_slice(before);
    renamed.extend_from_slice(written.as_bytes());
    renamed.extend_from_slice(after);
    renamed.freeze()
}

/// The top-level `id` of a JSON answer.
pub fn id(body: &[u8]) -> Option<String> {
    json_member(body, "id").map(|id| id.name)
}

/// The text of a top-level member of a JSON body.
pub fn text_member(body: &[u8], name: &str) -> Option<String> {
    json_member(body, name).map(|member| member.name)
}

/// What an answer says was used, in either of OpenAI's ways of counting; `None` where it says nothing.
pub fn usage(body: &[u8]) -> Option<Usage> {
    let text = utf8(body).ok()?;
    let mut cursor = Cursor::new(text);
    cursor.enter_object().ok()?;
    while let Some(key) = cursor.next_key().ok()? {
        let value = cursor.value().ok()?;
        if key.name == "usage" {
            return usage::from_responses(&value).or_else(|| usage::from_openai(&value));
        }
    }
    None
}

/// A list's `data` with only those elements whose `id` is wanted; `None` for what is no such list.
pub fn filtered(body: &[u8], mut is_wanted: impl FnMut(&str) -> bool) -> Option<Bytes> {
    let text = utf8(body).ok()?;
    let mut cursor = Cursor::new(text);
    cursor.enter_object().ok()?;
    while let Some(key) = cursor.next_key().ok()? {
        if key.name != "data" {
            cursor.value().ok()?;
            continue;
        }
        let start = cursor.position();
        cursor.enter_array().ok()?;
        let mut kept: Vec<Value<'_>> = Vec::new();
        while cursor.next_element().ok()? {
            let element = cursor.value().ok()?;
            if json_member(element.raw.as_bytes(), "id").is_some_and(|id| is_wanted(&id.name)) {
                kept.push(element);
            }
        }
        let data: Vec<&str> = kept.iter().map(|element| element.raw).collect();
        let (before, after) = (text.get(..start)?, text.get(cursor.position()..)?);
        return Some(format!("{before}[{}]{after}", data.join(",")).into());
    }
    None
}

fn json_member(body: &[u8], name: &str) -> Option<Named> {
    let mut cursor = Cursor::new(utf8(body).ok()?);
    cursor.enter_object().ok()?;
    while let Some(key) = cursor.next_key().ok()? {
        let value = cursor.value().ok()?;
        if key.name == name && value.kind == Kind::String {
            let name = value.as_text()?.into_owned();
            return Some(Named { name, place: value.span.range(), is_json: true });
        }
    }
    None
}

/// The boundary of a form's content type.
fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_boundary = name.trim().eq_ignore_ascii_case("boundary");
        is_boundary.then(|| value.trim().trim_matches('"')).filter(|value| !value.is_empty())
    })
}

/// The value of a form's text field.
fn form_field(body: &[u8], boundary: &str, wanted: &str) -> Option<Named> {
    let delimiter = format!("--{boundary}");
    let mut starts = memmem::find_iter(body, delimiter.as_bytes()).map(|at| at + delimiter.len());
    let mut start = starts.next()?;
    for next in starts {
        let part = start..next.saturating_sub(delimiter.len());
        start = next;
        let Some(blank) = memmem::find(body.get(part.clone())?, b"\r\n\r\n") else { continue };
        let headers = String::from_utf8_lossy(body.get(part.start..part.start + blank)?);
        let is_wanted = headers.lines().any(|line| {
            let (name, value) = line.split_once(':').unwrap_or_default();
            name.trim().eq_ignore_ascii_case("content-disposition")
                && value.split(';').any(|parameter| {
                    parameter
                        .trim()
                        .strip_prefix("name=")
                        .is_some_and(|name| name.trim_matches('"') == wanted)
                })
        });
        if is_wanted {
            let place = part.start + blank + 4..part.end.saturating_sub(2);
            let name = std::str::from_utf8(body.get(place.clone())?).ok()?.to_owned();
            return Some(Named { name, place, is_json: false });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=\"xyz\"";

    fn form(model: &str) -> Bytes {
        format!(
            "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--xyz\r\n\
             content-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--xyz--\r\n"
        )
        .into()
    }

    #[test]
    fn a_model_is_found_in_json_and_in_a_form_and_only_its_name_is_changed() {
        let json = Bytes::from(r#"{"a": [1, {"model": "no"}], "model" : "whisper-1", "n":1}"#);
        let named = model(&json, "application/json").unwrap();
        assert_eq!(named.name, "whisper-1");
        let expected = r#"{"a": [1, {"model": "no"}], "model" : "other", "n":1}"#;
        assert_eq!(renamed(&json, &named, "other"), expected);
        let named = model(&form("openai/whisper-1"), FORM).unwrap();
        assert_eq!(named.name, "openai/whisper-1");
        assert_eq!(renamed(&form("openai/whisper-1"), &named, "whisper-1"), form("whisper-1"));
    }

    #[test]
    fn a_body_without_a_model_has_none_and_nothing_panics() {
        for body in ["", "{", "[]", "{\"model\": 7}", "--xyz", "--xyz\r\n--xyz--", "--xyz\r\n\r\n\r\n--xyz--"]
        {
            assert_eq!(model(body.as_bytes(), "application/json"), None);
            assert_eq!(model(body.as_bytes(), FORM), None);
        }
        let whole = form("m");
        for cut in 0..whole.len() {
            let _ = model(&whole[..cut], FORM);
        }
    }

    #[test]
    fn a_list_shows_only_what_is_wanted_and_keeps_the_rest_of_its_bytes() {
        let list =
            r#"{"object":"list", "data": [ {"id":"a","n":1.0}, {"id":"b"} ,{"x":1}], "has_more":false}"#;
        let expected = r#"{"object":"list", "data":[{"id":"a","n":1.0}], "has_more":false}"#;
        assert_eq!(filtered(list.as_bytes(), |id| id == "a").unwrap(), expected);
        assert_eq!(filtered(b"{}", |_| true), None);
    }

    #[test]
    fn an_answers_id_is_its_own_and_not_a_nested_one() {
        assert_eq!(id(br#"{"data":{"id":"no"},"id":"file-1"}"#).as_deref(), Some("file-1"));
        assert_eq!(id(b"not json"), None);
    }
}
