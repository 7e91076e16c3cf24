//! Two languages for one thing: JSON Schema, and the schema that Gemini's API had before it took JSON Schema.
//!
//! Owns     the way from Gemini's form to JSON Schema, and the question whether a JSON Schema is Gemini's form too.
//! Called   by the reader and the writer of requests, for tools' parameters and the form of answers.
//! Bounded  by the schema, in one pass; nesting by [`crate::json::MAX_DEPTH`].
//! Fails    with the fault of the text; what it does not know stays as it is written.
//!
//! Gemini's form is the `Schema` of its API reference, after OpenAPI 3.0: types in capitals, `nullable` beside the
//! type, bounds of 64 bits as text, no reference and no negation.

use std::borrow::Cow;

use crate::gemini::members::camel;
use crate::json::{Cursor, JsonFault, Kind, Value, Writer};

/// Members of Gemini's form whose numbers may be text.
const COUNTS: [&str; 6] =
    ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];

/// What a member of Gemini's form says about values as they stand; the names are JSON Schema's.
const PLAIN: [&str; 13] = [
    "title",
    "description",
    "required",
    "pattern",
    "default",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
];

/// The same schema as JSON Schema.
///
/// `propertyOrdering`, which says in which order to write members, has no equal and goes: answers mean the same
/// without it.
pub(super) fn to_json_schema(schema: &Value<'_>) -> Result<String, JsonFault> {
    let mut json = Writer::new();
    write_schema(&mut Cursor::new(schema.raw), &mut json)?;
    Ok(json.into_text())
}

fn write_schema(cursor: &mut Cursor<'_>, json: &mut Writer) -> Result<(), JsonFault> {
    if cursor.peek()? != Kind::Object {
        json.raw(cursor.value()?.raw);
        return Ok(());
    }
    cursor.enter_object()?;
    let mut result = Ok(());
    json.object(|json| result = write_members(cursor, json));
    result
}

fn write_members(cursor: &mut Cursor<'_>, json: &mut Writer) -> Result<(), JsonFault> {
    let mut kind = None;
    let mut is_nullable = false;
    while let Some(key) = cursor.next_key()? {
        let name = camel(&key.name);
        match (&*name, cursor.peek()?) {
            (_, Kind::Null) | ("propertyOrdering", _) => {
                cursor.value()?;
            }
            ("type", Kind::String) => kind = cursor.value()?.as_text(),
            ("nullable", Kind::Bool) => is_nullable = cursor.value()?.raw == "true",
            ("properties" | "$defs" | "defs", Kind::Object) => {
                json.key(if name == "defs" { "$defs" } else { &name });
                write_named(cursor, json)?;
            }
            ("items" | "additionalProperties", Kind::Object) => {
                json.key(&name);
                write_schema(cursor, json)?;
            }
            ("anyOf" | "prefixItems", Kind::Array) => {
                json.key(&name);
                write_listed(cursor, json)?;
            }
            (count, Kind::String) if COUNTS.contains(&count) => {
                let value = cursor.value()?;
                json.key(count).raw(super::members::number(&value).unwrap_or(value.raw));
            }
            _ => json.key(&name).raw(cursor.value()?.raw),
        }
    }
    // Behind the rest, since both are known then only.
    write_type(kind.as_deref(), is_nullable, json);
    Ok(())
}

fn write_type(kind: Option<&str>, is_nullable: bool, json: &mut Writer) {
    let Some(kind) = kind.map(str::to_ascii_lowercase).filter(|kind| kind != "type_unspecified") else {
        return;
    };
    let json = json.key("type");
    if is_nullable {
        json.array(|json| {
            json.text(&kind);
            json.text("null");
        });
    } else {
        json.text(&kind);
    }
}

