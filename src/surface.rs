//! What a client asks in one of four protocols, and how a provider is asked for it in its own.
//!
//! Owns     the choice: the same protocol on both sides passes bytes, all else is translated.
//! Called   by the handlers of every surface that generates text.
//! Bounded  by the readers of `gateway-protocols`; an event of a stream by [`EVENT_MAX`].
//! Fails    with the request's fault, which names the member.

use std::borrow::Cow;

use bytes::Bytes;
use gateway_protocols::anthropic::{self, MessagesRequest};
use gateway_protocols::conversation;
use gateway_protocols::estimate;
use gateway_protocols::event::AnswerStream;
use gateway_protocols::gemini::{self, GenerateRequest};
use gateway_protocols::openai::{self, CapMember, ChatRequest, Rewrite};
use gateway_protocols::responses::{self, ResponsesRequest};
use gateway_protocols::translate::{self, AnswerOptions, Mendable, Protocol, Resume};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::call::ReadWhole;
use crate::fault::Fault;
use crate::settings::{Capability, ProviderKind, ProviderSettings};

/// The largest event of a stream that is passed on: an image of 8 MB in base64, and some more.
pub const EVENT_MAX: usize = 16 << 20;

/// What must not stand in a path's segment as it is.
const SEGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'?').add(b'{').add(b'}');

/// A request, read once.
#[derive(Debug)]
pub enum Asked {
    /// OpenAI's chat completions.
    Chat(ChatRequest),
    /// Anthropic's messages.
    Messages(MessagesRequest),
    /// OpenAI's responses.
    Responses(ResponsesRequest),
    /// Gemini's generateContent.
    Gemini {
        /// The body.
        request: GenerateRequest,
        /// The model in the path.
        model: String,
        /// Whether the path asks for a stream.
        stream: bool,
        /// Whether that stream is to be server-sent events; else it is one JSON array.
        sse: bool,
    },
}

impl Asked {
    /// Whose protocol it is in.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Chat(_) => Protocol::Chat,
            Self::Messages(_) => Protocol::Messages,
            Self::Responses(_) => Protocol::Responses,
            Self::Gemini { .. } => Protocol::Gemini,
        }
    }

    /// The model it names.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Chat(request) => request.model(),
            Self::Messages(request) => request.model(),
            Self::Responses(request) => request.model(),
            Self::Gemini { model, .. } => Some(model),
        }
    }

    /// Whether the answer is to be a stream.
    pub fn stream(&self) -> bool {
        match self {
            Self::Chat(request) => request.stream(),
            Self::Messages(request) => request.stream(),
            Self::Responses(request) => request.stream(),
            Self::Gemini { stream, .. } => *stream,
        }
    }

    /// Whether the upstream is to make the answer whether or not anybody waits for it.
    pub fn in_background(&self) -> bool {
        matches!(self, Self::Responses(request) if request.background())
    }

    /// Whether a stream is one JSON array instead of server-sent events.
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Gemini { stream: true, sse: false, .. })
    }

    /// The caller's cap on the output, and the member that holds or would hold it.
    pub fn cap(&self) -> (Option<u64>, &'static str) {
        match self {
            Self::Chat(request) => {
                (request.output_cap(), chat_cap_member(request).unwrap_or_default().as_str())
            }
            Self::Messages(request) => (request.output_cap(), "max_tokens"),
            Self::Responses(request) => (request.output_cap(), "max_output_tokens"),
            Self::Gemini { request, .. } => (request.output_cap(), "generationConfig.maxOutputTokens"),
        }
    }

    /// How many answers it asks for.
    pub fn n(&self) -> u64 {
        match self {
            Self::Chat(request) => request.n(),
            Self::Messages(_) | Self::Responses(_) => 1,
            Self::Gemini { request, .. } => request.n(),
        }
    }

    /// The most tokens that its prompt can be.
    pub fn prompt_tokens(&self) -> u64 {
        fn sum<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
            parts.map(estimate::prompt_tokens).fold(0, u64::saturating_add)
        }
        match self {
            Self::Chat(request) => sum(request.prompt_parts()),
            Self::Messages(request) => sum(request.prompt_parts()),
            Self::Responses(request) => sum(request.prompt_parts()),
            Self::Gemini { request, .. } => sum(request.prompt_parts()),
        }
    }

    fn body(&self) -> &Bytes {
        match self {
            Self::Chat(request) => request.body(),
            Self::Messages(request) => request.body(),
            Self::Responses(request) => request.body(),
            Self::Gemini { request, .. } => request.body(),
        }
    }

    /// Whether a chat stream shows its usage; other protocols always do.
    fn shows_usage(&self) -> bool {
        match self {
            Self::Chat(request) => request.include_usage(),
            _ => true,
        }
    }
}

