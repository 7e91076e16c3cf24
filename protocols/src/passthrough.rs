//! Requests that pass as they are but for the model's name: JSON or a form with files.
//!
//! Owns     the search for the name, and its replacement.
//! Called   by the handlers of images, audio, moderations, files and batches.
//! Bounded  by the body; one pass over a form, a scan of JSON.
//! Fails    with [`RequestFault::Duplicate`] for a name that comes twice: readers disagree on which one counts. A body
//!          without a name that can be found has none.
//!
//! A form is RFC 7578's multipart/form-data: parts between `--BOUNDARY` lines, each with headers and a blank line.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use crate::body::answer_in;
use crate::estimate;
use crate::event::AnswerFault;
use crate::json::{Cursor, JsonFault, Kind, Span, Value, quoted, utf8};
use crate::openai::RequestFault;
use crate::splice::Splice;
use crate::usage::{self, Usage};

pub use batch::{Batch, BatchFault, batch};

mod batch;

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
///
/// # Errors
/// [`RequestFault::Duplicate`] when it names two.
pub fn model(body: &[u8], content_type: &str) -> Result<Option<Named>, RequestFault> {
    match boundary(content_type) {
        Some(boundary) => form_field(body, boundary, "model"),
        None => json_member(body, "model"),
    }
}

/// The most tokens that a form is taken to be: its texts as text, its files by their kind and size.
pub fn form_tokens(body: &[u8], content_type: &str) -> u64 {
    let Some(boundary) = boundary(content_type) else { return 0 };
    let tokens = parts(body, boundary).map(|part| {
        let content = body.get(part.place.clone()).unwrap_or_default();
        match (part.parameter("filename"), std::str::from_utf8(content)) {
            (None, Ok(text)) => estimate::text_tokens(text),
            _ => estimate::file_tokens(content),
        }
    });
    tokens.fold(0, u64::saturating_add)
}

/// How many answers a body asks for with `n`: of several the highest, and 1 where it is no number.
pub fn answers(body: &[u8], content_type: &str) -> u64 {
    let mut asked = Vec::new();
    match boundary(content_type) {
        Some(boundary) => {
            let fields = form_fields(body, boundary, "n").unwrap_or_default();
            asked.extend(fields.into_iter().map(|field| field.name));
        }
        None => {
            // What is no JSON has no model either, and is refused.
            let _ = members(body, |name, value| {
                if name == "n" {
                    // Some upstreams take a number in quotes.
                    asked
                        .push(value.as_text().map_or_else(|| value.raw.to_owned(), |text| text.into_owned()));
                }
            });
        }
    }
    let numbers = asked.iter().filter_map(|number| number.trim().parse::<f64>().ok());
    // A float's cast stops at the ends of the integer.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are meant")]
    numbers.map(|number| number.ceil() as u64).fold(1, u64::max)
}

/// Whether a body of this content type is read as a form.
pub fn is_form(content_type: &str) -> bool {
    boundary(content_type).is_some()
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
    text_member(body, "id").ok().flatten()
}

/// The text of a top-level member of a JSON body.
///
/// # Errors
/// [`RequestFault::Duplicate`] when it is there twice.
pub fn text_member(body: &[u8], name: &'static str) -> Result<Option<String>, RequestFault> {
    Ok(json_member(body, name)?.map(|member| member.name))
}

/// The file that a new batch works on.
///
/// # Errors
/// For a body in which it cannot be found: an upstream that reads more forgivingly than this might find another client's.
pub fn input_file(body: &[u8]) -> Result<String, RequestFault> {
    const PARAM: &str = "input_file_id";
    let mut files = Vec::new();
    members(body, |name, value| {
        if name == PARAM {
            files.push(value);
        }
    })?;
    match files.as_slice() {
        [file] => {
            let wrong = RequestFault::WrongType { param: PARAM, found: file.kind, expected: "a string" };
            file.as_text().map(|name| name.into_owned()).ok_or(wrong)
        }
        [] => Err(RequestFault::Missing { param: PARAM }),
        _ => Err(RequestFault::Duplicate { param: PARAM }),
    }
}

