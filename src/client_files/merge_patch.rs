//! A JSON merge patch (RFC 7396) on a client's file: which members it may set, and the text that comes of it.
//!
//! Owns     the list of members that can be set. Credentials are made, never set: a hash that somebody else chose
//!          would be a way in that nobody sees.
//! Called   by `ClientFiles::patch`, with a file that has no fault.
//! Bounded  by `config::DEPTH_MAX` levels, and the request's body.
//! Fails    with every member of the patch that cannot be set, at its place in the body; also with a name in it that is
//!          nothing here, of which a file is only warned: whoever asks for something must know that it is not done.

use std::path::Path;

use gateway_actors::Client;
use gateway_protocols::json::{JsonFault, Kind};

use super::object_edit::ObjectEdit;
use super::{ChangeFault, read};
use crate::config::{Concern, Document, Fault, Faults, Member, Problem, Report, Value, Warning, nearest};
use crate::settings::Settings;

/// What can be set, and inside of objects what of them.
const SETTABLE: &[(&str, &[&str])] = &[
    ("name", &[]),
    ("disabled", &[]),
    ("allowed_endpoints", &[]),
    ("allowed_providers", &[]),
    ("allowed_models", &[]),
    ("allowed_addresses", &[]),
    ("default_provider", &[]),
    ("default_model", &[]),
    ("max_tokens_limit", &[]),
    ("max_tokens_policy", &[]),
    (
        "rate_limit",
        &["requests_per_minute", "tokens_per_minute", "tokens_per_day", "concurrent_requests", "mode"],
    ),
    ("budget", &["usd_per_day", "usd_per_month"]),
    ("priority", &[]),
];

const ROTATE: &str = "credentials are made with POST /admin/clients/ID/rotate";

/// What stands in a file, or might, and is not set from outside.
const PROTECTED: &[(&str, &str)] = &[
    ("client_id", "it is the name of the client's file; make another client with POST /admin/clients"),
    ("credentials", ROTATE),
    ("client_secret_hash", ROTATE),
    ("client_secret", ROTATE),
    ("secret", ROTATE),
    ("password", ROTATE),
    ("api_key", ROTATE),
    ("created_at", "the gateway keeps it"),
    ("updated_at", "the gateway keeps it"),
];

/// A file's text with a patch in it.
pub(super) struct Merged {
    pub(super) text: String,
    pub(super) client: Client,
    pub(super) warnings: Vec<Warning>,
}

/// Merges a patch into a file's text.
pub(super) fn merged(
    file: &Path,
    text: &str,
    patch: &str,
    settings: &Settings,
) -> Result<Merged, ChangeFault> {
    let body = Document::from_request(patch)?;
    check(&body)?;
    let text = merge(text, patch).map_err(ChangeFault::not_editable(file))?;
    let (client, warnings) = read(file, &text, settings).map_err(|faults| in_body(&body, &faults))?;
    misspelt(&body, &warnings, settings)?;
    Ok(Merged { text, client, warnings })
}

/// Names of endpoints and providers that the patch itself brings, and that nothing here has.
fn misspelt(body: &Document, warnings: &[Warning], settings: &Settings) -> Result<(), Faults> {
    let mut report = Report::default();
    for Warning { member, concern, .. } in warnings {
        let problem = match concern {
            Concern::UnknownEndpoint { endpoint, known } => Problem::UnknownWord {
                what: "endpoint",
                written: endpoint.clone(),
                allowed: known.iter().map(|name| (*name).to_owned()).collect(),
            },
            Concern::UnknownProvider { provider } => settings.unknown_provider(provider),
            _ => continue,
        };
        if let Some(written) = written(body, member) {
            report.fault(body.place(written.at), member, problem);
        }
    }
    report.finish().map(drop)
}

fn check(body: &Document) -> Result<(), Faults> {
    let mut report = Report::default();
    for member in &body.members {
        let mut refuse = |member: &Member, path: &str, problem| {
            report.fault(body.place(member.at), path, problem);
        };
        if let Some((_, cure)) = PROTECTED.iter().find(|(name, _)| *name == member.name) {
            refuse(member, &member.name, Problem::NotSettable { cure });
        } else if let Some((_, inner)) = SETTABLE.iter().find(|(name, _)| *name == member.name) {
            let Value::Table(members) = &member.node.value else { continue };
            for unknown in members.iter().filter(|member| !inner.contains(&member.name.as_str())) {
                let path = format!("{}.{}", member.name, unknown.name);
                refuse(unknown, &path, unknown_key(&unknown.name, inner.to_vec()));
            }
        } else {
            let known = SETTABLE.iter().map(|(name, _)| *name).collect();
            refuse(member, &member.name, unknown_key(&member.name, known));
        }
    }
    report.finish().map(drop)
}

fn unknown_key(written: &str, known: Vec<&'static str>) -> Problem {
    Problem::UnknownKey { nearest: nearest(written, &known), known }
}

/// The patch's members over those of the text; `null` takes one out, and objects are merged.
fn merge(text: &str, patch: &str) -> Result<String, JsonFault> {
    let patch = ObjectEdit::new(patch)?;
    let mut edit = ObjectEdit::new(text)?;
    for (name, value) in patch.members() {
        match value.kind {
            Kind::Null => edit.remove(name),
            Kind::Object => {
                let before = edit.value(name).filter(|value| value.kind == Kind::Object);
                let merged = merge(before.map_or("{}", |value| value.raw), value.raw)?;
                edit.set(name, merged);
            }
            _ => edit.set(name, value.raw.to_owned()),
        }
    }
    Ok(edit.apply())
}

/// Faults of a file's new text, where the patch has their members.
fn in_body(body: &Document, faults: &Faults) -> Faults {
    let mut report = Report::default();
    for Fault { member, problem, .. } in faults {
        let place = written(body, member).map_or_else(|| body.file(), |member| body.place(member.at));
        report.fault(place, member, problem.clone());
    }
    // There is at least one.
    report.finish().err().unwrap_or_else(|| faults.clone())
}

/// The member of a body in which a path such as `rate_limit.mode` begins.
fn written<'d>(body: &'d Document, path: &str) -> Option<&'d Member> {
    let name = path.split(['.', '[']).next().unwrap_or_default();
    body.members.iter().find(|member| member.name == name)
}

#[cfg(test)]
mod tests;
