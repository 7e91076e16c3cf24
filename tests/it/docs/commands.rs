//! Commands of the documents, carried out with nothing but Rust: a curl line or `Invoke-RestMethod` becomes a
//! request, `cargo run --release` the program that cargo has built for this test.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::Request;

/// What a command did.
pub enum Ran {
    /// The gateway began to listen.
    Served,
    /// It ended well and said this.
    Said(String),
    /// It is one of cargo or of this project, and is there.
    Exists,
}

/// Ends a child with its test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The requests of a snippet, in order.
pub fn requests(snippet: &str) -> Vec<Request> {
    let lines = lines_of(snippet);
    let parsed = lines.iter().map(|line| words(line)).filter_map(|words| match words.first()?.as_str() {
        "curl" => Some(curl(&words[1..])),
        "Invoke-RestMethod" => Some(invoke_rest_method(&words[1..])),
        _ => None,
    });
    parsed.collect()
}

/// The other commands of a snippet.
pub fn programs(snippet: &str) -> Vec<Vec<String>> {
    let lines = lines_of(snippet);
    let is_request = |words: &Vec<String>| words[0] == "curl" || words[0] == "Invoke-RestMethod";
    lines.iter().map(|line| words(line)).filter(|words| !words.is_empty() && !is_request(words)).collect()
}

/// Carries a command out, or checks that it names what exists.
pub async fn run(root: &Path, command: &[String]) -> Ran {
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    match command.as_slice() {
        ["cargo", "run", "--release"] => serves(root).await,
        ["cargo", "run", "--release", "--", arguments @ ..] => said(arguments),
        ["cargo", "run", "--example", example] => exists(root, &format!("examples/{example}.rs")),
        // What runs this very test.
        ["cargo", "test", "--workspace", "--locked"] => exists(root, "Cargo.lock"),
        ["bash", script] => exists(root, script),
        // What its SQL does is seen by the tests of accounts.
        ["sqlite3", ..] => Ran::Exists,
        unknown => panic!("a document has a command that nobody can check: {unknown:?}"),
    }
}

fn exists(root: &Path, path: &str) -> Ran {
    assert!(root.join(path).exists(), "no {path}");
    Ran::Exists
}

fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsp-ai-gateway"));
    command
        .current_dir(root)
        .env_remove("GATEWAY_CONFIG")
        .env_remove("GATEWAY_LISTEN")
        .env_remove("GATEWAY_DATA");
    command
}

/// Runs the program on a copy of the shipped configuration, which it may change.
fn said(arguments: &[&str]) -> Ran {
    let folder = super::Folder::new();
    copy(&super::root().join("configs"), &folder.path().join("configs"));
    let output = program(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ran::Said(String::from_utf8(output.stdout).unwrap())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// Starts the program as the README does, but on a free port and with data of its own.
async fn serves(root: &Path) -> Ran {
    let data = super::Folder::new();
    let mut command = program(root);
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data.path());
    let mut child = Ends(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let said = BufReader::new(child.0.stdout.take().unwrap());
    let first = tokio::task::spawn_blocking(move || said.lines().next());
    let first = patiently("the program listens", first).await.unwrap();
    let first = first.expect("the program says where it listens").unwrap();
    assert!(first.starts_with("listening on http://127.0.0.1:"), "{first}");
    Ran::Served
}

/// The lines of a snippet, continued ones joined; comments and blank lines left out.
fn lines_of(snippet: &str) -> Vec<String> {
    let joined = snippet.replace("\r\n", "\n").replace("\\\n", " ").replace("`\n", " ");
    let is_command = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    joined.lines().filter(is_command).map(str::to_owned).collect()
}

/// Splits a line as a shell does: single quotes keep all, a backslash in double quotes takes the next as it is.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' => words.extend(word.take()),
            '\'' => word.get_or_insert_default().extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(char) = chars.next().filter(|c| *c != '"') {
                    word.extend(if char == '\\' { chars.next() } else { Some(char) });
                }
            }
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// What a curl command sends.
fn curl(arguments: &[String]) -> Request {
    let (mut url, mut method, mut headers, mut body) = (None, None, Vec::new(), None);
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        match argument {
            "-H" => headers.push(arguments.next().unwrap()),
            "-d" => body = arguments.next(),
            "-X" => method = arguments.next(),
            "-sS" | "-N" | "--fail-with-body" => {}
            address if address.starts_with("http://") => url = Some(address),
            unknown => panic!("curl has an argument that this test does not know: {unknown}"),
        }
    }
    let method = method.unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let mut request = Request::new(method, path_of(url.expect("curl has an address")));
    for header in headers {
        let (name, value) = header.split_once(": ").expect("a header is `name: value`");
        request = request.header(name, value);
    }
    match body {
        Some(body) => request.body(body.to_owned()),
        None => request,
    }
}

/// What PowerShell's command sends: `-Method`, `-ContentType`, `-Headers @{ name = 'value'; … }`, `-Body`.
fn invoke_rest_method(arguments: &[String]) -> Request {
    let value_of = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let mut request = Request::new(&value_of("-Method").unwrap().to_uppercase(), path_of(&arguments[0]));
    request = request.header("content-type", value_of("-ContentType").unwrap());
    let headers = arguments.iter().skip_while(|argument| *argument != "@{").skip(1);
    let headers: Vec<&String> = headers.take_while(|argument| *argument != "}").collect();
    for header in headers.chunks(3) {
        let [name, _equals, value] = header else { panic!("a header is `name = 'value';`") };
        request = request.header(name, value.trim_end_matches(';'));
    }
    request.body(value_of("-Body").unwrap().to_owned())
}

fn path_of(url: &str) -> &str {
    url.strip_prefix("http://127.0.0.1:8000").expect("the documents speak of port 8000")
}