/// The files that a batch has written, or each batch of a list.
pub fn files_written(body: &[u8]) -> Vec<String> {
    let of_one = |batch: &[u8]| {
        let names = ["output_file_id", "error_file_id"];
        names.into_iter().filter_map(|name| text_member(batch, name).ok().flatten()).collect::<Vec<_>>()
    };
    let mut files = of_one(body);
    if let Some(list) = List::read(body) {
        files.extend(list.elements.iter().flat_map(|batch| of_one(batch.raw.as_bytes())));
    }
    files
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

/// Whether a list goes on behind this page, and behind which id.
pub fn next_page(body: &[u8]) -> Option<String> {
    let list = List::read(body)?;
    let last = list.elements.last().and_then(|element| id(element.raw.as_bytes()));
    last.filter(|_| list.has_more)
}

/// The ids of a list's elements, as far as they have one.
///
/// # Errors
/// [`AnswerFault`] for what is no list: nobody can say what of it may be shown.
pub fn ids(body: &[u8]) -> Result<Vec<String>, AnswerFault> {
    let list = List::read(body).ok_or_else(|| no_list(body))?;
    Ok(list.elements.iter().filter_map(|element| id(element.raw.as_bytes())).collect())
}

/// Why an answer is no list.
fn no_list(body: &[u8]) -> AnswerFault {
    match answer_in(body) {
        Ok(_) => AnswerFault::NoList,
        Err(fault) => fault,
    }
}

/// A list's `data` with only those elements whose `id` is wanted, and its `first_id` and `last_id` after them; `None` for
/// what is no such list.
pub fn filtered(body: &[u8], is_wanted: impl Fn(&str) -> bool) -> Option<Bytes> {
    let list = List::read(body)?;
    let kept = list.elements.iter().filter_map(|element| {
        let id = id(element.raw.as_bytes()).filter(|id| is_wanted(id))?;
        Some((id, element.raw))
    });
    let kept: Vec<(String, &str)> = kept.collect();
    let data: Vec<&str> = kept.iter().map(|(_, raw)| *raw).collect();
    let mut splice = Splice::new(body);
    splice.replace(list.data, format!("[{}]", data.join(",")));
    for (place, of) in [(list.first_id, kept.first()), (list.last_id, kept.last())] {
        if let Some(place) = place {
            splice.replace(place, of.map_or_else(|| "null".to_owned(), |(id, _)| quoted(id)));
        }
    }
    Some(splice.apply().into())
}

/// A page of a list.
struct List<'a> {
    data: Span,
    elements: Vec<Value<'a>>,
    first_id: Option<Span>,
    last_id: Option<Span>,
    has_more: bool,
}

impl<'a> List<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let (mut data, mut times, mut first_id, mut last_id, mut has_more) = (None, 0, None, None, false);
        let walked = members(body, |name, value| match name {
            "data" => {
                data = Some(value);
                times += 1;
            }
            "first_id" => first_id = Some(value.span),
            "last_id" => last_id = Some(value.span),
            "has_more" => has_more = value.as_bool() == Some(true),
            _ => {}
        });
        walked.ok()?;
        // Of two, only one would be filtered.
        let data = data.filter(|data| times == 1 && data.kind == Kind::Array)?;
        let mut cursor = Cursor::new(data.raw);
        cursor.enter_array().ok()?;
        let mut elements = Vec::new();
        while cursor.next_element().ok()? {
            elements.push(cursor.value().ok()?);
        }
        Some(Self { data: data.span, elements, first_id, last_id, has_more })
    }
}

/// A text that is a top-level member; none in what is no JSON object.
fn json_member(body: &[u8], wanted: &'static str) -> Result<Option<Named>, RequestFault> {
    let (mut found, mut times) = (None, 0);
    let walked = members(body, |name, value| {
        if name == wanted {
            found = Some(value);
            times += 1;
        }
    });
    match (walked, found) {
        (Ok(()), _) if times > 1 => Err(RequestFault::Duplicate { param: wanted }),
        (Ok(()), Some(value)) => Ok(value.as_text().map(|name| Named {
            name: name.into_owned(),
            place: value.span.range(),
            is_json: true,
        })),
        _ => Ok(None),
    }
}

