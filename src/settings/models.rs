//! What is said of single models: aliases and chains of targets, clocks of their own, retirement.
//!
//! Owns     the settings of every `[models.NAME]`.
//! Called   by `Settings`; read by routing and where calls are made.
//! Bounded  by the file.
//! Fails    in the report only.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_actors::glob::is_model_name;
use gateway_actors::job::Target;
use jiff::civil::Date;

use super::{ProviderSettings, Providers, TimeoutOverrides};
use crate::config::{Concern, Problem, Report, Section, Value, values};

/// What is said of models, by the exact name that a caller uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelTable(BTreeMap<Arc<str>, ModelEntry>);

/// `[models.NAME]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelEntry {
    /// What the name stands for, in the order of preference; empty when it stands for itself.
    pub targets: Vec<Target>,
    /// Clocks of calls by this name, in place of the provider's.
    pub timeouts: TimeoutOverrides,
    /// What is done when an answer breaks off behind its first content.
    pub midstream: Midstream,
    /// Since when the model is gone upstream.
    pub retirement: Option<Retirement>,
}

/// What is done when a stream breaks off behind its first content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Midstream {
    /// The client is told, by an error event.
    #[default]
    Error,
    /// Another target goes on from the text so far, if its model takes a beginning of its own answer.
    Continue,
    /// Another target answers anew, and what the client has already is dropped as long as it is the same.
    Restart,
}

impl Midstream {
    const WORDS: &[(&str, Self)] =
        &[("error", Self::Error), ("continue", Self::Continue), ("restart", Self::Restart)];

    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Continue => "continue",
            Self::Restart => "restart",
        }
    }
}

/// Targets of one model: each may be asked twice over, so more would only be a longer wait.
const TARGETS_MAX: usize = 16;

/// A model's end, as its provider announced it; it may lie ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// From this day on the provider refuses it.
    pub since: Date,
    /// The model to use instead; `None` only warns.
    pub replacement: Option<String>,
}

impl Retirement {
    /// The model to use instead on a day: none before the end has come.
    pub fn replacement_on(&self, day: Date) -> Option<&str> {
        self.replacement.as_deref().filter(|_| self.since <= day)
    }
}

impl ModelTable {
    /// What is said of a model.
    pub fn get(&self, model: &str) -> Option<&ModelEntry> {
        self.0.get(model)
    }

    /// Whether nothing is said of any model.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All entries, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ModelEntry)> {
        self.0.iter()
    }

    /// What an operator should know who relies on a model.
    pub(crate) fn concern_about(&self, model: &str) -> Option<Concern> {
        let retirement = self.get(model)?.retirement.as_ref()?;
        let replacement = retirement.replacement.clone();
        Some(Concern::RetiredModel { model: model.to_owned(), since: retirement.since, replacement })
    }

    /// Whether a name is an alias, or some provider's model.
    fn leads_somewhere(&self, name: &str, providers: &Providers) -> bool {
        let is_alias = self.get(name).is_some_and(|entry| !entry.targets.is_empty());
        let is_served = |provider: &ProviderSettings| provider.models.iter().any(|glob| glob.matches(name));
        let prefix = name.split_once('/').map(|(provider, _)| provider);
        is_alias
            || providers.values().any(|provider| is_served(provider))
            || prefix.is_some_and(|provider| providers.contains_key(provider))
    }

    pub(crate) fn read(section: Section<'_>, providers: &Providers, report: &mut Report) -> Self {
        let mut table = Self::default();
        let mut sections = section.named_sections(report);
        for (name, section) in &mut sections {
            if !is_model_name(name) {
                report.fault(
                    section.place(),
                    "models",
                    Problem::NotAModelName { written: (*name).to_owned() },
                );
            }
            table.0.insert((*name).into(), ModelEntry::read(section, providers, report));
        }
        // A target may be retired by an entry that stands behind its own.
        for (name, section) in sections {
            for (at, target) in table.get(name).iter().flat_map(|entry| entry.targets.iter().enumerate()) {
                if let Some(concern) = table.concern_about(&target.model) {
                    section.warn_in("targets", at, concern, report);
                }
            }
            let retirement = table.get(name).and_then(|entry| entry.retirement.as_ref());
            let replacement = retirement.and_then(|retirement| retirement.replacement.clone());
            if let Some(model) = replacement.filter(|model| !table.leads_somewhere(model, providers)) {
                section.warn("replacement", Concern::ReplacementNowhere { model }, report);
            }
            section.finish(report);
        }
        table
    }
}

impl ModelEntry {
    fn read(section: &mut Section<'_>, providers: &Providers, report: &mut Report) -> Self {
        let targets = section.list("targets", |value| target(value, providers), report);
        match section.count("targets") {
            Some(0) => section.fault("targets", Problem::Empty, report),
            Some(targets) if targets > TARGETS_MAX => {
                section.fault("targets", Problem::TooMany { most: TARGETS_MAX }, report);
            }
            _ => {}
        }
        let timeouts = TimeoutOverrides::read(section.section("timeouts", report), report);
        let midstream = section.get("midstream", values::one_of("word", Midstream::WORDS), report);
        let retired = section.get("retired", values::date, report);
        let replacement = section.get("replacement", replacement, report).flatten();
        if !section.has("retired") && replacement.is_some() {
            section.fault("replacement", Problem::ReplacementOnly, report);
        }
        let retirement = retired.map(|since| Retirement { since, replacement });
        let midstream = midstream.unwrap_or_default();
        Self { targets: targets.unwrap_or_default(), timeouts, midstream, retirement }
    }
}

/// `provider/model`, where the model's name may hold slashes of its own.
fn target(value: &Value, providers: &Providers) -> Result<Target, Problem> {
    let written = values::model_name(value)?;
    let Some((provider, model)) = written.split_once('/').filter(|(_, model)| is_model_name(model)) else {
        return Err(Problem::NotATarget { written });
    };
    match providers.get_key_value(provider) {
        Some((provider, _)) => Ok(Target { provider: Arc::clone(provider), model: model.into() }),
        None => Err(Problem::UnknownProvider {
            provider: provider.to_owned(),
            known: providers.keys().map(ToString::to_string).collect(),
        }),
    }
}

/// The name of another model; an empty one says that there is none.
fn replacement(value: &Value) -> Result<Option<String>, Problem> {
    match values::text(value)?.as_str() {
        "" => Ok(None),
        _ => values::model_name(value).map(Some),
    }
}
