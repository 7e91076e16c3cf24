//! countTokens: the same question without an answer.
//!
//! Owns     the two forms of its body, and the count that comes back.
//! Called   by the handler of `:countTokens`.
//! Bounded  as [`super::GenerateRequest`] is.
//! Fails    with a [`RequestFault`] that names the member.

use bytes::Bytes;

use crate::gemini::members::camel;
use crate::gemini::request::{check_contents, whole_object};
use crate::json::{self, Cursor, Kind, Span, Value, quoted};
use crate::openai::RequestFault;
use crate::splice::Splice;

/// A countTokens request as it came: `contents` alone, or a whole `generateContentRequest`.
#[derive(Clone, Debug)]
pub struct CountRequest {
    body: Bytes,
    /// The model that a whole request names, beside the path.
    model: Option<Span>,
    prompt: Span,
}

impl CountRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let text = json::utf8(body)?;
        let whole = whole_object(text)?;
        let mut contents = None;
        let mut request = None;
        visit(text, &whole, |name, value| match name {
            "contents" => check_contents(value).map(|()| contents = Some(value.span)),
            "generateContentRequest" if value.kind == Kind::Object => {
                request = Some(*value);
                Ok(())
            }
            _ => Ok(()),
        })?;
        let mut model = None;
        if let Some(request) = request {
            visit(text, &request, |name, value| {
                if name == "model" {
                    model = Some(value.span);
                }
                Ok(())
            })?;
        }
        let prompt = request.map(|request| request.span).or(contents);
        let prompt = prompt.ok_or(RequestFault::Missing { param: "contents" })?;
        Ok(Self { body: body.clone(), model, prompt })
    }

    /// What is to be counted, as written.
    pub fn prompt(&self) -> &[u8] {
        &self.body[self.prompt.range()]
    }

    /// The body for one target, whose name at its provider a whole request must repeat.
    pub fn rewrite(&self, model: &str) -> Bytes {
        let mut splice = Splice::new(&self.body);
        if let Some(span) = self.model {
            let collection = if model.contains('/') { "" } else { "models/" };
            splice.replace(span, quoted(&format!("{collection}{model}")));
        }
        splice.apply_to(&self.body)
    }
}

/// The answer to a countTokens request.
pub fn render_count(total: u64) -> Bytes {
    Bytes::from(format!("{{\"totalTokens\":{total}}}"))
}

/// Visits the members of an object by their names in camelCase.
fn visit<'a>(
    text: &'a str,
    object: &Value<'_>,
    mut member: impl FnMut(&str, &Value<'a>) -> Result<(), RequestFault>,
) -> Result<(), RequestFault> {
    let mut cursor = Cursor::within(text, object.span);
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        member(&camel(&key.name), &cursor.value()?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CountRequest, RequestFault> {
        CountRequest::read(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn contents_alone_pass_as_they_are() {
        let request = read(r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#).unwrap();
        assert_eq!(request.prompt(), br#"[{"parts":[{"text":"hi"}]}]"#);
        assert_eq!(request.rewrite("m").as_ptr(), request.body.as_ptr());
    }

    #[test]
    fn a_whole_request_names_the_model_of_its_target() {
        let request =
            read(r#"{"generate_content_request":{"model":"models/alias","contents":[1]}}"#).unwrap();
        assert_eq!(request.prompt(), br#"{"model":"models/alias","contents":[1]}"#);
        let expected = r#"{"generate_content_request":{"model":"models/gemini-3-pro","contents":[1]}}"#;
        assert_eq!(request.rewrite("gemini-3-pro"), expected);
        let tuned = expected.replace("models/gemini-3-pro", "tunedModels/mine");
        assert_eq!(request.rewrite("tunedModels/mine"), tuned);
    }

    #[test]
    fn nothing_to_count_is_a_fault() {
        assert_eq!(read("{}").unwrap_err(), RequestFault::Missing { param: "contents" });
        assert_eq!(read("3").unwrap_err(), RequestFault::NotAnObject { found: Kind::Number });
    }

    #[test]
    fn the_answer_is_a_total() {
        assert_eq!(render_count(12), r#"{"totalTokens":12}"#);
    }
}
