//! One fixed word for each fault: in a request's trail, its log line, and the metrics.
//!
//! Called   by the front door for whatever it refuses.
//! Fails    never. There is no wildcard arm: a new fault must choose its word. No word holds anything that a caller
//!          or an upstream said.

use gateway_actors::Refusal;

use crate::body::BodyFault;
use crate::credentials::AuthFault;
use crate::fault::Fault;
use crate::reload::ReloadFault;

impl Fault {
    /// The word; for a client's limit that limit's name.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoRoute { .. } => "no_route",
            Self::Head(_) => "bad_head",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Auth(fault) => of_auth(fault),
            Self::NotAdmin => "not_admin",
            Self::EndpointNotAllowed { .. } => "endpoint_not_allowed",
            Self::ProviderNotAllowed { .. } => "provider_not_allowed",
            Self::ModelNotAllowed { .. } => "model_not_allowed",
            Self::NotJson { .. } => "not_json",
            Self::Encoded { .. } => "body_encoded",
            Self::Body(fault) => of_body(fault),
            Self::Request(_) | Self::Validation(_) => "invalid_request",
            Self::BadModelName => "bad_model_name",
            Self::NoModel => "no_model",
            Self::UnknownModel { .. } => "unknown_model",
            Self::CapAboveLimit { .. } => "max_tokens_limit",
            Self::NoKey { .. } => "provider_without_key",
            Self::NoPrice { .. } => "model_without_price",
            Self::NotServed { .. } => "endpoint_not_served",
            Self::KeptApart { .. } => "kept_apart",
            Self::BatchLine { .. } => "batch_line",
            Self::BatchModel { .. } => "batch_model",
            Self::CannotGoOn { .. } => "cannot_go_on",
            Self::Change(_) => "change_refused",
            Self::Audit(_) | Self::Reload(ReloadFault::NotRecorded(_)) => "audit_log_unwritable",
            Self::NoProviderFor { .. } => "no_provider",
            Self::NotUnderLimit { .. } => "not_under_limit",
            Self::Untranslatable(_) => "untranslatable",
            Self::Refused(refused) => of_refusal(&refused.refusal),
            Self::Upstream { fault, .. } => fault.as_str(),
            Self::TooManyInFlight { .. } => "max_in_flight",
            Self::Draining => "draining",
            Self::Reload(ReloadFault::Faults(_) | ReloadFault::Upstreams(_)) => "configuration_unusable",
            Self::Reload(ReloadFault::Refused(refusal)) => of_refusal(refusal),
            Self::NotFound { .. } => "not_found",
            Self::BadParameter { .. } => "bad_parameter",
            Self::UsageBusy { .. } => "usage_busy",
            Self::LiveViewFull { .. } => "live_view_full",
            Self::LedgerUnreadable => "ledger_unreadable",
            Self::Bug => "bug",
        }
    }
}

fn of_auth(fault: &AuthFault) -> &'static str {
    match fault {
        AuthFault::Invalid(_) => "invalid_credentials",
        AuthFault::Repeated { .. } => "repeated_credentials",
        AuthFault::TwoClients => "two_clients",
        AuthFault::PublishedSecret { .. } => "published_secret",
        AuthFault::AddressNotAllowed { .. } => "address_not_allowed",
        AuthFault::Busy => "secret_checks_busy",
    }
}

fn of_body(fault: &BodyFault) -> &'static str {
    match fault {
        BodyFault::TooLarge { .. } => "body_too_large",
        BodyFault::TooSlow { .. } => "body_too_slow",
        BodyFault::NoRoom { .. } => "max_buffered_bytes",
        BodyFault::Broken => "body_broken",
    }
}

fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::LimitReached(denied) => denied.limit.as_str(),
        Refusal::UnknownClient { .. } => "client_removed",
        Refusal::Overloaded { .. } => "overloaded",
        Refusal::Restarting { .. } => "restarting",
        Refusal::SwitchedOff { .. } => "limiter_switched_off",
        Refusal::NoProvider { .. } => "provider_removed",
        Refusal::ProviderFull { .. } => "provider_full",
        Refusal::Resting { is_limited: true, .. } => "upstream_limit",
        Refusal::Resting { is_limited: false, .. } => "targets_rest",
        Refusal::NobodyLeft => "no_target_left",
        Refusal::LedgerBehind { .. } => "ledger_behind",
        Refusal::LedgerUnavailable => "ledger_unavailable",
        Refusal::Stopping => "draining",
    }
}
