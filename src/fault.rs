//! Why a request gets no answer of its own: every case, with its data, in one enum.
//!
//! Made by whoever finds the fault, turned into a status, headers and a body by `respond.rs`. It does not log
//! itself.

use std::time::Duration;

use gateway_actors::{Refusal, Refused};
use gateway_protocols::conversation::Untranslatable;
use gateway_protocols::generate::ValidationFault;
use gateway_protocols::openai::RequestFault;
use gateway_protocols::passthrough::BatchFault;
use gateway_protocols::translate::TranslateFault;

use crate::accept::HeadFault;
use crate::audit::AuditFault;
use crate::body::BodyFault;
use crate::call::UpstreamFault;
use crate::client_files::ChangeFault;
use crate::credentials::AuthFault;
use crate::handlers::usage::ParameterFault;
use crate::reload::ReloadFault;
use crate::settings::row_of;

/// Why a request is refused or has failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No route has this path.
    #[error("no such route: {method} {path}")]
    NoRoute {
        /// The method.
        method: String,
        /// The path, cut to a length that a person reads.
        path: String,
    },
    /// The head says what no head of HTTP/1.1 may say.
    #[error(transparent)]
    Head(#[from] HeadFault),
    /// The path exists, but not with this method.
    #[error("{method} is not allowed here; use {allow}")]
    MethodNotAllowed {
        /// The method that was used.
        method: String,
        /// What the path takes.
        allow: String,
    },
    /// The caller is not known, or not let in.
    #[error(transparent)]
    Auth(#[from] AuthFault),
    /// The admin token is missing or wrong.
    #[error("the admin token is missing or wrong; send it as `Authorization: Bearer TOKEN`")]
    NotAdmin,
    /// The client may not use this endpoint.
    #[error("Client does not have permission to use endpoint: {endpoint}")]
    EndpointNotAllowed {
        /// The endpoint's name.
        endpoint: &'static str,
    },
    /// The client may not use this provider.
    #[error("Client does not have permission to use provider: {provider}")]
    ProviderNotAllowed {
        /// The provider's name.
        provider: String,
    },
    /// The client may not use this model.
    #[error("Client does not have permission to use model: {model}")]
    ModelNotAllowed {
        /// The model's name as the caller gave it.
        model: String,
    },
    /// The body is not declared as JSON.
    #[error("content type `{content_type}` is not supported; send application/json")]
    NotJson {
        /// What it is declared as.
        content_type: String,
    },
    /// The body is encoded.
    #[error("content encoding `{encoding}` is not supported; send the body as it is")]
    Encoded {
        /// How it says to be encoded.
        encoding: String,
    },
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyFault),
    /// The body of an OpenAI request is not usable.
    #[error(transparent)]
    Request(#[from] RequestFault),
    /// The body of a seed request is not usable; all that is wrong with it.
    #[error("the request body is not valid")]
    Validation(Vec<ValidationFault>),
    /// The model's name is not one.
    #[error(
        "a model name is 1 to 256 of the characters A-Z a-z 0-9 . _ : / @ + - without `.` or `..` as a segment"
    )]
    BadModelName,
    /// No model is named.
    #[error("you must provide a `model`")]
    NoModel,
    /// No provider serves the model.
    #[error("the model `{model}` does not exist or no provider serves it")]
    UnknownModel {
        /// The name.
        model: String,
    },
    /// The caller's cap is above its client's.
    #[error("Max tokens limit exceeded. Maximum allowed: {limit}")]
    CapAboveLimit {
        /// `max_tokens_limit`.
        limit: u64,
        /// The member that holds the cap.
        param: &'static str,
    },
    /// The provider's key is missing.
    #[error("provider `{provider}` has no API key: {cure}")]
    NoKey {
        /// The provider's name.
        provider: String,
        /// Which variable or file to set.
        cure: String,
    },
    /// The client has a budget, and nobody knows what a call of this model costs.
    #[error(
        "the client has a budget, and model `{model}` of provider `{provider}` no price; add {} with `input = …` \
         and `output = …` (USD per million tokens) to configs/models.toml",
        row_of(provider, model)
    )]
    NoPrice {
        /// The provider's name.
        provider: String,
        /// The model's name there.
        model: String,
    },
    /// The provider of the model has nothing of this kind.
    #[error("provider `{provider}`, which serves the model, has no {endpoint}")]
    NotServed {
        /// The provider's name.
        provider: String,
        /// The endpoint's name.
        endpoint: &'static str,
    },
    /// An answer that broke off cannot be gone on with at this provider.
    #[error("provider `{provider}` cannot go on with an answer that broke off")]
    CannotGoOn {
        /// The provider's name.
        provider: String,
    },
    /// No provider that the client may use has this.
    #[error("no provider that the client may use has {what}")]
    NoProviderFor {
        /// What it is.
        what: &'static str,
    },
    /// What it uses is known too late for the client's limits.
    #[error("{what} cannot be used by a client with {limited}: what they use is known only afterwards")]
    NotUnderLimit {
        /// What it is.
        what: &'static str,
        /// The kind of limit.
        limited: &'static str,
    },
    /// A line of a batch asks for what its client cannot have.
    #[error("line {line} of the batch: {fault}")]
    BatchLine {
        /// Which, counted from 1.
        line: usize,
        /// Why not.
        fault: Box<Fault>,
    },
    /// A batch runs at one provider, and its lines are not changed.
    #[error(
        "line {line} of the batch: a model must have the name that provider `{provider}` has for it; `{model}` has another"
    )]
    BatchModel {
        /// The line, counted from 1.
        line: usize,
        /// The name.
        model: String,
        /// Where the batch would run.
        provider: String,
    },
    /// What a request refers to lies at two keys, and it can go to one.
    #[error(
        "{what} `{id}` and another that the request refers to are kept under different keys; make them anew together"
    )]
    KeptApart {
        /// What it is.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A member that the model's provider has no equal for.
    #[error(transparent)]
    Untranslatable(#[from] Untranslatable),
    /// The tree refused the job.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// The upstream failed.
    #[error("provider `{provider}`: {fault}")]
    Upstream {
        /// The provider's name.
        provider: String,
        /// How.
        fault: UpstreamFault,
        /// When any of the targets can be asked again, where that is known.
        soonest: Option<Duration>,
    },
    /// Too many requests are in flight in the whole gateway.
    #[error("too many requests are in flight ({max}); try again")]
    TooManyInFlight {
        /// `max_in_flight`.
        max: usize,
    },
    /// The gateway stops.
    #[error("the gateway is shutting down")]
    Draining,
    /// The configuration that was to be loaded cannot be used.
    #[error(transparent)]
    Reload(#[from] ReloadFault),
    /// A change that an operator asked for was not made.
    #[error(transparent)]
    Change(#[from] ChangeFault),
    /// The audit log cannot be read.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// The admin page asked for something that does not exist.
    #[error("no such {what}: {name}")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A parameter of the query cannot be used.
    #[error("parameter `{name}`: {fault}")]
    BadParameter {
        /// Its name, as it came, cut to a length that a person reads.
        name: String,
        /// What is wrong, and the cure.
        fault: ParameterFault,
    },
    /// As many questions for the usage are being answered as may be at once.
    #[error("{max} questions for the usage are being answered already; try again")]
    UsageBusy {
        /// How many may be at once.
        max: usize,
    },
    /// As many watch the live view as may at once.
    #[error("{max} watch the live view already; close one")]
    LiveViewFull {
        /// How many may.
        max: usize,
    },
    /// The ledger's file cannot be read.
    #[error("the ledger cannot be read right now; the log says why")]
    LedgerUnreadable,
    /// A fault of our own.
    #[error("the gateway failed on this request; tell its operator the request id")]
    Bug,
}

impl From<BatchFault> for Fault {
    fn from(BatchFault { line, fault }: BatchFault) -> Self {
        match line {
            // The form itself.
            0 => fault.into(),
            line => Self::BatchLine { line, fault: Box::new(fault.into()) },
        }
    }
}

impl From<TranslateFault> for Fault {
    fn from(fault: TranslateFault) -> Self {
        match fault {
            TranslateFault::Request(fault) => Self::Request(fault),
            TranslateFault::Untranslatable(fault) => Self::Untranslatable(fault),
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        // Boxed, because it carries the state of all limits, and every result would be as large.
        Self::Refused(Box::new(refused))
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Refused::from(refusal).into()
    }
}

impl Fault {
    /// What went wrong with a call to this provider. Not all of it is the provider's.
    pub fn of_call(provider: &str, fault: UpstreamFault) -> Self {
        match fault {
            UpstreamFault::NotAccounted => Refusal::LedgerUnavailable.into(),
            fault => Self::Upstream { provider: provider.to_owned(), fault, soonest: None },
        }
    }

    /// Notes when any of the targets can be asked again.
    pub fn sooner(&mut self, at: Option<Duration>) {
        if let Self::Upstream { soonest, .. } = self {
            *soonest = at;
        }
    }

    /// How long the upstream was waited for, if the fault is a clock of ours.
    pub fn timed_out(&self) -> Option<Duration> {
        match self {
            Self::Upstream { fault: UpstreamFault::TimedOut { after, .. }, .. } => Some(*after),
            _ => None,
        }
    }
}
