use std::collections::HashMap;

use gateway_actors::ClientId;
use gateway_actors::client::{ModelGlobs, NameSet};
use gateway_actors::glob::Glob;
use proptest::prelude::*;

use super::*;
use crate::config::test_folder::TestFolder;
use crate::settings::Sources;

/// Three upstreams and echo; both keys are set.
const PROVIDERS: &str = r#"
[providers.openai]
base_url = "http://127.0.0.1:9/v1"
default_model = "gpt-default"
models = ["gpt-*", "shared-*", "both-models-*"]

[providers.groq]
base_url = "http://127.0.0.1:9/v1"
default_model = "llama-default"
models = ["openai/gpt-oss-*", "llama*", "shared-long-*", "both-*", "groq/compound*"]

[providers.bare]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"

[providers.keyless]
base_url = "http://127.0.0.1:9/v1"
api_key_env = "KEYLESS_KEY"
models = ["keyless-*"]

[providers.echo]
kind = "echo"
default_model = "echo"
models = ["echo"]
"#;

fn settings_with(more: &str, env: &[(&str, &str)]) -> Settings {
    let folder =
        TestFolder::new().with("gateway.toml", format!("{PROVIDERS}\n{more}")).with("clients/.keep", "");
    let mut variables = HashMap::from([("OPENAI_API_KEY", "sk-openai"), ("GROQ_API_KEY", "gsk-groq")]);
    variables.extend(env.iter().copied());
    let env = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let config = Some(folder.path().join("gateway.toml"));
    Settings::load(&Sources { config, listen: None, data_dir: None, env: &env }).unwrap().settings
}

fn settings() -> Settings {
    settings_with("", &[])
}

fn client() -> Client {
    Client { allowed_providers: NameSet::All, ..Client::new(ClientId::parse("ada").unwrap()) }
}

fn with_defaults(provider: Option<&str>, model: Option<&str>) -> Client {
    let (provider, model) = (provider.map(str::to_owned), model.map(str::to_owned));
    Client { default_provider: provider, default_model: model, ..client() }
}

/// `provider model`, as it would be called.
fn called(resolved: &Resolved) -> String {
    assert_eq!(resolved.first().target.provider, resolved.first().provider.name);
    format!("{} {}", resolved.first().target.provider, resolved.first().target.model)
}

fn found(settings: &Settings, home: Option<&'static str>, name: &str) -> Result<String, Fault> {
    model(settings, Asker { client: &client(), home, trail: None }, name).map(|resolved| called(&resolved))
}

fn found_by_seed(
    settings: &Settings,
    client: &Client,
    provider: Option<&str>,
    name: Option<&str>,
) -> Result<String, String> {
    match seed(settings, Asker { client, home: None, trail: None }, provider, name) {
        Ok(Ok(resolved)) => Ok(called(&resolved)),
        Ok(Err(missing)) => Err(format!("{missing:?}")),
        Err(fault) => Err(fault.to_string()),
    }
}

#[test]
fn an_alias_goes_before_everything_else() {
    let settings = settings_with(
        "[models.\"gpt-4o\"]\ntargets = [\"groq/llama-3\"]\n[models.\"groq/fast\"]\ntargets = [\"openai/gpt-5\"]\n",
        &[],
    );
    for home in [None, Some(GROQ)] {
        assert_eq!(found(&settings, home, "gpt-4o").unwrap(), "groq llama-3");
        assert_eq!(found(&settings, home, "groq/fast").unwrap(), "openai gpt-5");
    }
    let default = with_defaults(Some("echo"), None);
    for provider in [None, Some("openai"), Some("echo")] {
        assert_eq!(found_by_seed(&settings, &default, provider, Some("gpt-4o")).unwrap(), "groq llama-3");
    }
}

#[test]
fn an_entry_without_targets_stands_for_itself() {
    let settings = settings_with("[models.\"gpt-4o\"]\ntimeouts = {first_token = \"3s\"}\n", &[]);
    let resolved = model(&settings, Asker { client: &client(), home: None, trail: None }, "gpt-4o").unwrap();
    assert_eq!(called(&resolved), "openai gpt-4o");
    assert_eq!(resolved.first().timeouts.first_token, Duration::from_secs(3));
    assert_eq!(resolved.first().timeouts.answer, resolved.first().provider.timeouts.answer);
}

