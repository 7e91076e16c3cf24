use gateway_actors::client::MaxTokensPolicy;
use gateway_limits::{Limits, Mode, PICO_PER_USD};

use crate::config::Faults;
use crate::config::test_folder::TestFolder;
use crate::settings::{Loaded, Settings, Sources};

/// SHA-256 of nothing that anybody knows.
const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ARGON2ID: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";

fn folder() -> TestFolder {
    TestFolder::new().with("gateway.toml", "[providers.echo]\n").with("clients/.keep", "")
}

fn load(folder: &TestFolder) -> Result<Loaded, Faults> {
    let config = Some(folder.path().join("gateway.toml"));
    Settings::load(&Sources { config, listen: None, data_dir: None, env: &|_| None })
}

fn faults(folder: &TestFolder) -> Vec<String> {
    folder.lines(&load(folder).unwrap_err())
}

fn warnings(folder: &TestFolder) -> Vec<String> {
    folder.lines(load(folder).unwrap().warnings)
}

/// The client `ada` with members beside the necessary ones, each on its line from the second on.
fn ada(members: &str) -> TestFolder {
    let json = format!(
        "{{\n{members}\"client_id\": \"ada\", \"client_secret_hash\": \"{HASH}\",\n\
         \"allowed_providers\": [\"echo\"], \"allowed_endpoints\": [\"generate\"]}}"
    );
    folder().with("clients/ada.json", json)
}

#[test]
fn a_whole_client_is_read() {
    let json = format!(
        r#"{{
        "client_id": "ada", "name": "Ada", "allowed_providers": ["echo"], "default_provider": "echo",
        "default_model": "echo", "max_tokens_limit": 2000,
        "rate_limit": {{"requests_per_minute": 60, "tokens_per_minute": 50000, "tokens_per_day": 100000, "concurrent_requests": 8}},
        "allowed_endpoints": ["/v1/chat/completions", "generate"], "allowed_models": ["echo*"],
        "created_at": "2025-03-16T20:00:00-04:00", "updated_at": null, "client_secret_hash": "sha256:{HASH}",
        "credentials": [
            {{"type": "secret", "hash": "{ARGON2ID}", "not_before": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z", "label": "2026-11"}},
            {{"type": "api_key", "hash": "{}"}}
        ],
        "budget": {{"usd_per_day": "5.00", "usd_per_month": null}}, "max_tokens_policy": "clamp", "priority": 2,
        "disabled": true, "allowed_addresses": ["10.0.0.0/8", "::1"]}}"#,
        HASH.to_uppercase()
    );
    let folder = folder().with("clients/ada.json", json);
    let client = load(&folder).unwrap().clients.pop().unwrap();
    assert_eq!((&*client.id, &*client.name), ("ada", "Ada"));
    assert_eq!(client.default_provider.as_deref(), Some("echo"));
    assert_eq!(client.default_model.as_deref(), Some("echo"));
    assert_eq!(client.max_tokens_limit, Some(2000));
    let limits = Limits {
        requests_per_minute: Some(60),
        tokens_per_minute: Some(50_000),
        tokens_per_day: Some(100_000),
        concurrent_requests: Some(8),
        usd_per_day: Some(5 * PICO_PER_USD),
        usd_per_month: None,
        mode: Mode::Enforce,
    };
    assert_eq!(client.limits, limits);
    assert!(client.may_use_endpoint("chat/completions") && !client.may_use_endpoint("models"));
    assert!(client.may_use_provider("echo") && !client.may_use_provider("openai"));
    assert!(client.may_use_model("echo-1") && !client.may_use_model("gpt-5"));
    assert!(client.may_call_from([10, 1, 1, 1].into()) && !client.may_call_from([192, 0, 2, 1].into()));
    assert_eq!(client.credentials.len(), 3);
    assert_eq!(client.credentials[1].expires_at, Some(1_798_761_600_000));
    assert_eq!(client.credentials[1].label.as_deref(), Some("2026-11"));
    assert_eq!(
        (client.max_tokens_policy, client.priority, client.disabled),
        (MaxTokensPolicy::Clamp, 2, true)
    );
    assert_eq!(warnings(&folder), [""; 0]);
}

