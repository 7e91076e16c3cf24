//! TOML text to the members of a [`Document`](super::Document).
//!
//! Owns     the translation of the TOML parser's tree.
//! Called   by `Document`.
//! Bounded  by [`DEPTH_MAX`]; the parser itself bounds nesting while it reads.
//! Fails    with a fault for every line that is broken. A file that has one is read no further, since what
//!          follows a broken line may have landed in the wrong table. The parser's messages quote nothing
//!          of the file.

use std::collections::HashSet;

use toml::de::{DeArray, DeTable, DeValue};

use super::document::{Located, Member, Node, Value};
use super::{DEPTH_MAX, Problem};

/// The members at the top of a TOML text, or each fault with the byte where it is.
pub(super) fn members(text: &str) -> Result<Vec<Member>, Vec<Located>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(faults(text, errors));
    }
    table_members(table.get_ref(), 1).map_err(|fault| vec![fault])
}

/// The first fault of each line: the parser tells more, but those follow from it.
fn faults(text: &str, errors: Vec<toml::de::Error>) -> Vec<Located> {
    let mut faults = Vec::new();
    let mut told = HashSet::new();
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        if told.insert(line) {
            let message = error.message().trim_end().replace('\n', ", ");
            faults.push((at, Problem::Syntax { format: "TOML", message }));
        }
    }
    faults
}

fn table_members(table: &DeTable<'_>, depth: usize) -> Result<Vec<Member>, Located> {
    let mut members = Vec::with_capacity(table.len());
    for (name, value) in table.iter() {
        let at = value.span().start;
        let node = Node { at, value: value_of(value.get_ref(), at, depth)? };
        members.push(Member { name: name.get_ref().to_string(), at: name.span().start, node });
    }
    Ok(members)
}

fn list_nodes(list: &DeArray<'_>, depth: usize) -> Result<Vec<Node>, Located> {
    let mut nodes = Vec::with_capacity(list.len());
    for value in list.iter() {
        let at = value.span().start;
        nodes.push(Node { at, value: value_of(value.get_ref(), at, depth)? });
    }
    Ok(nodes)
}

fn value_of(value: &DeValue<'_>, at: usize, depth: usize) -> Result<Value, Located> {
    if depth > DEPTH_MAX {
        return Err((at, Problem::TooDeep { most: DEPTH_MAX }));
    }
    Ok(match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(whole) => Value::Whole(whole),
            Err(_) => Value::Decimal(number.to_string()),
        },
        DeValue::Float(number) => Value::Decimal(number.as_str().to_owned()),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(list) => Value::List(list_nodes(list, depth + 1)?),
        DeValue::Table(table) => Value::Table(table_members(table, depth + 1)?),
    })
}
