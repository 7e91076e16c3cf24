//! The file of a new client: what was asked for, and a sensible default for each thing that was not.
//!
//! Owns     the defaults.
//! Called   by `client_files::create`.
//! Bounded  by what was asked for.
//! Fails    with a fault that names the flag.

use gateway_actors::client::ClientId;
use gateway_actors::glob::is_model_name;
use jiff::Timestamp;
use serde_json::Value;

use super::{ChangeFault, Issued, fault, moment, rotation};
use crate::config::{Place, Problem};
use crate::resolve;
use crate::routes;
use crate::settings::Settings;

/// The one endpoint that a new client is not allowed: the reload is an operator's.
const OF_OPERATORS: &str = "clients/reload";

/// What a new client is to be.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Its id.
    pub id: ClientId,
    /// The name that people read; `None` is the id.
    pub name: Option<String>,
    /// Its default provider, and the only one that it may use. `None` allows every configured one, and takes as
    /// default the model's, else `DEFAULT_PROVIDER`, else the only one that is configured.
    pub provider: Option<String>,
    /// Its default model.
    pub model: Option<String>,
}

/// The text of the file. Its limits are written as `null`, which is unlimited, to be filled in.
pub(super) fn text(
    settings: &Settings,
    new: &NewClient,
    issued: &Issued,
    now: Timestamp,
) -> Result<String, ChangeFault> {
    check(settings, new)?;
    let (default_provider, default_model) = defaults(settings, new);
    if let (None, Some(model)) = (&default_provider, &default_model) {
        return Err(ChangeFault::NoProviderForModel { model: model.clone() });
    }
    let allowed_providers = match &new.provider {
        Some(provider) => list([provider.as_str()]),
        None => list(settings.providers.keys().map(|name| &**name)),
    };
    let endpoints = routes::endpoints().into_iter().filter(|name| *name != OF_OPERATORS);
    let [secret, api_key] = rotation::new_entries(issued, now);
    let members = [
        ("client_id", Some(string(&new.id))),
        ("name", Some(string(new.name.as_deref().unwrap_or(&new.id)))),
        ("credentials", Some(format!("[\n    {secret},\n    {api_key}\n  ]"))),
        ("allowed_providers", Some(allowed_providers)),
        ("default_provider", default_provider.as_deref().map(string)),
        ("default_model", default_model.as_deref().map(string)),
        ("max_tokens_limit", Some("null".to_owned())),
        (
            "rate_limit",
            Some("{\n    \"requests_per_minute\": null,\n    \"tokens_per_day\": null\n  }".to_owned()),
        ),
        ("allowed_endpoints", Some(list(endpoints))),
        ("created_at", Some(moment(now))),
        ("updated_at", Some(moment(now))),
    ];
    let written = members.into_iter().filter_map(|(name, json)| Some(format!("  \"{name}\": {}", json?)));
    Ok(format!("{{\n{}\n}}\n", written.collect::<Vec<_>>().join(",\n")))
}

fn check(settings: &Settings, new: &NewClient) -> Result<(), ChangeFault> {
    if let Some(provider) = &new.provider
        && !settings.providers.contains_key(provider.as_str())
    {
        let problem = settings.unknown_provider(provider);
        return Err(fault(Place::Setting("--provider"), problem).into());
    }
    if let Some(model) = new.model.as_ref().filter(|model| !is_model_name(model)) {
        let problem = Problem::NotAModelName { written: model.clone() };
        return Err(fault(Place::Setting("--model"), problem).into());
    }
    Ok(())
}

/// The default provider, and the model as it is called there.
fn defaults(settings: &Settings, new: &NewClient) -> (Option<String>, Option<String>) {
    if let Some(provider) = &new.provider {
        return (Some(provider.clone()), new.model.clone());
    }
    if let Some((provider, model)) =
        new.model.as_deref().and_then(|model| resolve::as_defaults(settings, model))
    {
        return (Some(provider.to_string()), Some(model));
    }
    let providers = &settings.providers;
    let general = settings.default_provider.clone().filter(|name| providers.contains_key(name.as_str()));
    let only = || providers.keys().next().filter(|_| providers.len() == 1).map(ToString::to_string);
    (general.or_else(only), new.model.clone())
}

fn string(text: &str) -> String {
    Value::from(text).to_string()
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(string).collect();
    format!("[{}]", names.join(", "))
}
