//! What is logged: `--log`, else `LOG_LEVEL`, else `RUST_LOG`, else `info`.
//!
//! Owns     the words for levels, which a filter may be made of as well: `info,hyper=debug`.
//! Called   by `main` before it starts to log, and by `check`.
//! Bounded  by what was written.
//! Fails    with the flag or variable. A word that is no level is one, although the library takes it as the name of a
//!          part of the program: then nothing else would be logged, and nobody would see why.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Fault, Faults, Place, Problem};
use crate::reload::Origins;

/// What is logged when nobody says otherwise. ractor opens a span at every start of an actor, which says nothing to an
/// operator.
const DEFAULT: &str = "info";

/// The filter that the flag asks for, else the environment.
///
/// # Errors
/// The flag or variable that is no filter.
pub fn filter(flag: Option<&str>, origins: &Origins) -> Result<EnvFilter, Faults> {
    // What is wrong with `.env` is told by whoever reads the settings.
    let env = origins.environment().ok();
    let variable = |name: &'static str| Some((name, env.as_ref()?(name)?.trim().to_owned()));
    let (name, written) = flag
        .map(|flag| ("--log", flag.to_owned()))
        .or_else(|| variable("LOG_LEVEL"))
        .or_else(|| variable("RUST_LOG"))
        .unwrap_or(("--log", DEFAULT.to_owned()));
    let fault = |written: &str| {
        let problem = Problem::NotALogLevel { written: written.to_owned() };
        Faults::from(Fault { place: Place::Setting(name), member: String::new(), problem })
    };
    let directives =
        written.split(',').map(|written| directive(written.trim()).ok_or_else(|| fault(written)));
    let directives = directives.collect::<Result<Vec<&str>, Faults>>()?;
    EnvFilter::try_new(format!("ractor=warn,{}", directives.join(","))).map_err(|_| fault(&written))
}

/// One part of a filter as the library knows it; `None` for a bare word that is no level.
fn directive(written: &str) -> Option<&str> {
    // What Python's logging calls it.
    if written.eq_ignore_ascii_case("warning") {
        return Some("warn");
    }
    let is_bare = !written.contains(['=', '[', ':']);
    (!is_bare || written.is_empty() || written.parse::<LevelFilter>().is_ok()).then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(flag: &str) -> Result<String, String> {
        let origins = Origins { ignore_environment: true, ..Origins::default() };
        filter(Some(flag), &origins).map(|filter| filter.to_string()).map_err(|faults| faults.to_string())
    }

    #[test]
    fn levels_and_filters_are_taken() {
        for (flag, own) in [
            ("warn", "warn"),
            ("WARNING", "warn"),
            ("DEBUG", "debug"),
            ("off", "off"),
            ("info,hyper=debug", "info"),
            ("info, dsp_ai_gateway::reload=trace", "info"),
        ] {
            let filter = taken(flag).unwrap();
            assert!(filter.split(',').any(|part| part == own) && filter.contains("ractor=warn"), "{filter}");
        }
    }

    #[test]
    fn a_bare_word_that_is_no_level_is_a_fault_wherever_it_stands() {
        for flag in ["inf", "bogus", "inf,hyper=debug", "info,hyper", "info,hyper=loud"] {
            let fault = taken(flag).unwrap_err();
            assert!(
                fault.starts_with("--log: `") && fault.contains("error, warn, info, debug, trace"),
                "{fault}"
            );
        }
    }
}