#[test]
fn a_budget_without_a_price_for_what_it_may_use_is_warned_about() {
    let gateway = "\
models = {one = {targets = ['home/other']}, two = {targets = ['home/priced']}, three = {targets = ['echo/echo']}}
[providers.echo]
[providers.home]
base_url = 'http://127.0.0.1:9/v1'
default_model = 'priced'
[providers.'far.off']
base_url = 'http://127.0.0.1:9/v1'
default_model = 'unpriced'
";
    let client = |members: &str| {
        let json = format!(
            "{{\n{members}\n\"client_id\": \"ada\", \"client_secret_hash\": \"{HASH}\", \
             \"allowed_endpoints\": [\"generate\"]}}"
        );
        TestFolder::new()
            .with("gateway.toml", gateway)
            .with("models.toml", "[home.'priced']\ninput = 1\noutput = 1\n")
            .with("clients/ada.json", json)
    };
    let warning = |provider: &str, model: &str, row: &str| {
        format!(
            "clients/ada.json:2:11: budget: model `{model}` of provider `{provider}` has no price, so that a \
             budget refuses its calls; add {row} with `input = …` and `output = …` to models.toml"
        )
    };
    let everything = "\"budget\": {\"usd_per_month\": \"0\"}, \"allowed_providers\": [\"*\"], \
                      \"default_provider\": \"home\", \"default_model\": \"own\",";
    assert_eq!(
        warnings(&client(everything)),
        [
            warning("far.off", "unpriced", "[\"far.off\".\"unpriced\"]"),
            warning("home", "other", "[home.\"other\"]"),
            warning("home", "own", "[home.\"own\"]"),
        ]
    );
    // What it may not use anyway is no matter, nor is a price without a budget.
    for members in [
        "\"budget\": {\"usd_per_day\": \"1\"}, \"allowed_providers\": [\"*\"], \"allowed_models\": [\"priced\", \"echo\"],",
        "\"budget\": {\"usd_per_day\": \"1\"}, \"allowed_providers\": [\"echo\"],",
        "\"allowed_providers\": [\"*\"], \"budget\": {\"usd_per_day\": null},",
    ] {
        assert_eq!(warnings(&client(members)), [""; 0], "{members}");
    }
}

#[test]
fn a_number_that_is_missing_or_null_is_unlimited_and_zero_blocks() {
    let client = load(&ada("\"rate_limit\": {\"tokens_per_day\": null, \"requests_per_minute\": 0},"))
        .unwrap()
        .clients
        .pop();
    let expected = Limits { requests_per_minute: Some(0), ..Limits::default() };
    assert_eq!(client.unwrap().limits, expected);
    let client = load(&ada("\"rate_limit\": null, \"name\": null,")).unwrap().clients.pop().unwrap();
    assert_eq!((client.limits, &*client.name), (Limits::default(), "ada"));
}

#[test]
fn every_fault_of_every_file_is_told() {
    let folder = ada(
        "\"max_tokens_limit\": -1,\n\
         \"rate_limit\": {\"requests_per_minute\": 1000000001, \"tokens_per_day\": 1.5, \"concurrent_requests\": \"8\"},\n\
         \"max_tokens_policy\": \"ask\",\n\
         \"allowed_models\": [\"gpt *\"],\n\
         \"allowed_addresses\": [\"home\"],\n\
         \"budget\": {\"usd_per_day\": 5, \"usd_per_month\": \"5 USD\"},\n\
         \"disabled\": \"no\", \"priority\": 0, \"default_model\": 7, \"name\": [],\n\
         \"default_provider\": \"a b\",\n",
    )
    .with("clients/bob.json", "{\"client_id\": \"Bob\"}")
    .with("clients/cy.json", "{\"client_id\": \"c y\", \"rate_limit\": 5}")
    .with("clients/di.json", "{}")
    .with("clients/ed.json", "{\n")
    .with("clients/fay.json", b"\xff");
    assert_eq!(
        faults(&folder),
        [
            "clients/ada.json:2:21: max_tokens_limit: -1 is too small; use 0 or more",
            "clients/ada.json:3:39: rate_limit.requests_per_minute: 1000000001 is too large; use 1000000000 or less",
            "clients/ada.json:3:69: rate_limit.tokens_per_day: expected a whole number, found a decimal number",
            "clients/ada.json:3:97: rate_limit.concurrent_requests: expected a whole number, found a string",
            "clients/ada.json:4:22: max_tokens_policy: unknown policy `ask`; use one of reject, clamp",
            "clients/ada.json:5:20: allowed_models[0]: `gpt *` is not a pattern; use 1 to 256 of the characters of a model name and `*`",
            "clients/ada.json:6:23: allowed_addresses[0]: `home` is not an address or network; write one such as 10.0.0.0/8, 192.0.2.7 or fd00::/8",
            "clients/ada.json:7:27: budget.usd_per_day: expected an amount as a string such as \"5.00\", found a whole number",
            "clients/ada.json:7:47: budget.usd_per_month: `5 USD` is not an amount of US dollars; write one such as \"5.00\", from \"0\" to \"18000000\" with at most 12 decimals",
            "clients/ada.json:8:13: disabled: expected true or false, found a string",
            "clients/ada.json:8:31: priority: 0 is too small; use 1 or more",
            "clients/ada.json:8:51: default_model: expected the name of a model, found a whole number",
            "clients/ada.json:8:62: name: expected a string, found a list",
            "clients/ada.json:9:21: default_provider: `a b` is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            "clients/bob.json:1:15: client_id: client_id is `Bob` but the file is named bob.json; name it Bob.json",
            "clients/cy.json:1:15: client_id: `c y` is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            "clients/cy.json:1:36: rate_limit: expected an object in braces, found a whole number",
            "clients/di.json: client_id: missing; write the client's id, which is also the name of the file before .json",
            "clients/ed.json:2:1: not valid JSON: EOF while parsing an object",
            "clients/fay.json: not UTF-8 text; save it in that encoding",
        ]
    );
}

