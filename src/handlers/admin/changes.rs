//! What operators change: a reload, and the files of clients.
//!
//! Called   by `admin`, behind the admin token.
//! Bounded  one change of a client at a time, one reload at a time; files are written on the blocking pool.
//! Fails    with a [`ChangeFault`] or a `ReloadFault`. A change that was made and did not come into force, because
//!          another file has a fault, is answered 202 with the faults: it stays, and counts once they are mended.

use std::sync::Arc;
use std::time::Duration;

use gateway_actors::client::InvalidClientId;
use gateway_actors::{ClientId, Refusal};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use warp::reply::Response;

use crate::audit::Author;
use crate::body::BufferedBody;
use crate::client_files::{ChangeFault, ClientFiles, Issued, NewClient, OldCredentials};
use crate::client_members::Members;
use crate::clients_dir;
use crate::config::{Document, Faults, Problem, Report, Section, values};
use crate::fault::Fault;
use crate::front::Front;
use crate::respond;
use crate::settings::Settings;

use super::clients;

/// How long old credentials are accepted beside new ones when nobody says: a day to bring the new ones out.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the configuration again.
pub(super) async fn reload(front: &Arc<Front>, author: Author) -> Result<Value, Fault> {
    let report = front.reloader.reload(front, author).await?;
    let ids = |ids: &[ClientId]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
    Ok(json!({
        "generation": report.clients.generation,
        "count": report.count,
        "added": ids(&report.clients.added),
        "changed": ids(&report.clients.changed),
        "removed": ids(&report.clients.removed),
        "unchanged": report.clients.unchanged,
        "settings": report.settings,
        "needs_restart": report.needs_restart,
        "warnings": report.warnings,
    }))
}

/// Makes a client; its credentials are seen here and never again.
pub(super) async fn new(front: &Arc<Front>, author: Author, body: &BufferedBody) -> Result<Response, Fault> {
    let live = front.live.load_full();
    let new = read(body, |body, report| new_client(body, &live.settings, report))?;
    let id = new.id.clone();
    let issued = changed(front, &author, move |files, now| files.create(&new, now)).await?;
    let (status, mut shown) = in_force(front, author).await;
    show_credentials(&mut shown, &id, &issued);
    let status = if status == StatusCode::OK { StatusCode::CREATED } else { status };
    Ok(answer(status, shown))
}

/// Sets members of a client.
pub(super) async fn patch(
    front: &Arc<Front>,
    author: Author,
    id: &str,
    body: &BufferedBody,
) -> Result<Response, Fault> {
    let patch = text(body).map_err(ChangeFault::from)?.to_owned();
    let (id, patched) =
        changed_client(front, &author, id, move |files, id, now| files.patch(id, &patch, now)).await?;
    let (status, mut shown) = in_force(front, author).await;
    shown.insert("id".to_owned(), id.as_str().into());
    shown.insert("changed".to_owned(), patched.changed.into());
    let warnings: Vec<Value> = patched.warnings.iter().map(|warning| warning.to_string().into()).collect();
    shown.insert("warnings".to_owned(), warnings.into());
    let client = front.gateway.shared().clients().get(&id).cloned();
    let client = match client {
        Some(client) => clients::client(front, &client).await?,
        None => Value::Null,
    };
    shown.insert("client".to_owned(), client);
    Ok(answer(status, shown))
}

/// Makes new credentials beside the old ones, which go on for a grace.
pub(super) async fn rotate(
    front: &Arc<Front>,
    author: Author,
    id: &str,
    body: &BufferedBody,
) -> Result<Response, Fault> {
    let grace = if body.bytes().is_empty() { GRACE } else { read(body, grace)? };
    let (id, rotated) =
        changed_client(front, &author, id, move |files, id, now| files.rotate(id, grace, now)).await?;
    let (status, mut shown) = in_force(front, author).await;
    show_credentials(&mut shown, &id, &rotated.issued);
    let OldCredentials { ending, end, removed, published } = rotated.old;
    let end = (ending > 0).then(|| format!("{end:.0}"));
    shown.insert(
        "old_credentials".to_owned(),
        json!({"ending": ending, "end": end, "removed": removed, "published": published}),
    );
    shown.insert("disabled".to_owned(), rotated.is_disabled.into());
    Ok(answer(status, shown))
}

