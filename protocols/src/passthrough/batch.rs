//! The file of a batch, as it is uploaded: one request a line, which no handler sees when it is made.
//!
//! Owns     what the gateway reads of each line: its model, and what it refers to.
//! Called   by the handler of `POST /v1/files`.
//! Bounded  by the body; one walk over it. Each model is kept once, and [`REFERENCES_MAX`] references.
//! Fails    with a [`BatchFault`] that names the line.

use memchr::memchr;

use super::{boundary, form_field, json_member, members, unambiguous};
use crate::json::Kind;
use crate::openai::RequestFault;
use crate::referenced::{self, REFERENCES_MAX, Reference};

#[cfg(test)]
mod tests;

/// What a batch asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Each model once, with the first line that names it, counted from 1.
    pub models: Vec<(usize, String)>,
    /// What its requests refer to, each once.
    pub references: Vec<Reference>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the batch: {fault}")]
pub struct BatchFault {
    /// Counted from 1; 0 is the form.
    pub line: usize,
    /// What is wrong.
    pub fault: RequestFault,
}

/// The batch that a form uploads; `None` when its purpose is another.
///
/// # Errors
/// What is no form; one that can be read in two ways or has two purposes, or a batch without its file; a line that is no request, or names no model.
pub fn batch(body: &[u8], content_type: &str) -> Result<Option<Batch>, BatchFault> {
    let of_form = |fault| BatchFault { line: 0, fault };
    // Whether what is no form here is one elsewhere nobody can say.
    let no_form = || RequestFault::Member {
        member: "content-type".to_owned(),
        expected: "`multipart/form-data` with one boundary",
    };
    let boundary = boundary(content_type).ok_or_else(|| of_form(no_form()))?;
    unambiguous(body, boundary).map_err(of_form)?;
    let purpose = form_field(body, boundary, "purpose").map_err(of_form)?;
    if purpose.is_some_and(|purpose| purpose.name != "batch") {
        return Ok(None);
    }
    let file = form_field(body, boundary, "file").map_err(of_form)?;
    let file = file.ok_or(of_form(RequestFault::Missing { param: "file" }))?;
    let mut batch = Batch::default();
    let mut rest = file.name.as_bytes();
    let mut number = 0;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest[..end].trim_ascii();
        rest = rest.get(end + 1..).unwrap_or_default();
        number += 1;
        if !line.is_empty() {
            batch.take(number, line).map_err(|fault| BatchFault { line: number, fault })?;
        }
    }
    Ok(Some(batch))
}

impl Batch {
    fn take(&mut self, number: usize, line: &[u8]) -> Result<(), RequestFault> {
        let (mut request, mut times) = (None, 0);
        members(line, |name, value| {
            if name == "body" {
                request = Some(value);
                times += 1;
            }
        })?;
        let request = match request {
            _ if times > 1 => return Err(RequestFault::Duplicate { param: "body" }),
            Some(request) if request.kind == Kind::Object => request.raw.as_bytes(),
            _ => return Err(RequestFault::Missing { param: "body" }),
        };
        let model = json_member(request, "model")?.ok_or(RequestFault::Missing { param: "body.model" })?;
        if self.models.iter().all(|(_, known)| *known != model.name) {
            self.models.push((number, model.name));
        }
        for reference in referenced::references(request)? {
            if !self.references.contains(&reference) {
                self.references.push(reference);
            }
        }
        match self.references.len() > REFERENCES_MAX {
            true => Err(referenced::too_many()),
            false => Ok(()),
        }
    }
}
