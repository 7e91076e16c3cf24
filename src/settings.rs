//! What was meant: validated, typed, with defaults filled in; all of the configuration that the rest may see.
//!
//! Owns     the order of sources (flag, environment, `.env`, file, default) and the meaning of each setting.
//! Called   at start, by `check`, and by a reload, which compares the result with the settings in force.
//! Bounded  by the files, which `config` bounds.
//! Fails    with every fault of gateway.toml, models.toml, the environment and the clients folder together,
//!          and then with nothing else: half a configuration is never returned.

mod capabilities;
mod ledger;
mod models;
mod prices;
mod providers;
mod retries;
mod server;
mod telemetry;
mod timeouts;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway_actors::client::Client;
use gateway_actors::glob::is_model_name;
use gateway_actors::secret::Secret;

pub use capabilities::{CapMember, Capabilities, Capability};
pub use ledger::{Durability, LedgerSettings};
pub use models::{Midstream, ModelEntry, ModelTable, Retirement};
pub use prices::row_of;
pub use providers::{KeySettings, KeySource, ProviderKind, ProviderSettings, Providers, QueueSettings};
pub use retries::Retries;
pub use server::ServerSettings;
pub use telemetry::TelemetrySettings;
pub use timeouts::{TimeoutOverrides, Timeouts};

use crate::clients_dir;
use crate::config::{
    Concern, Document, Fault, Faults, Place, Problem, Report, Section, Warning, read_text, values,
};

/// Where the configuration is when nobody says otherwise; below the working folder.
pub const DEFAULT_CONFIG: &str = "configs/gateway.toml";

/// Where the gateway writes when nobody says otherwise; below the working folder.
pub const DEFAULT_DATA_DIR: &str = "data";

/// The table of models, beside the configuration file.
const MODELS_FILE: &str = "models.toml";

/// The shipped configuration. It stands in for a missing file, and fills in what a provider of one of its
/// names leaves out.
const BUILT_IN: &str = include_str!("../configs/gateway.toml");

/// A shorter admin token is warned of: 20 random letters and digits have 100 bits, which nobody guesses.
const ADMIN_TOKEN_LEAST: usize = 20;

/// How messages name the shipped configuration inside the program.
const BUILT_IN_NAME: &str = "(built-in) gateway.toml";

/// Where settings come from, beside the files.
pub struct Sources<'a> {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// A variable of the environment, else of `.env`. An empty value counts as unset.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// A variable's value, unless it is unset or empty.
type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// All settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The file that was read, also when it is missing and the built-in configuration stands in.
    pub config_path: PathBuf,
    /// Where the gateway writes.
    pub data_dir: PathBuf,
    /// The front door.
    pub server: ServerSettings,
    /// The folder with one file per client.
    pub clients_dir: PathBuf,
    /// Whether a changed file is read again by itself.
    pub watch: bool,
    /// The accounts.
    pub ledger: LedgerSettings,
    /// Clocks that hold unless a provider or a model has its own.
    pub timeouts: Timeouts,
    /// How often a failed call is tried again.
    pub retries: Retries,
    /// Where traces and metrics are sent.
    pub telemetry: TelemetrySettings,
    /// Providers by name.
    pub providers: Providers,
    /// Aliases, clocks and retirements by model.
    pub models: ModelTable,
    /// What models can do, and what they charge.
    pub capabilities: Capabilities,
    /// Where a request goes that nothing else decides (`DEFAULT_PROVIDER`).
    pub default_provider: Option<String>,
    /// The model of a request that nothing else decides (`DEFAULT_MODEL`).
    pub default_model: Option<String>,
    /// What opens the admin routes (`GATEWAY_ADMIN_TOKEN`); `None` has one made in the data folder.
    pub admin_token: Option<Secret>,
}