/// Visits the top-level members of a JSON object.
fn members<'a>(body: &'a [u8], mut visit: impl FnMut(&str, Value<'a>)) -> Result<(), JsonFault> {
    let mut cursor = Cursor::new(utf8(body)?);
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        let value = cursor.value()?;
        visit(&key.name, value);
    }
    cursor.finish()
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
fn form_field(body: &[u8], boundary: &str, wanted: &'static str) -> Result<Option<Named>, RequestFault> {
    let mut fields = form_fields(body, boundary, wanted).unwrap_or_default();
    match fields.len() {
        0 | 1 => Ok(fields.pop()),
        _ => Err(RequestFault::Duplicate { param: wanted }),
    }
}

/// All fields of that name; none in what is no form.
fn form_fields(body: &[u8], boundary: &str, wanted: &str) -> Option<Vec<Named>> {
    let mut fields = Vec::new();
    for part in parts(body, boundary).filter(|part| part.parameter("name").as_deref() == Some(wanted)) {
        let name = std::str::from_utf8(body.get(part.place.clone())?).ok()?.to_owned();
        fields.push(Named { name, place: part.place, is_json: false });
    }
    Some(fields)
}

/// One part of a form.
struct Part<'a> {
    headers: Cow<'a, str>,
    /// Its content's bytes in the body.
    place: Range<usize>,
}

impl Part<'_> {
    /// A parameter of its disposition.
    fn parameter(&self, wanted: &str) -> Option<String> {
        self.headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_disposition = name.trim().eq_ignore_ascii_case("content-disposition");
            value.split(';').filter(|_| is_disposition).find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
                is_wanted.then(|| value.trim().trim_matches('"').to_owned())
            })
        })
    }
}

