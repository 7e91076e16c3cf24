//! JSON written by hand, so that a number or a schema goes out in the very digits it came in.
//!
//! Owns     the text and its commas.
//! Called   by the writers of requests, answers and events.
//! Bounded  by what is written.
//! Fails    never. What is written raw must be one JSON value; readers hand out only such.

use super::quote_into;

#[cfg(test)]
mod tests;

/// A JSON text that grows.
///
/// ```
/// use gateway_protocols::json::Writer;
///
/// let mut json = Writer::new();
/// json.object(|json| {
///     json.key("model").text("m");
///     json.key("stop").array(|json| json.text("\n"));
///     json.key("seed").raw("12345678901234567890");
/// });
/// assert_eq!(json.into_text(), r#"{"model":"m","stop":["\n"],"seed":12345678901234567890}"#);
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
    /// Whether a value stands before the next one in the same array or object.
    follows: bool,
}

impl Writer {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }

    /// An object with what `members` writes: pairs of [`key`](Self::key) and a value.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested('{', '}', members);
    }

    /// An array with what `elements` writes.
    pub fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.nested('[', ']', elements);
    }

    /// The key of the member whose value is written next.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.comma();
        quote_into(name, &mut self.text);
        self.text.push(':');
        self.follows = false;
        self
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        self.comma();
        quote_into(text, &mut self.text);
        self.follows = true;
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) {
        self.raw(&number.to_string());
    }

    /// `true` or `false`.
    pub fn bool(&mut self, yes: bool) {
        self.raw(if yes { "true" } else { "false" });
    }

    /// `null`.
    pub fn null(&mut self) {
        self.raw("null");
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.comma();
        self.text.push_str(json);
        self.follows = true;
    }

    /// A member with a string, if there is one.
    pub fn text_member(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.key(name).text(text);
        }
    }

    /// A member with a value that is JSON already, if there is one.
    pub fn raw_member(&mut self, name: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.key(name).raw(json);
        }
    }

    fn nested(&mut self, open: char, close: char, inside: impl FnOnce(&mut Self)) {
        self.comma();
        self.text.push(open);
        self.follows = false;
        inside(self);
        self.text.push(close);
        self.follows = true;
    }

    fn comma(&mut self) {
        if self.follows {
            self.text.push(',');
        }
    }
}
