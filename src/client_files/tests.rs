use std::fs;

use gateway_actors::client::CredentialKind;
use serde_json::{Value, json};

use super::*;
use crate::audit::{AuditLog, Author};
use crate::config::test_folder::TestFolder;
use crate::settings::{Loaded, Sources};

const HOUR: Duration = Duration::from_secs(60 * 60);
const PUBLISHED: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

/// A moment whose fraction of a second no file shows.
fn now() -> Timestamp {
    "2026-11-30T12:00:00.7Z".parse().unwrap()
}

fn id(id: &str) -> ClientId {
    ClientId::parse(id).unwrap()
}

fn folder() -> TestFolder {
    TestFolder::new().with(
        "gateway.toml",
        "[providers.echo]\n[providers.openai]\n[models.fast]\ntargets = [\"openai/gpt-5.4-nano\"]\n",
    )
}

/// A folder with the client `ada`, whose file has these members beside the necessary ones.
fn with_ada(members: &str) -> TestFolder {
    folder().with("clients/ada.json", ada(members))
}

fn ada(members: &str) -> String {
    format!(
        "{{\n  \"client_id\": \"ada\",\n  {members},\n  \"allowed_providers\": [\"echo\"],\n  \
         \"allowed_endpoints\": [\"generate\"]\n}}\n"
    )
}

fn hash(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn sources(folder: &TestFolder) -> Sources<'static> {
    Sources { config: Some(folder.path().join("gateway.toml")), listen: None, data_dir: None, env: &|_| None }
}

fn settings(folder: &TestFolder) -> Settings {
    Settings::read(&sources(folder)).unwrap()
}

/// The one client of a folder, as a gateway reads it.
fn client(folder: &TestFolder) -> Client {
    let Loaded { mut clients, .. } = Settings::load(&sources(folder)).unwrap();
    assert_eq!(clients.len(), 1);
    clients.remove(0)
}

fn text(folder: &TestFolder) -> String {
    fs::read_to_string(folder.path().join("clients/ada.json")).unwrap()
}

fn file(folder: &TestFolder) -> Value {
    serde_json::from_str(&text(folder)).unwrap()
}

fn new(provider: Option<&str>, model: Option<&str>) -> NewClient {
    NewClient {
        id: id("ada"),
        name: None,
        provider: provider.map(str::to_owned),
        model: model.map(str::to_owned),
    }
}

