//! OpenAI's files and batches: kept as they come, and a batch is completed at once.
//!
//! An id that nothing was kept under stands for an object that was there before the test, unless
//! [`UNKNOWN`] is in it.

use serde_json::{Value, json};

use super::errors;
use super::media::{form_field, form_part};
use crate::answer::identifier;
use crate::seen::Seen;
use crate::shelf::{Kept, Known, Shelf};
use crate::vendor::{Refused, Served, UNKNOWN};

/// When objects were made that no test made.
const BEFORE: u64 = 1_764_000_000;

pub(super) fn file(method: &str, rest: &[&str], seen: &Seen, shelf: &Shelf) -> Result<Served, Refused> {
    match (method, rest) {
        ("POST", []) => upload(seen, shelf),
        ("GET", []) => Ok(Served::json(page(shelf.list("file-"), seen))),
        ("GET", [id]) => Ok(Served::json(found("File", id, shelf, example_file)?.object)),
        ("GET", [id, "content"]) => {
            let content = found("File", id, shelf, example_file)?.content;
            Ok(Served::body("application/octet-stream", content))
        }
        ("DELETE", [id]) => {
            found("File", id, shelf, example_file)?;
            shelf.delete(id);
            Ok(Served::json(json!({"id": id, "object": "file", "deleted": true})))
        }
        _ => Err(errors::no_such_url(seen.method(), seen.path())),
    }
}

fn upload(seen: &Seen, shelf: &Shelf) -> Result<Served, Refused> {
    let Some((head, content)) = form_part(seen.body(), "name=\"file\"") else {
        return Err(errors::missing("file"));
    };
    let Some(purpose) = form_field(seen.body(), "purpose") else {
        return Err(errors::missing("purpose"));
    };
    let head = String::from_utf8_lossy(head);
    let name = head.split("filename=\"").nth(1).and_then(|rest| rest.split('"').next());
    let id = format!("file-{}", identifier(seen.number(), "file", 22));
    let object = file_object(&id, content.len(), name.unwrap_or("upload"), &purpose);
    let content = seen.body().slice_ref(content);
    shelf.keep(&id, Kept { object: object.clone(), content, ..Kept::default() });
    Ok(Served::json(object))
}

fn file_object(id: &str, bytes: usize, name: &str, purpose: &str) -> Value {
    json!({
        "id": id, "object": "file", "bytes": bytes, "created_at": BEFORE, "expires_at": null,
        "filename": name, "purpose": purpose, "status": "processed", "status_details": null,
    })
}

fn example_file(id: &str) -> Kept {
    let content = "{\"id\":\"batch_req_1\",\"custom_id\":\"1\",\"response\":null,\"error\":null}\n";
    let object = file_object(id, content.len(), "example.jsonl", "batch_output");
    Kept { object, content: content.into(), ..Kept::default() }
}

/// A kept object, or an example where there never was one.
pub(super) fn found(
    kind: &str,
    id: &str,
    shelf: &Shelf,
    example: impl FnOnce(&str) -> Kept,
) -> Result<Kept, Refused> {
    match shelf.find(id) {
        Known::Kept(kept) => Ok(kept),
        Known::Never if !id.contains(UNKNOWN) => Ok(example(id)),
        Known::Never | Known::Deleted => Err(errors::gone(kind, id)),
    }
}

/// The part of a list that `after` and `limit` ask for.
fn page(mut objects: Vec<Value>, seen: &Seen) -> Value {
    let parameter =
        |name: &str| seen.query().split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    if let Some(after) = parameter("after") {
        let before = objects.iter().position(|object| object["id"] == after);
        objects.drain(..before.map_or(objects.len(), |before| before + 1));
    }
    let limit = parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(objects.len());
    let has_more = objects.len() > limit;
    objects.truncate(limit);
    let id_of = |object: Option<&Value>| object.map_or(Value::Null, |object| object["id"].clone());
    let (first, last) = (id_of(objects.first()), id_of(objects.last()));
    json!({"object": "list", "data": objects, "first_id": first, "last_id": last, "has_more": has_more})
}

pub(super) fn batch(method: &str, rest: &[&str], seen: &Seen, shelf: &Shelf) -> Result<Served, Refused> {
    match (method, rest) {
        ("POST", []) => {
            let asked = seen.json();
            for member in ["input_file_id", "endpoint", "completion_window"] {
                if asked[member].is_null() {
                    return Err(errors::missing(member));
                }
            }
            let id = format!("batch_{}", identifier(seen.number(), "batch", 32));
            let object = batch_object(&id, &asked, "completed");
            shelf.keep(&id, Kept { object: object.clone(), ..Kept::default() });
            Ok(Served::json(object))
        }
        ("GET", []) => Ok(Served::json(page(shelf.list("batch_"), seen))),
        ("GET", [id]) => Ok(Served::json(found("Batch", id, shelf, example_batch)?.object)),
        ("POST", [id, "cancel"]) => {
            let mut kept = found("Batch", id, shelf, example_batch)?;
            kept.object["status"] = "cancelling".into();
            kept.object["cancelling_at"] = BEFORE.into();
            shelf.change(id, kept.clone());
            Ok(Served::json(kept.object))
        }
        _ => Err(errors::no_such_url(seen.method(), seen.path())),
    }
}

fn example_batch(id: &str) -> Kept {
    let asked = json!({
        "input_file_id": "file-example", "endpoint": "/v1/chat/completions", "completion_window": "24h",
    });
    Kept { object: batch_object(id, &asked, "completed"), ..Kept::default() }
}

fn batch_object(id: &str, asked: &Value, status: &str) -> Value {
    json!({
        "id": id, "object": "batch", "endpoint": asked["endpoint"], "errors": null,
        "input_file_id": asked["input_file_id"], "completion_window": asked["completion_window"],
        "status": status, "output_file_id": "file-example-output", "error_file_id": null,
        "created_at": BEFORE, "in_progress_at": BEFORE, "expires_at": BEFORE + 86_400,
        "finalizing_at": BEFORE, "completed_at": BEFORE, "failed_at": null, "expired_at": null,
        "cancelling_at": null, "cancelled_at": null,
        "request_counts": {"total": 1, "completed": 1, "failed": 0},
        "metadata": asked["metadata"],
    })
}
