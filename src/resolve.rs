//! From the model that a caller names to the targets that may be called.
//!
//! Settings and the client's own defaults in, targets or a fault out; beside them only the date counts, for models
//! that are retired. What it finds, the client may use; what it leaves out, it tells the request's trail.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_actors::glob::is_model_name;
use gateway_actors::{Client, Target};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::fault::Fault;
use crate::settings::{Capability, Midstream, ProviderSettings, Retirement, Settings, Timeouts};
use crate::trail::{Step, Trail};

/// One target of a request, with what its call needs.
#[derive(Debug, Clone)]
pub struct Leg {
    /// Whom to call, and for which model.
    pub target: Target,
    /// That provider.
    pub provider: Arc<ProviderSettings>,
    /// The clocks of the call: the provider's, with the model's in their place.
    pub timeouts: Timeouts,
    /// What the model can do and charges: looked up once, and asked several times on the way.
    pub capability: Capability,
}

/// A model as the caller named it, resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The targets, in the order of preference; at least one.
    pub legs: Vec<Leg>,
    /// What is done when a stream breaks off behind its first content.
    pub midstream: Midstream,
    /// A retired model on the way here.
    pub retired: Option<RetiredModel>,
}

impl Resolved {
    /// The target that is asked first, or alone where there is no other way.
    pub fn first(&self) -> &Leg {
        &self.legs[0]
    }

    /// The same with that target alone, where the endpoint asks no other.
    #[must_use]
    pub fn alone(mut self, trail: &Trail) -> Self {
        for other in self.legs.drain(1..) {
            trail.note(Step::Dropped {
                target: other.target,
                why: "this endpoint asks the first target alone",
            });
        }
        self
    }
}

/// Leaves out the targets that do not fit, and tells why.
pub fn retain(legs: &mut Vec<Leg>, trail: &Trail, why: &'static str, fits: impl Fn(&Leg) -> bool) {
    legs.retain(|leg| {
        let fits = fits(leg);
        if !fits {
            trail.note(Step::Dropped { target: leg.target.clone(), why });
        }
        fits
    });
}

/// A model that its provider has given up, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredModel {
    /// Its name, as it is in the configuration.
    pub model: String,
    /// When it ends, or ended.
    pub since: Date,
    /// What is asked in its place, where that has begun.
    pub replaced_by: Option<String>,
}

impl fmt::Display for RetiredModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, since, replaced_by } = self;
        write!(f, "model {model} is retired as of {since}")?;
        match replaced_by {
            Some(other) => write!(f, "; {other} is asked instead"),
            None => Ok(()),
        }
    }
}

/// Who asks, as far as finding a model goes.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The client.
    pub client: &'a Client,
    /// The provider whose model patterns come first, if the surface has one: `/openai/v1` is Groq's.
    pub home: Option<&'static str>,
    /// Where it is told which targets are left out and why; `None` where nobody is to be asked.
    pub trail: Option<&'a Trail>,
}

impl Asker<'_> {
    fn dropped(&self, target: &Target, why: &'static str) {
        if let Some(trail) = self.trail {
            trail.note(Step::Dropped { target: target.clone(), why });
        }
    }
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
    let targets =
        find(settings, asker.home, name).ok_or_else(|| Fault::UnknownModel { model: name.to_owned() })?;
    checked(settings, asker, name, targets)
}