/// Does something to the folder's files, as a person with a command.
fn with_files<T>(settings: &Settings, act: impl FnOnce(&ClientFiles<'_>) -> T) -> T {
    let recorder = AuditLog::new(&settings.clients_dir.join("../data")).by(Author::Command);
    act(&ClientFiles { settings, recorder: &recorder })
}

fn create(settings: &Settings, new: &NewClient, now: Timestamp) -> Result<Issued, ChangeFault> {
    with_files(settings, |files| files.create(new, now))
}

fn rotate(
    settings: &Settings,
    id: &ClientId,
    grace: Duration,
    now: Timestamp,
) -> Result<Rotated, ChangeFault> {
    with_files(settings, |files| files.rotate(id, grace, now))
}

fn disable(settings: &Settings, id: &ClientId, now: Timestamp) -> Result<Disabled, ChangeFault> {
    with_files(settings, |files| files.set_disabled(id, true, now))
}

fn rotate_ada(folder: &TestFolder, grace: Duration) -> Rotated {
    rotate(&settings(folder), &id("ada"), grace, now()).unwrap()
}

fn message(folder: &TestFolder, fault: &ChangeFault) -> String {
    folder.lines([fault]).concat()
}

#[test]
fn a_new_client_may_call_every_configured_provider_and_not_reload() {
    let folder = folder();
    let issued = create(&settings(&folder), &new(None, None), now()).unwrap();
    assert_eq!(issued.file, folder.path().join("clients/ada.json"));
    assert!(issued.secret.expose().strip_prefix("dsps_").is_some_and(|digits| digits.len() == 64));
    assert!(issued.api_key.expose().strip_prefix("dspk_").is_some_and(|digits| digits.len() == 64));
    let secret = sha256(issued.secret.expose().as_bytes());
    let api_key = sha256(issued.api_key.expose().as_bytes());
    let expected = json!({
        "client_id": "ada",
        "name": "ada",
        "credentials": [
            {"type": "secret", "hash": secret, "label": "2026-11-30"},
            {"type": "api_key", "hash": api_key, "label": "2026-11-30"}
        ],
        "allowed_providers": ["echo", "openai"],
        "max_tokens_limit": null,
        "rate_limit": {"requests_per_minute": null, "tokens_per_day": null},
        "allowed_endpoints": [
            "chat/completions", "generate", "messages", "responses", "embeddings", "completions", "models",
            "interactions", "images/generations", "images/edits", "images/variations", "audio/speech",
            "audio/transcriptions", "audio/translations", "moderations", "files", "batches"
        ],
        "created_at": "2026-11-30T12:00:00Z",
        "updated_at": "2026-11-30T12:00:00Z"
    });
    assert_eq!(file(&folder), expected);
    let written: Vec<String> = expected.as_object().unwrap().keys().cloned().collect();
    assert_eq!(file(&folder).as_object().unwrap().keys().cloned().collect::<Vec<_>>(), written);
    assert!(client(&folder).may_use_provider("openai"));
}

#[test]
fn a_new_clients_defaults_come_from_what_was_asked_for() {
    for (provider, model, allowed, default_provider, default_model) in [
        (Some("echo"), None, json!(["echo"]), json!("echo"), json!(null)),
        (Some("echo"), Some("any"), json!(["echo"]), json!("echo"), json!("any")),
        (Some("openai"), Some("echo"), json!(["openai"]), json!("openai"), json!("echo")),
        (None, Some("gpt-5.4-nano"), json!(["echo", "openai"]), json!("openai"), json!("gpt-5.4-nano")),
        (None, Some("openai/other"), json!(["echo", "openai"]), json!("openai"), json!("other")),
        (None, Some("fast"), json!(["echo", "openai"]), json!("openai"), json!("fast")),
    ] {
        let folder = folder();
        create(&settings(&folder), &new(provider, model), now()).unwrap();
        let file = file(&folder);
        let asked = format!("{provider:?} {model:?}");
        assert_eq!(file["allowed_providers"], allowed, "{asked}");
        assert_eq!((&file["default_provider"], &file["default_model"]), (&default_provider, &default_model));
        client(&folder);
    }
}

#[test]
fn where_one_provider_is_configured_it_is_a_new_clients_default() {
    let folder = TestFolder::new().with("gateway.toml", "[providers.echo]\n");
    create(&settings(&folder), &new(None, Some("any")), now()).unwrap();
    assert_eq!(client(&folder).default_provider.as_deref(), Some("echo"));
}

#[test]
fn a_name_is_written_as_json() {
    let folder = folder();
    let name = "Ada \"the first\" \\ \n \u{1f9ee}";
    create(&settings(&folder), &NewClient { name: Some(name.to_owned()), ..new(None, None) }, now()).unwrap();
    assert_eq!(client(&folder).name, name);
}

#[test]
fn what_a_new_client_cannot_have_is_named() {
    let folder = folder();
    let settings = settings(&folder);
    let refused = |new: NewClient| message(&folder, &create(&settings, &new, now()).unwrap_err());
    assert_eq!(
        refused(new(Some("groq"), None)),
        "--provider: provider `groq` is not configured; the providers are echo, openai"
    );
    assert!(refused(new(None, Some("no model"))).starts_with("--model: `no model` is not a model name"));
    assert_eq!(
        refused(new(None, Some("unheard-of"))),
        "no provider is known for model `unheard-of`; name its provider too"
    );
    assert!(refused(NewClient { id: id(".ada"), ..new(None, None) }).contains("begins with a dot"));
    assert!(!folder.path().join("clients").exists(), "nothing was made");
}

#[test]
fn a_client_that_is_there_is_not_overwritten() {
    let folder = with_ada(&format!("\"client_secret_hash\": \"{}\"", hash('a')));
    let before = text(&folder);
    let fault = create(&settings(&folder), &new(None, None), now()).unwrap_err();
    assert_eq!(
        message(&folder, &fault),
        "client `ada` is there already, in clients/ada.json; give it new credentials with `dsp-ai-gateway client rotate ada`"
    );
    assert_eq!(text(&folder), before);
    assert_eq!(fs::read_dir(folder.path().join("clients")).unwrap().count(), 1, "no draft is left");
}

#[test]
fn rotating_moves_the_old_secret_aside_and_keeps_all_else() {
    let members = format!(
        "\"client_secret_hash\": \"{}\",\n  \"max_tokens_limit\":   2000,\n  \"note\": [1.10, 12345678901234567890123],\n  \
         \"updated_at\": \"2025-03-16T20:00:00-04:00\"",
        hash('a')
    );
    let folder = with_ada(&members);
    let rotated = rotate_ada(&folder, 24 * HOUR);
    let [secret, api_key] =
        [&rotated.issued.secret, &rotated.issued.api_key].map(|new| sha256(new.expose().as_bytes()));
    let credentials = format!(
        "\"credentials\": [\n    \
         {{\"type\": \"secret\", \"hash\": \"{}\", \"expires_at\": \"2026-12-01T12:00:00Z\"}},\n    \
         {{\"type\": \"secret\", \"hash\": \"{secret}\", \"label\": \"2026-11-30\"}},\n    \
         {{\"type\": \"api_key\", \"hash\": \"{api_key}\", \"label\": \"2026-11-30\"}}\n  ]",
        hash('a')
    );
    let expected = ada(&members)
        .replace(&format!("\"client_secret_hash\": \"{}\"", hash('a')), &credentials)
        .replace("2025-03-16T20:00:00-04:00", "2026-11-30T12:00:00Z");
    assert_eq!(text(&folder), expected);
    let end = "2026-12-01T12:00:00Z".parse().unwrap();
    assert_eq!(rotated.old, OldCredentials { ending: 1, end, removed: 0, published: 0 });
    assert!(!rotated.is_disabled);
}

#[test]
fn an_old_credential_ends_with_the_grace_or_as_early_as_it_did() {
    let entries = format!(
        "\"credentials\": [\n    {{\"type\":\"secret\",\"hash\":\"{}\",\"more\": 1.0}},\n    \
         {{\n      \"type\": \"api_key\",\n      \"hash\": \"{}\",\n      \"expires_at\": \"2027-01-01T00:00:00Z\"\n    }},\n    \
         {{\"type\": \"secret\", \"hash\": \"{}\", \"expires_at\": \"2026-11-30T12:30:00+00:00\"}},\n    \
         {{\"type\": \"secret\", \"hash\": \"{}\", \"expires_at\": null}}\n  ]",
        hash('a'),
        hash('b'),
        hash('c'),
        hash('d')
    );
    let folder = with_ada(&entries);
    let rotated = rotate_ada(&folder, HOUR);
    let text = text(&folder);
    let end = "\"expires_at\": \"2026-11-30T13:00:00Z\"";
    for kept in [
        format!("{{\"type\":\"secret\",\"hash\":\"{}\",\"more\": 1.0, {end}}},\n", hash('a')),
        format!(
            "{{\n      \"type\": \"api_key\",\n      \"hash\": \"{}\",\n      {end}\n    }},\n",
            hash('b')
        ),
        format!("\"hash\": \"{}\", \"expires_at\": \"2026-11-30T12:30:00+00:00\"}},\n", hash('c')),
        format!("\"hash\": \"{}\", {end}}},\n", hash('d')),
    ] {
        assert!(text.contains(&kept), "{kept}\n{text}");
    }
    assert_eq!((rotated.old.ending, rotated.old.removed), (4, 0));
    assert_eq!(client(&folder).credentials.len(), 6);
}

#[test]
fn what_could_never_be_accepted_again_is_taken_out() {
    let entry =
        |digit, time: &str| format!("{{\"type\": \"secret\", \"hash\": \"{}\", {time}}}", hash(digit));
    let folder = with_ada(&format!(
        "\"credentials\": [{}, {}, {}]",
        entry('a', "\"expires_at\": \"2026-11-30T12:00:00Z\""),
        entry('b', "\"not_before\": \"2026-12-24T00:00:00Z\""),
        entry('c', "\"not_before\": \"2026-11-30T12:59:59Z\"")
    ));
    let rotated = rotate_ada(&folder, HOUR);
    assert_eq!((rotated.old.ending, rotated.old.removed), (1, 2));
    let text = text(&folder);
    assert!(!text.contains(&hash('a')) && !text.contains(&hash('b')) && text.contains(&hash('c')), "{text}");
    client(&folder);
}

#[test]
fn without_a_grace_only_the_new_credentials_are_left() {
    let folder = with_ada(&format!(
        "\"client_secret_hash\": \"{}\", \"credentials\": [{{\"type\": \"api_key\", \"hash\": \"{}\"}}]",
        hash('a'),
        hash('b')
    ));
    let rotated = rotate_ada(&folder, Duration::ZERO);
    assert_eq!(rotated.old, OldCredentials { removed: 2, ..OldCredentials::default() });
    assert!(file(&folder).get("client_secret_hash").is_none());
    let kinds: Vec<CredentialKind> = client(&folder).credentials.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [CredentialKind::Secret, CredentialKind::ApiKey]);
}

