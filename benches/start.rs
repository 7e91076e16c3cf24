//! How soon a started gateway answers, and how much memory it holds when it has nothing to do.
//!
//! `cargo bench --bench start`, or for a program that is built already
//! `cargo bench --bench start -- --binary FILE`
//!
//! Each run starts the program in a new folder with the shipped configuration and no accounts, asks the provider `echo`
//! for one answer as soon as it listens, and looks at the process [`IDLE_FOR`] later. The time begins before the
//! process does. Memory is what Linux counts as resident; elsewhere only times are told.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 20;

/// Long enough for what a start leaves to others: the watch on files, the ledger's first look at its old rows.
const IDLE_FOR: Duration = Duration::from_secs(1);

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one run measured.
struct Measured {
    listening: Duration,
    answered: Duration,
    /// Resident memory in KiB, and how much of it is the process's own: the rest is pages of the program's file.
    resident: Option<[u64; 2]>,
}

/// Ends the process with its run.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--binary").skip(1);
    let program = arguments.next().unwrap_or_else(|| env!("CARGO_BIN_EXE_dsp-ai-gateway").to_owned());
    let program = fs::canonicalize(program)?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("start-{}", std::process::id()));
    let runs = (0..RUNS).map(|_| run(&program, &folder)).collect::<Result<Vec<_>, _>>();
    fs::remove_dir_all(&folder)?;
    report(&runs?)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "nothing else runs here; no event tells that a process idles")]
fn run(program: &Path, folder: &Path) -> Result<Measured, Box<dyn Error>> {
    let _ = fs::remove_dir_all(folder);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("configs"), &folder.join("configs"))?;
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().args(["--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut started = Started(command.spawn()?);
    let mut line = String::new();
    BufReader::new(started.0.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
    let listening = begun.elapsed();
    let address = line.trim_end().strip_prefix("listening on http://").ok_or("it does not listen")?;
    ask(address)?;
    let answered = begun.elapsed();
    std::thread::sleep(IDLE_FOR);
    Ok(Measured { listening, answered, resident: resident(started.0.id()) })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry: PathBuf = entry?.path();
        let Some(name) = entry.file_name() else { continue };
        if entry.is_dir() {
            copy(&entry, &to.join(name))?
        } else {
            fs::copy(&entry, to.join(name)).map(drop)?
        }
    }
    Ok(())
}

/// One request of the README, on a connection of its own.
fn ask(address: &str) -> Result<(), Box<dyn Error>> {
    const BODY: &str = r#"{"prompt": "Hello, world!", "provider": "echo"}"#;
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(
        connection,
        "POST /api/v1/generate HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nclient_id: test_client\r\n\
         client_secret: password\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(format!("the answer is {answer}").into()),
    }
}

/// `VmRSS` and `RssAnon` of a process, in KiB.
fn resident(process: u32) -> Option<[u64; 2]> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some([kib("VmRSS:")?, kib("RssAnon:")?])
}

fn report(runs: &[Measured]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let milliseconds =
        |of: fn(&Measured) -> Duration| runs.iter().map(|run| of(run).as_secs_f64() * 1e3).collect();
    writeln!(out, "{RUNS} starts                  min  median     max")?;
    line(&mut out, "until it listens, ms", milliseconds(|run| run.listening))?;
    line(&mut out, "until it answered, ms", milliseconds(|run| run.answered))?;
    for (what, place) in [("resident, MiB", 0), ("of that its own, MiB", 1)] {
        let resident = runs.iter().filter_map(|run| run.resident);
        let mebibytes: Vec<f64> = resident.map(|kib| kib[place] as f64 / 1024.0).collect();
        if !mebibytes.is_empty() {
            line(&mut out, what, mebibytes)?;
        }
    }
    Ok(())
}

fn line(out: &mut impl Write, what: &str, mut values: Vec<f64>) -> std::io::Result<()> {
    values.sort_by(f64::total_cmp);
    let [first, middle, last] = [0, values.len() / 2, values.len() - 1].map(|at| values[at]);
    writeln!(out, "{what:<22} {first:>8.1} {middle:>7.1} {last:>7.1}")
}
