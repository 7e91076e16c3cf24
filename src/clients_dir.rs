//! The clients folder: one JSON file per client, named after its `client_id`.
//!
//! Owns     which files of the folder count, and what must hold between them.
//! Called   by `Settings::load`, at start, by `check` and by a reload; by `client_files` for one file.
//! Bounded  by the size of a file (`config::FILE_MAX`); files are read one after the other.
//! Fails    all or nothing: every fault of every file is noted, and with any of them no client is used.

mod client_file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use gateway_actors::client::{Client, ClientId, CredentialKind, SecretHash};

use crate::config::{Concern, Document, Fault, Place, Problem, Report, Section, read_text};
use crate::settings::Settings;

pub(crate) use client_file::client_id;

/// Reads every client of the folder that the settings name, in the order of file names.
pub(crate) fn read(settings: &Settings, report: &mut Report) -> Vec<Client> {
    let folder = &settings.clients_dir;
    let files = match files(folder) {
        Ok(files) => files,
        Err(problem) => {
            match settings.wrong_folder() {
                Some(Fault { place, member, problem }) => report.fault(place, member, problem),
                None => report.fault(Place::file(folder), "", problem),
            }
            return Vec::new();
        }
    };
    if files.is_empty() {
        report.warn(Place::file(folder), "", Concern::NoClients);
    }
    let mut clients = Vec::with_capacity(files.len());
    let mut keys = HashMap::new();
    for file in files {
        if let Some(client) = read_file(&file, settings, report) {
            note_api_keys(&client, &file, &mut keys, report);
            clients.push(client);
        }
    }
    clients
}

/// Whether a file of this name counts: `*.json`, but not a hidden one, as editors and mounts leave them.
pub(crate) fn is_client_file(name: &[u8]) -> bool {
    name.ends_with(b".json") && !name.starts_with(b".")
}

/// The files that count; never folders.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::NotFound,
        kind => Problem::Unreadable { kind },
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        // A link is followed; one that leads nowhere is kept, so that its fault is told.
        let is_file = std::fs::metadata(entry.path()).map_or(true, |metadata| metadata.is_file());
        if is_client_file(name.as_encoded_bytes()) && is_file {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(file: &Path, settings: &Settings, report: &mut Report) -> Option<Client> {
    match read_text(file) {
        Ok(text) => read_client(file, &text, settings, report),
        Err(problem) => {
            report.fault(Place::file(file), "", problem);
            None
        }
    }
}

/// Reads the client of a file that holds this text.
pub(crate) fn read_client(
    file: &Path,
    text: &str,
    settings: &Settings,
    report: &mut Report,
) -> Option<Client> {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
        report.fault(Place::file(file), "", Problem::FileNameNotUtf8);
        return None;
    };
    match Document::from_json(file, text) {
        Ok(document) => client_file::read(name, Section::top(&document), settings, report),
        Err(faults) => {
            report.add(faults);
            None
        }
    }
}

/// A client is found by the hash of its API key alone, so no two may share one.
fn note_api_keys(client: &Client, file: &Path, keys: &mut HashMap<[u8; 32], ClientId>, report: &mut Report) {
    for credential in &client.credentials {
        let (CredentialKind::ApiKey, SecretHash::Sha256(hash)) = (credential.kind, &credential.hash) else {
            continue;
        };
        match keys.get(hash) {
            Some(other) if *other != client.id => {
                let other = other.to_string();
                report.fault(Place::file(file), "credentials", Problem::SharedApiKey { other });
            }
            _ => {
                keys.insert(*hash, client.id.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