/// As long as a file names it, the client is kept out from all other machines, new credentials or not.
#[test]
fn a_published_secret_goes_at_once() {
    let folder = with_ada(&format!("\"client_secret_hash\": \"{PUBLISHED}\""));
    let rotated = rotate_ada(&folder, 24 * HOUR);
    assert_eq!(rotated.old, OldCredentials { removed: 1, published: 1, ..OldCredentials::default() });
    assert!(!client(&folder).has_published_secret());
}

#[test]
fn a_client_without_credentials_gets_its_first_ones() {
    for members in
        ["\"credentials\": []", "\"credentials\": null", "\"client_secret_hash\": null", "\"name\": \"Ada\""]
    {
        let folder = with_ada(members);
        let rotated = rotate_ada(&folder, 24 * HOUR);
        assert_eq!(rotated.old, OldCredentials::default(), "{members}");
        assert_eq!(client(&folder).credentials.len(), 2, "{members}");
        assert!(file(&folder).get("client_secret_hash").is_none(), "{members}");
    }
}

#[test]
fn disabling_writes_two_members() {
    let folder = with_ada(&format!("\"client_secret_hash\": \"{}\"", hash('a')));
    let before = text(&folder);
    let disabled = disable(&settings(&folder), &id("ada"), now()).unwrap();
    assert!(!disabled.already);
    let added = ",\n  \"disabled\": true,\n  \"updated_at\": \"2026-11-30T12:00:00Z\"\n}\n";
    assert_eq!(text(&folder), before.replace("\n}\n", added));
    assert!(client(&folder).disabled);
    assert!(rotate_ada(&folder, HOUR).is_disabled && client(&folder).disabled);
}

