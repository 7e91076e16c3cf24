//! The fake upstream: a server that speaks OpenAI's and Anthropic's API, each below its own path, and costs as
//! little as a server can, in a process of its own.
//!
//! Owns     the prepared answers of every workload.
//! Called   by [`crate::bench`], which starts this same program as a child with `--serve-upstream`; and
//!          then by whatever is measured, over loopback.
//! Bounded  by [`REQUEST_MAX_BYTES`] per connection. It closes no connection that speaks properly.
//! Fails    one connection at a time: what it does not understand gets a 4xx that says why, and is closed.
//!          Ends when its standard input closes, so it never outlives the harness.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::error::LoadError;
use crate::faults::Fault;
use crate::keys::UPSTREAM_KEY;
use crate::scenario::{FRAME_GAP, Form, Scenario, contains};
use crate::server_process::{ServerProcess, Stop};

/// The largest request, head and body: forty times what the workloads send.
const REQUEST_MAX_BYTES: usize = 64 * 1024;

/// Starts the upstream as a child process and gives its address.
pub async fn start() -> Result<(ServerProcess, SocketAddr), LoadError> {
    let program = std::env::current_exe().map_err(LoadError::io("finding this program's file"))?;
    let mut command = Command::new(program);
    command.arg("--serve-upstream");
    let mut server = ServerProcess::start(command, Stop::CloseStdin)?;
    let address = server.first_line().await.and_then(|line| line.parse().ok());
    let address = address.ok_or_else(|| LoadError::NotServing {
        server: "the fake upstream",
        log: "(its messages are above)".to_owned(),
    })?;
    Ok((server, address))
}

/// The child's whole life: it writes its address as one line and serves until standard input closes.
pub fn serve_until_stdin_closes() -> Result<ExitCode, LoadError> {
    let doing = "serving as the fake upstream";
    let runtime = crate::load_runtime().map_err(LoadError::io(doing))?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(LoadError::io(doing))?;
    let address = listener.local_addr().map_err(LoadError::io(doing))?;
    let serving = runtime.spawn(serve(listener));
    let mut out = io::stdout().lock();
    writeln!(out, "{address}").and_then(|()| out.flush()).map_err(LoadError::io(doing))?;
    io::stdin().read_to_end(&mut Vec::new()).map_err(LoadError::io("waiting for standard input to close"))?;
    serving.abort();
    Ok(ExitCode::SUCCESS)
}

/// Accepts for ever. A failed accept (too many open files) is that connection's loss alone.
async fn serve(listener: TcpListener) {
    let answers = Arc::new(Answers::prepare());
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                // Whoever is measured may close its connections whenever it likes.
                let _closed = serve_connection(stream, &answers).await;
            });
        }
    }
}

/// Every answer, ready to be written.
#[derive(Debug)]
struct Answers {
    plain: Forms,
    stream: Forms,
    paced: Forms,
}

/// One workload's answer in every form.
#[derive(Debug)]
struct Forms {
    chat: Vec<Bytes>,
    chat_with_usage: Vec<Bytes>,
    messages: Vec<Bytes>,
}

impl Answers {
    fn prepare() -> Self {
        let forms = |scenario: Scenario| Forms {
            chat: scenario.wire_pieces(Form::Chat),
            chat_with_usage: scenario.wire_pieces(Form::ChatWithUsage),
            messages: scenario.wire_pieces(Form::Messages),
        };
        Self { plain: forms(Scenario::Plain), stream: forms(Scenario::Stream), paced: forms(Scenario::Paced) }
    }

    fn pieces(&self, scenario: Scenario, form: Form) -> &[Bytes] {
        let forms = match scenario {
            Scenario::Plain => &self.plain,
            Scenario::Stream => &self.stream,
            Scenario::Paced => &self.paced,
        };
        match form {
            Form::Chat => &forms.chat,
            Form::ChatWithUsage => &forms.chat_with_usage,
            Form::Messages => &forms.messages,
        }
    }
}