/// A whole configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every client of the clients folder.
    pub clients: Vec<Client>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl Settings {
    /// Reads everything: settings and clients.
    ///
    /// # Errors
    /// Every fault of every file and variable.
    pub fn load(sources: &Sources<'_>) -> Result<Loaded, Faults> {
        let mut report = Report::default();
        let settings = Self::gather(sources, &mut report)?;
        let clients = clients_dir::read(&settings, &mut report);
        Ok(Loaded { settings, clients, warnings: report.finish()? })
    }

    /// Reads the settings alone.
    ///
    /// # Errors
    /// Every fault of gateway.toml, models.toml and the environment.
    pub fn read(sources: &Sources<'_>) -> Result<Self, Faults> {
        let mut report = Report::default();
        let settings = Self::gather(sources, &mut report)?;
        report.finish()?;
        Ok(settings)
    }

    /// Reads all it can and notes what is wrong, with defaults in its place. Gives up at once only on a file
    /// that is no TOML.
    fn gather(sources: &Sources<'_>, report: &mut Report) -> Result<Self, Faults> {
        let env = |name: &str| {
            (sources.env)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let chosen = sources.config.clone().or_else(|| env("GATEWAY_CONFIG").map(PathBuf::from));
        let config_path = chosen.clone().unwrap_or_else(|| DEFAULT_CONFIG.into());
        let env: &Env<'_> = &env;
        let built_in = Document::from_toml(Path::new(BUILT_IN_NAME), BUILT_IN)?;
        let written = written(&config_path, chosen.is_some(), report)?;
        let document = written.as_ref().unwrap_or(&built_in);
        let folder = config_path.parent().unwrap_or_else(|| Path::new(""));
        let chosen_data = sources.data_dir.clone().or_else(|| env("GATEWAY_DATA").map(PathBuf::from));
        let data_dir = chosen_data.unwrap_or_else(|| DEFAULT_DATA_DIR.into());

        let mut top = Section::top(document);
        let mut server = ServerSettings::read(top.section("server", report), folder, report);
        if let Some(listen) = listen(sources, env, report) {
            server.listen = listen;
        }
        if let Some(concern) = server.concern() {
            report.warn(Place::file(&config_path), "server.listen", concern);
        }
        let mut clients = top.section("clients", report);
        let clients_dir = clients.get("dir", values::path, report).unwrap_or_else(|| "clients".into());
        let watch = clients.get("watch", values::boolean, report).unwrap_or(true);
        clients.finish(report);
        let ledger = LedgerSettings::read(top.section("ledger", report), folder, &data_dir, report);
        let timeouts = Timeouts::default()
            .overridden_by(&TimeoutOverrides::read(top.section("timeouts", report), report));
        let retries = Retries::read(top.section("retries", report), report);
        let telemetry = TelemetrySettings::read(top.section("telemetry", report), env, report);
        let surroundings = providers::Surroundings { built_in: &built_in, folder, env, timeouts };
        let providers = surroundings.read(top.section("providers", report), report);
        let models = ModelTable::read(top.section("models", report), &providers, report);
        top.finish(report);
        let settings = Self {
            server,
            clients_dir: folder.join(clients_dir),
            watch,
            ledger,
            timeouts,
            retries,
            telemetry,
            models,
            capabilities: Capabilities::read(&folder.join(MODELS_FILE), &providers, report),
            default_provider: default_provider(env, &providers, report),
            default_model: default_model(env, report),
            admin_token: admin_token(env, report),
            providers,
            config_path,
            data_dir,
        };
        settings.warn_of_retired_defaults(report);
        Ok(settings)
    }

    /// Where the table of models is, or belongs.
    pub fn models_file(&self) -> PathBuf {
        self.config_path.parent().unwrap_or_else(|| Path::new("")).join(MODELS_FILE)
    }

    fn warn_of_retired_defaults(&self, report: &mut Report) {
        let concern_about = |model: &Option<String>| self.models.concern_about(model.as_deref()?);
        if let Some(concern) = concern_about(&self.default_model) {
            report.warn(Place::Setting("DEFAULT_MODEL"), "", concern);
        }
        for provider in self.providers.values() {
            let Some(model) = &provider.default_model else { continue };
            let elsewhere = self.concern_about_provider(&provider.name, model);
            for concern in self.models.concern_about(model).into_iter().chain(elsewhere) {
                let member = format!("providers.{}.default_model", provider.name);
                report.warn(Place::file(&self.config_path), member, concern);
            }
        }
    }

    /// The fault of working in a folder that is not the gateway's: neither the configuration nor the clients are there.
    pub(crate) fn wrong_folder(&self) -> Option<Fault> {
        let is_missing = |path: &Path| matches!(path.try_exists(), Ok(false));
        if !is_missing(&self.config_path) || !is_missing(&self.clients_dir) {
            return None;
        }
        let below = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("the working folder"));
        let problem = Problem::NoConfiguration { below, clients: self.clients_dir.clone() };
        Some(Fault { place: Place::file(&self.config_path), member: String::new(), problem })
    }

    /// The fault of naming a provider that is not configured.
    pub(crate) fn unknown_provider(&self, provider: &str) -> Problem {
        let known = self.providers.keys().map(ToString::to_string).collect();
        Problem::UnknownProvider { provider: provider.to_owned(), known }
    }

    /// What an operator should know who asks a provider for a model: that it has patterns of which none fits, while
    /// another provider's does. One without patterns may have any model, and some have more than their patterns say.
    pub(crate) fn concern_about_provider(&self, provider: &str, model: &str) -> Option<Concern> {
        let own = self.providers.get(provider).filter(|own| !own.models.is_empty())?;
        let fits = |other: &ProviderSettings| other.models.iter().any(|pattern| pattern.matches(model));
        let is_alias = self.models.get(model).is_some_and(|entry| !entry.targets.is_empty());
        if is_alias || fits(own) {
            return None;
        }
        let owner = self.providers.values().find(|other| fits(other))?.name.to_string();
        Some(Concern::ModelElsewhere { model: model.to_owned(), provider: provider.to_owned(), owner })
    }
}