/// Takes a client's access away, or gives it back.
pub(super) async fn set_disabled(
    front: &Arc<Front>,
    author: Author,
    id: &str,
    disabled: bool,
) -> Result<Response, Fault> {
    let (id, done) =
        changed_client(front, &author, id, move |files, id, now| files.set_disabled(id, disabled, now))
            .await?;
    let (status, mut shown) = in_force(front, author).await;
    shown.insert("id".to_owned(), id.as_str().into());
    shown.insert("disabled".to_owned(), disabled.into());
    shown.insert("already".to_owned(), done.already.into());
    Ok(answer(status, shown))
}

/// Changes the file of the client that a path names, and gives its id with what came of it. An id that can be nobody's
/// is one that does not exist.
async fn changed_client<T: Send + 'static>(
    front: &Arc<Front>,
    author: &Author,
    written: &str,
    change: impl FnOnce(&ClientFiles<'_>, &ClientId, Timestamp) -> Result<T, ChangeFault> + Send + 'static,
) -> Result<(ClientId, T), Fault> {
    let not_found = |InvalidClientId| Fault::NotFound { what: "client", name: written.to_owned() };
    let id = ClientId::parse(written).map_err(not_found)?;
    let own = id.clone();
    let done = changed(front, author, move |files, now| change(files, &own, now)).await?;
    Ok((id, done))
}

/// Changes a file, away from the runtime's own threads. It is carried to its end also when the caller leaves.
async fn changed<T: Send + 'static>(
    front: &Arc<Front>,
    author: &Author,
    change: impl FnOnce(&ClientFiles<'_>, Timestamp) -> Result<T, ChangeFault> + Send + 'static,
) -> Result<T, Fault> {
    let (live, recorder) = (front.live.load_full(), front.reloader.audit().by(author.clone()));
    let work = tokio::task::spawn_blocking(move || {
        let files = ClientFiles { settings: &live.settings, recorder: &recorder };
        change(&files, Timestamp::now())
    });
    Ok(work.await.map_err(|_| Refusal::Restarting { actor: "the writer of client files" })??)
}

/// Reloads after a change, and says whether that has brought it into force.
async fn in_force(front: &Arc<Front>, author: Author) -> (StatusCode, Members) {
    let mut shown = Members::new();
    let status = match front.reloader.reload(front, author).await {
        Ok(report) => {
            shown.insert("in_force".to_owned(), true.into());
            shown.insert("generation".to_owned(), report.clients.generation.into());
            StatusCode::OK
        }
        Err(fault) => {
            shown.insert("in_force".to_owned(), false.into());
            shown.insert("faults".to_owned(), fault.details().into());
            StatusCode::ACCEPTED
        }
    };
    (status, shown)
}

fn show_credentials(shown: &mut Members, id: &ClientId, issued: &Issued) {
    shown.insert("client_id".to_owned(), id.as_str().into());
    shown.insert("client_secret".to_owned(), issued.secret.expose().into());
    shown.insert("api_key".to_owned(), issued.api_key.expose().into());
}

fn answer(status: StatusCode, shown: Members) -> Response {
    let mut response = respond::json(Value::Object(shown).to_string());
    *response.status_mut() = status;
    response
}

fn text(body: &BufferedBody) -> Result<&str, Faults> {
    std::str::from_utf8(body.bytes()).map_err(|_| Document::fault_of_request(Problem::NotUtf8))
}

/// What a body asks for, or all that is wrong with it.
fn read<T>(
    body: &BufferedBody,
    read: impl FnOnce(&mut Section<'_>, &mut Report) -> Option<T>,
) -> Result<T, ChangeFault> {
    let document = Document::from_request(text(body)?)?;
    let mut report = Report::default();
    let mut section = Section::top(&document);
    let asked = read(&mut section, &mut report);
    section.finish(&mut report);
    report.finish()?;
    Ok(asked.ok_or_else(|| Document::fault_of_request(Problem::Empty))?)
}

fn new_client(body: &mut Section<'_>, settings: &Settings, report: &mut Report) -> Option<NewClient> {
    let id = body.get("id", clients_dir::client_id, report);
    if !body.has("id") {
        let expected = "the new client's id, 1 to 64 of A-Z a-z 0-9 . _ -";
        body.fault("id", Problem::Missing { expected }, report);
    }
    let name = body.get("name", values::text, report);
    let provider = body.get("provider", values::name, report);
    if let Some(provider) = provider.as_deref().filter(|name| !settings.providers.contains_key(*name)) {
        body.fault("provider", settings.unknown_provider(provider), report);
    }
    let model = body.get("model", values::model_name, report);
    Some(NewClient { id: id?, name, provider, model })
}

fn grace(body: &mut Section<'_>, report: &mut Report) -> Option<Duration> {
    let written = body.has("grace");
    let grace = body.get("grace", values::duration, report);
    if written { grace } else { Some(GRACE) }
}