/// Requests and answers in turn, until the peer closes or says something wrong.
async fn serve_connection(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = BytesMut::with_capacity(REQUEST_MAX_BYTES);
    loop {
        match parse_request(&received) {
            Ok(Parsed::Whole { length, scenario, form }) => {
                received.advance(length);
                write_pieces(&mut stream, answers.pieces(scenario, form)).await?;
            }
            Ok(Parsed::Faulty { length, fault }) => {
                received.advance(length);
                if !fault.answer(&mut stream).await? {
                    return Ok(());
                }
            }
            Ok(Parsed::Part) => {
                received.reserve(1);
                if stream.read_buf(&mut received).await? == 0 {
                    return Ok(());
                }
            }
            Err(misuse) => return stream.write_all(misuse.answer().as_bytes()).await,
        }
    }
}

/// Writes the first piece at once and each further one a gap after the last.
async fn write_pieces(stream: &mut TcpStream, pieces: &[Bytes]) -> io::Result<()> {
    let Some((first, rest)) = pieces.split_first() else { return Ok(()) };
    stream.write_all(first).await?;
    if rest.is_empty() {
        return Ok(());
    }
    let mut gap = interval_at(Instant::now() + FRAME_GAP, FRAME_GAP);
    gap.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for piece in rest {
        gap.tick().await;
        stream.write_all(piece).await?;
    }
    Ok(())
}

/// What the bytes received so far are.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    /// The beginning of a request.
    Part,
    /// A request of `length` bytes, perhaps with the next one behind it.
    Whole { length: usize, scenario: Scenario, form: Form },
    /// The same, but it asks for a fault.
    Faulty { length: usize, fault: Fault },
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misuse {
    TooLarge,
    WrongPath,
    WrongKey,
    NoContentLength,
    UnknownModel,
}

impl Misuse {
    fn answer(self) -> String {
        let (status, reason) = match self {
            Self::TooLarge => ("413 Content Too Large", "the request is larger than any workload's"),
            Self::WrongPath => {
                ("404 Not Found", "only POST /v1/chat/completions and POST /v1/messages are served")
            }
            Self::WrongKey => ("401 Unauthorized", "the key is not the upstream's"),
            Self::NoContentLength => ("411 Length Required", "the body must come with content-length"),
            Self::UnknownModel => ("404 Not Found", "the model is none of the workloads'"),
        };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{reason}",
            reason.len(),
        )
    }
}

