//! The commands that make secrets and clients, as a person gives them, and what a running gateway makes of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use gateway_testkit::raw_client::{Answer, Request};
use serde_json::{Value, json};

use crate::program::{Program, command};

/// The SHA-256 of `password`, the secret of the shipped example client.
const PUBLISHED: &str = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

/// A folder with a gateway that answers by itself; gone with its test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("commands-{:016x}", rand::random::<u64>());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(folder.join("clients")).unwrap();
        let folder = Self(folder);
        // Without a watch, so that each reload is the test's own.
        folder.write("gateway.toml", "[clients]\nwatch = false\n[providers.echo]\n");
        folder
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn client_text(&self, id: &str) -> String {
        std::fs::read_to_string(self.0.join(format!("clients/{id}.json"))).unwrap()
    }

    fn client(&self, id: &str) -> Value {
        serde_json::from_str(&self.client_text(id)).unwrap()
    }

    /// What a command did that is to end well.
    pub fn done(&self, arguments: &[&str]) -> Done {
        let ran = self.run(arguments, b"");
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.told);
        ran
    }

    /// What a command did.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Done {
        given(command(&self.0, arguments), input)
    }

    /// New credentials out of a command.
    fn issued(&self, arguments: &[&str]) -> Issued {
        Issued::read(&self.done(arguments).said)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Done {
    pub code: i32,
    /// Its standard output.
    pub said: String,
    /// Its standard error.
    pub told: String,
}

fn given(mut command: Command, input: &[u8]) -> Done {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A command that reads nothing has closed it already.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), said: text(stdout), told: text(stderr) }
}

#[derive(Debug, PartialEq)]
struct Issued {
    id: String,
    secret: String,
    api_key: String,
}

impl Issued {
    fn read(said: &str) -> Self {
        let lines: Vec<(&str, &str)> = said.lines().map(|line| line.split_once('=').unwrap()).collect();
        let [("client_id", id), ("client_secret", secret), ("api_key", api_key)] = lines[..] else {
            panic!("credentials in another form: {said}");
        };
        Self { id: id.to_owned(), secret: secret.to_owned(), api_key: api_key.to_owned() }
    }

    /// The status of a request with the secret, and of one with the API key.
    async fn statuses(&self, gateway: &Program) -> [u16; 2] {
        let by_secret = generate().header("client_id", &self.id).header("client_secret", &self.secret);
        let by_key = chat().header("authorization", &format!("Bearer {}", self.api_key));
        [gateway.ask(&by_secret).await.status, gateway.ask(&by_key).await.status]
    }
}

fn generate() -> Request {
    Request::post("/api/v1/generate").json(&json!({"prompt": "hi"}))
}

fn chat() -> Request {
    Request::post("/v1/chat/completions")
        .json(&json!({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}))
}

