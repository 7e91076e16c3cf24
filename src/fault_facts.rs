//! What an operator is told of each fault beyond its word: the limit's numbers, the provider and model, the member and
//! its place, why credentials proved nothing.
//!
//! Called   by the front door for whatever it refuses.
//! Fails    never. There is no wildcard arm: a new fault must say what is known of it. No text of a prompt is a fact: a
//!          member is named, its value is not, and what a caller chose is kept only if it could be a name.

use gateway_actors::{Denied, Refusal, Refused, View};
use gateway_protocols::generate::{FaultKind, ValidationFault};
use gateway_protocols::json::JsonFault;
use gateway_protocols::openai::RequestFault;
use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::body::BodyFault;
use crate::call::{RETRY_AFTER_MS, UpstreamFault};
use crate::credentials::AuthFault;
use crate::fault::Fault;
use crate::reload::ReloadFault;
use crate::trail::Facts;

impl Fault {
    /// What is known of the fault. `answer` is the head of the answer that tells it to its caller: when to come again
    /// stands there.
    pub fn facts(&self, answer: &HeaderMap) -> Facts {
        let facts = self.own_facts();
        let number = |value: &http::HeaderValue| value.to_str().ok()?.parse::<u64>().ok();
        let ms = answer.get(&RETRY_AFTER_MS).and_then(number);
        let ms = ms.or_else(|| answer.get(RETRY_AFTER).and_then(number).map(|s| s.saturating_mul(1000)));
        match ms {
            Some(ms) => facts.number("retry_after_ms", ms),
            None => facts,
        }
    }

    fn own_facts(&self) -> Facts {
        let facts = Facts::none();
        match self {
            Self::Auth(fault) => of_auth(fault),
            Self::EndpointNotAllowed { endpoint } => facts.word("endpoint", endpoint),
            Self::ProviderNotAllowed { provider } | Self::CannotGoOn { provider } => {
                facts.named("provider", provider)
            }
            Self::ModelNotAllowed { model } | Self::UnknownModel { model } => facts.named("model", model),
            Self::NotJson { content_type } => facts.named("content_type", content_type),
            Self::Encoded { encoding } => facts.named("encoding", encoding),
            Self::Body(fault) => of_body(fault),
            Self::Request(fault) => of_request(fault),
            Self::Validation(faults) => faults.first().map(of_validation).unwrap_or_default(),
            Self::BadModelName | Self::NoModel => facts.word("param", "model"),
            Self::CapAboveLimit { limit, param } => facts.word("param", param).number("max", *limit),
            Self::NoKey { provider, cure } => facts.named("provider", provider).named("key", cure),
            Self::NoPrice { provider, model } => facts.named("provider", provider).named("model", model),
            Self::NotServed { provider, endpoint } => {
                facts.named("provider", provider).word("endpoint", endpoint)
            }
            Self::NoProviderFor { what }
            | Self::NotUnderLimit { what, .. }
            | Self::KeptApart { what, .. } => facts.word("of", what),
            Self::BatchLine { line, fault } => {
                fault.own_facts().number("line", *line).word("line_why", fault.word())
            }
            Self::BatchModel { line, model, provider } => {
                facts.number("line", *line).named("provider", provider).named("model", model)
            }
            Self::Untranslatable(fault) => facts.named("param", &fault.member).word("to", fault.to),
            Self::Refused(refused) => of_refused(refused),
            Self::Upstream { provider, fault, .. } => of_upstream(facts.named("provider", provider), fault),
            Self::TooManyInFlight { max } => facts.number("max", *max),
            Self::UsageBusy { max } | Self::LiveViewFull { max } => facts.number("max", *max),
            Self::Reload(ReloadFault::Refused(refusal)) => of_refusal(refusal, None),
            Self::NoRoute { .. }
            | Self::Head(_)
            | Self::MethodNotAllowed { .. }
            | Self::NotAdmin
            | Self::Reload(_)
            | Self::Change(_)
            | Self::Audit(_)
            | Self::NotFound { .. }
            | Self::BadParameter { .. }
            | Self::Draining
            | Self::LedgerUnreadable
            | Self::Bug => facts,
        }
    }
}

/// The address is the request's own, and so not repeated.
fn of_auth(fault: &AuthFault) -> Facts {
    let facts = Facts::none();
    match fault {
        AuthFault::Invalid(unproven) => {
            let facts = facts.word("cause", unproven.cause.as_str());
            unproven.client.as_ref().map_or(facts.clone(), |client| facts.client(client))
        }
        AuthFault::Repeated { header } => facts.word("header", header),
        AuthFault::PublishedSecret { client } | AuthFault::AddressNotAllowed { client, .. } => {
            facts.client(client)
        }
        AuthFault::TwoClients | AuthFault::Busy => facts,
    }
}