/// Reads one HTTP/1.1 request from the front of `received`, with no more care than its peers here need.
fn parse_request(received: &[u8]) -> Result<Parsed, Misuse> {
    let Some(head_length) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if received.len() > REQUEST_MAX_BYTES { Err(Misuse::TooLarge) } else { Ok(Parsed::Part) };
    };
    let mut lines = received[..head_length].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let (is_chat, key_header, key_scheme): (bool, &[u8], &[u8]) = match lines.next() {
        Some(b"POST /v1/chat/completions HTTP/1.1") => (true, b"authorization", b"Bearer "),
        Some(b"POST /v1/messages HTTP/1.1") => (false, b"x-api-key", b""),
        _ => return Err(Misuse::WrongPath),
    };
    let mut content_length = None;
    let mut key_is_right = false;
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            content_length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse::<usize>().ok());
        } else if name.eq_ignore_ascii_case(key_header) {
            key_is_right = value.strip_prefix(key_scheme) == Some(UPSTREAM_KEY.as_bytes());
        }
    }
    if !key_is_right {
        return Err(Misuse::WrongKey);
    }
    let body_length = content_length.ok_or(Misuse::NoContentLength)?;
    let body_start = head_length + 4;
    if body_length > REQUEST_MAX_BYTES {
        return Err(Misuse::TooLarge);
    }
    let Some(body) = received.get(body_start..body_start + body_length) else { return Ok(Parsed::Part) };
    let length = body_start + body_length;
    if let Some(fault) = Fault::of_request(body) {
        return Ok(Parsed::Faulty { length, fault });
    }
    let scenario = Scenario::of_request(body).ok_or(Misuse::UnknownModel)?;
    let form = match is_chat {
        // No workload asks for usage; if it stands here, the gateway asked for it.
        true if contains(body, b"include_usage") => Form::ChatWithUsage,
        true => Form::Chat,
        false => Form::Messages,
    };
    Ok(Parsed::Whole { length, scenario, form })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Serves on a free port of loopback for as long as the test's runtime lives.
    pub async fn serve_in_this_process() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener));
        address
    }

    fn request(headers: &str, body: &[u8]) -> Vec<u8> {
        [format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes(), body].concat()
    }

    fn proper(body: &[u8]) -> Vec<u8> {
        request(&format!("Authorization: Bearer {UPSTREAM_KEY}\r\nContent-Length: {}\r\n", body.len()), body)
    }

    #[test]
    fn a_request_is_part_until_its_last_byte_and_whole_from_then_on() {
        let whole = proper(&Scenario::Stream.request_body());
        for cut in 0..whole.len() {
            assert_eq!(parse_request(&whole[..cut]), Ok(Parsed::Part), "cut at {cut}");
        }
        let expected = Parsed::Whole { length: whole.len(), scenario: Scenario::Stream, form: Form::Chat };
        assert_eq!(parse_request(&whole), Ok(expected));
    }

    #[test]
    fn a_request_behind_another_is_left_where_it_is() {
        let one = proper(&Scenario::Plain.request_body());
        let expected = Parsed::Whole { length: one.len(), scenario: Scenario::Plain, form: Form::Chat };
        assert_eq!(parse_request(&[one.clone(), one].concat()), Ok(expected));
    }

    #[test]
    fn a_request_that_asks_for_usage_is_seen_to() {
        let whole =
            proper(br#"{"model":"load-paced","stream":true,"stream_options":{"include_usage":true}}"#);
        let form = Form::ChatWithUsage;
        let expected = Parsed::Whole { length: whole.len(), scenario: Scenario::Paced, form };
        assert_eq!(parse_request(&whole), Ok(expected));
    }

    #[test]
    fn the_messages_api_has_its_own_path_and_its_own_header_for_the_key() {
        let body = Scenario::Stream.request_body();
        let asked = |header: &str| {
            let length = body.len();
            let head = format!(
                "POST /v1/messages HTTP/1.1\r\n{header}{UPSTREAM_KEY}\r\ncontent-length: {length}\r\n\r\n"
            );
            [head.as_bytes(), &body].concat()
        };
        let whole = asked("X-Api-Key: ");
        let form = Form::Messages;
        let expected = Parsed::Whole { length: whole.len(), scenario: Scenario::Stream, form };
        assert_eq!(parse_request(&whole), Ok(expected));
        assert_eq!(parse_request(&asked("authorization: Bearer ")), Err(Misuse::WrongKey));
    }

    #[test]
    fn what_is_not_a_workloads_request_is_refused_with_a_reason() {
        let body = Scenario::Plain.request_body();
        let key = format!("authorization: Bearer {UPSTREAM_KEY}\r\n");
        assert_eq!(parse_request(b"GET / HTTP/1.1\r\n\r\n"), Err(Misuse::WrongPath));
        assert_eq!(parse_request(&request("content-length: 2\r\n", b"{}")), Err(Misuse::WrongKey));
        assert_eq!(parse_request(&request("authorization: Bearer other\r\n", &body)), Err(Misuse::WrongKey));
        assert_eq!(
            parse_request(&request(&format!("{key}transfer-encoding: chunked\r\n"), b"")),
            Err(Misuse::NoContentLength)
        );
        assert_eq!(
            parse_request(&request(&format!("{key}content-length: 99999999\r\n"), b"")),
            Err(Misuse::TooLarge)
        );
        assert_eq!(parse_request(&vec![b'a'; REQUEST_MAX_BYTES + 1]), Err(Misuse::TooLarge));
        assert_eq!(parse_request(&proper(b"{\"model\":\"gpt\"}")), Err(Misuse::UnknownModel));
    }
}
