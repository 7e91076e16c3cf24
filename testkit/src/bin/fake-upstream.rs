//! The fake upstream as a process, for tests that are not written in Rust: SDKs, shell scripts.
//!
//! ```text
//! fake-upstream [--port N] [--seconds N]
//! ```
//! Prints `listening on http://127.0.0.1:PORT` and serves OpenAI's and Anthropic's APIs below `/v1`
//! and Gemini's below `/v1beta` for `--seconds` (default 600), then exits with 0. `--port 0`, the
//! default, takes a free port.
//!
//! The model's name chooses what happens to a request, in the dialect of its path:
//!
//! | model | answer |
//! | --- | --- |
//! | `slow` | ten words, 50 ms apart |
//! | `late` | the whole answer after 2 s |
//! | `pings` | ten words after three pings, 50 ms apart |
//! | `tool` | a call of `get_weather` with `{"city":"Paris"}` |
//! | `tools` | two calls of it at once, for Paris and Rome |
//! | `no-arguments` | a call of `get_time` without arguments |
//! | `big-numbers` | a call of `look_up` with numbers that a double can't hold |
//! | `reasoning` | two pieces of reasoning, then text |
//! | `redacted` | reasoning that can't be read, then text |
//! | `refusal`, `blocked` | the model refuses; a filter keeps everything back |
//! | `length` | two words, then the cap on the output |
//! | `signed` | as any other; a history without the right signatures is refused |
//! | `no-betas` | as any other; any `anthropic-beta` is refused |
//! | `error-NNN` | the vendor's error for status NNN (400 to 599), with `retry-after: 1` for 429 where it sends one |
//! | `error-event` | two words, then an error event, then the end |
//! | `error-first` | an error event and nothing else, under status 200 |
//! | `error-in-200` | an error object under status 200 |
//! | `cut` | two words, then the connection is closed |
//! | `no-done` | a whole stream without its terminal event |
//! | `stall` | two words, then nothing |
//! | `never` | nothing at all |
//! | `close` | the request is read and the connection closed |
//! | `html` | a web page |
//! | `empty` | status 200 without a body |
//! | any other | what the real API would answer: an echo; a tool call where one is required or the user says "call the tool" or `use tool NAME {json}`; structured output; reasoning; 404 for a name with `does-not-exist` in it |

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use gateway_testkit::{FakeUpstream, Reply};

/// How long it lives unless told otherwise: longer than any SDK's tests, and forgotten by itself.
const LIFETIME: Duration = Duration::from_secs(600);

/// 19 digits, a float that is whole, an exponent, 40 digits.
const BIG_NUMBERS: &str =
    r#"{"id":1234567890123456789,"whole":1.0,"power":1e2,"long":1234567890123456789012345678901234567890}"#;

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
        ("no-arguments", Reply::tool_calls([("get_time", "")])),
        ("big-numbers", Reply::tool_calls([("look_up", BIG_NUMBERS)])),
        ("reasoning", count().reasoning(["Let me ", "think."])),
        ("redacted", count().redacted("cmVkYWN0ZWQ=")),
        ("refusal", Reply::refusal("I can't help with that.")),
        ("blocked", Reply::blocked()),
        ("length", Reply::cut_by_cap("one two ")),
        ("signed", Reply::real().demanding_signatures()),
        ("no-betas", Reply::real().knowing_betas([""; 0])),
        ("pings", count().pings(Duration::from_millis(50), 3)),
        ("error-first", Reply::error_event()),
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