/// The configuration file; `None` when nobody named one and there is none at the usual place.
fn written(path: &Path, named: bool, report: &mut Report) -> Result<Option<Document>, Faults> {
    match read_text(path) {
        Ok(text) => Document::from_toml(path, &text).map(Some),
        Err(Problem::NotFound) if !named => {
            report.warn(Place::file(path), "", Concern::BuiltInConfiguration);
            Ok(None)
        }
        Err(problem) => Err(Faults::from(Fault { place: Place::file(path), member: String::new(), problem })),
    }
}

/// The address of the flag, else of the environment, when there is one that can be used.
fn listen(sources: &Sources<'_>, env: &Env<'_>, report: &mut Report) -> Option<SocketAddr> {
    let flag = sources.listen.clone().map(|written| ("--listen", written));
    let (name, written) =
        flag.or_else(|| env("GATEWAY_LISTEN").map(|written| ("GATEWAY_LISTEN", written)))?;
    match values::parse_listen_address(&written) {
        Ok(address) => Some(address),
        Err(problem) => {
            report.fault(Place::Setting(name), "", problem);
            None
        }
    }
}

fn default_provider(env: &Env<'_>, providers: &Providers, report: &mut Report) -> Option<String> {
    let provider = env("DEFAULT_PROVIDER")?;
    if !providers.contains_key(provider.as_str()) {
        let concern = Concern::UnknownProvider { provider: provider.clone() };
        report.warn(Place::Setting("DEFAULT_PROVIDER"), "", concern);
    }
    Some(provider)
}

fn default_model(env: &Env<'_>, report: &mut Report) -> Option<String> {
    let model = env("DEFAULT_MODEL")?;
    if !is_model_name(&model) {
        report.fault(Place::Setting("DEFAULT_MODEL"), "", Problem::NotAModelName { written: model.clone() });
    }
    Some(model)
}

fn admin_token(env: &Env<'_>, report: &mut Report) -> Option<Secret> {
    let token = env("GATEWAY_ADMIN_TOKEN")?;
    if !values::can_be_secret(&token) {
        let holder = "the variable".to_owned();
        report.fault(Place::Setting("GATEWAY_ADMIN_TOKEN"), "", Problem::UnusableSecret { holder });
    }
    if token.len() < ADMIN_TOKEN_LEAST {
        let concern = Concern::ShortAdminToken { least: ADMIN_TOKEN_LEAST };
        report.warn(Place::Setting("GATEWAY_ADMIN_TOKEN"), "", concern);
    }
    Some(Secret::new(token))
}

#[cfg(test)]
mod tests;