/// The member that holds a chat request's cap.
fn chat_cap_member(request: &ChatRequest) -> Option<CapMember> {
    let newer = request.max_completion_tokens().map(|_| CapMember::MaxCompletionTokens);
    newer.or(request.max_tokens().map(|_| CapMember::MaxTokens))
}

/// The protocol in which a provider is asked, for a client that asks in this one.
pub fn spoken(provider: &ProviderSettings, asked: Protocol) -> Protocol {
    match provider.kind {
        ProviderKind::OpenAi if asked == Protocol::Responses && provider.quirks.responses => asked,
        ProviderKind::OpenAi | ProviderKind::Echo => Protocol::Chat,
        ProviderKind::Anthropic => Protocol::Messages,
        ProviderKind::Gemini => Protocol::Gemini,
    }
}

/// What a request is written for.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    /// The provider.
    pub provider: &'a ProviderSettings,
    /// The model's name there.
    pub model: &'a str,
    /// What is known of it.
    pub capability: Capability,
    /// The cap to put in place of the caller's.
    pub cap: Option<u64>,
    /// The cap where one must be there and the caller names none.
    pub max_output: u64,
}

/// A request as its upstream takes it.
#[derive(Debug)]
pub struct Outgoing {
    /// Below the base URL.
    pub path: Cow<'static, str>,
    /// The body.
    pub body: Bytes,
    /// Members that had no equal and were left out.
    pub dropped: Vec<String>,
}

/// Writes a request in its upstream's protocol.
///
/// # Errors
/// [`Fault::Request`] for a body that cannot be understood, [`Fault::Untranslatable`] for what has no equal.
pub fn outgoing(asked: &Asked, upstream: Upstream<'_>) -> Result<Outgoing, Fault> {
    let to = spoken(upstream.provider, asked.protocol());
    let path = path(to, asked.stream(), upstream);
    if to == asked.protocol() {
        return Ok(Outgoing { path, body: passed(asked, upstream), dropped: Vec::new() });
    }
    let written_for = conversation::Target {
        model: upstream.model,
        cap: upstream.cap,
        max_output: upstream.max_output,
        cap_member: upstream.capability.cap_member.unwrap_or_default(),
        takes_temperature: upstream.capability.takes_temperature,
        asks_for_usage: !upstream.provider.quirks.tells_usage_unasked,
        missing_signature: upstream.provider.quirks.missing_signature(),
    };
    let is_lenient = upstream.provider.is_lenient;
    let (body, dropped) =
        translate::request(asked.protocol(), to, asked.body(), asked.stream(), &written_for, is_lenient)?;
    Ok(Outgoing { path, body, dropped })
}

/// The same protocol on both sides: only the model's name and the cap are changed, where they must be.
fn passed(asked: &Asked, upstream: Upstream<'_>) -> Bytes {
    let renamed = |name: Option<&str>| (name != Some(upstream.model)).then_some(upstream.model);
    match asked {
        Asked::Chat(request) => {
            let asked_as = chat_cap_member(request);
            // The caller's cap goes under the name that the model is known to take, else under the caller's own.
            let member = upstream.capability.cap_member.or(asked_as).unwrap_or_default();
            let sent = upstream.cap.or(request.output_cap().filter(|_| asked_as != Some(member)));
            request.rewrite(&Rewrite {
                model: renamed(request.model()),
                cap: sent.map(|cap| (member, cap)),
                include_usage: request.stream() && !upstream.provider.quirks.tells_usage_unasked,
            })
        }
        Asked::Messages(request) => request.rewrite(renamed(request.model()), upstream.cap),
        Asked::Responses(request) => request.rewrite(renamed(request.model()), upstream.cap),
        Asked::Gemini { request, .. } => request.rewrite(upstream.cap),
    }
}