async fn reload(gateway: &Program, folder: &Folder) -> Answer {
    let token = std::fs::read_to_string(folder.0.join("data/admin-token")).unwrap();
    let request = Request::post("/admin/reload").header("authorization", &format!("Bearer {}", token.trim()));
    let answer = gateway.ask(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

const LET_IN: [u16; 2] = [200, 200];
const KEPT_OUT: [u16; 2] = [401, 401];

#[tokio::test]
async fn a_new_client_works_after_a_reload() {
    let folder = Folder::new();
    let gateway = Program::start(&folder.0).await;
    let ran =
        folder.done(&["client", "new", "ada", "--name", "Ada L.", "--provider", "echo", "--model", "echo"]);
    let ada = Issued::read(&ran.said);
    assert_eq!(ada.id, "ada");
    assert!(ran.told.contains("POST /admin/reload"), "{}", ran.told);
    let file = folder.client_text("ada");
    for secret in [&ada.secret, &ada.api_key] {
        assert!(!file.contains(secret) && !ran.told.contains(secret), "a secret is shown once");
    }
    assert_eq!(ada.statuses(&gateway).await, KEPT_OUT);
    assert_eq!(reload(&gateway, &folder).await.json()["added"], json!(["ada"]));
    assert_eq!(ada.statuses(&gateway).await, LET_IN);
    assert_eq!(folder.client("ada")["name"], "Ada L.");
}

#[tokio::test]
async fn old_credentials_are_accepted_beside_the_new_ones_until_the_grace_ends() {
    let folder = Folder::new();
    let first = folder.issued(&["client", "new", "ada"]);
    let gateway = Program::start(&folder.0).await;
    let second = folder.issued(&["client", "rotate", "ada"]);
    assert_ne!(first, second);
    reload(&gateway, &folder).await;
    assert_eq!(first.statuses(&gateway).await, LET_IN);
    assert_eq!(second.statuses(&gateway).await, LET_IN);

    // Over before the next command has ended.
    let third = folder.issued(&["client", "rotate", "ada", "--grace", "1ms"]);
    reload(&gateway, &folder).await;
    for old in [&first, &second] {
        assert_eq!(old.statuses(&gateway).await, KEPT_OUT);
    }
    assert_eq!(third.statuses(&gateway).await, LET_IN);

    let fourth = folder.issued(&["client", "rotate", "ada", "--grace", "0"]);
    assert_eq!(folder.client("ada")["credentials"].as_array().unwrap().len(), 2);
    reload(&gateway, &folder).await;
    assert_eq!(third.statuses(&gateway).await, KEPT_OUT);
    assert_eq!(fourth.statuses(&gateway).await, LET_IN);
}

#[tokio::test]
async fn a_disabled_client_gets_a_401_after_a_reload() {
    let folder = Folder::new();
    let ada = folder.issued(&["client", "new", "ada"]);
    let gateway = Program::start(&folder.0).await;
    assert_eq!(ada.statuses(&gateway).await, LET_IN);
    let ran = folder.done(&["client", "disable", "ada"]);
    assert!(ran.said.contains("client `ada` is disabled"), "{}", ran.said);
    assert_eq!(folder.client("ada")["disabled"], true);
    reload(&gateway, &folder).await;
    assert_eq!(ada.statuses(&gateway).await, KEPT_OUT);
    let again = folder.done(&["client", "disable", "ada"]);
    assert!(again.said.contains("was disabled before"), "{}", again.said);
    assert!(folder.done(&["client", "rotate", "ada"]).told.contains("is disabled"));

    let ran = folder.done(&["client", "enable", "ada"]);
    assert!(ran.said.contains("client `ada` has its access back"), "{}", ran.said);
    reload(&gateway, &folder).await;
    assert_eq!(ada.statuses(&gateway).await, LET_IN);
    assert!(folder.done(&["client", "enable", "ada"]).said.contains("was not disabled"));
}

/// The shipped example client, whose secret everybody knows.
#[tokio::test]
async fn rotating_the_example_client_makes_it_one_of_ones_own() {
    let folder = Folder::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/clients/test_client.json");
    let shipped = std::fs::read_to_string(shipped).unwrap();
    folder.write("clients/test_client.json", &shipped);
    let ran = folder.done(&["client", "rotate", "test_client"]);
    assert!(ran.told.contains("the secret is a published one"), "{}", ran.told);
    assert!(!folder.done(&["check"]).told.contains("the published secret"));

    let mut expected: Value = serde_json::from_str(&shipped).unwrap();
    let mut file = folder.client("test_client");
    for changed in ["client_secret_hash", "credentials", "updated_at"] {
        expected.as_object_mut().unwrap().remove(changed);
        file.as_object_mut().unwrap().remove(changed);
    }
    assert_eq!(file, expected, "all else is as it was");

    // Its endpoints and providers are its own too, so only the way in is looked at.
    let gateway = Program::start(&folder.0).await;
    let is_let_in = async |secret: &str| {
        let request =
            Request::get("/v1/models").header("client_id", "test_client").header("client_secret", secret);
        gateway.ask(&request).await.status
    };
    assert_eq!(is_let_in("password").await, 401);
    assert_eq!(is_let_in(&Issued::read(&ran.said).secret).await, 200);
}

#[tokio::test]
async fn a_hash_stands_in_a_clients_file_for_its_secret() {
    let folder = Folder::new();
    let secret = "correct horse battery staple";
    let sha256 = folder.run(&["hash"], format!("{secret}\n").as_bytes());
    let argon2id = folder.run(&["hash", "--argon2id"], format!("{secret}\r\n").as_bytes());
    for (id, ran) in [("ada", sha256), ("bob", argon2id)] {
        assert_eq!((ran.code, ran.said.lines().count(), ran.told.as_str()), (0, 1, ""));
        let client = json!({
            "client_id": id, "client_secret_hash": ran.said.trim(), "allowed_providers": ["echo"],
            "default_provider": "echo", "default_model": "echo", "allowed_endpoints": ["generate"]
        });
        folder.write(&format!("clients/{id}.json"), &client.to_string());
    }
    let gateway = Program::start(&folder.0).await;
    for id in ["ada", "bob"] {
        let request = generate().header("client_id", id);
        let right = gateway.ask(&request.clone().header("client_secret", secret)).await;
        let wrong = gateway.ask(&request.header("client_secret", "correct horse")).await;
        assert_eq!((right.status, wrong.status), (200, 401), "{id}: {}", right.text());
    }
}

#[test]
fn a_hash_is_that_of_the_exact_secret() {
    let folder = Folder::new();
    let ran = folder.run(&["hash"], b"password\n");
    assert_eq!((ran.code, ran.said), (0, format!("sha256:{PUBLISHED}\n")));
    assert!(ran.told.contains("published"), "{}", ran.told);
    assert_eq!(folder.run(&["hash"], b"password").said, format!("sha256:{PUBLISHED}\n"));
    let with_blank = folder.run(&["hash"], b"password \n");
    assert_ne!(with_blank.said, format!("sha256:{PUBLISHED}\n"));
    assert!(with_blank.told.contains("blank"), "{}", with_blank.told);
    let phc = folder.run(&["hash", "--argon2id"], b"password").said;
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
}

#[test]
fn an_empty_secret_has_no_hash() {
    let folder = Folder::new();
    for input in [&b""[..], b"\n"] {
        for arguments in [&["hash"][..], &["hash", "--argon2id"]] {
            let ran = folder.run(arguments, input);
            assert_eq!((ran.code, ran.said.as_str()), (2, ""));
            assert!(ran.told.contains("the secret is empty"), "{}", ran.told);
        }
    }
}

#[test]
fn what_cannot_be_done_as_asked_ends_with_2_and_changes_nothing() {
    let folder = Folder::new();
    folder.done(&["client", "new", "ada"]);
    let before = folder.client_text("ada");
    for (arguments, message) in [
        (&["client", "new", "ada"][..], "client `ada` is there already"),
        (
            &["client", "new", "bob", "--provider", "nobody"],
            "provider `nobody` is not configured; the providers are echo",
        ),
        (&["client", "new", "bob", "--model", "a b"], "`a b` is not a model name"),
        (&["client", "new", "../bob"], "a client id is 1 to 64 of"),
        (&["client", "new", ".bob"], "begins with a dot"),
        (&["client", "new", ""], "client id"),
        (&["client", "rotate", "bob"], "no client `bob`"),
        (&["client", "rotate", "ada", "--grace", "soon"], "not a duration"),
        (&["client", "rotate", "ada", "--grace=-1h"], "not a duration"),
        (&["client", "disable", "bob"], "no client `bob`"),
        (&["client", "enable", "bob"], "no client `bob`"),
        (&["client"], "Usage"),
        (&["client", "new"], "<ID>"),
    ] {
        let ran = folder.run(arguments, b"");
        assert_eq!((ran.code, ran.said.as_str()), (2, ""), "{arguments:?}: {}", ran.told);
        assert!(ran.told.contains(message), "{arguments:?}: {}", ran.told);
    }
    assert_eq!(folder.client_text("ada"), before);
    assert_eq!(std::fs::read_dir(folder.0.join("clients")).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_configuration_that_cannot_be_used_ends_a_command_with_2() {
    let folder = Folder::new();
    folder.write("gateway.toml", "[server]\nlisten = 1\n");
    for arguments in [
        &["client", "new", "ada"][..],
        &["client", "rotate", "ada"],
        &["client", "disable", "ada"],
        &["check"],
    ] {
        let ran = folder.run(arguments, b"");
        assert_eq!((ran.code, ran.said.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.told.contains("gateway.toml:2:10: server.listen"), "{}", ran.told);
    }
    assert_eq!(folder.run(&["hash"], b"needs no configuration").code, 0);
}

#[test]
fn what_the_system_refuses_ends_with_1() {
    let folder = Folder::new();
    folder.write("gateway.toml", "[clients]\ndir = \"gateway.toml\"\n[providers.echo]\n");
    let ran = folder.run(&["client", "new", "ada"], b"");
    assert_eq!((ran.code, ran.said.as_str()), (1, ""), "{}", ran.told);
    assert!(ran.told.contains("gateway.toml: cannot be made"), "{}", ran.told);
}

/// Whoever gave the command would think that there is a client, and nobody would have its credentials.
#[cfg(target_os = "linux")]
#[test]
fn credentials_that_could_not_be_printed_are_a_failure() {
    let folder = Folder::new();
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = command(&folder.0, &["client", "new", "ada"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("`dsp-ai-gateway client rotate ada`"), "{told}");
}

/// Taking access away must not wait until somebody has mended what has nothing to do with it.
#[test]
fn a_fault_elsewhere_is_told_and_keeps_no_change_from_being_made() {
    let folder = Folder::new();
    folder.done(&["client", "new", "ada"]);
    folder.write("clients/bob.json", "{\"client_id\": \"bob\", \"priority\": 0}");
    for (command, disabled) in [("disable", true), ("enable", false)] {
        let ran = folder.run(&["client", command, "ada"], b"");
        assert_eq!((ran.code, &folder.client("ada")["disabled"]), (2, &json!(disabled)), "{command}");
        assert!(ran.told.contains("clients/bob.json:1:34: priority"), "{}", ran.told);
        assert!(ran.told.contains("in its file and not in force"), "{}", ran.told);
    }
}

#[test]
fn a_change_says_what_is_to_be_known_of_the_client_and_of_no_other() {
    let folder = Folder::new();
    folder.write("clients/bob.json", "{\"client_id\": \"bob\"}");
    folder.write("gateway.toml", "[providers.echo]\n[models.old]\nretired = 2020-01-01\n");
    let ran = folder.done(&["client", "new", "ada", "--provider", "echo", "--model", "old"]);
    assert!(ran.told.contains("model `old` is retired"), "{}", ran.told);
    assert!(!ran.told.contains("bob"), "{}", ran.told);
    assert!(ran.told.contains("by itself within seconds"), "{}", ran.told);
}

/// On a fresh machine there is no configuration, and the folder for clients says that this is the place.
#[test]
fn the_first_client_needs_no_configuration_file() {
    let folder = Folder::new();
    std::fs::remove_dir_all(folder.0.join("clients")).unwrap();
    std::fs::remove_file(folder.0.join("gateway.toml")).unwrap();
    std::fs::create_dir_all(folder.0.join("configs/clients")).unwrap();
    let ran = given(bare(&folder, &["client", "new", "ada"]), b"");
    assert_eq!(ran.code, 0, "{}", ran.told);
    let file = std::fs::read_to_string(folder.0.join("configs/clients/ada.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["allowed_providers"], json!(["anthropic", "echo", "gemini", "groq", "openai"]));
}

/// The program without the flags that name its files.
fn bare(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsp-ai-gateway"));
    command.current_dir(&folder.0).env_clear().args(arguments);
    command
}

#[test]
fn in_a_folder_that_is_not_the_gateways_nothing_is_made_and_the_cure_is_told() {
    let folder = Folder::new();
    std::fs::remove_dir_all(folder.0.join("clients")).unwrap();
    std::fs::remove_file(folder.0.join("gateway.toml")).unwrap();
    for arguments in [&["client", "new", "ada"][..], &["serve", "--listen", "127.0.0.1:0"], &["check"]] {
        let ran = given(bare(&folder, arguments), b"");
        assert_eq!((ran.code, ran.said.as_str()), (2, ""), "{arguments:?}: {}", ran.told);
        let below = format!("configs/gateway.toml: no such file below {}", folder.0.display());
        assert!(ran.told.contains(&below) && ran.told.contains("--config"), "{}", ran.told);
    }
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is made");
}

#[test]
fn a_word_that_is_no_log_level_ends_with_2_and_the_list_of_levels() {
    let folder = Folder::new();
    for arguments in [&["check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        for (variable, flag) in [(Some("LOG_LEVEL"), None), (Some("RUST_LOG"), None), (None, Some("--log"))] {
            let flags: Vec<&str> = flag.iter().flat_map(|flag| [*flag, "inf"]).collect();
            let mut command = command(&folder.0, &flags);
            command.args(arguments).envs(variable.map(|name| (name, "inf")));
            let ran = given(command, b"");
            let fault =
                format!("{}: `inf` is no log level; write error, warn, info", variable.or(flag).unwrap());
            assert!(ran.code == 2 && ran.told.contains(&fault), "{arguments:?}: {} {}", ran.code, ran.told);
        }
    }
    folder.write(".env", "LOG_LEVEL=bogus\n");
    assert_eq!(folder.run(&["check"], b"").code, 2);
    folder.write(".env", "LOG_LEVEL=warning\n");
    folder.done(&["check"]);
}

/// As a service has it, whose environment no shell has.
#[test]
fn keys_are_found_in_a_named_file_of_the_environment_which_must_be_there() {
    let folder = Folder::new();
    folder.write("gateway.toml", "[providers.groq]\n");
    folder.write("environment", "GROQ_API_KEY=gsk-of-the-service\n");
    assert!(folder.done(&["check"]).told.contains("provider `groq` has no key"));
    let told = folder.done(&["--env-file", "environment", "check"]).told;
    assert!(!told.contains("has no key") && !told.contains("gsk-"), "{told}");
    let ran = folder.run(&["check", "--env-file", "nowhere"], b"");
    assert_eq!(ran.code, 2);
    assert!(ran.told.contains("nowhere: no such file"), "{}", ran.told);
}

#[tokio::test]
async fn usage_of_nobody_says_that_nobody_is_called_so() {
    let folder = Folder::new();
    folder.done(&["client", "new", "ada"]);
    drop(Program::start(&folder.0).await);
    assert!(folder.done(&["usage", "--client", "nobody"]).told.contains("no client is called `nobody`"));
    assert_eq!(folder.done(&["usage", "--client", "ada"]).told, "");
}

#[test]
fn every_command_has_a_help() {
    let folder = Folder::new();
    for (command, words) in [
        (&[][..], &["serve", "check", "client", "hash", "openapi", "--config", "--data", "--listen"][..]),
        (&["client"], &["new", "rotate", "disable", "enable"]),
        (&["client", "new"], &["<ID>", "--name", "--provider", "--model", "--config", "--data", "api_key="]),
        (&["client", "rotate"], &["<ID>", "--grace", "24h", "--config", "--data"]),
        (&["client", "disable"], &["<ID>", "401"]),
        (&["hash"], &["--argon2id", "standard input"]),
        (&["check"], &["exit 0 or 2"]),
        (&["serve"], &["--listen", "--log-format", "--log"]),
    ] {
        let ran = folder.done(&[command, &["--help"]].concat());
        for word in words {
            assert!(ran.said.contains(word), "no {word} in the help of {command:?}:\n{}", ran.said);
        }
        let is_of_serve = command.is_empty() || command == ["serve"];
        assert_eq!(ran.said.contains("--listen"), is_of_serve, "{command:?}");
    }
}
