//! A server that runs as a child process, and its end.
//!
//! Owns     the child, its standard output, and how it is told to stop.
//! Called   by [`crate::upstream`], [`crate::nginx`] and [`crate::gateway`], each of which starts one.
//! Bounded  by [`STOP_LIMIT`]: a server that does not stop by then is killed.
//! Fails    as [`LoadError`] when the program cannot be run. Dropping it ends the child, on every way out
//!          of a run: an error, a signal, a panic.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::error::LoadError;

/// How long a server may take from being told to stop until its last process has ended.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How long a server may take until it serves. The gateway hashes nothing and reads 1000 small files;
/// ten times what a slow disk needs.
pub const START_LIMIT: Duration = Duration::from_secs(30);

/// The longest first line that is read; `listening on http://ADDRESS` has some forty bytes.
const FIRST_LINE_MAX: u64 = 1_000;

/// How a server is told to stop.
#[derive(Debug)]
pub enum Stop {
    /// Its standard input closes.
    CloseStdin,
    /// It is killed: it is one process and has nothing to keep.
    Kill,
    /// A command tells it, because it has processes of its own to end first.
    Tell(Command),
}

/// A running child process. Ends when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    stop: Stop,
    first_line: Option<oneshot::Receiver<String>>,
    /// Disconnected once no process of the child's tree holds its standard output: all have ended.
    ended: mpsc::Receiver<()>,
}

impl ServerProcess {
    /// Starts `command` with its standard output (and, for [`Stop::CloseStdin`], its input) on pipes.
    pub fn start(mut command: Command, stop: Stop) -> Result<Self, LoadError> {
        let input = if matches!(stop, Stop::CloseStdin) { Stdio::piped() } else { Stdio::null() };
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| LoadError::NotRunnable { program: command.get_program().into(), source })?;
        let (first_line_sender, first_line) = oneshot::channel();
        let (ended_sender, ended) = mpsc::channel();
        let stdout = child.stdout.take();
        let server = Self { child, stop, first_line: Some(first_line), ended };
        std::thread::Builder::new()
            .name("server-output".to_owned())
            .spawn(move || read_output(stdout, first_line_sender, ended_sender))
            .map_err(LoadError::io("starting a thread that reads a server's output"))?;
        Ok(server)
    }

    /// The process at the root of the server's tree.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the server has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The first line the server writes, without its line end. `None` when it wrote none within
    /// [`START_LIMIT`], has ended, or was asked before.
    pub async fn first_line(&mut self) -> Option<String> {
        let line = self.first_line.take()?;
        tokio::time::timeout(START_LIMIT, line).await.ok()?.ok()
    }
}

/// Hands over the first line, then reads on so that the server never waits for a full pipe.
fn read_output(stdout: Option<ChildStdout>, first_line: oneshot::Sender<String>, ended: mpsc::Sender<()>) {
    let Some(stdout) = stdout else { return };
    let mut output = BufReader::new(stdout);
    let mut line = String::new();
    if matches!(output.by_ref().take(FIRST_LINE_MAX).read_line(&mut line), Ok(1..)) {
        // Nobody asks nginx for a first line.
        let _unwanted = first_line.send(line.trim_end().to_owned());
    }
    let _end_of_output = io::copy(&mut output, &mut io::sink());
    drop(ended);
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let told = match &mut self.stop {
            Stop::CloseStdin => {
                drop(self.child.stdin.take());
                true
            }
            Stop::Kill => false,
            Stop::Tell(command) => {
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.status().is_ok_and(|status| status.success())
            }
        };
        if told {
            let _ended_or_late = self.ended.recv_timeout(STOP_LIMIT);
        }
        // Both fail only for a child that has ended and been waited for.
        let _already_ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    #[tokio::test]
    async fn the_first_line_is_handed_over_and_the_child_ends_when_its_input_closes() {
        let mut server = ServerProcess::start(shell("echo listening; cat"), Stop::CloseStdin).unwrap();
        assert_eq!(server.first_line().await.as_deref(), Some("listening"));
        assert!(!server.has_ended());
        drop(server);
    }

    #[tokio::test]
    async fn a_child_that_ends_without_a_word_gives_no_first_line() {
        let mut server = ServerProcess::start(shell("exit 3"), Stop::Kill).unwrap();
        assert_eq!(server.first_line().await, None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_dropped_server_leaves_no_process_behind() {
        let mut server = ServerProcess::start(shell("echo up; exec sleep 600"), Stop::Kill).unwrap();
        assert_eq!(server.first_line().await.as_deref(), Some("up"));
        let process = format!("/proc/{}", server.pid());
        assert!(std::path::Path::new(&process).exists());
        drop(server);
        assert!(!std::path::Path::new(&process).exists());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let missing = Command::new("/no/such/program");
        let error = ServerProcess::start(missing, Stop::Kill).unwrap_err();
        assert!(error.to_string().contains("/no/such/program"), "{error}");
    }
}
