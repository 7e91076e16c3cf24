//! The language model behind the fake: what it says to a question.
//!
//! It is no model, but it answers as one would:
//!
//! - A **tool** is called when one is demanded, or when the last turn is the user's and says so:
//!   `use tool NAME {json}` calls it with these arguments (several such make parallel calls),
//!   `call the tool` the first one, `call all tools` each of them; so does a question that holds the
//!   last word of a tool's name ("What is the weather in Paris?" for `get_weather`). Arguments that
//!   are not given are the smallest that the tool's schema allows.
//! - **Structured output** is the smallest value that its schema allows.
//! - **Reasoning** comes where it is asked for, shown or only counted.
//! - Otherwise it repeats what the last turn said, and how many images it had.
//! - A **cap** cuts the text after so many words; a **stop** text ends it.
//!
//! Owns     nothing: an answer follows from the question alone.
//! Called   by the vendors' modules for a request that nothing is scripted for.
//! Bounded  [`ECHOED`], and the request's cap.
//! Fails    never.

mod sample;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::answer::{Delta, Finish, ToolCall, escaped, words};
use crate::asked::{Asked, Format, Role, Thinking, Tool, ToolChoice};
use sample::sample;

/// How much of the question is repeated in the answer.
const ECHOED: usize = 2000;

/// What it thinks where that is shown.
const THOUGHT: &str = "The user wants an answer, so I give one.";

/// What it spends on reasoning that is not shown, in tokens: as many as the words of [`THOUGHT`].
const UNSEEN: u64 = 9;

/// What is said, and why it ends.
pub(crate) struct Spoken {
    pub(crate) deltas: Vec<Delta>,
    pub(crate) finish: Finish,
}

/// Answers a question.
pub(crate) fn speak(asked: &Asked) -> Spoken {
    let mut deltas = match asked.thinking {
        Thinking::Off => Vec::new(),
        Thinking::Hidden => vec![Delta::Unseen(UNSEEN)],
        Thinking::Shown => THOUGHT.split_inclusive(char::is_whitespace).map(Delta::reasoning).collect(),
    };
    let calls = tool_calls(asked);
    if !calls.is_empty() {
        deltas.extend(calls.into_iter().map(Delta::Tool));
        return Spoken { deltas, finish: Finish::ToolCalls };
    }
    let (said, mut finish) = until_stop(asked, text(asked));
    let mut said = words(&said);
    if let Some(cap) = asked.output_cap
        && cap < said.len()
    {
        said.truncate(cap);
        finish = Finish::Length;
    }
    deltas.extend(said);
    Spoken { deltas, finish }
}

fn until_stop(asked: &Asked, mut text: String) -> (String, Finish) {
    let met = |stop: &String| text.find(stop.as_str()).map(|at| (at, stop.clone()));
    let stops = asked.stops.iter().filter(|stop| !stop.is_empty());
    match stops.filter_map(met).min() {
        None => (text, Finish::Stop),
        Some((at, stop)) => {
            text.truncate(at);
            (text, Finish::StopSequence(escaped(&stop)))
        }
    }
}

/// The text of the answer: of the form that was asked for, else what the last turn said.
fn text(asked: &Asked) -> String {
    let last = &asked.last;
    let said: String = last.text.chars().take(ECHOED).collect();
    match (&asked.format, last.role, last.images) {
        (Format::Schema(schema), _, _) => sample(schema).to_string(),
        (Format::Json, _, _) => serde_json::json!({ "answer": said }).to_string(),
        (Format::Text, Role::Tool, _) => format!("The tool said: {said}"),
        (Format::Text, _, 0) => format!("You said: {said}"),
        (Format::Text, _, n) => format!("You said: {said} (images: {n})"),
    }
}

fn tool_calls(asked: &Asked) -> Vec<ToolCall> {
    let Some(first) = asked.tools.first() else {
        return Vec::new();
    };
    let by_user = asked.last.role == Role::User;
    let spelled = if by_user { spelled_out(&asked.last.text, &asked.tools) } else { Vec::new() };
    match &asked.choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Named(name) => {
            let named = asked.tools.iter().find(|tool| tool.name == *name);
            named.map(with_smallest_arguments).into_iter().collect()
        }
        _ if !spelled.is_empty() => spelled,
        _ if by_user && asked.last.text.contains("call all tools") => {
            asked.tools.iter().map(with_smallest_arguments).collect()
        }
        ToolChoice::Required => vec![with_smallest_arguments(first)],
        ToolChoice::Auto if by_user && asked.last.text.contains("call the tool") => {
            vec![with_smallest_arguments(first)]
        }
        ToolChoice::Auto if by_user => {
            let about = asked.tools.iter().find(|tool| is_about(&asked.last.text, &tool.name));
            about.map(with_smallest_arguments).into_iter().collect()
        }
        ToolChoice::Auto => Vec::new(),
    }
}

/// Whether a question holds the last word of a tool's name.
fn is_about(question: &str, tool: &str) -> bool {
    let Some((_, subject)) = tool.rsplit_once('_') else {
        return false;
    };
    let mut words = question.split(|letter: char| !letter.is_alphanumeric());
    words.any(|word| word.eq_ignore_ascii_case(subject))
}

fn with_smallest_arguments(tool: &Tool) -> ToolCall {
    let arguments = sample(&tool.schema);
    let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
    ToolCall::new(&tool.name, &arguments)
}

/// The calls that a text spells out as `use tool NAME {json}`. Arguments are taken letter by letter:
/// a number keeps all its digits.
fn spelled_out(text: &str, tools: &[Tool]) -> Vec<ToolCall> {
    let mut calls = Vec::new();
    for spelled in text.split("use tool ").skip(1) {
        let name = spelled.split(|letter: char| letter.is_whitespace() || ".,;{".contains(letter));
        let Some(tool) = name.into_iter().next().and_then(|name| tools.iter().find(|t| t.name == name))
        else {
            continue;
        };
        let rest = spelled[tool.name.len()..].trim_start();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(Value::Object(_))) => {
                calls.push(ToolCall::new(&tool.name, &rest[..values.byte_offset()]));
            }
            _ => calls.push(with_smallest_arguments(tool)),
        }
    }
    calls
}