#[test]
fn a_disabled_client_is_not_written_again() {
    let folder = with_ada(&format!("\"client_secret_hash\": \"{}\", \"disabled\": true", hash('a')));
    let before = text(&folder);
    assert!(disable(&settings(&folder), &id("ada"), now()).unwrap().already);
    assert_eq!(text(&folder), before);
}

#[test]
fn a_file_with_a_fault_is_not_changed() {
    let folder = with_ada("\"max_tokens_limit\": -1");
    let before = text(&folder);
    let fault = disable(&settings(&folder), &id("ada"), now()).unwrap_err();
    assert_eq!(
        message(&folder, &fault),
        "clients/ada.json:3:23: max_tokens_limit: -1 is too small; use 0 or more"
    );
    assert_eq!(text(&folder), before);
    assert_eq!(fs::read_dir(folder.path().join("clients")).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_client_without_a_file_is_named() {
    let folder = folder();
    let fault = rotate(&settings(&folder), &id("bob"), HOUR, now()).unwrap_err();
    assert_eq!(
        message(&folder, &fault),
        "no client `bob`: clients/bob.json does not exist; make the client with `dsp-ai-gateway client new bob`"
    );
}

#[test]
fn while_one_command_changes_a_client_another_is_refused() {
    let folder = with_ada(&format!("\"client_secret_hash\": \"{}\"", hash('a')));
    let file = folder.path().join("clients/ada.json");
    let held = HeldFile::hold(&file).unwrap();
    let fault = rotate(&settings(&folder), &id("ada"), HOUR, now()).unwrap_err();
    let draft = folder.path().join("clients/.ada.json.new");
    assert!(matches!(&fault, ChangeFault::Busy { draft: named } if named.file_name() == draft.file_name()));
    assert!(draft.exists(), "the refused one leaves the draft alone");
    assert_eq!(client(&folder).credentials.len(), 1, "a reader does not see the draft");
    drop(held);
    rotate_ada(&folder, HOUR);
    assert!(!draft.exists());
}

#[cfg(unix)]
#[test]
fn a_file_keeps_its_mode_and_a_new_one_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |folder: &TestFolder| {
        fs::metadata(folder.path().join("clients/ada.json")).unwrap().permissions().mode() & 0o777
    };
    let fresh = folder();
    create(&settings(&fresh), &new(None, None), now()).unwrap();
    assert_eq!(mode(&fresh), 0o640);
    fs::set_permissions(fresh.path().join("clients/ada.json"), fs::Permissions::from_mode(0o604)).unwrap();
    rotate_ada(&fresh, HOUR);
    assert_eq!(mode(&fresh), 0o604);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let folder = folder()
        .with("elsewhere/ada.json", ada(&format!("\"client_secret_hash\": \"{}\"", hash('a'))))
        .with("clients/.keep", "");
    let link = folder.path().join("clients/ada.json");
    std::os::unix::fs::symlink("../elsewhere/ada.json", &link).unwrap();
    rotate_ada(&folder, HOUR);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(client(&folder).credentials.len(), 3);
    let fault = create(&settings(&folder), &new(None, None), now()).unwrap_err();
    assert!(matches!(fault, ChangeFault::Exists { .. }));
}

#[test]
fn hashes_are_what_the_gateway_reads() {
    assert_eq!(sha256(b"password"), format!("sha256:{PUBLISHED}"));
    let phc = argon2id(b"correct horse").unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert_ne!(phc, argon2id(b"correct horse").unwrap(), "each has its own salt");
    client(&with_ada(&format!("\"client_secret_hash\": \"{phc}\"")));
    client(&with_ada(&format!("\"client_secret_hash\": \"{}\"", sha256(b"password"))));
}
