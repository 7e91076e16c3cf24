//! The workloads: what a client asks, what the upstream answers, and what the client must then receive.
//!
//! Owns     every byte that is sent, so that both ends of the load agree on it.
//! Called   by [`crate::upstream`] (what goes out) and [`crate::load`] (what must come in).

use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;

use crate::expected::Expected;

mod messages;

/// Length of the prompt in bytes: some fifty words, a short question to a chat model.
pub const PROMPT_BYTES: usize = 316;

/// Length of the plain answer's body in bytes: some 120 tokens of text in OpenAI's envelope.
pub const ANSWER_BYTES: usize = 1_056;

/// Frames of a stream before `[DONE]`; in Anthropic's API, pieces of text.
pub const STREAM_FRAMES: usize = 64;

/// Time between two frames of a paced stream: 200 tokens a second, faster than most models write.
pub const FRAME_GAP: Duration = Duration::from_millis(5);

/// The frame that ends an OpenAI stream.
const DONE_FRAME: &str = "data: [DONE]\n\n";

/// In which form an upstream answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As OpenAI's chat API does.
    Chat,
    /// The same with the usage frame that OpenAI sends to who asks for it with
    /// `stream_options.include_usage`; a whole answer has its usage in any case.
    ChatWithUsage,
    /// As Anthropic's Messages API does.
    Messages,
}

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Scenario {
    /// A chat completion answered whole.
    Plain,
    /// A stream whose frames are all there at once.
    Stream,
    /// A stream whose frames come one by one.
    Paced,
}

impl Scenario {
    /// All, in the order they are measured.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Stream, Self::Paced];