#[test]
fn a_retired_model_is_answered_by_its_replacement_from_that_day_on() {
    let retired = |since: &str, replacement: &str| {
        let entry = format!("[models.\"gpt-old\"]\nretired = {since}\nreplacement = \"{replacement}\"\n");
        let alias = "[models.fast]\ntargets = [\"echo/echo\"]\n";
        settings_with(&format!("{entry}{alias}"), &[("DEFAULT_MODEL", "gpt-old")])
    };
    for (since, replacement, target) in [
        ("2020-01-01", "groq/openai/gpt-oss-20b", "groq openai/gpt-oss-20b"),
        ("2020-01-01", "llama-3", "groq llama-3"),
        ("2020-01-01", "fast", "echo echo"),
        ("2020-01-01", "", "openai gpt-old"),
        ("2020-01-01", "nobody/x", "openai gpt-old"),
        ("2020-01-01", "gpt-old", "openai gpt-old"),
        ("2999-01-01", "llama-3", "openai gpt-old"),
    ] {
        let settings = retired(since, replacement);
        assert_eq!(found(&settings, None, "gpt-old").unwrap(), target, "{since} {replacement}");
        let by_seed = found_by_seed(&settings, &client(), Some("openai"), Some("gpt-old"));
        assert_eq!(by_seed.unwrap(), target, "{since} {replacement}");
    }
    let settings = retired("2020-01-01", "bare/new");
    assert_eq!(found_by_seed(&settings, &client(), Some("bare"), None).unwrap(), "bare new");
}

#[test]
fn the_longest_of_all_patterns_wins() {
    let settings = settings();
    assert_eq!(found(&settings, None, "gpt-5").unwrap(), "openai gpt-5");
    assert_eq!(found(&settings, None, "shared-x").unwrap(), "openai shared-x");
    assert_eq!(found(&settings, None, "shared-long-x").unwrap(), "groq shared-long-x");
    assert_eq!(found(&settings, None, "both-x").unwrap(), "groq both-x");
    assert_eq!(found(&settings, None, "both-models-x").unwrap(), "openai both-models-x");
}

#[test]
fn below_openai_v1_groqs_patterns_come_first_and_the_others_still_count() {
    let settings = settings();
    assert_eq!(found(&settings, Some(GROQ), "both-models-x").unwrap(), "groq both-models-x");
    assert_eq!(found(&settings, Some(GROQ), "gpt-5").unwrap(), "openai gpt-5");
    assert_eq!(found(&settings, Some(GROQ), "openai/gpt-5").unwrap(), "openai gpt-5");
    assert_eq!(found(&settings, Some("absent"), "gpt-5").unwrap(), "openai gpt-5");
}

#[test]
fn a_pattern_goes_before_a_prefix_and_keeps_the_whole_name() {
    let settings = settings();
    assert_eq!(found(&settings, None, "openai/gpt-oss-20b").unwrap(), "groq openai/gpt-oss-20b");
    assert_eq!(found(&settings, None, "groq/compound-mini").unwrap(), "groq groq/compound-mini");
}

#[test]
fn a_prefix_names_the_provider_and_the_rest_is_the_model() {
    let settings = settings();
    assert_eq!(found(&settings, None, "openai/whatever").unwrap(), "openai whatever");
    assert_eq!(found(&settings, None, "groq/openai/gpt-oss-20b").unwrap(), "groq openai/gpt-oss-20b");
    assert_eq!(found(&settings, None, "echo/echo").unwrap(), "echo echo");
    for nobodys in ["whatever", "nobody/gpt-5", "openai/", "OpenAI/gpt-5", "/gpt-5", "openai"] {
        let fault = found(&settings, None, nobodys).unwrap_err();
        assert!(matches!(&fault, Fault::UnknownModel { model } if model == nobodys), "{nobodys}: {fault}");
    }
}

#[test]
fn a_name_that_could_climb_a_path_or_break_a_line_is_none() {
    let (settings, client) = (settings(), with_defaults(Some("openai"), None));
    for bad in ["", "gpt-5\r\nx: y", "gpt 5", "../gpt-5", "openai/../gpt-5", "gpt-5?a", "gpt-é", "gpt-*"] {
        let fault = found(&settings, None, bad).unwrap_err();
        assert!(matches!(fault, Fault::BadModelName), "{bad:?}: {fault}");
        for provider in [None, Some("openai")] {
            let fault =
                seed(&settings, Asker { client: &client, home: None, trail: None }, provider, Some(bad))
                    .unwrap_err();
            assert!(matches!(fault, Fault::BadModelName), "{bad:?}: {fault}");
        }
    }
    assert!(matches!(found(&settings, None, &format!("gpt-{}", "x".repeat(253))), Err(Fault::BadModelName)));
}

