//! The fake upstream as a process, for tests that are not written in Rust: SDKs, shell scripts.
//!
//! ```text
//! fake-upstream [--port N] [--seconds N]
//! ```
//! Prints `listening on http://127.0.0.1:PORT` and serves OpenAI's API below `/v1` for `--seconds`
//! (default 600), then exits with 0. `--port 0`, the default, takes a free port.
//!
//! The model's name chooses what happens to a chat request:
//!
//! | model | answer |
//! | --- | --- |
//! | `slow` | ten words, 50 ms apart |
//! | `late` | the whole answer after 2 s |
//! | `tool` | a call of `get_weather` with `{"city":"Paris"}` |
//! | `tools` | two calls of it at once, for Paris and Rome |
//! | `reasoning` | two pieces of reasoning, then text |
//! | `error-NNN` | OpenAI's error for status NNN (400 to 599), with `retry-after: 1` for 429 |
//! | `error-event` | two words, then an error event, then the end |
//! | `error-in-200` | an error object under status 200 |
//! | `cut` | two words, then the connection is closed |
//! | `no-done` | a whole stream without `[DONE]` |
//! | `stall` | two words, then nothing |
//! | `never` | nothing at all |
//! | `close` | the request is read and the connection closed |
//! | `html` | a web page |
//! | `empty` | status 200 without a body |
//! | any other | what OpenAI would answer: an echo, structured output, a tool call where one is required or the user says "call the tool"; 404 for a name with `does-not-exist` in it |

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use gateway_testkit::{FakeUpstream, Reply};

/// How long it lives unless told otherwise: longer than any SDK's tests, and forgotten by itself.
const LIFETIME: Duration = Duration::from_secs(600);

struct Flags {
    port: u16,
    lifetime: Duration,
}

fn flags(arguments: impl IntoIterator<Item = String>) -> Result<Flags, String> {
    let mut flags = Flags { port: 0, lifetime: LIFETIME };
    let mut arguments = arguments.into_iter();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        let wrong = |_| format!("`{flag} {value}`: a whole number is needed");
        match flag.as_str() {
            "--port" => flags.port = value.parse().map_err(wrong)?,
            "--seconds" => flags.lifetime = Duration::from_secs(value.parse().map_err(wrong)?),
            _ => return Err(format!("unknown flag `{flag}`; there are --port and --seconds")),
        }
    }
    Ok(flags)
}

fn give_models_their_behaviour(upstream: &FakeUpstream) {
    let count = || Reply::text("one two three four five six seven eight nine ten");
    let weather_in = |city| ("get_weather", city);
    let [paris, rome] = [r#"{"city":"Paris"}"#, r#"{"city":"Rome"}"#].map(weather_in);
    let behaviours = [
        ("slow", count().gap(Duration::from_millis(50))),
        ("late", count().after(Duration::from_secs(2))),
        ("tool", Reply::tool_calls([paris])),
        ("tools", Reply::tool_calls([paris, rome])),
        ("reasoning", count().reasoning(["Let me ", "think."])),
        ("error-event", count().error_event_after(2).streamed()),
        ("error-in-200", Reply::error_in_200()),
        ("cut", count().cut_after(2).streamed()),
        ("no-done", count().without_done()),
        ("stall", count().stall_after(2).streamed()),
        ("never", Reply::never()),
        ("close", Reply::close()),
        ("html", Reply::html()),
        ("empty", Reply::empty()),
    ];
    for (model, reply) in behaviours {
        upstream.when(move |request| request.model() == model, reply);
    }
    upstream.decide(|request| {
        let status = request.model().strip_prefix("error-")?.parse().ok()?;
        (400..600).contains(&status).then(|| Reply::error(status))
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = match flags(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(fault) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "fake-upstream: {fault}");
            return ExitCode::from(2);
        }
    };
    let upstream = FakeUpstream::start_on(flags.port).await;
    // Nobody looks at them here.
    upstream.keep_requests(0);
    give_models_their_behaviour(&upstream);
    let mut stdout = std::io::stdout();
    let told = writeln!(stdout, "listening on http://{}", upstream.address());
    if told.and_then(|()| stdout.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    tokio::time::sleep(flags.lifetime).await;
    ExitCode::SUCCESS
}