    /// Its name on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stream => "stream",
            Self::Paced => "paced",
        }
    }

    /// What it is, for the head of its table.
    pub fn title(self) -> String {
        match self {
            Self::Plain => {
                format!("plain completions, {PROMPT_BYTES}-byte prompt, {ANSWER_BYTES}-byte answer")
            }
            Self::Stream => format!("streams of {STREAM_FRAMES} chunks without gaps"),
            Self::Paced => format!("streams of {STREAM_FRAMES} chunks, {} ms apart", FRAME_GAP.as_millis()),
        }
    }

    /// What is counted.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Plain => "requests",
            Self::Stream | Self::Paced => "streams",
        }
    }

    /// What the latency is measured to.
    pub fn latency_name(self) -> &'static str {
        match self {
            Self::Plain => "answer",
            Self::Stream | Self::Paced => "first token",
        }
    }

    /// Connections when the flags name none. Plain and gap-free load is closed-loop, and these keep two
    /// cores busy without a long queue. A paced stream mostly waits: a hundred of them make enough work
    /// for 10 ms CPU ticks to count.
    pub fn default_connections(self) -> u16 {
        match self {
            Self::Plain => 32,
            Self::Stream => 16,
            Self::Paced => 100,
        }
    }

    /// How long an answer takes because its upstream takes that long.
    pub fn upstream_time(self) -> Duration {
        match self {
            Self::Plain | Self::Stream => Duration::ZERO,
            // STREAM_FRAMES is 64, far below u32's range.
            Self::Paced => FRAME_GAP * (STREAM_FRAMES as u32 - 1),
        }
    }

    /// The model asked for; the fake upstream knows by it what to answer.
    pub fn model(self) -> &'static str {
        match self {
            Self::Plain => "load-plain",
            Self::Stream => "load-stream",
            Self::Paced => "load-paced",
        }
    }

    /// The body of the request: a cap on the output, as most callers give one, and `stream` where meant.
    pub fn request_body(self) -> Bytes {
        self.request_body_for(self.model())
    }

    /// The same for a model under another name, which the fake upstream must know.
    pub fn request_body_for(self, model: &str) -> Bytes {
        let stream = if self == Self::Plain { "" } else { r#","stream":true"# };
        let prompt = text(PROMPT_BYTES);
        Bytes::from(format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"{prompt}"}}],"max_tokens":256,"temperature":0.7{stream}}}"#,
        ))
    }

    /// The body a client must receive, byte for byte, from whatever passes an OpenAI upstream's answer on. The
    /// latency is taken at the end of a plain answer, and behind the first frame (it holds text) of a stream.
    pub fn passed(self) -> Expected {
        match self {
            Self::Plain => Expected::new(&plain_body(), ""),
            Self::Stream | Self::Paced => {
                let frames = (1..STREAM_FRAMES).map(|index| self.frame(index));
                let rest: String = frames.chain([DONE_FRAME.to_owned()]).collect();
                Expected::new(&self.frame(0), &rest)
            }
        }
    }

    /// The body a client must receive from whatever translates a Messages upstream's answer. The latency is
    /// taken as for [`Scenario::passed`].
    pub fn translated(self) -> Expected {
        match self {
            Self::Plain => messages::translated_plain(self.model()),
            Self::Stream | Self::Paced => messages::translated_stream(self.model()),
        }
    }

    /// The workload a request body asks for. Only the three models of this file are told apart.
    pub fn of_request(body: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| contains(body, scenario.model().as_bytes()))
    }

    /// The answer as it goes over the wire, in the pieces it is written in: one for all that is there at
    /// once, one per frame where frames are apart.
    pub fn wire_pieces(self, form: Form) -> Vec<Bytes> {
        if self == Self::Plain {
            let body = match form {
                Form::Chat | Form::ChatWithUsage => plain_body(),
                Form::Messages => messages::plain_body(self.model()),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len(),
            );
            return vec![Bytes::from(head + &body)];
        }
        let frame = |index| match form {
            Form::Chat | Form::ChatWithUsage => self.frame(index),
            Form::Messages => messages::delta(index),
        };
        let (opening, closing) = match form {
            Form::Chat => (Vec::new(), vec![DONE_FRAME.to_owned()]),
            Form::ChatWithUsage => (Vec::new(), vec![self.usage_frame(), DONE_FRAME.to_owned()]),
            Form::Messages => (messages::opening(self.model()), messages::closing()),
        };
        let chunks = |frames: Vec<String>| frames.iter().map(|frame| http_chunk(frame)).collect::<String>();
        let mut pieces: Vec<String> = (0..STREAM_FRAMES).map(|index| http_chunk(&frame(index))).collect();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        if let Some(first) = pieces.first_mut() {
            first.insert_str(0, &(head.to_owned() + &chunks(opening)));
        }
        if let Some(last) = pieces.last_mut() {
            last.push_str(&chunks(closing));
            last.push_str("0\r\n\r\n");
        }
        match self {
            Self::Paced => pieces.into_iter().map(Bytes::from).collect(),
            Self::Plain | Self::Stream => vec![Bytes::from(pieces.concat())],
        }
    }

    /// One frame: the first brings the role with its text, the last the reason for the end.
    fn frame(self, index: usize) -> String {
        let (delta, finish) = match index {
            0 => (format!(r#"{{"role":"assistant","content":"{}"}}"#, piece(index)), "null"),
            _ if index + 1 == STREAM_FRAMES => ("{}".to_owned(), r#""stop""#),
            _ => (format!(r#"{{"content":"{}"}}"#, piece(index)), "null"),
        };
        let choices = format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]"#);
        self.chunk_frame(&choices, "")
    }

    fn usage_frame(self) -> String {
        let usage = r#","usage":{"prompt_tokens":72,"completion_tokens":63,"total_tokens":135}"#;
        self.chunk_frame("[]", usage)
    }

    fn chunk_frame(self, choices: &str, usage: &str) -> String {
        format!(
            "data: {{\"id\":\"chatcmpl-load0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\
             \"model\":\"{}\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_load\",\"choices\":{choices}{usage}}}\n\n",
            self.model(),
        )
    }
}

/// A stream's text, a piece at a time.
fn piece(index: usize) -> &'static str {
    if index == 0 { "The" } else { " token" }
}

/// A chat completion of [`ANSWER_BYTES`].
fn plain_body() -> String {
    plain_envelope().join(&plain_text())
}

/// The text of a plain answer: as long as makes the chat completion [`ANSWER_BYTES`].
fn plain_text() -> String {
    text(ANSWER_BYTES.saturating_sub(plain_envelope().concat().len()))
}

/// A chat completion before its text and behind it.
fn plain_envelope() -> [String; 2] {
    let before = format!(
        r#"{{"id":"chatcmpl-load0123456789","object":"chat.completion","created":1760000000,"model":"{}","choices":[{{"index":0,"message":{{"role":"assistant","content":""#,
        Scenario::Plain.model(),
    );
    let after = r#"","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":72,"completion_tokens":122,"total_tokens":194},"service_tier":"default","system_fingerprint":"fp_load"}"#;
    [before, after.to_owned()]
}

/// Plain words, cut to a length.
fn text(length: usize) -> String {
    "Explain how a gateway shares one key among many callers and keeps each within its limits. "
        .chars()
        .cycle()
        .take(length)
        .collect()
}

/// One chunk of HTTP/1.1's chunked transfer coding (RFC 9112, 7.1).
fn http_chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// Whether `needle` is somewhere in `haystack`. Request bodies here have some 450 bytes, where the plain
/// search costs less than a microsecond.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Scenario; 3] = [Scenario::Plain, Scenario::Stream, Scenario::Paced];

    #[test]
    fn the_prompt_and_the_answer_have_the_lengths_they_are_said_to_have() {
        assert_eq!(text(PROMPT_BYTES).len(), PROMPT_BYTES);
        assert_eq!(Scenario::Plain.passed().len(), ANSWER_BYTES);
        assert_eq!(Scenario::Plain.passed().latency_bytes(), ANSWER_BYTES);
    }

    #[test]
    fn every_body_is_json_and_is_told_apart_by_its_model() {
        for scenario in ALL {
            let body = scenario.request_body();
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(value["model"], scenario.model());
            assert_eq!(value["stream"] == true, scenario != Scenario::Plain);
            assert_eq!(Scenario::of_request(&body), Some(scenario));
        }
        assert_eq!(Scenario::of_request(b"{\"model\":\"gpt\"}"), None);
        serde_json::from_str::<serde_json::Value>(&plain_body()).unwrap();
    }

    #[test]
    fn a_stream_has_64_json_frames_of_which_the_first_holds_text_and_then_its_end() {
        for scenario in [Scenario::Stream, Scenario::Paced] {
            let body = String::from_utf8(scenario.passed().body().to_vec()).unwrap();
            let frames: Vec<&str> = body.split_terminator("\n\n").collect();
            assert_eq!(frames.len(), STREAM_FRAMES + 1);
            assert_eq!(frames[STREAM_FRAMES], "data: [DONE]");
            let parse = |frame: &str| {
                serde_json::from_str::<serde_json::Value>(frame.strip_prefix("data: ").unwrap()).unwrap()
            };
            assert_eq!(parse(frames[0])["choices"][0]["delta"]["content"], "The");
            assert_eq!(parse(frames[63])["choices"][0]["finish_reason"], "stop");
            assert_eq!(scenario.passed().latency_bytes(), frames[0].len() + 2);
        }
    }

    #[test]
    fn frames_that_are_apart_are_written_one_by_one_and_all_others_at_once() {
        for form in [Form::Chat, Form::ChatWithUsage, Form::Messages] {
            assert_eq!(Scenario::Plain.wire_pieces(form).len(), 1);
            assert_eq!(Scenario::Stream.wire_pieces(form).len(), 1);
            assert_eq!(Scenario::Paced.wire_pieces(form).len(), STREAM_FRAMES);
        }
    }

    #[test]
    fn usage_is_sent_to_who_asks_for_it() {
        let all = |form| Scenario::Stream.wire_pieces(form).concat();
        assert!(contains(&all(Form::ChatWithUsage), b"\"total_tokens\""));
        assert!(!contains(&all(Form::Chat), b"\"total_tokens\""));
    }

    #[test]
    fn a_messages_stream_begins_with_its_message_and_ends_with_message_stop() {
        let all = String::from_utf8(Scenario::Stream.wire_pieces(Form::Messages).concat()).unwrap();
        let events: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(events[..2], ["message_start", "content_block_start"]);
        assert!(events[2..2 + STREAM_FRAMES].iter().all(|&event| event == "content_block_delta"));
        assert_eq!(events[2 + STREAM_FRAMES..], ["content_block_stop", "message_delta", "message_stop"]);
        assert!(all.ends_with("\r\n0\r\n\r\n"));
    }
}