#[test]
fn every_fault_of_a_credential_is_told_and_no_hash_is_shown() {
    let costly = ARGON2ID.replace("m=19456", "m=4194304");
    let argon2i = ARGON2ID.replace("argon2id", "argon2i");
    let folder = ada(&format!(
        "\"credentials\": [\n\
         {{\"type\": \"secret\", \"hash\": \"hidden\"}},\n\
         {{\"type\": \"secret\", \"hash\": \"{argon2i}\"}},\n\
         {{\"type\": \"secret\", \"hash\": \"{costly}\"}},\n\
         {{\"type\": \"api_key\", \"hash\": \"{ARGON2ID}\"}},\n\
         {{\"type\": \"token\", \"hash\": 7}},\n\
         {{\"expires_at\": \"soon\"}},\n\
         {{\"type\": \"secret\", \"hash\": \"{HASH}\", \"not_before\": \"2026-01-01T00:00:00Z\", \"expires_at\": \"2026-01-01T00:00:00Z\"}},\n\
         \"hidden\"],"
    ));
    let not_a_hash = "not a hash; make one with `dsp-ai-gateway hash` and never write the secret itself";
    assert_eq!(faults(&folder), [
        format!("clients/ada.json:3:28: credentials[0].hash: {not_a_hash}"),
        format!("clients/ada.json:4:28: credentials[1].hash: {not_a_hash}"),
        "clients/ada.json:5:28: credentials[2].hash: an argon2id hash with costs beyond 1 GiB of memory, 100 passes or 64 lanes; make a cheaper one with `dsp-ai-gateway hash --argon2id`".to_owned(),
        "clients/ada.json:6:29: credentials[3].hash: an API key takes a SHA-256 hash, so that it can be found by it; make one with `dsp-ai-gateway hash`".to_owned(),
        "clients/ada.json:7:10: credentials[4].type: unknown type `token`; use one of secret, api_key".to_owned(),
        "clients/ada.json:7:27: credentials[4].hash: expected a hash as a string, found a whole number".to_owned(),
        "clients/ada.json:8:1: credentials[5].type: missing; write \"secret\" or \"api_key\"".to_owned(),
        "clients/ada.json:8:1: credentials[5].hash: missing; write what `dsp-ai-gateway hash` prints".to_owned(),
        "clients/ada.json:8:16: credentials[5].expires_at: `soon` is not a time; write one such as 2026-11-30T12:00:00Z".to_owned(),
        "clients/ada.json:9:148: credentials[6].expires_at: not after `not_before`, so that it is never valid".to_owned(),
        "clients/ada.json:10:1: credentials[7]: expected an object in braces, found a string".to_owned(),
    ]);
}