/// Where an upstream of this protocol is asked.
fn path(protocol: Protocol, stream: bool, upstream: Upstream<'_>) -> Cow<'static, str> {
    match protocol {
        Protocol::Chat => Cow::Borrowed("/chat/completions"),
        Protocol::Messages => Cow::Borrowed("/messages"),
        Protocol::Responses => Cow::Borrowed("/responses"),
        Protocol::Gemini => {
            let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            Cow::Owned(gemini_path(upstream.model, method))
        }
    }
}

/// Where Gemini's API has a method of a model. A tuned one says itself which collection it is in.
pub fn gemini_path(model: &str, method: &str) -> String {
    let collection = if model.contains('/') { "" } else { "models/" };
    format!("/{collection}{}:{method}", utf8_percent_encode(model, SEGMENT))
}

/// A translated answer's id: the request's own, in the form that the protocol's ids have.
fn answer_id(protocol: Protocol, request_id: &str) -> String {
    let prefix = match protocol {
        Protocol::Chat => "chatcmpl-",
        Protocol::Messages => "msg_",
        Protocol::Responses => "resp_",
        Protocol::Gemini => "",
    };
    format!("{prefix}{}", request_id.trim_start_matches("req_"))
}

/// How the upstream's stream becomes the client's.
pub fn stream(asked: &Asked, upstream: Upstream<'_>, id: &str, created: u64) -> Box<dyn AnswerStream> {
    with_options(asked, upstream, id, created, |from, options| {
        translate::stream(from, asked.protocol(), options)
    })
}

/// The ids under which the upstream keeps a whole answer of this protocol, its items and where its tools ran.
pub fn kept(protocol: Protocol, body: &[u8]) -> Vec<String> {
    match protocol {
        Protocol::Responses => {
            let items = responses::item_ids(body);
            responses::response_id(body).into_iter().chain(items).collect()
        }
        Protocol::Messages => anthropic::container_id(body).into_iter().collect(),
        Protocol::Chat | Protocol::Gemini => Vec::new(),
    }
}

/// The same, as a stream that another upstream can go on with.
pub fn mendable(asked: &Asked, upstream: Upstream<'_>, id: &str, created: u64) -> Box<dyn AnswerStream> {
    with_options(asked, upstream, id, created, |from, options| {
        translate::mendable(from, asked.protocol(), options)
    })
}

/// Has a stream go on with another upstream.
pub fn resume(asked: &Asked, upstream: Upstream<'_>, stream: &mut Mendable, how: Resume) {
    with_options(asked, upstream, "", 0, |from, options| translate::resume(stream, from, how, options));
}

/// The same question with the beginning of its answer behind it.
pub fn continued(asked: &Asked, text: &str) -> Option<Asked> {
    let body = translate::continued(asked.protocol(), asked.body(), text)?;
    Some(match asked {
        Asked::Chat(_) => Asked::Chat(ChatRequest::read(&body).ok()?),
        Asked::Messages(_) => Asked::Messages(MessagesRequest::read(&body).ok()?),
        Asked::Responses(_) => Asked::Responses(ResponsesRequest::read(&body).ok()?),
        Asked::Gemini { model, stream, sse, .. } => Asked::Gemini {
            request: GenerateRequest::read(&body).ok()?,
            model: model.clone(),
            stream: *stream,
            sse: *sse,
        },
    })
}

fn with_options<T>(
    asked: &Asked,
    upstream: Upstream<'_>,
    id: &str,
    created: u64,
    make: impl FnOnce(Protocol, &AnswerOptions<'_>) -> T,
) -> T {
    let from = spoken(upstream.provider, asked.protocol());
    let options = AnswerOptions {
        id: &answer_id(asked.protocol(), id),
        model: upstream.model,
        created,
        show_usage: asked.shows_usage(),
        as_array: asked.is_array(),
        max_frame_bytes: EVENT_MAX,
        request: asked.body(),
    };
    make(from, &options)
}

/// How the upstream's whole answer becomes the client's.
pub fn read_whole(asked: &Asked, upstream: Upstream<'_>, id: &str, created: u64) -> ReadWhole {
    let (request, asked) = (asked.body().clone(), asked.protocol());
    let from = spoken(upstream.provider, asked);
    let (id, model) = (answer_id(asked, id), upstream.model.to_owned());
    Box::new(move |body| {
        if from == asked {
            let answer = match from {
                Protocol::Chat => openai::whole(&body)?,
                Protocol::Messages => anthropic::whole(&body)?,
                Protocol::Responses => responses::whole(&body)?,
                Protocol::Gemini => gemini::whole(&body)?,
            };
            return Ok((body, answer));
        }
        let options = AnswerOptions {
            id: &id,
            model: &model,
            created,
            show_usage: true,
            as_array: false,
            max_frame_bytes: EVENT_MAX,
            request: &request,
        };
        translate::answer(from, asked, &body, &options)
    })
}
