//! From the model that a caller names to the target that is called.
//!
//! Settings and the client's own defaults in, a target or a fault out; beside them only the date counts, for models
//! that are retired. What it finds, the client may use.

use std::sync::Arc;
use std::time::Duration;

use gateway_actors::glob::is_model_name;
use gateway_actors::{Client, Target};
use jiff::Timestamp;
use jiff::tz::Offset;

use crate::fault::Fault;
use crate::settings::{ProviderSettings, Settings, Timeouts};

/// A model as the caller named it, resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Whom to call, and for which model.
    pub target: Target,
    /// That provider.
    pub provider: Arc<ProviderSettings>,
    /// The clocks of the call: the provider's, with the model's in their place.
    pub timeouts: Timeouts,
}

/// Who asks, as far as finding a model goes.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The client.
    pub client: &'a Client,
    /// The provider whose model patterns come first, if the surface has one: `/openai/v1` is Groq's.
    pub home: Option<&'static str>,
}

/// The provider that `/openai/v1` belongs to.
pub const GROQ: &str = "groq";

/// Finds the target of a model's name on OpenAI's surface: an alias, the longest pattern, or `provider/model`.
///
/// # Errors
/// [`Fault::BadModelName`], [`Fault::UnknownModel`], or what the client may not use.
pub fn model(settings: &Settings, asker: Asker<'_>, name: &str) -> Result<Resolved, Fault> {
    if !is_model_name(name) {
        return Err(Fault::BadModelName);
    }
    let target =
        find(settings, asker.home, name).ok_or_else(|| Fault::UnknownModel { model: name.to_owned() })?;
    checked(settings, asker.client, name, target)
}

/// Finds the target of a seed request, which may name a provider, a model, both or neither.
///
/// # Errors
/// As [`model`]; `Ok(Err(missing))` names the member that is missing or unknown, for a validation fault.
pub fn seed(
    settings: &Settings,
    client: &Client,
    provider: Option<&str>,
    name: Option<&str>,
) -> Result<Result<Resolved, Missing>, Fault> {
    if name.is_some_and(|name| !is_model_name(name)) {
        return Err(Fault::BadModelName);
    }
    if let Some(name) = name
        && let Some(target) = alias(settings, name)
    {
        return checked(settings, client, name, target).map(Ok);
    }
    let default = || client.default_provider.as_deref().or(settings.default_provider.as_deref());
    let provider = match (provider, name) {
        (Some(provider), _) => provider,
        (None, Some(name)) => match pattern(settings, None, name).or_else(|| prefixed(settings, name)) {
            Some(target) => return checked(settings, client, name, target).map(Ok),
            None => default().ok_or_else(|| Fault::UnknownModel { model: name.to_owned() })?,
        },
        (None, None) => match default() {
            Some(provider) => provider,
            None => return Ok(Err(Missing::Provider)),
        },
    };
    let Some(known) = settings.providers.get(provider) else { return Ok(Err(Missing::UnknownProvider)) };
    // A client's default model belongs to its default provider alone.
    let own = client.default_model.as_deref();
    let own = own.filter(|_| client.default_provider.as_deref() == Some(provider));
    let whole = |model: &str| Target { provider: Arc::clone(&known.name), model: model.into() };
    let (model, target) = match (name, own.or(known.default_model.as_deref())) {
        (Some(name), _) => (name, whole(name)),
        (None, Some(default)) => (default, of_default(settings, &known.name, default)),
        (None, None) => match default_model_for(settings, &known.name) {
            Some(found) => found,
            None => return Ok(Err(Missing::Model)),
        },
    };
    checked(settings, client, model, target).map(Ok)
}

/// What a seed request lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It names no provider, and there is no default.
    Provider,
    /// It names a provider that does not exist.
    UnknownProvider,
    /// It names no model, and there is no default for the provider.
    Model,
}

/// The target of a default model at its provider, which may be written as an alias.
fn of_default(settings: &Settings, provider: &Arc<str>, model: &str) -> Target {
    let alias = alias(settings, model).filter(|target| target.provider == *provider);
    alias.unwrap_or_else(|| Target { provider: Arc::clone(provider), model: model.into() })
}

/// `DEFAULT_MODEL` and its target, if it belongs to this provider.
fn default_model_for<'a>(settings: &'a Settings, provider: &Arc<str>) -> Option<(&'a str, Target)> {
    let model = settings.default_model.as_deref()?;
    let found = find(settings, None, model).or_else(|| {
        let default = settings.default_provider.as_deref()?;
        (*default == **provider).then(|| Target { provider: Arc::clone(provider), model: model.into() })
    });
    found.filter(|target| target.provider == *provider).map(|target| (model, target))
}

/// The target of a name, first hit wins.
fn find(settings: &Settings, home: Option<&str>, name: &str) -> Option<Target> {
    alias(settings, name).or_else(|| pattern(settings, home, name)).or_else(|| prefixed(settings, name))
}

/// What an entry of `[models]` leads to: its first target, as this version calls one, or what replaces a model that
/// is retired. A replacement that leads nowhere changes nothing.
fn alias(settings: &Settings, name: &str) -> Option<Target> {
    let entry = settings.models.get(name)?;
    let retired = || {
        let today = Offset::UTC.to_datetime(Timestamp::now()).date();
        let replacement = entry.retirement.as_ref()?.replacement_on(today)?;
        let own = settings.models.get(replacement).and_then(|entry| entry.targets.first().cloned());
        own.or_else(|| pattern(settings, None, replacement)).or_else(|| prefixed(settings, replacement))
    };
    entry.targets.first().cloned().or_else(retired)
}