#[test]
fn on_the_seeds_api_a_named_provider_takes_the_name_whole() {
    let (settings, client) = (settings(), client());
    let with = |provider, name| found_by_seed(&settings, &client, Some(provider), Some(name));
    assert_eq!(with("openai", "llama-3").unwrap(), "openai llama-3");
    assert_eq!(with("openai", "groq/llama-3").unwrap(), "openai groq/llama-3");
    assert_eq!(with("groq", "gpt-5").unwrap(), "groq gpt-5");
    assert_eq!(with("nobody", "gpt-5").unwrap_err(), "UnknownProvider");
    assert_eq!(with("", "gpt-5").unwrap_err(), "UnknownProvider");
}

#[test]
fn on_the_seeds_api_a_name_that_nobody_has_goes_to_the_default_provider() {
    let settings = settings_with("", &[("DEFAULT_PROVIDER", "groq")]);
    let ask = |client: &Client, name| found_by_seed(&settings, client, None, Some(name));
    let own = with_defaults(Some("openai"), None);
    assert_eq!(ask(&own, "whatever").unwrap(), "openai whatever");
    assert_eq!(ask(&own, "llama-3").unwrap(), "groq llama-3", "a pattern goes first");
    assert_eq!(ask(&own, "groq/whatever").unwrap(), "groq whatever", "so does a prefix");
    assert_eq!(ask(&client(), "whatever").unwrap(), "groq whatever");
    let nobody = found_by_seed(&self::settings(), &client(), None, Some("whatever")).unwrap_err();
    assert_eq!(nobody, Fault::UnknownModel { model: "whatever".into() }.to_string());
}

#[test]
fn a_missing_model_is_the_clients_own_at_its_default_provider_alone() {
    let settings = settings();
    let own = with_defaults(Some("openai"), Some("gpt-mine"));
    assert_eq!(found_by_seed(&settings, &own, None, None).unwrap(), "openai gpt-mine");
    assert_eq!(found_by_seed(&settings, &own, Some("openai"), None).unwrap(), "openai gpt-mine");
    assert_eq!(found_by_seed(&settings, &own, Some("groq"), None).unwrap(), "groq llama-default");
    let without = with_defaults(Some("openai"), None);
    assert_eq!(found_by_seed(&settings, &without, None, None).unwrap(), "openai gpt-default");
}

#[test]
fn a_missing_model_is_last_of_all_the_general_one_if_it_is_for_this_provider() {
    let by_pattern = settings_with("", &[("DEFAULT_PROVIDER", "bare"), ("DEFAULT_MODEL", "gpt-5")]);
    let ask = |settings: &Settings, provider| found_by_seed(settings, &client(), provider, None);
    assert_eq!(ask(&by_pattern, None).unwrap_err(), "Model", "gpt-5 is OpenAI's");
    assert_eq!(ask(&by_pattern, Some("openai")).unwrap(), "openai gpt-default", "its own goes first");

    let nobodys = settings_with("", &[("DEFAULT_PROVIDER", "bare"), ("DEFAULT_MODEL", "mine")]);
    assert_eq!(ask(&nobodys, None).unwrap(), "bare mine");
    let elsewhere = settings_with("", &[("DEFAULT_PROVIDER", "openai"), ("DEFAULT_MODEL", "mine")]);
    assert_eq!(ask(&elsewhere, Some("bare")).unwrap_err(), "Model");

    let prefixed = settings_with("", &[("DEFAULT_MODEL", "bare/mine")]);
    assert_eq!(ask(&prefixed, Some("bare")).unwrap(), "bare mine");
    let alias = "[models.fast]\ntargets = [\"bare/quick\"]\n";
    let aliased = settings_with(alias, &[("DEFAULT_MODEL", "fast")]);
    assert_eq!(ask(&aliased, Some("bare")).unwrap(), "bare quick");
}

#[test]
fn a_clients_default_model_may_be_an_alias_at_its_provider() {
    let settings = settings_with("[models.fast]\ntargets = [\"groq/llama-3\"]\n", &[]);
    let own = with_defaults(Some("groq"), Some("fast"));
    assert_eq!(found_by_seed(&settings, &own, None, None).unwrap(), "groq llama-3");
}

#[test]
fn with_neither_provider_nor_default_the_provider_is_missing() {
    assert_eq!(found_by_seed(&settings(), &client(), None, None).unwrap_err(), "Provider");
    let unknown = with_defaults(Some("gone"), None);
    assert_eq!(found_by_seed(&settings(), &unknown, None, None).unwrap_err(), "UnknownProvider");
}

