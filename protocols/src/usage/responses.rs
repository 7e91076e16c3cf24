//! How the Responses API reports tokens: the chat API's sums under other names.
//!
//! Owns     the names.
//! Called   by the readers of whole answers and of terminal events.
//! Bounded  as every report is: details larger than what they are a part of count as all of it.
//! Fails    never; a report that says nothing usable is `None`.

use super::{Report, Usage};
use crate::json::{Cursor, JsonFault, Kind, Value};

#[cfg(test)]
mod tests;

/// Reads a `usage` object of the Responses API; `None` when it counts nothing.
///
/// `input_tokens` includes what `input_tokens_details` says of the cache, `output_tokens` includes the reasoning of
/// `output_tokens_details`. What `total_tokens` has beyond both is reasoning that an upstream left out of its output.
pub fn from_responses(usage: &Value<'_>) -> Option<Usage> {
    if usage.kind != Kind::Object {
        return None;
    }
    // The value was scanned before, so a fault here cannot happen; it would mean "no usage".
    read(usage.raw).ok()?.settled()
}

fn read(raw: &str) -> Result<Report, JsonFault> {
    let mut report = Report::default();
    let mut cursor = Cursor::new(raw);
    cursor.enter_object()?;
    while let Some(key) = cursor.next_key()? {
        match &*key.name {
            "input_tokens" => report.prompt = cursor.value()?.as_count(),
            "output_tokens" => report.completion = cursor.value()?.as_count(),
            "total_tokens" => report.total = cursor.value()?.as_count(),
            "input_tokens_details" | "output_tokens_details" => report.read_details(&mut cursor)?,
            _ => {
                cursor.value()?;
            }
        }
    }
    Ok(report)
}
