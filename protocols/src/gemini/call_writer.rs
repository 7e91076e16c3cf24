//! Calls whose arguments come in pieces, for a dialect in which a call is said whole.
//!
//! Owns     the pieces of each call until they are one JSON object.
//! Called   by the writers of answers.
//! Bounded  by the answer: each byte is looked at once while it comes, and read once when the call is whole.
//! Fails    never; arguments that are no object are known as such.

use crate::json::{Cursor, Kind, Writer};

/// Calls in the order in which they began. Each is said when it is whole and all before it are.
#[derive(Debug, Default)]
pub(super) struct PendingCalls {
    calls: Vec<Pending>,
    said: usize,
    /// Whether arguments of a call that was to be said were no object.
    has_malformed: bool,
}

#[derive(Debug)]
struct Pending {
    id: String,
    name: String,
    signature: Option<String>,
    arguments: String,
    end: ObjectEnd,
}

impl PendingCalls {
    /// A call begins.
    pub(super) fn start(&mut self, id: &str, name: &str, signature: Option<&str>) {
        self.calls.push(Pending {
            id: id.to_owned(),
            name: name.to_owned(),
            signature: signature.map(str::to_owned),
            arguments: String::new(),
            end: ObjectEnd::default(),
        });
    }

    /// More of the arguments of this call.
    pub(super) fn add(&mut self, call: usize, json: &str) {
        if let Some(pending) = self.calls.get_mut(call) {
            pending.end.read(json);
            // A line end can stand between tokens only, and a server-sent event has none inside.
            pending.arguments.extend(json.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        }
    }

    /// Writes the calls that are whole as parts; with `all`, nothing more comes for any.
    pub(super) fn write(&mut self, all: bool, json: &mut Writer) {
        while let Some(call) = self.calls.get_mut(self.said).filter(|call| all || call.end.is_reached()) {
            self.said += 1;
            self.has_malformed |= !call.write(json);
            call.arguments = String::new();
        }
    }

    /// Whether a call would be written now.
    pub(super) fn is_ready(&self) -> bool {
        self.calls.get(self.said).is_some_and(|call| call.end.is_reached())
    }

    /// Whether a call had to be left out, since its arguments are no object.
    pub(super) fn has_malformed(&self) -> bool {
        self.has_malformed
    }
}

impl Pending {
    /// Whether the arguments could be written. A function that takes nothing is often called with nothing.
    fn write(&self, json: &mut Writer) -> bool {
        let arguments = match self.arguments.trim_ascii() {
            "" => "{}",
            arguments if is_object(arguments) => arguments,
            _ => return false,
        };
        json.object(|json| {
            json.key("functionCall").object(|json| {
                json.key("id").text(&self.id);
                json.key("name").text(&self.name);
                json.key("args").raw(arguments);
            });
            json.text_member("thoughtSignature", self.signature.as_deref());
        });
        true
    }
}

fn is_object(text: &str) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.value().is_ok_and(|value| value.kind == Kind::Object) && cursor.finish().is_ok()
}

/// Looks for the bracket that closes the first one.
#[derive(Clone, Copy, Debug, Default)]
struct ObjectEnd {
    depth: usize,
    has_begun: bool,
    in_string: bool,
    is_escaped: bool,
}

impl ObjectEnd {
    fn read(&mut self, json: &str) {
        for byte in json.bytes() {
            match byte {
                _ if std::mem::take(&mut self.is_escaped) => {}
                b'\\' => self.is_escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.depth += 1;
                    self.has_begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_reached(self) -> bool {
        self.has_begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(calls: &mut PendingCalls, all: bool) -> String {
        let mut json = Writer::new();
        json.array(|json| calls.write(all, json));
        json.into_text()
    }

    #[test]
    fn a_call_is_said_once_it_is_whole_and_those_before_it_are() {
        let mut calls = PendingCalls::default();
        calls.start("a", "f", Some("s"));
        calls.start("b", "g", None);
        calls.add(1, r#"{"x":[1.0,"}\"]{"]"#);
        calls.add(0, r#"{"id":12345678901234567890"#);
        assert!(!calls.is_ready());
        calls.add(1, "}");
        assert_eq!(written(&mut calls, false), "[]");
        calls.add(0, "}");
        assert!(calls.is_ready());
        let expected = concat!(
            r#"[{"functionCall":{"id":"a","name":"f","args":{"id":12345678901234567890}},"thoughtSignature":"s"},"#,
            r#"{"functionCall":{"id":"b","name":"g","args":{"x":[1.0,"}\"]{"]}}}]"#
        );
        assert_eq!(written(&mut calls, false), expected);
        assert_eq!(written(&mut calls, true), "[]");
    }

    #[test]
    fn a_call_with_nothing_has_no_arguments() {
        let mut calls = PendingCalls::default();
        calls.start("a", "f", None);
        calls.add(0, " ");
        assert_eq!(written(&mut calls, true), r#"[{"functionCall":{"id":"a","name":"f","args":{}}}]"#);
        assert!(!calls.has_malformed());
    }

    #[test]
    fn arguments_that_are_no_object_are_told_of_and_not_said() {
        for arguments in ["[1]", "{\"a\":", "{}{}", "x"] {
            let mut calls = PendingCalls::default();
            calls.start("a", "f", None);
            calls.add(0, arguments);
            assert_eq!(written(&mut calls, true), "[]", "{arguments}");
            assert!(calls.has_malformed());
        }
    }
}