/// Schemas by name.
fn write_named(cursor: &mut Cursor<'_>, json: &mut Writer) -> Result<(), JsonFault> {
    cursor.enter_object()?;
    let mut result = Ok(());
    json.object(|json| {
        result = loop {
            match cursor.next_key() {
                Ok(Some(key)) => {
                    json.key(&key.name);
                    if let Err(fault) = write_schema(cursor, json) {
                        break Err(fault);
                    }
                }
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
    });
    result
}

/// Schemas in a list.
fn write_listed(cursor: &mut Cursor<'_>, json: &mut Writer) -> Result<(), JsonFault> {
    cursor.enter_array()?;
    let mut result = Ok(());
    json.array(|json| {
        result = loop {
            match cursor.next_element() {
                Ok(true) => {
                    if let Err(fault) = write_schema(cursor, json) {
                        break Err(fault);
                    }
                }
                Ok(false) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
    });
    result
}

/// What a JSON Schema is to Gemini.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// An object without members: a function that takes nothing has no parameters at all.
    Nothing,
    /// Gemini's own form, which every model takes.
    Own,
    /// JSON Schema, which has a member of its own.
    JsonSchema,
}

/// Which member of the API takes this JSON Schema.
pub(super) fn fit(schema: &str) -> Fit {
    // A fault of the text cannot happen, since it was scanned before; the upstream may judge it then.
    match own_form(&mut Cursor::new(schema)) {
        Ok(own) if own.is_empty_object => Fit::Nothing,
        Ok(own) if own.fits => Fit::Own,
        Ok(_) | Err(_) => Fit::JsonSchema,
    }
}

struct Own {
    fits: bool,
    /// An object that may have no members.
    is_empty_object: bool,
}

fn own_form(cursor: &mut Cursor<'_>) -> Result<Own, JsonFault> {
    if !cursor.enter_if(Kind::Object)? {
        return Ok(Own { fits: false, is_empty_object: false });
    }
    let mut fits = true;
    let mut kind: Option<Cow<'_, str>> = None;
    let mut properties = 0;
    let mut is_closed = true;
    while let Some(key) = cursor.next_key()? {
        match (&*key.name, cursor.peek()?) {
            ("type", Kind::String) => kind = cursor.value()?.as_text(),
            ("properties", Kind::Object) => {
                cursor.enter_object()?;
                while cursor.next_key()?.is_some() {
                    properties += 1;
                    fits &= own_form(cursor)?.is_own();
                }
            }
            ("items", Kind::Object) => fits &= own_form(cursor)?.is_own(),
            ("anyOf", Kind::Array) => {
                cursor.enter_array()?;
                while cursor.next_element()? {
                    fits &= own_form(cursor)?.is_own();
                }
            }
            ("enum", Kind::Array) => fits &= is_list_of_texts(&cursor.value()?)?,
            ("$schema" | "additionalProperties", _) => {
                // Neither asks for members beyond the properties unless it is `true` or a schema.
                let value = cursor.value()?;
                is_closed &= key.name == "$schema" || value.raw == "false";
                fits = false;
            }
            (name, kind) => {
                let says_the_same = PLAIN.contains(&name) && kind != Kind::Null;
                cursor.value()?;
                fits &= says_the_same;
                is_closed &= says_the_same;
            }
        }
    }
    let is_object = kind.as_deref() == Some("object");
    let known = ["object", "array", "string", "number", "integer", "boolean"];
    fits &= kind.is_none_or(|kind| known.contains(&&*kind));
    Ok(Own {
        fits: fits && (!is_object || properties > 0),
        is_empty_object: is_object && properties == 0 && is_closed,
    })
}

impl Own {
    /// Whether it fits inside another one, where an object without members has no form at all.
    fn is_own(&self) -> bool {
        self.fits && !self.is_empty_object
    }
}

fn is_list_of_texts(list: &Value<'_>) -> Result<bool, JsonFault> {
    let mut cursor = Cursor::new(list.raw);
    cursor.enter_array()?;
    let mut all = true;
    while cursor.next_element()? {
        all &= cursor.value()?.kind == Kind::String;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(schema: &str) -> String {
        to_json_schema(&Cursor::new(schema).value().unwrap()).unwrap()
    }

    #[test]
    fn geminis_form_becomes_json_schema() {
        let own = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true,"min_length":"3"},
            "list":{"type":"ARRAY","items":{"type":"INTEGER","minimum":1.0}},
            "either":{"any_of":[{"type":"NUMBER"},{"type":"BOOLEAN"}]}},
            "required":["type"],"property_ordering":["list","type"],"description":null}"#;
        let expected = concat!(
            r#"{"properties":{"type":{"minLength":3,"type":["string","null"]},"#,
            r#""list":{"items":{"minimum":1.0,"type":"integer"},"type":"array"},"#,
            r#""either":{"anyOf":[{"type":"number"},{"type":"boolean"}]}},"required":["type"],"type":"object"}"#
        );
        assert_eq!(converted(own), expected);
        assert_eq!(converted(expected), expected);
    }

    #[test]
    fn what_it_does_not_know_stays_as_it_is() {
        let schema = r#"{"enum":["a"],"x":[1e2],"type":["string","null"]}"#;
        assert_eq!(converted(schema), schema);
        assert_eq!(converted("true"), "true");
    }

    #[test]
    fn a_json_schema_goes_where_the_api_takes_it() {
        let own = r#"{"type":"object","properties":{"a":{"type":"string","enum":["x"]},"b":{"type":"array","items":{"type":"number"}}},"required":["a"]}"#;
        assert_eq!(fit(own), Fit::Own);
        for (beyond, why) in [
            (r##"{"type":"object","properties":{"a":{"$ref":"#/x"}}}"##, "a reference"),
            (r#"{"type":"object","properties":{"a":{"type":["string","null"]}}}"#, "several types"),
            (r#"{"type":"object","properties":{"a":{"type":"object"}}}"#, "an object of any members inside"),
            (r#"{"type":"object","properties":{"a":{"enum":[1]}}}"#, "an enumeration of numbers"),
            (
                r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#,
                "a closed object",
            ),
            (r#"{"type":"object","additionalProperties":true}"#, "an object of any members"),
            (r#"{"oneOf":[]}"#, "a choice"),
            ("true", "no object"),
        ] {
            assert_eq!(fit(beyond), Fit::JsonSchema, "{why}");
        }
        for nothing in
            [r#"{"type":"object"}"#, r#"{"type":"object","properties":{},"additionalProperties":false}"#]
        {
            assert_eq!(fit(nothing), Fit::Nothing);
        }
    }
}
