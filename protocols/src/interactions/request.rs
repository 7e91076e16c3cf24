//! A request for an interaction: one scan for what the gateway reads, exact edits for what it changes.
//!
//! Owns     the body's bytes and the values the gateway decides by.
//! Called   by the handler of `/v1beta/interactions`.
//! Bounded  by the JSON scanner; a rewrite is one copy of the body, or none.
//! Fails    with a [`RequestFault`] that names the member; unknown members are never judged.

use bytes::Bytes;

use crate::body;
use crate::gemini::{GenerationConfig, Spelling, camel, once, speaks, whole_object};
use crate::json::{self, Cursor, Kind, Object, Span, quoted};
use crate::openai::RequestFault;
use crate::splice::Splice;

#[cfg(test)]
mod tests;

const MODEL: &str = "model";
const STREAM: &str = "stream";
const BACKGROUND: &str = "background";
const STORE: &str = "store";
const PREVIOUS: &str = "previous_interaction_id";
const AGENT: &str = "agent";

/// Members that are read. Each may stand only once, in whichever spelling: Google's JSON takes `generationConfig` as
/// well, and an id that was passed over in the other spelling would be anybody's.
const READ: [&str; 7] = [MODEL, STREAM, BACKGROUND, STORE, PREVIOUS, AGENT, NAMES.config];

/// Structured or textual members that no model reads, in camelCase. Any other array, object or string counts as prompt.
const NOT_PROMPT: [&str; 9] = [
    MODEL,
    "previousInteractionId",
    "generationConfig",
    "labels",
    "responseModalities",
    "responseMimeType",
    "safetySettings",
    "serviceTier",
    "webhookConfig",
];

/// The names of the generation config.
const NAMES: Spelling = Spelling {
    config: "generation_config",
    cap: "max_output_tokens",
    cap_path: "generation_config.max_output_tokens",
    n_path: "generation_config.candidate_count",
};

/// A request as it came, and what it says.
#[derive(Clone, Debug)]
pub struct InteractionRequest {
    body: Bytes,
    object: Object,
    model: Option<(Span, String)>,
    stream: bool,
    background: bool,
    store: Option<bool>,
    previous: Option<String>,
    config: GenerationConfig,
    prompt: Vec<Span>,
}

impl InteractionRequest {
    /// Reads a body in one scan. The handle is kept, nothing of the body is copied but names and ids.
    ///
    /// # Errors
    /// A [`RequestFault`]; its text is for the caller. One that names an agent is among them: nothing bounds what an
    /// agent uses.
    pub fn read(body: &Bytes) -> Result<Self, RequestFault> {
        let text = json::utf8(body)?;
        let whole = whole_object(text)?;
        let mut seen = [false; READ.len()];
        let (mut model, mut previous) = (None, None);
        let (mut stream, mut background, mut store) = (None, None, None);
        let mut config = GenerationConfig::default();
        let mut prompt = Vec::new();
        let object = Object::read(&mut Cursor::within(text, whole.span), |_, key, value| {
            let name = camel(&key.name);
            if speaks(value) && !NOT_PROMPT.contains(&&*name) {
                prompt.push(value.span);
            }
            let Some(field) = READ.iter().position(|field| camel(field) == name) else { return Ok(()) };
            let param = READ[field];
            once(param, std::mem::replace(&mut seen[field], true))?;
            match param {
                MODEL => model = body::optional_text(param, value)?.map(|name| (value.span, name)),
                STREAM => stream = body::optional_bool(param, value)?,
                BACKGROUND => background = body::optional_bool(param, value)?,
                STORE => store = body::optional_bool(param, value)?,
                PREVIOUS => previous = body::optional_text(param, value)?,
                AGENT if value.kind == Kind::Null => {}
                AGENT => {
                    let expected = "a `model` in its place: nothing bounds what an agent uses";
                    return Err(RequestFault::Member { member: AGENT.to_owned(), expected });
                }
                _ => config = GenerationConfig::read(text, value, &NAMES)?,
            }
            Ok(())
        })?;
        prompt.extend_from_slice(config.prompt());
        let (stream, background) = (stream.unwrap_or(false), background.unwrap_or(false));
        let body = body.clone();
        Ok(Self { body, object, model, stream, background, store, previous, config, prompt })
    }

    /// The model's name; `None` when missing or null.
    pub fn model(&self) -> Option<&str> {
        self.model.as_ref().map(|(_, name)| name.as_str())
    }

    /// Whether the answer is to be streamed.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the answer is to be made without anybody waiting for it. What comes back then has not ended, and tells no
    /// usage.
    pub fn background(&self) -> bool {
        self.background
    }

    /// Whether the upstream is to keep the answer, as it does unless told otherwise.
    pub fn store(&self) -> bool {
        self.store.unwrap_or(true)
    }

    /// The stored interaction that this one goes on from. Its upstream adds that whole conversation to the prompt, which
    /// [`prompt_parts`](Self::prompt_parts) cannot know.
    pub fn previous_interaction_id(&self) -> Option<&str> {
        self.previous.as_deref()
    }

    /// `generation_config.max_output_tokens`; `None` when missing or null.
    pub fn output_cap(&self) -> Option<u64> {
        self.config.cap()
    }

    /// The path of the member that holds or would hold the cap.
    pub const CAP: &'static str = NAMES.cap_path;

    /// Every value that may end up in the prompt, as written: input, system instruction, tools, response format, and
    /// whatever structured member is not known to stay out of it.
    pub fn prompt_parts(&self) -> impl Iterator<Item = &[u8]> {
        self.prompt.iter().map(|span| &self.body[span.range()])
    }

    /// The body for one target: the model's name and the cap replaced, everything else byte for byte as it came. Without
    /// a change it is the same handle.
    pub fn rewrite(&self, model: &str, cap: Option<u64>) -> Bytes {
        let mut splice = Splice::new(&self.body);
        if let Some((span, name)) = &self.model
            && name != model
        {
            splice.replace(*span, quoted(model));
        }
        let appended = self.config.set_cap(cap, &NAMES, &mut splice);
        splice.edit_members(&self.object, &[], appended);
        splice.apply_to(&self.body)
    }
}
