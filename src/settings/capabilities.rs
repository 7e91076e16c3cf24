//! What models can do and what they charge: configs/models.toml, or the table inside the program when there is
//! no such file.
//!
//! Owns     the table. It is data with a date: models and prices change without a new version of us.
//! Called   by `Settings`; read where a request's token cap and temperature are fitted to its model, and where
//!          the bound of its cost is made.
//! Bounded  by the file.
//! Fails    in the report only. What the table does not say is taken from [`Capability::default`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gateway_actors::glob::Glob;
use gateway_limits::Price;
pub use gateway_protocols::openai::CapMember;
use jiff::civil::Date;

use super::prices::Prices;
use super::{ProviderKind, Providers};
use crate::config::{Document, Place, Problem, Report, Section, read_text, values};

/// The shipped table.
const BUILT_IN: &str = include_str!("../../configs/models.toml");

/// How messages name the shipped table inside the program.
const BUILT_IN_NAME: &str = "(built-in) models.toml";

/// What one model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Tokens of prompt and output together, where known.
    pub context: Option<u64>,
    /// The largest output, in tokens, where known.
    pub max_output: Option<u64>,
    /// How it takes a cap on its output; `None` where the table says nothing.
    pub cap_member: Option<CapMember>,
    /// Whether it takes a temperature other than its own.
    pub takes_temperature: bool,
    /// Whether it goes on from a beginning of its own answer.
    pub takes_prefill: bool,
    /// What its tokens cost, where known.
    pub price: Option<Price>,
}

impl Default for Capability {
    fn default() -> Self {
        Self {
            context: None,
            max_output: None,
            cap_member: None,
            takes_temperature: true,
            takes_prefill: false,
            price: None,
        }
    }
}

/// The capability table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capabilities {
    /// When the table was last compared with the providers' own pages.
    pub date: Option<Date>,
    /// Rows by provider, the most specific pattern first.
    rows: BTreeMap<Box<str>, Vec<Row>>,
    /// Providers that cost nothing, whatever their rows say.
    free: BTreeSet<Box<str>>,
}

/// What the table says of the models that fit a pattern.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    pattern: Glob,
    context: Option<u64>,
    max_output: Option<u64>,
    cap_member: Option<CapMember>,
    takes_temperature: Option<bool>,
    takes_prefill: Option<bool>,
    prices: Prices,
}

impl Capabilities {
    /// What a model of a provider can do and charges: each member from the most specific pattern that says it.
    pub fn of(&self, provider: &str, model: &str) -> Capability {
        let rows = self.rows.get(provider).map(Vec::as_slice).unwrap_or_default();
        let rows: Vec<&Row> = rows.iter().filter(|row| row.pattern.matches(model)).collect();
        let default = Capability::default();
        let prices = rows.iter().fold(Prices::default(), |prices, row| prices.or(row.prices));
        Capability {
            context: rows.iter().find_map(|row| row.context),
            max_output: rows.iter().find_map(|row| row.max_output),
            cap_member: rows.iter().find_map(|row| row.cap_member),
            takes_temperature: rows
                .iter()
                .find_map(|row| row.takes_temperature)
                .unwrap_or(default.takes_temperature),
            takes_prefill: rows.iter().find_map(|row| row.takes_prefill).unwrap_or(default.takes_prefill),
            price: if self.free.contains(provider) { Some(Price::FREE) } else { prices.whole() },
        }
    }

    pub(crate) fn read(file: &Path, providers: &Providers, report: &mut Report) -> Self {
        let is_free = |kind| match kind {
            ProviderKind::Echo => true,
            ProviderKind::OpenAi | ProviderKind::Anthropic | ProviderKind::Gemini => false,
        };
        let free = providers.values().filter(|provider| is_free(provider.kind));
        let free = free.map(|provider| (&*provider.name).into()).collect();
        Self { free, ..Self::table(file, report) }
    }

    /// The rows of the file, else of the shipped table.
    fn table(file: &Path, report: &mut Report) -> Self {
        let document = match read_text(file) {
            Ok(text) => Document::from_toml(file, &text),
            Err(Problem::NotFound) => Document::from_toml(Path::new(BUILT_IN_NAME), BUILT_IN),
            Err(problem) => {
                report.fault(Place::file(file), "", problem);
                return Self::default();
            }
        };
        match document {
            Ok(document) => Self::from_top(Section::top(&document), report),
            Err(faults) => {
                report.add(faults);
                Self::default()
            }
        }
    }

    fn from_top(mut top: Section<'_>, report: &mut Report) -> Self {
        let mut table = Self { date: top.get("date", values::date, report), ..Self::default() };
        for (provider, section) in top.named_sections(report) {
            let mut rows = Vec::new();
            for (pattern, section) in section.named_sections(report) {
                rows.extend(Row::read(pattern, section, report));
            }
            rows.sort_by_key(|row| std::cmp::Reverse(row.pattern.specificity()));
            table.rows.insert(provider.into(), rows);
        }
        table
    }
}

impl Row {
    fn read(pattern: &str, mut section: Section<'_>, report: &mut Report) -> Option<Self> {
        const CAP_MEMBERS: &[(&str, CapMember)] = &[
            ("max_tokens", CapMember::MaxTokens),
            ("max_completion_tokens", CapMember::MaxCompletionTokens),
        ];
        let glob = values::parse_pattern(pattern);
        if glob.is_none() {
            report.fault(section.place(), "", Problem::NotAPattern { written: pattern.to_owned() });
        }
        let context = section.get("context", values::whole(1, u64::MAX), report);
        let max_output = section.get("max_output", values::whole(1, u64::MAX), report);
        let cap_member = section.get("cap_member", values::one_of("member", CAP_MEMBERS), report);
        let takes_temperature = section.get("takes_temperature", values::boolean, report);
        let takes_prefill = section.get("takes_prefill", values::boolean, report);
        let prices = Prices::read(&mut section, report);
        section.finish(report);
        let pattern = glob?;
        Some(Self { pattern, context, max_output, cap_member, takes_temperature, takes_prefill, prices })
    }
}
