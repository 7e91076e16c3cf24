//! The program itself, as a child process: its signals, its one line of output, its log and its exit code.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_testkit::RawClient;
use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Answer, Request};

/// The program with these arguments, in a folder of its own and with nothing in its environment.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsp-ai-gateway"));
    command
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .args(["--config", "gateway.toml", "--data", "data"])
        .args(arguments);
    command
}

/// The program on a free port, and unharmed by [`Program::limit_files`], which by default ends a process.
#[cfg(target_os = "linux")]
pub fn with_files_to_limit(folder: &Path) -> Command {
    let program = command(folder, &["--listen", "127.0.0.1:0"]);
    let mut shell = Command::new("/bin/sh");
    shell
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(program.get_program()).args(program.get_args());
    shell
}

/// A gateway that runs as a process. Dropping it kills it.
pub struct Program {
    child: Child,
    address: String,
    output: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
}

impl Program {
    /// Starts it in a folder with a `gateway.toml`, and waits until it listens.
    pub async fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0").await
    }

    /// As [`start`](Self::start), at this address.
    pub async fn start_at(folder: &Path, address: &str) -> Self {
        Self::started(command(folder, &["--listen", address])).await
    }

    /// As [`start`](Self::start), by this command, which must end up as the program.
    pub async fn started(command: Command) -> Self {
        let mut program = Self::spawned(command);
        program.listens().await;
        program
    }

    /// As [`started`](Self::started), without waiting.
    pub fn spawned(mut command: Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program starts");
        let output = collected(child.stdout.take().expect("it is piped"));
        let log = collected(child.stderr.take().expect("it is piped"));
        Self { child, address: String::new(), output, log }
    }

    /// Waits until it listens.
    pub async fn listens(&mut self) {
        self.until("it to listen", |program| program.output().ends_with('\n')).await;
        let line = self.output();
        let url = line.trim_end().strip_prefix("listening on ");
        let address = url.and_then(|url| Some(url.split_once("://")?.1));
        self.address = address.unwrap_or_else(|| panic!("it said `{line}`")).to_owned();
    }

    /// What it has written to standard output.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// What it has written to standard error.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its port on this machine.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection of its own.
    pub async fn connect(&self) -> RawClient {
        RawClient::connect(&self.address).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: &Request) -> Answer {
        self.connect().await.ask(request).await
    }

    /// Sends a signal, named as `kill` names it.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("`kill` runs").success(), "the process is there");
    }

    /// From now on none of its files can be written beyond so many bytes, as if the disk were full; `None` is no
    /// limit. Its log goes through a pipe and has none.
    #[cfg(target_os = "linux")]
    pub fn limit_files(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        // The soft limit alone, so that it can be raised again without any right.
        let limit = Command::new("prlimit")
            .args([&format!("--pid={}", self.child.id()), &format!("--fsize={bytes}:")])
            .status();
        assert!(limit.expect("`prlimit` runs").success(), "the process is there and ours");
    }

    /// Waits for its end; its exit code.
    pub async fn ended(&mut self) -> i32 {
        let mut code = None;
        self.until("it to end", |program| {
            code = program.child.try_wait().expect("it is our child");
            code.is_some()
        })
        .await;
        code.and_then(|status| status.code()).expect("it ended by itself, not by a signal")
    }

    /// Polls a condition until it holds.
    pub async fn until(&mut self, awaited: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let poll = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        patiently(awaited, poll).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended already needs none.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes out of a pipe, collected line by line on a thread of its own until the pipe ends.
fn collected(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
            into.lock().unwrap().push_str(&line);
            line.clear();
        }
    });
    text
}
