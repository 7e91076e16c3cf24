//! A chat request written from the neutral form: the second half of a translation for an upstream that speaks chat.
//!
//! Owns     the choice of the plainest form that every compatible server takes: strings instead of lists of text,
//!          one message of instructions, no member that is not needed.
//! Called   by [`crate::translate`], once for each target.
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for what chat has no equal for, unless the translation is lenient.
//!
//! What is left out because an answer does not differ by it: cache markers, since chat providers find repeated
//! prefixes themselves; thoughts of earlier turns, which their models are not shown; whether thoughts are to be
//! shown, which the upstream decides.

use bytes::Bytes;

use crate::conversation::{
    Conversation, Effort, Extra, Format, Losses, Reasoning, Sampling, Target, Tool, ToolChoice,
    Untranslatable,
};
use crate::json::Writer;

mod turn;

#[cfg(test)]
mod tests;

pub(super) use turn::thought_signature;

/// How many stop texts a request may have ("stop" in OpenAI's API reference).
const STOPS_MAX: usize = 4;

/// The name of a schema whose dialect has none; the API requires one.
const SCHEMA_NAME: &str = "answer";

/// Extras of OpenAI's other API, and what chat calls the same.
const EQUALS: [(&str, &str); 2] = [("text.verbosity", "verbosity"), ("service_tier", "service_tier")];

/// Values of `service_tier` that other vendors have too, or alone, and that mean something else there.
const FOREIGN_TIERS: [&str; 1] = [r#""standard_only""#];

/// Writes a conversation as a chat request.
///
/// # Errors
/// [`Untranslatable`] for what has no equal in chat.
pub fn render_request(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Bytes, Untranslatable> {
    let mut json = Writer::new();
    let mut lost = Ok(());
    json.object(|json| {
        json.key("model").text(target.model);
        lost = turn::messages(json, conversation, losses)
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
        if target.asks_for_usage {
            json.key("stream_options").object(|json| json.key("include_usage").bool(true));
        }
    }
    if let Some(cap) = target.cap.or(conversation.max_output) {
        json.key(target.cap_member.as_str()).number(cap);
    }
    sampling(json, &conversation.sampling, target, losses)?;
    stops(json, conversation, losses)?;
    tools(json, conversation);
    if let Some(format) = &conversation.format {
        json.key("response_format").object(|json| response_format(json, format));
    }
    if let Some(effort) = conversation.reasoning.and_then(effort) {
        json.key("reasoning_effort").text(effort_word(effort));
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
    json.raw_member("frequency_penalty", sampling.frequency_penalty.as_deref());
    json.raw_member("presence_penalty", sampling.presence_penalty.as_deref());
    json.raw_member("seed", sampling.seed.as_deref());
    match sampling.top_k {
        Some(_) => losses.lose("top_k"),
        None => Ok(()),
    }
}

fn stops(
    json: &mut Writer,
    conversation: &Conversation<'_>,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let stops = &conversation.stop;
    if stops.len() > STOPS_MAX {
        losses.lose(format!("stop sequences beyond the first {STOPS_MAX}"))?;
    }
    if !stops.is_empty() {
        json.key("stop").array(|json| stops.iter().take(STOPS_MAX).for_each(|stop| json.text(stop)));
    }
    Ok(())
}

/// Without tools the API refuses all that speaks of them.
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
                json.key("function").object(|json| json.key("name").text(name));
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
        json.key("function").object(|json| {
            json.key("name").text(&tool.name);
            json.text_member("description", tool.description.as_deref());
            json.raw_member("parameters", tool.schema.as_deref());
            if let Some(strict) = tool.strict {
                json.key("strict").bool(strict);
            }
        });
    });
}

fn response_format(json: &mut Writer, format: &Format<'_>) {
    match format {
        Format::Json => json.key("type").text("json_object"),
        Format::Schema { name, schema, strict } => {
            json.key("type").text("json_schema");
            json.key("json_schema").object(|json| {
                json.key("name").text(if name.is_empty() { SCHEMA_NAME } else { name });
                json.key("schema").raw(schema);
                if let Some(strict) = strict {
                    json.key("strict").bool(*strict);
                }
            });
        }
    }
}

/// The word that was said, or the one for the tokens that were.
fn effort(reasoning: Reasoning) -> Option<Effort> {
    reasoning.effort.or_else(|| reasoning.budget_tokens.map(Effort::of_budget))
}

/// OpenAI's word for an effort, in both of its APIs.
pub(crate) fn effort_word(effort: Effort) -> &'static str {
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
    for Extra { member, value } in extras {
        let equal = EQUALS.iter().find(|(theirs, _)| theirs == member);
        match equal {
            Some((_, ours)) if !FOREIGN_TIERS.contains(&&**value) => json.key(ours).raw(value),
            _ => losses.lose(&**member)?,
        }
    }
    Ok(())
}
