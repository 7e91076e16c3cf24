//! A Messages request written from the neutral form: the second half of a translation for an upstream that speaks
//! Messages.
//!
//! Owns     what must be there whoever asks (`max_tokens`), and which settings exclude each other.
//! Called   by [`crate::translate`], once for each target.
//! Bounded  by the conversation.
//! Fails    with [`Untranslatable`] for what Messages has no equal for, unless the translation is lenient.
//!
//! What is left out because an answer does not differ by it: settings that say what holds without them, the name of a
//! schema, Gemini's signatures on calls, and thoughts without a signature, which this upstream does not read.

use bytes::Bytes;

use crate::conversation::{
    Conversation, Format, Losses, Part, Sampling, Target, Tool, ToolChoice, Untranslatable,
};
use crate::json::Writer;

mod content;
mod thinking;

#[cfg(test)]
mod tests;

use content::Said;
use thinking::Plan;

/// The dialect, as people call it.
pub const DIALECT: &str = "Anthropic's Messages API";

/// Takes no arguments: the API wants a schema of every tool.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// The least of `top_p` beside thinking ("Extended thinking", feature compatibility, in Anthropic's guide).
const THINKING_TOP_P_MIN: f64 = 0.95;

/// Writes a conversation as a Messages request.
///
/// # Errors
/// [`Untranslatable`] for what has no equal in Messages.
pub fn render_request(
    conversation: &Conversation<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Bytes, Untranslatable> {
    for extra in &conversation.extras {
        losses.lose(&*extra.member)?;
    }
    let mut system = instructions(conversation, losses)?;
    let mut said = content::said(&conversation.turns, losses)?;
    if said.is_empty() {
        // The API wants a message of the user; instructions alone are what the model is told.
        let told = Some(std::mem::take(&mut system)).filter(|told| !told.is_empty());
        let told =
            told.ok_or_else(|| Untranslatable { member: String::from("messages"), more: None, to: DIALECT })?;
        said.push(Said::by_user(told));
    }
    let max_tokens = target.cap.or(conversation.max_output).unwrap_or(target.max_output);
    let plan = Plan::new(conversation, target.model, max_tokens, losses)?;
    let mut json = Writer::new();
    let mut written = Ok(());
    json.object(|json| {
        json.key("model").text(target.model);
        json.key("max_tokens").number(max_tokens);
        if conversation.stream {
            json.key("stream").bool(true);
        }
        write_system(json, &system);
        json.key("messages").array(|json| said.iter().for_each(|said| message(json, said)));
        tools(json, conversation);
        plan.write_thinking(json);
        written = output_config(json, conversation, &plan, losses)
            .and_then(|()| stops(json, conversation, losses))
            .and_then(|()| sampling(json, &conversation.sampling, target, &plan, losses));
        if let Some(user) = &conversation.user {
            json.key("metadata").object(|json| json.key("user_id").text(user));
        }
    });
    written?;
    Ok(Bytes::from(json.into_text()))
}

fn instructions<'c, 'a>(
    conversation: &'c Conversation<'a>,
    losses: &mut Losses,
) -> Result<Vec<&'c Part<'a>>, Untranslatable> {
    let mut texts = Vec::new();
    for part in &conversation.system {
        match content::is_text(part) {
            true => texts.extend(Some(part).filter(|part| !content::is_blank(part))),
            false => losses.lose("instructions that are not text")?,
        }
    }
    Ok(texts)
}

fn write_system(json: &mut Writer, system: &[&Part<'_>]) {
    if !system.is_empty() {
        content::write(json.key("system"), system);
    }
}

fn message(json: &mut Writer, said: &Said<'_, '_>) {
    json.object(|json| {
        json.key("role").text(said.role());
        content::write(json.key("content"), said.parts());
    });
}

/// The API refuses a choice without tools; to choose freely or none of none goes without saying.
fn tools(json: &mut Writer, conversation: &Conversation<'_>) {
    let tools = &conversation.tools;
    if !tools.is_empty() {
        json.key("tools").array(|json| tools.iter().for_each(|one| tool(json, one)));
    }
    let is_serial = conversation.parallel_tool_calls == Some(false) && !tools.is_empty();
    let (sort, name) = match &conversation.tool_choice {
        Some(ToolChoice::Any) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(&**name)),
        Some(ToolChoice::None) if !tools.is_empty() => ("none", None),
        Some(ToolChoice::Auto) if !tools.is_empty() => ("auto", None),
        None if is_serial => ("auto", None),
        Some(ToolChoice::None | ToolChoice::Auto) | None => return,
    };
    json.key("tool_choice").object(|json| {
        json.key("type").text(sort);
        json.text_member("name", name);
        if is_serial && sort != "none" {
            json.key("disable_parallel_tool_use").bool(true);
        }
    });
}

fn tool(json: &mut Writer, tool: &Tool<'_>) {
    json.object(|json| {
        json.key("name").text(&tool.name);
        json.text_member("description", tool.description.as_deref());
        json.key("input_schema").raw(tool.schema.as_deref().unwrap_or(NO_PARAMETERS));
        if tool.strict == Some(true) {
            json.key("strict").bool(true);
        }
        json.raw_member("cache_control", tool.cache_control.as_deref());
    });
}

fn output_config(
    json: &mut Writer,
    conversation: &Conversation<'_>,
    plan: &Plan,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let schema = match &conversation.format {
        Some(Format::Schema { schema, .. }) => Some(schema),
        Some(Format::Json) => {
            losses.lose("a JSON answer without a schema")?;
            None
        }
        None => None,
    };
    if plan.effort().is_some() || schema.is_some() {
        json.key("output_config").object(|json| {
            json.text_member("effort", plan.effort());
            if let Some(schema) = schema {
                json.key("format").object(|json| {
                    json.key("type").text("json_schema");
                    json.key("schema").raw(schema);
                });
            }
        });
    }
    Ok(())
}

/// The API refuses a stop text of white space.
fn stops(
    json: &mut Writer,
    conversation: &Conversation<'_>,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let mut stops = Vec::new();
    for stop in &conversation.stop {
        match stop.trim().is_empty() {
            true => losses.lose("a stop sequence of white space")?,
            false => stops.push(stop),
        }
    }
    if !stops.is_empty() {
        json.key("stop_sequences").array(|json| stops.into_iter().for_each(|stop| json.text(stop)));
    }
    Ok(())
}

fn sampling(
    json: &mut Writer,
    sampling: &Sampling<'_>,
    target: &Target<'_>,
    plan: &Plan,
    losses: &mut Losses,
) -> Result<(), Untranslatable> {
    let is_free = target.takes_temperature && !plan.thinks();
    match sampling.temperature.as_deref().map(|raw| (raw, number(raw))) {
        Some((raw, 0.0..=1.0)) if is_free => json.key("temperature").raw(raw),
        // What holds without it.
        Some((_, 1.0)) | None => {}
        Some((_, 1.0..)) => losses.lose("a temperature above 1")?,
        Some(_) => losses.lose("temperature")?,
    }
    match sampling.top_p.as_deref().map(|raw| (raw, number(raw))) {
        // Everything, which holds without it; some models take one of it and temperature.
        Some((_, 1.0)) | None => {}
        Some((raw, _)) if is_free => json.key("top_p").raw(raw),
        Some((raw, THINKING_TOP_P_MIN..)) if target.takes_temperature => json.key("top_p").raw(raw),
        Some(_) => losses.lose("top_p")?,
    }
    match sampling.top_k.as_deref() {
        Some(raw) if is_free => json.key("top_k").raw(raw),
        Some(_) => losses.lose("top_k")?,
        None => {}
    }
    let penalties = [
        ("frequency_penalty", &sampling.frequency_penalty),
        ("presence_penalty", &sampling.presence_penalty),
    ];
    for (name, penalty) in penalties {
        if penalty.as_deref().is_some_and(|penalty| number(penalty) != 0.0) {
            losses.lose(name)?;
        }
    }
    match sampling.seed {
        Some(_) => losses.lose("seed"),
        None => Ok(()),
    }
}

/// A number as the API compares it. Readers hand out only what is one.
fn number(raw: &str) -> f64 {
    raw.parse().unwrap_or(f64::NAN)
}
