//! JSON text to the members of a [`Document`](super::Document), with positions and duplicates, neither of
//! which `serde_json::Value` keeps.
//!
//! Owns     nothing. Each level is read as raw slices of the text, and a slice's address tells its position.
//! Called   by `Document`.
//! Bounded  by [`DEPTH_MAX`]: a level costs one pass over what lies inside it.
//! Fails    with the first fault of syntax, behind which JSON cannot be read, or with each duplicate member.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::document::{Located, Member, Node, Value};
use super::{DEPTH_MAX, Problem};

/// The members of the object at the top of a JSON text, or each fault with the byte where it is.
pub(super) fn members(text: &str) -> Result<Vec<Member>, Vec<Located>> {
    let reader = Reader { text };
    let mut duplicates = Vec::new();
    let found = reader.parse::<&RawValue>(text).and_then(|raw| reader.node(raw, 1, &mut duplicates));
    match found {
        Ok(Node { value: Value::Table(members), .. }) if duplicates.is_empty() => Ok(members),
        Ok(Node { value: Value::Table(_), .. }) => Err(duplicates),
        Ok(node) => Err(vec![(node.at, node.value.instead_of("an object in braces"))]),
        Err(fault) => Err(vec![fault]),
    }
}

struct Reader<'t> {
    text: &'t str,
}

/// An object's names and values, in their order, with names as written.
struct Pairs<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'t> Reader<'t> {
    fn node(&self, raw: &'t RawValue, depth: usize, duplicates: &mut Vec<Located>) -> Result<Node, Located> {
        let written = raw.get();
        let at = self.position(written);
        if depth > DEPTH_MAX + 1 {
            return Err((at, Problem::TooDeep { most: DEPTH_MAX }));
        }
        let value = match written.as_bytes().first() {
            Some(b'{') => {
                let mut members = Vec::new();
                let mut seen = HashSet::new();
                for (name, raw) in self.parse::<Pairs<'t>>(written)?.0 {
                    let at = self.position(name.get());
                    let name: String = self.parse(name.get())?;
                    if !seen.insert(name.clone()) {
                        duplicates.push((at, Problem::Duplicate));
                    }
                    members.push(Member { name, at, node: self.node(raw, depth + 1, duplicates)? });
                }
                Value::Table(members)
            }
            Some(b'[') => {
                let items: Vec<&'t RawValue> = self.parse(written)?;
                let nodes = items.into_iter().map(|item| self.node(item, depth + 1, duplicates));
                Value::List(nodes.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(self.parse(written)?),
            Some(b't' | b'f') => Value::Boolean(self.parse(written)?),
            Some(b'n') => Value::Null,
            _ => match written.parse() {
                Ok(whole) => Value::Whole(whole),
                Err(_) => Value::Decimal(written.to_owned()),
            },
        };
        Ok(Node { at, value })
    }

    /// Where a slice of the text begins.
    fn position(&self, slice: &str) -> usize {
        slice.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
    }

    /// Reads a slice of the text; a fault gets its position in the whole text.
    fn parse<T: Deserialize<'t>>(&self, slice: &'t str) -> Result<T, Located> {
        serde_json::from_str(slice).map_err(|error| {
            let lines_before = slice.split_inclusive('\n').take(error.line().saturating_sub(1));
            let line_start: usize = lines_before.map(str::len).sum();
            let at = self.position(slice) + line_start + error.column().saturating_sub(1);
            // The library ends its message with a position, which inside a slice would be a wrong one.
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            (at, Problem::Syntax { format: "JSON", message })
        })
    }
}

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}