#[test]
fn what_leaves_a_client_with_less_than_was_meant_is_warned_about() {
    let json = "{\n\"client_id\": \"ada\",\n\"client_secret\": \"hidden\",\n\"alowed_models\": [],\n\"allowed_addresses\": [],\n\
                \"allowed_providers\": [\"*\", \"nowhere\"], \"default_provider\": \"nowhere\",\n\
                \"allowed_endpoints\": [\"chat\"], \"rate_limit\": {\"request_per_minute\": 5},\n\
                \"credentials\": [{\"type\": \"secret\", \"api_key\": \"hidden\", \
                \"hash\": \"5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8\"}]}";
    let folder = folder()
        .with("clients/ada.json", json)
        .with("clients/bob.json", "{\"client_id\": \"bob\", \"default_provider\": \"echo\"}");
    assert_eq!(
        warnings(&folder),
        [
            "clients/ada.json:3:18: client_secret: a secret in plain text, ignored; put its hash, made with `dsp-ai-gateway hash`, into `client_secret_hash` and remove it here",
            "clients/ada.json:4:1: alowed_models: unknown member, ignored; did you mean `allowed_models`?",
            "clients/ada.json:5:22: allowed_addresses: empty or missing, so that the client may use no address",
            "clients/ada.json:6:28: allowed_providers[1]: provider `nowhere` is not configured",
            "clients/ada.json:6:60: default_provider: provider `nowhere` is not configured",
            "clients/ada.json:7:23: allowed_endpoints[0]: unknown endpoint `chat`; the endpoints are chat/completions, generate, clients/reload, messages, responses, embeddings, completions, models, interactions, images/generations, images/edits, images/variations, audio/speech, audio/transcriptions, audio/translations, moderations, files, batches",
            "clients/ada.json:7:47: rate_limit.request_per_minute: unknown member, ignored; did you mean `requests_per_minute`?",
            "clients/ada.json:8:47: credentials[0].api_key: a secret in plain text, ignored; put its hash, made with `dsp-ai-gateway hash`, into `credentials` with \"type\": \"api_key\" and remove it here",
            "clients/ada.json:8:65: credentials[0].hash: the published secret of the examples; it is accepted from this machine only, so make your own with `dsp-ai-gateway client rotate ada`",
            "clients/bob.json: allowed_providers: empty or missing, so that the client may use no provider",
            "clients/bob.json: allowed_endpoints: empty or missing, so that the client may use no endpoint",
            "clients/bob.json: no credential, so that the client cannot authenticate; make one with `dsp-ai-gateway client rotate bob`",
            "clients/bob.json:1:42: default_provider: provider `echo` is not among allowed_providers",
        ]
    );
}

#[test]
fn only_files_that_are_meant_as_clients_count() {
    let folder = ada("")
        .with("clients/ada.json~", "x")
        .with("clients/.ada.json.swp", "x")
        .with("clients/.#ada.json", "x")
        .with("clients/._ada.json", "x")
        .with("clients/ada.json.tmp", "x")
        .with("clients/README.md", "x")
        .with("clients/old.json/bob.json", "x");
    assert_eq!(load(&folder).unwrap().clients.len(), 1);
}

#[test]
fn clients_come_in_the_order_of_their_files() {
    let client = |id: &str| format!("\u{feff}{{\"client_id\": \"{id}\"}}");
    let folder = ["b", "C", "a"]
        .into_iter()
        .fold(folder(), |folder, id| folder.with(&format!("clients/{id}.json"), client(id)));
    let ids: Vec<String> =
        load(&folder).unwrap().clients.iter().map(|client| client.id.to_string()).collect();
    assert_eq!(ids, ["C", "a", "b"]);
}

#[test]
fn an_empty_folder_is_warned_about() {
    assert_eq!(
        warnings(&folder()),
        ["clients: no client file in this folder; make one with `dsp-ai-gateway client new ID`"]
    );
}

#[test]
fn two_clients_never_share_an_api_key() {
    let client = |id: &str, hash: &str| {
        let key = format!("{{\"type\": \"api_key\", \"hash\": \"{hash}\"}}");
        format!("{{\"client_id\": \"{id}\", \"credentials\": [{key}, {key}]}}")
    };
    let folder = folder()
        .with("clients/ada.json", client("ada", HASH))
        .with("clients/bob.json", client("bob", &format!("sha256:{}", HASH.to_uppercase())));
    let expected =
        "clients/bob.json: credentials: the same API key as client `ada`; give each client its own";
    assert_eq!(faults(&folder), [expected, expected]);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_one_that_leads_nowhere_is_a_fault() {
    let folder = folder().with("elsewhere", "{\"client_id\": \"ada\"}");
    std::os::unix::fs::symlink("../elsewhere", folder.path().join("clients/ada.json")).unwrap();
    assert_eq!(load(&folder).unwrap().clients.len(), 1);
    std::os::unix::fs::symlink("../nowhere", folder.path().join("clients/bob.json")).unwrap();
    assert_eq!(faults(&folder), ["clients/bob.json: no such file or folder"]);
}

#[test]
fn faults_of_clients_are_told_together_with_those_of_the_settings() {
    let folder = folder().with("gateway.toml", "[nonsense]\n").with("clients/ada.json", "[]");
    assert_eq!(
        faults(&folder),
        [
            "clients/ada.json:1:1: expected an object in braces, found a list",
            "gateway.toml:1:2: nonsense: unknown key; known here: server, clients, ledger, timeouts, retries, telemetry, providers, models",
        ]
    );
}