fn of_body(fault: &BodyFault) -> Facts {
    match fault {
        BodyFault::TooLarge { limit } | BodyFault::NoRoom { limit } => Facts::none().number("max", *limit),
        BodyFault::TooSlow { timeout } => Facts::none().time("body_timeout_ms", *timeout),
        BodyFault::Broken => Facts::none(),
    }
}

fn of_request(fault: &RequestFault) -> Facts {
    let facts = Facts::none();
    let facts = fault.param().map_or(facts.clone(), |param| facts.named("param", param));
    match fault {
        RequestFault::Empty => facts.word("problem", "empty"),
        RequestFault::Json(fault) => facts.word("problem", of_json(fault)).number("byte", fault.at()),
        RequestFault::NotAnObject { found } => {
            facts.word("problem", "no object").word("found", found.described())
        }
        RequestFault::Duplicate { .. } => facts.word("problem", "given twice"),
        RequestFault::Missing { .. } => facts.word("problem", "missing"),
        RequestFault::WrongType { found, expected, .. } => {
            facts.word("problem", "wrong type").word("found", found.described()).word("expected", expected)
        }
        RequestFault::NotACount { .. } => facts.word("problem", "no count"),
        RequestFault::Member { expected, .. } => {
            facts.word("problem", "not usable").word("expected", expected)
        }
        RequestFault::NoMessages => facts.word("problem", "empty"),
    }
}

fn of_json(fault: &JsonFault) -> &'static str {
    match fault {
        JsonFault::NotUtf8 { .. } => "not UTF-8",
        JsonFault::EndsEarly { .. } => "ends early",
        JsonFault::Unexpected { .. } => "unexpected byte",
        JsonFault::ControlCharacter { .. } => "control character",
        JsonFault::UnknownEscape { .. } => "unknown escape",
        JsonFault::TooDeep { .. } => "nested too deep",
        JsonFault::TooManyMembers { .. } => "too many members",
    }
}

/// The first of a body's faults; the answer has all of them.
fn of_validation(fault: &ValidationFault) -> Facts {
    let facts = Facts::none();
    let facts = fault.member.map_or(facts.clone(), |member| facts.word("param", member));
    let facts = facts.word("problem", fault.kind.error_type());
    match fault.kind {
        FaultKind::NotJson { at } => facts.number("byte", at),
        _ => facts,
    }
}

fn of_refused(Refused { refusal, limits, .. }: &Refused) -> Facts {
    of_refusal(refusal, limits.as_ref())
}

fn of_refusal(refusal: &Refusal, limits: Option<&View>) -> Facts {
    let facts = Facts::none();
    match refusal {
        Refusal::LimitReached(denied) => of_denied(denied, limits),
        Refusal::Overloaded { actor } | Refusal::Restarting { actor } => facts.word("actor", actor),
        Refusal::SwitchedOff { rest, .. } => facts.time("rests_ms", *rest),
        Refusal::NoProvider { provider } => facts.named("provider", provider),
        Refusal::ProviderFull { provider, waiting } => {
            facts.named("provider", provider).number("waiting", *waiting)
        }
        Refusal::LedgerBehind { behind } => facts.number("behind", *behind),
        Refusal::UnknownClient { .. }
        | Refusal::Resting { .. }
        | Refusal::NobodyLeft
        | Refusal::LedgerUnavailable
        | Refusal::Stopping => facts,
    }
}

/// `used` is what the answer has under that name, reservations included; `reserved` is how much of it is only that.
fn of_denied(denied: &Denied, limits: Option<&View>) -> Facts {
    let amount = |facts: Facts, name, amount| match denied.limit.is_money() {
        true => facts.money(name, amount),
        false => facts.number(name, amount),
    };
    let facts = amount(Facts::none(), "max", denied.max);
    let facts = amount(facts, "used", denied.used);
    let meter = limits.and_then(|view| view.meters().find(|meter| meter.name == denied.limit));
    let facts = meter.map_or(facts.clone(), |meter| amount(facts, "reserved", meter.reserved));
    amount(facts, "needed", denied.needed)
}

fn of_upstream(facts: Facts, fault: &UpstreamFault) -> Facts {
    match fault.status() {
        Some(status) => facts.number("upstream_status", status.as_u16()),
        None => facts,
    }
}
