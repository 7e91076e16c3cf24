//! Requests that pass as they are but for the model's name: JSON or a form with files.
//!
//! Owns     the search for the name, and its replacement.
//! Called   by the handlers of images, audio, moderations, files and batches.
//! Bounded  by the body; one pass over a form, a scan of JSON.
//! Fails    with [`RequestFault::Duplicate`] for a name that comes twice: readers disagree on which one counts. A body
//!          without a name that can be found has none.
//!
//! Forms are read by `form.rs`.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::body::answer_in;
use crate::event::AnswerFault;
use crate::json::{Cursor, JsonFault, Kind, Span, Value, quoted, utf8};
use crate::openai::RequestFault;
use crate::splice::Splice;
use crate::usage::{self, Usage};

pub use batch::{Batch, BatchFault, batch};
pub use form::form_tokens;
use form::{boundary, form_field, form_fields, unambiguous};

mod batch;
mod form;

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
/// [`RequestFault::Duplicate`] when it names two; [`RequestFault::Member`] for a form that can be read in two ways.
pub fn model(body: &[u8], content_type: &str) -> Result<Option<Named>, RequestFault> {
    match boundary(content_type) {
        Some(boundary) => {
            unambiguous(body, boundary)?;
            form_field(body, boundary, "model")
        }
        None => json_member(body, "model"),
    }
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

#[cfg(test)]
mod tests;