/// The parts of a form, as far as they have headers; none in what is no form.
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = Part<'a>> {
    let delimiter = format!("--{boundary}");
    let places: Vec<usize> = memmem::find_iter(body, delimiter.as_bytes()).collect();
    let length = delimiter.len();
    (1..places.len()).filter_map(move |next| {
        let (start, end) = (places.get(next - 1)? + length, *places.get(next)?);
        let blank = memmem::find(body.get(start..end)?, b"\r\n\r\n")?;
        let headers = String::from_utf8_lossy(body.get(start..start + blank)?);
        Some(Part { headers, place: start + blank + 4..end.saturating_sub(2) })
    })
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
        let named = model(&json, "application/json").unwrap().unwrap();
        assert_eq!(named.name, "whisper-1");
        let expected = r#"{"a": [1, {"model": "no"}], "model" : "other", "n":1}"#;
        assert_eq!(renamed(&json, &named, "other"), expected);
        let named = model(&form("openai/whisper-1"), FORM).unwrap().unwrap();
        assert_eq!(named.name, "openai/whisper-1");
        assert_eq!(renamed(&form("openai/whisper-1"), &named, "whisper-1"), form("whisper-1"));
    }

    #[test]
    fn a_body_without_a_model_has_none_and_nothing_panics() {
        for body in ["", "{", "[]", "{\"model\": 7}", "--xyz", "--xyz\r\n--xyz--", "--xyz\r\n\r\n\r\n--xyz--"]
        {
            assert_eq!(model(body.as_bytes(), "application/json"), Ok(None));
            assert_eq!(model(body.as_bytes(), FORM), Ok(None));
        }
        let whole = form("m");
        for cut in 0..whole.len() {
            let _ = model(&whole[..cut], FORM);
        }
    }

    #[test]
    fn a_name_that_comes_twice_is_refused() {
        let twice = Err(RequestFault::Duplicate { param: "model" });
        for body in [r#"{"model":"a","model":"a"}"#, r#"{"model":7,"x":1,"mod\u0065l":"b"}"#] {
            assert_eq!(model(body.as_bytes(), "application/json"), twice);
        }
        let field = |head: &str| format!("--xyz\r\n{head}\r\n\r\nm\r\n");
        let form = [
            field("Content-Disposition: form-data; name=\"model\""),
            field("content-disposition: form-data; NAME=model"),
            "--xyz--\r\n".to_owned(),
        ];
        assert_eq!(model(form.concat().as_bytes(), FORM), twice);
        let file = br#"{"input_file_id":"mine","input_file_id":"theirs"}"#;
        assert!(text_member(file, "input_file_id").is_err());
        assert_eq!(input_file(file), Err(RequestFault::Duplicate { param: "input_file_id" }));
    }

    #[test]
    fn the_files_of_batches_are_found_in_one_and_in_a_list() {
        let one = br#"{"id":"batch_1","output_file_id":"file-1","error_file_id":null}"#;
        assert_eq!(files_written(one), ["file-1"]);
        let list = br#"{"data":[{"output_file_id":"file-1"},{"error_file_id":"file-2"},{"id":"file-3"}]}"#;
        assert_eq!(files_written(list), ["file-1", "file-2"]);
    }

    #[test]
    fn a_list_shows_only_what_is_wanted_and_keeps_the_rest_of_its_bytes() {
        let list = r#"{"object":"list", "data": [ {"id":"a","n":1.0}, {"id":"b"} ,{"x":1}], "first_id":"c", "last_id": "b", "has_more":false}"#;
        let expected = r#"{"object":"list", "data": [{"id":"a","n":1.0}], "first_id":"a", "last_id": "a", "has_more":false}"#;
        assert_eq!(filtered(list.as_bytes(), |id| id == "a").unwrap(), expected);
        let nothing = r#"{"object":"list", "data": [], "first_id":null, "last_id": null, "has_more":false}"#;
        assert_eq!(filtered(list.as_bytes(), |_| false).unwrap(), nothing);
        assert_eq!(ids(list.as_bytes()).unwrap(), ["a", "b"]);
        assert_eq!(next_page(list.as_bytes()), None);
        let more = br#"{"data":[{"id":"a"},{"id":"b"}],"has_more":true}"#;
        assert_eq!(next_page(more).as_deref(), Some("b"));
    }

    #[test]
    fn a_form_is_as_much_as_its_texts_and_files() {
        let part = |head: &str, content: &[u8]| {
            [format!("--xyz\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(), content, b"\r\n"]
                .concat()
        };
        let form = |parts: &[Vec<u8>]| [parts.concat().as_slice(), b"--xyz--\r\n"].concat();
        let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[0xff; 100]].concat();
        let text = part("name=\"prompt\"", b"a cat");
        let picture = part("name=\"image\"; filename=\"a.png\"", &png);
        let sound = part("name=\"file\"; filename=\"a.mp3\"", &[0xff; 6_200]);
        let of = |parts: &[Vec<u8>]| form_tokens(&form(parts), FORM);
        let words = of(std::slice::from_ref(&text));
        assert!((1..20).contains(&words), "{words}");
        assert_eq!(of(&[text.clone(), picture.clone(), picture]), words + 30_000);
        assert_eq!(of(&[text, sound]), words + 100);
        assert_eq!(form_tokens(b"x", "application/json"), 0);
    }

    #[test]
    fn the_answers_that_are_asked_for_are_counted_however_they_are_written() {
        for (n, expected) in
            [("4", 4), ("\"4\"", 4), ("3.5", 4), ("1e1", 10), ("null", 1), ("-2", 1), ("0", 1)]
        {
            assert_eq!(answers(format!("{{\"n\":{n}}}").as_bytes(), "application/json"), expected, "{n}");
        }
        assert_eq!(answers(br#"{"n":2,"n":9}"#, "application/json"), 9);
        assert_eq!(answers(b"{}", "application/json"), 1);
        let form = "--xyz\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n5\r\n--xyz--\r\n";
        assert_eq!(answers(form.as_bytes(), FORM), 5);
    }

    #[test]
    fn what_is_no_list_shows_nothing() {
        let no_list = [
            "{}",
            "{\"data\":null}",
            "{\"data\":{\"id\":\"a\"}}",
            "{\"data\":[{\"id\":\"a\"}],\"d\\u0061ta\":[{\"id\":\"b\"}]}",
            "[{\"id\":\"a\"}]",
            "{\"data\":[{\"id\":\"a\"}]",
            "{\"data\":[]} {\"data\":[]}",
            "a, b",
            "",
        ];
        for body in no_list {
            assert!(ids(body.as_bytes()).is_err(), "{body}");
            assert_eq!(filtered(body.as_bytes(), |_| true), None, "{body}");
        }
    }

    #[test]
    fn an_answers_id_is_its_own_and_not_a_nested_one() {
        assert_eq!(id(br#"{"data":{"id":"no"},"id":"file-1"}"#).as_deref(), Some("file-1"));
        assert_eq!(id(b"not json"), None);
    }
}