/// The longest of all patterns that fit; the home provider's before all others.
fn pattern(settings: &Settings, home: Option<&str>, name: &str) -> Option<Target> {
    let longest = |provider: &ProviderSettings| {
        provider.models.iter().filter(|glob| glob.matches(name)).map(|glob| glob.as_str().len()).max()
    };
    let at_home = home.and_then(|home| settings.providers.get(home)).filter(|home| longest(home).is_some());
    let provider = at_home.or_else(|| {
        let fits = settings.providers.values().filter_map(|provider| Some((longest(provider)?, provider)));
        fits.max_by_key(|(length, _)| *length).map(|(_, provider)| provider)
    })?;
    Some(Target { provider: Arc::clone(&provider.name), model: name.into() })
}

/// `provider/model`.
fn prefixed(settings: &Settings, name: &str) -> Option<Target> {
    let (provider, model) = name.split_once('/').filter(|(_, model)| is_model_name(model))?;
    let (provider, _) = settings.providers.get_key_value(provider)?;
    Some(Target { provider: Arc::clone(provider), model: model.into() })
}

/// What the client may use, and what can be called at all.
fn checked(settings: &Settings, client: &Client, name: &str, target: Target) -> Result<Resolved, Fault> {
    let Some(provider) = settings.providers.get(&target.provider) else {
        return Err(Fault::UnknownModel { model: name.to_owned() });
    };
    if !client.may_use_provider(&target.provider) {
        return Err(Fault::ProviderNotAllowed { provider: target.provider.to_string() });
    }
    if !may_use_model(client, &target) {
        return Err(Fault::ModelNotAllowed { model: name.to_owned() });
    }
    if !provider.can_be_called() {
        let cure = provider.keys.first().map(|key| key.source.to_string()).unwrap_or_default();
        return Err(Fault::NoKey { provider: provider.name.to_string(), cure });
    }
    let timeouts = match settings.models.get(name) {
        Some(entry) => provider.timeouts.overridden_by(&entry.timeouts),
        None => provider.timeouts,
    };
    Ok(Resolved { target, provider: Arc::clone(provider), timeouts })
}

/// The targets that the configuration names and a client may use: of its own default model, of every entry of
/// `[models]`, of every provider's default model. Each once, in the order of providers and models.
pub fn configured_targets(settings: &Settings, client: &Client) -> Vec<Target> {
    let default = |provider: &Arc<str>, model: Option<&str>| Some(of_default(settings, provider, model?));
    let own = client.default_provider.as_deref();
    let own = own.and_then(|provider| settings.providers.get_key_value(provider));
    let own = own.and_then(|(provider, _)| default(provider, client.default_model.as_deref()));
    let of_providers = settings
        .providers
        .iter()
        .filter_map(|(name, provider)| default(name, provider.default_model.as_deref()));
    let of_models = settings.models.iter().flat_map(|(_, entry)| entry.targets.iter().cloned());
    let mut targets: Vec<Target> = own.into_iter().chain(of_providers).chain(of_models).collect();
    targets.retain(|target| client.may_use_provider(&target.provider) && may_use_model(client, target));
    targets.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
    targets.dedup();
    targets
}

/// The provider of a target that is known already, if the client may still use it.
///
/// # Errors
/// As [`model`], but for the model, of which nothing is asked.
pub fn provider_of(settings: &Settings, client: &Client, target: Target) -> Result<Resolved, Fault> {
    let name = target.provider.to_string();
    let provider = settings.providers.get(&target.provider).filter(|provider| provider.can_be_called());
    let provider = provider.ok_or_else(|| Fault::NotFound { what: "provider", name: name.clone() })?;
    if !client.may_use_provider(&name) {
        return Err(Fault::ProviderNotAllowed { provider: name });
    }
    Ok(Resolved { target, provider: Arc::clone(provider), timeouts: provider.timeouts })
}

/// How a client's defaults name a model: its provider, and its name there. An alias stays one.
pub fn as_defaults(settings: &Settings, name: &str) -> Option<(Arc<str>, String)> {
    match alias(settings, name) {
        Some(target) => Some((target.provider, name.to_owned())),
        None => find(settings, None, name).map(|target| (target.provider, target.model.to_string())),
    }
}

/// A client's list may name a model alone or with its provider.
pub fn may_use_model(client: &Client, target: &Target) -> bool {
    client.may_use_model(&target.model)
        || client.may_use_model(&format!("{}/{}", target.provider, target.model))
}

/// Every connect timeout that a call may have, for the HTTP clients.
pub fn connect_timeouts(settings: &Settings) -> impl Iterator<Item = Duration> {
    let of_models = |provider: Arc<ProviderSettings>| {
        let models = settings.models.iter();
        models.map(move |(_, entry)| provider.timeouts.overridden_by(&entry.timeouts).connect)
    };
    settings.providers.values().flat_map(move |provider| {
        std::iter::once(provider.timeouts.connect).chain(of_models(Arc::clone(provider)))
    })
}

#[cfg(test)]
#[path = "resolve/tests.rs"]
mod tests;
