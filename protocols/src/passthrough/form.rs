//! A form as a request's body: RFC 7578's multipart/form-data, parts between `--BOUNDARY` lines, each with headers and a
//! blank line.
//!
//! Owns     the reading of its parts and their names.
//! Called   by what reads requests that pass as they are.
//! Bounded  by the body; one search for the boundary, and one for each part's blank line.
//! Fails    with [`RequestFault::Member`] where other readers may find other parts or names, with
//!          [`RequestFault::Duplicate`] for a field that comes twice.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::Named;
use crate::estimate;
use crate::openai::RequestFault;

#[cfg(test)]
mod tests;

/// The most tokens that a form is taken to be: its texts as text, its files by their kind and size.
pub fn form_tokens(body: &[u8], content_type: &str) -> u64 {
    let Some(boundary) = boundary(content_type) else { return 0 };
    let tokens = parts(body, boundary).flatten().map(|part| {
        let content = body.get(part.place.clone()).unwrap_or_default();
        match (part.is_file(), std::str::from_utf8(content)) {
            (false, Ok(text)) => estimate::text_tokens(text),
            _ => estimate::file_tokens(content),
        }
    });
    tokens.fold(0, u64::saturating_add)
}

/// The boundary of a form's content type.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut boundaries = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    // Of two nobody knows which one another reader takes.
    let boundary = boundaries.next().filter(|boundary| !boundary.is_empty())?;
    boundaries.next().is_none().then_some(boundary)
}

/// The value of a form's text field.
pub(super) fn form_field(
    body: &[u8],
    boundary: &str,
    wanted: &'static str,
) -> Result<Option<Named>, RequestFault> {
    let mut fields = form_fields(body, boundary, wanted).unwrap_or_default();
    match fields.len() {
        0 | 1 => Ok(fields.pop()),
        _ => Err(RequestFault::Duplicate { param: wanted }),
    }
}

/// All fields of that name; none in what is no form.
pub(super) fn form_fields(body: &[u8], boundary: &str, wanted: &str) -> Option<Vec<Named>> {
    let mut fields = Vec::new();
    for part in parts(body, boundary).flatten().filter(|part| part.is_field(wanted)) {
        let name = std::str::from_utf8(body.get(part.place.clone())?).ok()?.to_owned();
        fields.push(Named { name, place: part.place, is_json: false });
    }
    Some(fields)
}

/// Looks that every reader of a form finds the same parts and the same names: one that reads it otherwise than this might
/// find another model, or lines of a batch that nobody has looked at.
///
/// # Errors
/// [`RequestFault::Member`] for a form that can be read in two ways.
pub(super) fn unambiguous(body: &[u8], boundary: &str) -> Result<(), RequestFault> {
    let delimiter = format!("--{boundary}");
    let is_delimiter = |at: usize| {
        let before = body.get(..at).unwrap_or_default();
        let after = body.get(at + delimiter.len()..).unwrap_or_default();
        (before.is_empty() || before.ends_with(b"\r\n"))
            && (after.starts_with(b"\r\n") || after.starts_with(b"--"))
    };
    let is_plain = |part: Option<Part<'_>>| part.is_some_and(|part| part.has_plain_name());
    match memmem::find_iter(body, delimiter.as_bytes()).all(is_delimiter)
        && parts(body, boundary).all(is_plain)
    {
        true => Ok(()),
        false => Err(RequestFault::Member {
            member: "the form".to_owned(),
            expected: "parts between its boundary's lines, each with one `Content-Disposition` and one plain `name`",
        }),
    }
}

/// One part of a form.
struct Part<'a> {
    headers: Cow<'a, str>,
    /// Its content's bytes in the body.
    place: Range<usize>,
}

impl Part<'_> {
    /// The parameters of its dispositions, as they are written.
    fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let dispositions = self.headers.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        });
        dispositions.flat_map(|value| value.split(';')).filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            Some((name.trim(), value.trim()))
        })
    }

    fn is_field(&self, wanted: &str) -> bool {
        let mut names = self.parameters().filter(|(name, _)| name.eq_ignore_ascii_case("name"));
        names.any(|(_, value)| value.trim_matches('"') == wanted)
    }

    fn is_file(&self) -> bool {
        self.parameters().any(|(name, _)| name.eq_ignore_ascii_case("filename"))
    }

    /// Whether its name can be read in one way only: no second one, no continued line, no escape.
    fn has_plain_name(&self) -> bool {
        let mut names =
            self.parameters().filter(|(name, _)| name.trim_end_matches('*').eq_ignore_ascii_case("name"));
        let is_plain = |(name, value): (&str, &str)| !name.ends_with('*') && !value.contains(['\\', '%']);
        names.next().is_some_and(is_plain)
            && names.next().is_none()
            && !self.headers.lines().any(|line| line.starts_with([' ', '\t']))
    }
}

/// The parts of a form; none in what is no form. `None` is one without headers.
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = Option<Part<'a>>> {
    let delimiter = format!("--{boundary}");
    let places: Vec<usize> = memmem::find_iter(body, delimiter.as_bytes()).collect();
    let length = delimiter.len();
    (1..places.len()).map(move |next| {
        let (start, end) = (places.get(next - 1)? + length, *places.get(next)?);
        let blank = memmem::find(body.get(start..end)?, b"\r\n\r\n")?;
        // What follows the boundary on its line is no header.
        let headers = body.get(start..start + blank)?;
        let headers = String::from_utf8_lossy(headers.strip_prefix(b"\r\n").unwrap_or(headers));
        Some(Part { headers, place: start + blank + 4..end.saturating_sub(2) })
    })
}
