//! The usage chunk: exactly one, with `choices: []`, for a client that asked; none for one that did
//! not.
//!
//! Owns     the edits that make it so where an upstream reports beside choices, on every chunk, or
//!          without choices.
//! Called   by [`super::ChatStream`] for chunks with a `usage` that is not null. These are rare
//!          enough to be scanned once more.
//! Bounded  by the chunk.
//! Fails    with a [`ChunkFault`] for a chunk of more members than are listed.

use bytes::Bytes;

use crate::json::{Cursor, Object};
use crate::openai::chunk::{Choices, ChunkFault};
use crate::splice::Splice;

/// What a usage chunk repeats of the chunk that brought the usage.
const IDENTITY: [&str; 6] = ["id", "object", "created", "model", "system_fingerprint", "service_tier"];

/// A whole frame with the chunk's identity, no choices, and its usage as written.
pub(super) fn of_its_own(chunk: &str) -> Result<Bytes, ChunkFault> {
    let mut members = String::new();
    let mut usage = "null";
    read(chunk, |_, name, raw| {
        if IDENTITY.contains(&name) {
            members.extend(["\"", name, "\":", raw, ","]);
        } else if name == "usage" {
            usage = raw;
        }
    })?;
    // A chunk sent as several data lines has line ends between its tokens; here they would end the
    // frame.
    let data = format!("{{{members}\"choices\":[],\"usage\":{usage}}}").replace('\n', " ");
    Ok(Bytes::from(format!("data: {data}\n\n")))
}

/// Takes the usage out of a chunk that has choices.
pub(super) fn without_usage(chunk: &str, splice: &mut Splice<'_>) -> Result<(), ChunkFault> {
    let mut places = Vec::new();
    let object = read(chunk, |place, name, _| {
        if name == "usage" {
            places.push(place);
        }
    })?;
    splice.edit_members(&object, &places, None);
    Ok(())
}

/// Gives a chunk that only brings usage the empty list of choices it should have.
pub(super) fn with_empty_choices(
    chunk: &str,
    choices: Choices,
    splice: &mut Splice<'_>,
) -> Result<(), ChunkFault> {
    match choices {
        Choices::Empty | Choices::Some => {}
        Choices::Null(span) => splice.replace(span, "[]"),
        Choices::Missing => {
            let object = read(chunk, |_, _, _| {})?;
            splice.edit_members(&object, &[], Some("\"choices\":[]".to_owned()));
        }
    }
    Ok(())
}

/// Lists the chunk's members; `visit` gets place, name and raw value.
fn read<'a>(chunk: &'a str, mut visit: impl FnMut(usize, &str, &'a str)) -> Result<Object, ChunkFault> {
    Object::read(&mut Cursor::new(chunk), |place, key, value| {
        visit(place, &key.name, value.raw);
        Ok(())
    })
}
