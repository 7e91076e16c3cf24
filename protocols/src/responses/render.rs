//! A request of the Responses API written from the neutral form: the second half of a translation for an upstream that
//! speaks it.
//!
//! Owns     the choice of members, none of which is there without need, and the order of input items.
//! Called   by [`crate::translate`], once for each target.
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for what this API has no equal for, unless the translation is lenient.
//!
//! What is left out because an answer does not differ by it: cache markers, since the API finds repeated prefixes
//! itself; thoughts that are not signed, which it does not take back; Gemini's signature on a call, which only Gemini
//! reads.

use bytes::Bytes;

use crate::conversation::{
    Conversation, Effort, Extra, Format, Losses, Reasoning, Sampling, Target, Tool, ToolChoice,
    Untranslatable,
};
use crate::json::Writer;

mod turn;

#[cfg(test)]
mod tests;

/// The name of a schema whose dialect has none; the API requires one.
const SCHEMA_NAME: &str = "answer";

/// The schema of a function without arguments; the API requires one.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes a conversation as a request.
///
/// # Errors
/// [`Untranslatable`] for what has no equal.
pub fn render_request(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Bytes, Untranslatable> {
    let mut json = Writer::new();
    let mut lost = Ok(());
    json.object(|json| {
        json.key("model").text(target.model);
        lost = turn::input(json, conversation, losses)
            .and_then(|()| settings(json, conversation, target, losses))
            .and_then(|()| extras(json, &conversation.extras, losses));
    });
    lost?;
    Ok(Bytes::from(json.into_text()))
}

fn settings(
    json: &mut Writer,
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    if conversation.stream {
        json.key("stream").bool(true);
    }
    json.key("store").bool(false);
    if let Some(cap) = target.cap.or(conversation.max_output) {
        json.key("max_output_tokens").number(cap);
    }
    sampling(json, &conversation.sampling, target, losses)?;
    if !conversation.stop.is_empty() {
        losses.lose("stop")?;
    }
    tools(json, conversation);
    text(json, conversation);
    if let Some(reasoning) = conversation.reasoning {
        reasoning_of(json, reasoning);
    }
    json.text_member("user", conversation.user.as_deref());
    Ok(())
}

fn sampling(
    json: &mut Writer,
    sampling: &Sampling<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    match sampling.temperature.as_deref() {
        Some(temperature) if target.takes_temperature => json.key("temperature").raw(temperature),
        // The default, which such models take when it is not written.
        Some("1" | "1.0") | None => {}
        Some(_) => losses.lose("temperature")?,
    }
    json.raw_member("top_p", sampling.top_p.as_deref());
    let absent = [
        ("top_k", &sampling.top_k),
        ("frequency_penalty", &sampling.frequency_penalty),
        ("presence_penalty", &sampling.presence_penalty),
        ("seed", &sampling.seed),
    ];
    for (name, value) in absent {
        // A penalty of nothing is what holds without it.
        let says_something = match value.as_deref() {
            Some("0" | "0.0") => !name.ends_with("penalty"),
            given => given.is_some(),
        };
        if says_something {
            losses.lose(name)?;
        }
    }
    Ok(())
}

/// Without tools the API refuses a choice among them.
fn tools(json: &mut Writer, conversation: &Conversation<'_>) {
    if conversation.tools.is_empty() {
        return;
    }
    json.key("tools").array(|json| conversation.tools.iter().for_each(|tool| function(json, tool)));
    if let Some(choice) = &conversation.tool_choice {
        let json = json.key("tool_choice");
        match choice {
            ToolChoice::Auto => json.text("auto"),
            ToolChoice::None => json.text("none"),
            ToolChoice::Any => json.text("required"),
            ToolChoice::Named(name) => json.object(|json| {
                json.key("type").text("function");
                json.key("name").text(name);
            }),
        }
    }
    if let Some(parallel) = conversation.parallel_tool_calls {
        json.key("parallel_tool_calls").bool(parallel);
    }
}

fn function(json: &mut Writer, tool: &Tool<'_>) {
    json.object(|json| {
        json.key("type").text("function");
        json.key("name").text(&tool.name);
        json.text_member("description", tool.description.as_deref());
        json.key("parameters").raw(tool.schema.as_deref().unwrap_or(NO_ARGUMENTS));
        // Here a function is strict unless it says otherwise; elsewhere it is the other way round.
        json.key("strict").bool(tool.strict.unwrap_or(false));
    });
}

/// The form of the answer, and how long-winded it is to be, which the chat API has at the top.
fn text(json: &mut Writer, conversation: &Conversation<'_>) {
    let verbosity = conversation.extras.iter().find(|extra| extra.member == "verbosity");
    if conversation.format.is_none() && verbosity.is_none() {
        return;
    }
    json.key("text").object(|json| {
        if let Some(format) = &conversation.format {
            json.key("format").object(|json| text_format(json, format));
        }
        json.raw_member("verbosity", verbosity.map(|extra| &*extra.value));
    });
}

fn text_format(json: &mut Writer, format: &Format<'_>) {
    match format {
        Format::Json => json.key("type").text("json_object"),
        Format::Schema { name, schema, strict } => {
            json.key("type").text("json_schema");
            json.key("name").text(if name.is_empty() { SCHEMA_NAME } else { name });
            json.key("schema").raw(schema);
            if let Some(strict) = strict {
                json.key("strict").bool(*strict);
            }
        }
    }
}

/// How much to think, and whether it is to be seen. A thought that nobody stores comes back only in its encrypted
/// text, which has to be asked for; models that do not think refuse to be asked.
fn reasoning_of(json: &mut Writer, reasoning: Reasoning) {
    let effort = reasoning.effort.or_else(|| reasoning.budget_tokens.map(Effort::of_budget));
    let is_shown = reasoning.shown == Some(true);
    if effort.is_none() && !is_shown {
        return;
    }
    json.key("reasoning").object(|json| {
        json.text_member("effort", effort.map(effort_word));
        if is_shown {
            json.key("summary").text("auto");
        }
    });
    if effort != Some(Effort::None) {
        json.key("include").array(|json| json.text("reasoning.encrypted_content"));
    }
}

fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Highest => "xhigh",
    }
}

fn extras(json: &mut Writer, extras: &[Extra<'_>], losses: &mut Losses) -> Result<(), Untranslatable> {
    for extra in extras {
        match &*extra.member {
            // The chat API calls it the same.
            name @ "service_tier" => json.key(name).raw(&extra.value),
            // It stands with the form of the answer.
            "verbosity" => {}
            name => losses.lose(name)?,
        }
    }
    Ok(())
}
