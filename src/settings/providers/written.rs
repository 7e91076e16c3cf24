//! A provider's section as it is written, and what a shipped provider of the same name fills in.
//!
//! Owns     which of two sections counts, member by member.
//! Called   by the reading of `[providers]`.
//! Bounded  by the file.
//! Fails    in the report only.

use std::time::Duration;

use gateway_actors::BreakerSettings;
use gateway_actors::glob::Glob;
use http::{HeaderName, HeaderValue};

use super::{KeySource, ProviderKind};
use crate::config::{Report, Section, values};
use crate::settings::TimeoutOverrides;
use crate::upstream::Auth;

/// A provider as written: `None` where nothing was.
#[derive(Default)]
pub(super) struct Written {
    pub(super) kind: Option<ProviderKind>,
    pub(super) base_url: Option<String>,
    pub(super) source: Option<KeySource>,
    pub(super) default_model: Option<String>,
    pub(super) models: Option<Vec<Glob>>,
    pub(super) max_concurrency: Option<u32>,
    pub(super) queue_max: Option<u32>,
    pub(super) queue_wait: Option<Duration>,
    pub(super) breaker: WrittenBreaker,
    pub(super) timeouts: TimeoutOverrides,
    pub(super) auth: Option<Auth>,
    pub(super) query: Option<String>,
    pub(super) headers: Option<Vec<(HeaderName, HeaderValue)>>,
    pub(super) responses: Option<bool>,
    pub(super) stream_options: Option<bool>,
    pub(super) cached_tokens_header: Option<HeaderName>,
    pub(super) http2: Option<bool>,
    pub(super) betas: Option<Vec<String>>,
    pub(super) is_lenient: Option<bool>,
    pub(super) missing_signature: Option<String>,
    pub(super) shared_ids: Option<Vec<Glob>>,
}

impl Written {
    /// This, with the shipped settings of a provider of the same name where this says nothing. The shipped
    /// address, key and models stay away from a provider that was made another kind.
    pub(super) fn or(self, shipped: Self) -> Self {
        let same_kind = self.kind.is_none() || self.kind == shipped.kind;
        let upstream = if same_kind { shipped } else { Self::default() };
        Self {
            kind: self.kind.or(upstream.kind),
            base_url: self.base_url.or(upstream.base_url),
            source: self.source.or(upstream.source),
            default_model: self.default_model.or(upstream.default_model),
            models: self.models.or(upstream.models),
            max_concurrency: self.max_concurrency.or(upstream.max_concurrency),
            queue_max: self.queue_max.or(upstream.queue_max),
            queue_wait: self.queue_wait.or(upstream.queue_wait),
            breaker: self.breaker.or(upstream.breaker),
            timeouts: self.timeouts.or(upstream.timeouts),
            auth: self.auth.or(upstream.auth),
            query: self.query.or(upstream.query),
            headers: self.headers.or(upstream.headers),
            responses: self.responses.or(upstream.responses),
            stream_options: self.stream_options.or(upstream.stream_options),
            cached_tokens_header: self.cached_tokens_header.or(upstream.cached_tokens_header),
            http2: self.http2.or(upstream.http2),
            betas: self.betas.or(upstream.betas),
            is_lenient: self.is_lenient.or(upstream.is_lenient),
            missing_signature: self.missing_signature.or(upstream.missing_signature),
            shared_ids: self.shared_ids.or(upstream.shared_ids),
        }
    }
}

/// `breaker = {…}` as written.
#[derive(Default)]
pub(super) struct WrittenBreaker {
    consecutive: Option<u32>,
    rate: Option<f64>,
    calls_min: Option<u32>,
    window: Option<Duration>,
    cooling: Option<Duration>,
    cooling_max: Option<Duration>,
}

impl WrittenBreaker {
    pub(super) fn read(mut section: Section<'_>, report: &mut Report) -> Self {
        let written = Self {
            consecutive: section.get("consecutive", values::whole_u32(1, u32::MAX), report),
            rate: section.get("rate", values::share, report),
            calls_min: section.get("calls_min", values::whole_u32(1, u32::MAX), report),
            window: section.get("window", values::clock, report),
            cooling: section.get("cooling", values::clock, report),
            cooling_max: section.get("cooling_max", values::clock, report),
        };
        section.finish(report);
        written
    }

    fn or(self, shipped: Self) -> Self {
        Self {
            consecutive: self.consecutive.or(shipped.consecutive),
            rate: self.rate.or(shipped.rate),
            calls_min: self.calls_min.or(shipped.calls_min),
            window: self.window.or(shipped.window),
            cooling: self.cooling.or(shipped.cooling),
            cooling_max: self.cooling_max.or(shipped.cooling_max),
        }
    }

    pub(super) fn settings(self) -> BreakerSettings {
        let default = BreakerSettings::default();
        BreakerSettings {
            consecutive: self.consecutive.unwrap_or(default.consecutive),
            rate: self.rate.unwrap_or(default.rate),
            calls_min: self.calls_min.unwrap_or(default.calls_min),
            window: self.window.unwrap_or(default.window),
            cooling: self.cooling.unwrap_or(default.cooling),
            cooling_max: self.cooling_max.unwrap_or(default.cooling_max),
        }
    }
}