/// Finds the target of a seed request, which may name a provider, a model, both or neither.
///
/// # Errors
/// As [`model`]; `Ok(Err(missing))` names the member that is missing or unknown, for a validation fault.
pub fn seed(
    settings: &Settings,
    asker: Asker<'_>,
    provider: Option<&str>,
    name: Option<&str>,
) -> Result<Result<Resolved, Missing>, Fault> {
    if name.is_some_and(|name| !is_model_name(name)) {
        return Err(Fault::BadModelName);
    }
    if let Some(name) = name
        && let Some(targets) = alias(settings, name)
    {
        return checked(settings, asker, name, targets).map(Ok);
    }
    let client = asker.client;
    let default = || client.default_provider.as_deref().or(settings.default_provider.as_deref());
    let provider = match (provider, name) {
        (Some(provider), _) => provider,
        (None, Some(name)) => match pattern(settings, None, name).or_else(|| prefixed(settings, name)) {
            Some(target) => return checked(settings, asker, name, vec![target]).map(Ok),
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
    let (model, targets) = match (name, own.or(known.default_model.as_deref())) {
        (Some(name), _) => (name, vec![whole(name)]),
        (None, Some(default)) => (default, of_default(settings, &known.name, default)),
        (None, None) => match default_model_for(settings, &known.name) {
            Some(found) => found,
            None => return Ok(Err(Missing::Model)),
        },
    };
    checked(settings, asker, model, targets).map(Ok)
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

/// The targets of a default model at its provider, which may be written as an alias.
fn of_default(settings: &Settings, provider: &Arc<str>, model: &str) -> Vec<Target> {
    let alias = alias(settings, model).filter(|targets| begins_at(targets, provider));
    alias.unwrap_or_else(|| vec![Target { provider: Arc::clone(provider), model: model.into() }])
}

/// `DEFAULT_MODEL` and its targets, if it belongs to this provider.
fn default_model_for<'a>(settings: &'a Settings, provider: &Arc<str>) -> Option<(&'a str, Vec<Target>)> {
    let model = settings.default_model.as_deref()?;
    let found = find(settings, None, model).or_else(|| {
        let default = settings.default_provider.as_deref()?;
        (*default == **provider).then(|| vec![Target { provider: Arc::clone(provider), model: model.into() }])
    });
    found.filter(|targets| begins_at(targets, provider)).map(|targets| (model, targets))
}

fn begins_at(targets: &[Target], provider: &Arc<str>) -> bool {
    targets.first().is_some_and(|target| target.provider == *provider)
}

/// The targets of a name, first hit wins.
fn find(settings: &Settings, home: Option<&str>, name: &str) -> Option<Vec<Target>> {
    let one =
        || pattern(settings, home, name).or_else(|| prefixed(settings, name)).map(|target| vec![target]);
    alias(settings, name).or_else(one)
}

/// What an entry of `[models]` leads to: its targets, or what replaces a model that is retired. A replacement that
/// leads nowhere changes nothing.
fn alias(settings: &Settings, name: &str) -> Option<Vec<Target>> {
    let entry = settings.models.get(name)?;
    if !entry.targets.is_empty() {
        return Some(entry.targets.clone());
    }
    replacement(settings, entry.retirement.as_ref()?.replacement_on(today())?)
}

/// What stands in for a retired model: an alias, or any other name; not what replaces that one in turn.
fn replacement(settings: &Settings, name: &str) -> Option<Vec<Target>> {
    let own = settings.models.get(name).map(|entry| entry.targets.clone());
    own.filter(|targets| !targets.is_empty()).or_else(|| {
        pattern(settings, None, name).or_else(|| prefixed(settings, name)).map(|target| vec![target])
    })
}

fn today() -> Date {
    Offset::UTC.to_datetime(Timestamp::now()).date()
}

/// What is known of the end of a target's model: by its name with the provider's, or alone.
fn retirement_of<'s>(settings: &'s Settings, target: &Target) -> Option<&'s Retirement> {
    if settings.models.is_empty() {
        return None;
    }
    let of = |name: &str| settings.models.get(name)?.retirement.as_ref();
    of(&target.model).or_else(|| of(&format!("{}/{}", target.provider, target.model)))
}

