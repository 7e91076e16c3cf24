//! A conversation as the body of a generateContent request.
//!
//! Owns     the body but its contents, which [`super::render_turns`] writes.
//! Called   by the translation of requests, for each Gemini target.
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for what Gemini has no equal for, unless it may be left out.
//!
//! Left out without a word is what changes no answer: the caller's name for its own user, a cache marker (Gemini
//! caches by itself), a document's file name, and a wish for as much detail as Gemini gives anyway.

use bytes::Bytes;

use crate::conversation::{Content, Conversation, Format, Losses, Target, Tool, ToolChoice, Untranslatable};
use crate::gemini::render_turns;
use crate::gemini::schema::{Fit, fit};
use crate::gemini::thinking;
use crate::json::Writer;

#[cfg(test)]
mod tests;

/// The most stop texts that Gemini takes.
const STOPS_MAX: usize = 5;

/// Writes the body for one target. The model and whether to stream stand in the path.
///
/// # Errors
/// [`Untranslatable`] for a member without an equal, unless `losses` are lenient.
pub fn render_request(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Bytes, Untranslatable> {
    for extra in &conversation.extras {
        losses.lose(&*extra.member)?;
    }
    let system = system(conversation, losses)?;
    let contents = render_turns::contents(conversation, target, losses)?;
    if conversation.parallel_tool_calls == Some(false) && !conversation.tools.is_empty() {
        losses.lose("parallel_tool_calls")?;
    }
    let config = config(conversation, target, losses)?;
    let mut json = Writer::new();
    json.object(|json| {
        json.raw_member("systemInstruction", system.as_deref());
        json.key("contents").raw(&contents);
        tools(conversation, json);
        if config != "{}" {
            json.key("generationConfig").raw(&config);
        }
    });
    Ok(json.into_text().into())
}

fn system(conversation: &Conversation<'_>, losses: &mut Losses) -> Result<Option<String>, Untranslatable> {
    let mut texts = Vec::new();
    for part in &conversation.system {
        match &part.content {
            Content::Text(text) => texts.push(text),
            _ => losses.lose("system")?,
        }
    }
    if texts.is_empty() {
        return Ok(None);
    }
    let mut json = Writer::new();
    json.object(|json| {
        json.key("parts").array(|json| {
            for text in texts {
                json.object(|json| json.key("text").text(text));
            }
        });
    });
    Ok(Some(json.into_text()))
}

fn tools(conversation: &Conversation<'_>, json: &mut Writer) {
    if conversation.tools.is_empty() {
        return;
    }
    json.key("tools").array(|json| {
        json.object(|json| {
            json.key("functionDeclarations").array(|json| {
                for tool in &conversation.tools {
                    json.object(|json| function(tool, json));
                }
            });
        });
    });
    let is_strict = conversation.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, only) = match &conversation.tool_choice {
        // Arguments that must follow their schema exactly are what this mode is for.
        None | Some(ToolChoice::Auto) if is_strict => ("VALIDATED", None),
        None => return,
        Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Any) => ("ANY", None),
        Some(ToolChoice::Named(name)) => ("ANY", Some(name)),
    };
    json.key("toolConfig").object(|json| {
        json.key("functionCallingConfig").object(|json| {
            json.key("mode").text(mode);
            if let Some(name) = only {
                json.key("allowedFunctionNames").array(|json| json.text(name));
            }
        });
    });
}

fn function(tool: &Tool<'_>, json: &mut Writer) {
    json.key("name").text(&tool.name);
    json.text_member("description", tool.description.as_deref());
    let Some(schema) = tool.schema.as_deref() else { return };
    match fit(schema) {
        Fit::Nothing => {}
        Fit::Own => json.key("parameters").raw(schema),
        Fit::JsonSchema => json.key("parametersJsonSchema").raw(schema),
    }
}

fn config(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<String, Untranslatable> {
    let sampling = &conversation.sampling;
    let mut temperature = sampling.temperature.as_deref();
    if temperature.is_some() && !target.takes_temperature {
        losses.lose("temperature")?;
        temperature = None;
    }
    if conversation.stop.len() > STOPS_MAX {
        losses.lose(format!("stop[{STOPS_MAX}]"))?;
    }
    let thinking = match conversation.reasoning {
        Some(reasoning) => thinking::config(reasoning, target.model, losses)?,
        None => None,
    };
    let mut json = Writer::new();
    json.object(|json| {
        json.raw_member("temperature", temperature);
        json.raw_member("topP", sampling.top_p.as_deref());
        json.raw_member("topK", sampling.top_k.as_deref());
        json.raw_member("frequencyPenalty", sampling.frequency_penalty.as_deref());
        json.raw_member("presencePenalty", sampling.presence_penalty.as_deref());
        json.raw_member("seed", sampling.seed.as_deref());
        if let Some(cap) = target.cap.or(conversation.max_output) {
            json.key("maxOutputTokens").number(cap);
        }
        if !conversation.stop.is_empty() {
            json.key("stopSequences").array(|json| {
                for stop in conversation.stop.iter().take(STOPS_MAX) {
                    json.text(stop);
                }
            });
        }
        format(conversation.format.as_ref(), json);
        json.raw_member("thinkingConfig", thinking.as_deref());
    });
    Ok(json.into_text())
}

fn format(format: Option<&Format<'_>>, json: &mut Writer) {
    let Some(format) = format else { return };
    json.key("responseMimeType").text("application/json");
    if let Format::Schema { schema, .. } = format {
        let member = if fit(schema) == Fit::Own { "responseSchema" } else { "responseJsonSchema" };
        json.key(member).raw(schema);
    }
}
