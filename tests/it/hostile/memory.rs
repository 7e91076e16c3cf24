//! What the program holds in memory while many clients send large bodies slowly: the program itself, as a child,
//! so that nothing of the test counts.

use futures_util::future::join_all;

use crate::program::Program;

use super::*;

/// `max_buffered_bytes`.
const BODIES_MB: u64 = 64;

const PATH: &str = "/v1/chat/completions";
const CLIENTS: usize = 200;
const BODY_SIZE: usize = 30_000_000;

/// What a client may cost beside bodies that count: its connection's buffers, the first 1 MiB that a body of announced
/// length takes, and the places that a growing body has left, which the allocator keeps for a while. A body held
/// outside of its bound would be 30 MB.
const REST_MB: u64 = 2 * CLIENTS as u64;

/// A line of `/proc/PID/status`, in MB.
fn memory_mb(program: &Program, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
    line.trim_start_matches(':').trim_end_matches("kB").trim().parse::<u64>().expect("a number") / 1_000
}

/// Sends 30 MB in pieces and reads the answer, which may come long before the end. The status.
async fn send_slowly(program: &Program, piece: &[u8], by_chunks: bool) -> u16 {
    let mut client = program.connect().await;
    let framing = match by_chunks {
        true => "transfer-encoding: chunked".to_owned(),
        false => format!("content-length: {BODY_SIZE}"),
    };
    client.write(head(PATH, &framing)).await.expect("taken");
    let size_line = format!("{:x}\r\n", piece.len());
    for _ in 0..BODY_SIZE / piece.len() {
        let sent = match by_chunks {
            true => client.write([size_line.as_bytes(), piece, b"\r\n"].concat()).await,
            false => client.write(piece).await,
        };
        if sent.is_err() || client.has_answer().await {
            break;
        }
        // Everybody else gets a turn: all bodies grow together.
        tokio::task::yield_now().await;
    }
    if by_chunks {
        let _ = client.write("0\r\n\r\n").await;
    }
    client.try_head().await.ok().flatten().map_or(0, |head| head.status)
}

#[tokio::test]
async fn two_hundred_clients_that_send_thirty_megabytes_each_take_no_more_memory_than_is_set() {
    let upstream = FakeUpstream::start().await;
    let toml = format!("[server]\nmax_buffered_bytes = \"{BODIES_MB}MiB\"\n");
    let folder = TestGateway::with(&upstream).toml(&toml).client("ada", json!({})).write();
    let program = Program::start(folder.path()).await;
    let before = memory_mb(&program, "VmRSS");
    // Blanks before a body that is no JSON: read in full, then refused.
    let piece = vec![b' '; 100_000];
    let sending = (0..CLIENTS).map(|n| send_slowly(&program, &piece, n % 2 == 0));
    let statuses = join_all(sending).await;
    let peak = memory_mb(&program, "VmHWM");
    let count = |status: u16| statuses.iter().filter(|other| **other == status).count();
    assert_eq!(count(400) + count(503), CLIENTS, "{statuses:?}");
    assert!(count(503) > CLIENTS / 2, "there was no room for most: {statuses:?}");
    assert!(peak < before + BODIES_MB + REST_MB, "{before} MB before, {peak} MB at the most");
    let answer = program.ask(&post(PATH).body(good_body(PATH).to_string())).await;
    assert_eq!(answer.status, 200, "it goes on");
}