#[test]
fn what_the_client_may_not_use_is_refused_by_name_also_behind_an_alias() {
    let settings = settings_with("[models.fast]\ntargets = [\"groq/llama-3\"]\n", &[]);
    let only_openai = Client { allowed_providers: ["openai"].iter().collect(), ..client() };
    let fault = |name| {
        model(&settings, Asker { client: &only_openai, home: None, trail: None }, name)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(fault("fast"), "Client does not have permission to use provider: groq");
    assert_eq!(fault("groq/whatever"), "Client does not have permission to use provider: groq");
    let by_seed = found_by_seed(&settings, &only_openai, Some("groq"), None).unwrap_err();
    assert_eq!(by_seed, "Client does not have permission to use provider: groq");

    let globs = |globs: &[&str]| {
        let globs: ModelGlobs = globs.iter().map(|glob| Glob::new(glob)).collect();
        let limited = Client { allowed_models: globs, ..client() };
        move |name: &str| {
            let settings = self::settings_with("[models.fast]\ntargets = [\"groq/llama-3\"]\n", &[]);
            model(&settings, Asker { client: &limited, home: None, trail: None }, name)
                .map(|resolved| called(&resolved))
        }
    };
    let llamas = globs(&["llama-*"]);
    assert_eq!(llamas("fast").unwrap(), "groq llama-3", "the target counts, not the alias");
    assert!(matches!(llamas("gpt-5"), Err(Fault::ModelNotAllowed { model }) if model == "gpt-5"));
    let of_groq = globs(&["groq/*"]);
    assert_eq!(of_groq("llama-3").unwrap(), "groq llama-3");
    assert!(of_groq("openai/gpt-oss-20b").is_err(), "a star does not cross a slash");
    assert!(of_groq("gpt-5").is_err());
    assert!(globs(&[])("gpt-5").is_err());
    assert!(globs(&["*"])("openai/gpt-oss-20b").is_ok(), "a star alone is everything");
}

#[test]
fn a_provider_without_a_key_is_found_and_says_which_variable_to_set() {
    let settings = settings();
    let Fault::NoKey { provider, cure } = found(&settings, None, "keyless-1").unwrap_err() else {
        panic!("a key is missing");
    };
    assert_eq!(provider, "keyless");
    assert!(cure.contains("KEYLESS_KEY"), "{cure}");
    let closed = Client { allowed_providers: ["openai"].iter().collect(), ..client() };
    let fault =
        model(&settings, Asker { client: &closed, home: None, trail: None }, "keyless-1").unwrap_err();
    assert!(matches!(fault, Fault::ProviderNotAllowed { .. }), "who may not use it learns no more");
}

#[test]
fn the_clocks_are_the_providers_with_the_aliass_in_their_place() {
    let settings = settings_with(
        "[models.fast]\ntargets = [\"groq/llama-3\"]\ntimeouts = {first_token = \"3s\"}\n\
         [providers.groq.timeouts]\nfirst_token = \"7s\"\nanswer = \"8s\"\n",
        &[],
    );
    let timeouts = |name| {
        model(&settings, Asker { client: &client(), home: None, trail: None }, name).unwrap().first().timeouts
    };
    assert_eq!(timeouts("llama-3").first_token, Duration::from_secs(7));
    assert_eq!(timeouts("fast").first_token, Duration::from_secs(3));
    assert_eq!(timeouts("fast").answer, Duration::from_secs(8));
}

proptest! {
    #[test]
    fn no_name_leads_to_what_the_client_may_not_use(
        name in "(openai|groq|echo|gpt-|both-models-|llama|fast|nobody)?/?(openai/|gpt-oss-|gpt-5|x|\\.\\.)?",
        provider in proptest::option::of("(openai|groq|echo|bare|nobody)"),
    ) {
        thread_local! {
            static SETTINGS: Settings =
                settings_with("[models.fast]\ntargets = [\"groq/llama-3\"]\n", &[]);
        }
        let limited = Client {
            allowed_providers: ["openai", "echo"].iter().collect(),
            allowed_models: [Glob::new("gpt-*"), Glob::new("echo/*")].into_iter().collect(),
            default_provider: Some("groq".to_owned()),
            ..client()
        };
        SETTINGS.with(|settings| {
            let by_seed = seed(settings, Asker { client: &limited, home: None, trail: None }, provider.as_deref(), Some(&name));
            let by_name = [None, Some(GROQ)].map(|home| model(settings, Asker { client: &limited, home, trail: None }, &name));
            for resolved in by_seed.into_iter().flatten().chain(by_name.into_iter().flatten()) {
                prop_assert!(resolved.first().provider.name.as_ref() != "groq");
                prop_assert!(may_use_model(&limited, &resolved.first().target));
                prop_assert!(is_model_name(&resolved.first().target.model));
            }
            Ok(())
        })?;
    }
}