/// The targets with what replaces those that are retired, and the first of these.
fn living(
    settings: &Settings,
    asker: Asker<'_>,
    name: &str,
    targets: Vec<Target>,
) -> (Vec<Target>, Option<RetiredModel>) {
    let note = |model: &str, retirement: &Retirement, is_replaced: bool| RetiredModel {
        model: model.to_owned(),
        since: retirement.since,
        replaced_by: retirement.replacement_on(today()).filter(|_| is_replaced).map(str::to_owned),
    };
    // The name itself may be one that `alias` has replaced.
    let entry = settings.models.get(name);
    let named = entry.and_then(|entry| entry.retirement.as_ref());
    let mut retired =
        named.map(|retirement| note(name, retirement, entry.is_some_and(|entry| entry.targets.is_empty())));
    let mut living = Vec::with_capacity(targets.len());
    for target in targets {
        let Some(retirement) = retirement_of(settings, &target) else {
            living.push(target);
            continue;
        };
        let instead = retirement.replacement_on(today()).and_then(|name| replacement(settings, name));
        retired.get_or_insert_with(|| note(&target.model, retirement, instead.is_some()));
        if instead.is_some() {
            asker.dropped(&target, "it is retired, and another model stands in for it");
        }
        living.extend(instead.unwrap_or_else(|| vec![target]));
    }
    (living, retired)
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

/// What the client may use, and what can be called at all; where nothing is left, why not the first.
fn checked(
    settings: &Settings,
    asker: Asker<'_>,
    name: &str,
    targets: Vec<Target>,
) -> Result<Resolved, Fault> {
    let (targets, retired) = living(settings, asker, name, targets);
    let entry = settings.models.get(name);
    let mut legs = Vec::with_capacity(targets.len());
    let mut first_fault = None;
    for target in targets {
        match leg(settings, asker.client, name, &target) {
            Ok(mut leg) => {
                if let Some(entry) = entry {
                    leg.timeouts = leg.timeouts.overridden_by(&entry.timeouts);
                }
                legs.push(leg);
            }
            Err((fault, why)) => {
                asker.dropped(&target, why);
                first_fault.get_or_insert(fault);
            }
        }
    }
    if legs.is_empty() {
        return Err(first_fault.unwrap_or_else(|| Fault::UnknownModel { model: name.to_owned() }));
    }
    Ok(Resolved { legs, midstream: entry.map(|entry| entry.midstream).unwrap_or_default(), retired })
}

/// What a target's call needs; else what the caller is told, and why the target is left out.
fn leg(
    settings: &Settings,
    client: &Client,
    name: &str,
    target: &Target,
) -> Result<Leg, (Fault, &'static str)> {
    let Some(provider) = settings.providers.get(&target.provider) else {
        return Err((Fault::UnknownModel { model: name.to_owned() }, "there is no such provider"));
    };
    if !client.may_use_provider(&target.provider) {
        let fault = Fault::ProviderNotAllowed { provider: target.provider.to_string() };
        return Err((fault, "the client may not use the provider"));
    }
    if !may_use_model(client, target) {
        return Err((Fault::ModelNotAllowed { model: name.to_owned() }, "the client may not use the model"));
    }
    if !provider.can_be_called() {
        let cure = provider.keys.first().map(|key| key.source.to_string()).unwrap_or_default();
        let fault = Fault::NoKey { provider: provider.name.to_string(), cure };
        return Err((fault, "the provider has no key"));
    }
    Ok(to(settings, target.clone(), provider))
}

fn to(settings: &Settings, target: Target, provider: &Arc<ProviderSettings>) -> Leg {
    let capability = settings.capabilities.of(&target.provider, &target.model);
    Leg { target, provider: Arc::clone(provider), timeouts: provider.timeouts, capability }
}

/// The targets that the configuration names and a client may use: of its own default model, of every entry of
/// `[models]`, of every provider's default model. Each once, in the order of providers and models.
pub fn configured_targets(settings: &Settings, client: &Client) -> Vec<Target> {
    let default = |provider: &Arc<str>, model: Option<&str>| {
        model.map(|model| of_default(settings, provider, model)).unwrap_or_default()
    };
    let own = client.default_provider.as_deref();
    let own = own.and_then(|provider| settings.providers.get_key_value(provider));
    let own = own.map(|(provider, _)| default(provider, client.default_model.as_deref()));
    let of_providers = settings
        .providers
        .iter()
        .flat_map(|(name, provider)| default(name, provider.default_model.as_deref()));
    let of_models = settings.models.iter().flat_map(|(_, entry)| entry.targets.iter().cloned());
    let mut targets: Vec<Target> = own.into_iter().flatten().chain(of_providers).chain(of_models).collect();
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
    Ok(Resolved { legs: vec![to(settings, target, provider)], midstream: Midstream::Error, retired: None })
}

/// How a client's defaults name a model: its provider, and its name there. An alias stays one.
pub fn as_defaults(settings: &Settings, name: &str) -> Option<(Arc<str>, String)> {
    let first = |targets: Vec<Target>| targets.into_iter().next();
    match alias(settings, name).and_then(first) {
        Some(target) => Some((target.provider, name.to_owned())),
        None => {
            let target = find(settings, None, name).and_then(first)?;
            Some((target.provider, target.model.to_string()))
        }
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
