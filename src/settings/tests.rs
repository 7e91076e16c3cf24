use std::collections::HashMap;
use std::time::Duration;

use gateway_limits::Price;

use super::*;
use crate::config::test_folder::TestFolder;
use crate::upstream::Auth;

/// A folder with a gateway.toml, an empty clients folder and variables.
struct Setup {
    folder: TestFolder,
    env: HashMap<&'static str, &'static str>,
}

impl Setup {
    fn new(gateway_toml: &str) -> Self {
        let folder = TestFolder::new().with("gateway.toml", gateway_toml).with("clients/.keep", "");
        Self { folder, env: HashMap::new() }
    }

    fn file(self, name: &str, content: &str) -> Self {
        Self { folder: self.folder.with(name, content), ..self }
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.insert(name, value);
        self
    }

    fn load_with(&self, change: impl FnOnce(&mut Sources<'_>)) -> Result<Loaded, Faults> {
        let env = |name: &str| self.env.get(name).map(|value| (*value).to_owned());
        let config = Some(self.folder.path().join("gateway.toml"));
        let mut sources = Sources { config, listen: None, data_dir: None, env: &env };
        change(&mut sources);
        Settings::load(&sources)
    }

    fn settings(&self) -> Settings {
        self.load_with(|_| ()).unwrap().settings
    }

    fn faults(&self) -> Vec<String> {
        self.folder.lines(&self.load_with(|_| ()).unwrap_err())
    }

    /// All warnings but the one about the empty clients folder.
    fn warnings(&self) -> Vec<String> {
        let warnings = self.load_with(|_| ()).unwrap().warnings;
        self.folder.lines(warnings.iter().filter(|warning| warning.concern != Concern::NoClients))
    }
}

fn faults(gateway_toml: &str) -> Vec<String> {
    Setup::new(gateway_toml).faults()
}

fn warnings(gateway_toml: &str) -> Vec<String> {
    Setup::new(gateway_toml).warnings()
}

/// The shipped files, as they lie in the project.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)
}

fn load_shipped(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    Settings::load(&Sources { config: Some(shipped(name)), listen: None, data_dir: None, env }).unwrap()
}

#[test]
fn the_shipped_file_says_what_an_empty_file_means() {
    let shipped = load_shipped("gateway.toml", &|_| None).settings;
    let empty = Setup::new("").settings();
    assert_eq!(shipped.server, empty.server);
    assert_eq!(shipped.timeouts, empty.timeouts);
    assert_eq!(shipped.retries, empty.retries);
    assert_eq!(shipped.ledger, empty.ledger);
    assert_eq!(shipped.providers, empty.providers);
    assert_eq!(shipped.capabilities, empty.capabilities);
    assert_eq!(shipped.watch, empty.watch);
    assert_eq!(shipped.clients_dir.file_name(), empty.clients_dir.file_name());
}

#[test]
fn a_fresh_machine_has_five_providers_of_which_echo_serves() {
    let loaded = load_shipped("gateway.toml", &|_| None);
    let serving =
        loaded.settings.providers.values().map(|provider| (&*provider.name, provider.can_be_called()));
    assert_eq!(
        serving.collect::<Vec<_>>(),
        [("anthropic", false), ("echo", true), ("gemini", false), ("groq", false), ("openai", false)]
    );
    let ids: Vec<&str> = loaded.clients.iter().map(|client| &*client.id).collect();
    assert_eq!(ids, ["groq_only_client", "openai_only_client", "test_client"]);
}

#[test]
fn a_fresh_machine_is_told_what_is_left_to_do() {
    let warnings = load_shipped("gateway.toml", &|_| None).warnings;
    let path = shipped("").display().to_string();
    let warnings: Vec<String> =
        warnings.iter().map(|warning| warning.to_string().replace(&path, "")).collect();
    let text = std::fs::read_to_string(shipped("gateway.toml")).unwrap();
    let line = |header: &str| text.lines().position(|line| line == header).unwrap() + 1;
    let key = |provider: &str, variable: &str| {
        let line = line(&format!("[providers.{provider}]"));
        format!(
            "gateway.toml:{line}:1: provider `{provider}` has no key; set {variable} in the environment or in .env; until then its calls are answered 503"
        )
    };
    let expected = [
        "clients/groq_only_client.json: no credential, so that the client cannot authenticate; make one with `dsp-ai-gateway client rotate groq_only_client`",
        "clients/openai_only_client.json: no credential, so that the client cannot authenticate; make one with `dsp-ai-gateway client rotate openai_only_client`",
        "clients/test_client.json:4:25: client_secret_hash: the published secret of the examples; it is accepted from this machine only, so make your own with `dsp-ai-gateway client rotate test_client`",
        "clients/test_client.json:7:20: default_model: model `mixtral-8x7b-32768` is retired as of 2025-03-20; name another model",
        &key("openai", "OPENAI_API_KEY"),
        &key("groq", "GROQ_API_KEY"),
        &key("anthropic", "ANTHROPIC_API_KEY"),
        &key("gemini", "GEMINI_API_KEY"),
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn the_shipped_default_models_are_served_and_not_retired() {
    let settings = load_shipped("gateway.toml", &|_| None).settings;
    for provider in settings.providers.values() {
        let model = provider.default_model.as_deref().unwrap();
        assert!(settings.models.concern_about(model).is_none(), "{model}");
        assert!(provider.models.iter().any(|pattern| pattern.matches(model)), "{model}");
    }
}

#[test]
fn the_shipped_examples_in_comments_load_too() {
    let text = std::fs::read_to_string(shipped("gateway.toml")).unwrap();
    let uncommented = text.lines().map(|line| match line.strip_prefix('#') {
        Some(example) if !example.is_empty() && !example.starts_with(' ') => example,
        _ => line,
    });
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let setup = Setup::new(&uncommented.collect::<Vec<_>>().join("\n"))
        .env("OPENAI_API_KEY_EU", "sk-eu")
        .file("tls/cert.pem", &pair.cert.pem())
        .file("tls/key.pem", &pair.signing_key.serialize_pem());
    let settings = setup.settings();
    assert_eq!(settings.providers["openai"].keys[0].name.as_ref(), "eu");
    assert_eq!(settings.providers["openai"].timeouts.first_token, Duration::from_secs(60));
    assert!(settings.providers["local"].can_be_called());
    assert!(settings.server.tls.is_some());
    assert_eq!(settings.models.get("fast").unwrap().targets[0].model.as_ref(), "openai/gpt-oss-20b");
}

#[test]
fn the_minimal_file_serves_echo_alone() {
    let settings = load_shipped("minimal.toml", &|_| None).settings;
    assert_eq!(settings.providers.keys().map(AsRef::as_ref).collect::<Vec<&str>>(), ["echo"]);
    assert_eq!(settings.providers["echo"].kind, ProviderKind::Echo);
}

#[test]
fn the_example_of_an_env_file_is_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let env = crate::env_file::EnvFile::read(&path).unwrap();
    assert_eq!(env.lookup("DEFAULT_PROVIDER").as_deref(), Some("groq"));
    assert_eq!(env.lookup("OPENAI_API_KEY"), None);
    let loaded = load_shipped("gateway.toml", &|name| env.lookup(name));
    assert!(loaded.warnings.iter().all(|warning| !matches!(warning.place, Place::Setting(_))));
}

#[test]
fn every_fault_is_told_with_its_place_and_cure() {
    let toml = "\
[server]
listen = \"localhost\"
max_body_bytes = \"32MB\"
header_timeout = 10
body_timeout = \"0s\"
max_in_flight = 0
trusted_proxies = [\"10.0.0.0/8\", \"proxy\"]
cors_origins = \"https://a\"
lisen = 1
[clients]
dir = \"\"
watch = \"yes\"
[ledger]
durability = \"paper\"
keep_days = 1.5
[timeouts]
first_tokn = \"1s\"
[retries]
max_attempts = 21
budget_ratio = 1.5
[providers.openai]
kind = \"opneai\"
api_key = \"sk-oops\"
[providers.other]
timeouts = { stall = \"1\" }
queue = { max = -1 }
[nonsense]
";
    let expected = [
        "gateway.toml:2:10: server.listen: `localhost` is not an address to listen on; write one such as 127.0.0.1:8000 or [::]:8000",
        "gateway.toml:3:18: server.max_body_bytes: `32MB` is not a size; write a number of bytes, or a whole number and a unit such as \"64KiB\", \"32MiB\" or \"1GiB\"",
        "gateway.toml:4:18: server.header_timeout: `10` is not a duration; write a whole number and a unit, such as \"500ms\", \"30s\", \"10m\", \"1h\" or \"7d\"",
        "gateway.toml:5:16: server.body_timeout: must be longer than 0s",
        "gateway.toml:6:17: server.max_in_flight: 0 is too small; use 1 or more",
        "gateway.toml:7:34: server.trusted_proxies[1]: `proxy` is not an address or network; write one such as 10.0.0.0/8, 192.0.2.7 or fd00::/8",
        "gateway.toml:8:16: server.cors_origins: expected a list, found a string",
        "gateway.toml:9:1: server.lisen: unknown key; did you mean `listen`?",
        "gateway.toml:11:7: clients.dir: must not be empty",
        "gateway.toml:12:9: clients.watch: expected true or false, found a string",
        "gateway.toml:14:14: ledger.durability: unknown durability `paper`; use one of process, disk, none",
        "gateway.toml:15:13: ledger.keep_days: expected a whole number, found a decimal number",
        "gateway.toml:17:1: timeouts.first_tokn: unknown key; did you mean `first_token`?",
        "gateway.toml:19:16: retries.max_attempts: 21 is too large; use 20 or less",
        "gateway.toml:20:16: retries.budget_ratio: 1.5 is outside 0 to 1",
        "gateway.toml:22:8: providers.openai.kind: unknown kind `opneai`; use one of openai, anthropic, gemini, echo",
        "gateway.toml:23:1: providers.openai.api_key: unknown key; did you mean `api_key_env`?",
        "gateway.toml:24:1: providers.other.base_url: missing; write the address of its API, such as \"https://api.example.com/v1\"",
        "gateway.toml:25:22: providers.other.timeouts.stall: `1` is not a duration; write a whole number and a unit, such as \"500ms\", \"30s\", \"10m\", \"1h\" or \"7d\"",
        "gateway.toml:26:17: providers.other.queue.max: -1 is too small; use 0 or more",
        "gateway.toml:27:2: nonsense: unknown key; known here: server, clients, ledger, timeouts, retries, telemetry, providers, models",
    ];
    assert_eq!(faults(toml), expected);
}

#[test]
fn every_ready_entry_of_the_providers_file_can_be_used() {
    let loaded = load_shipped("providers.toml", &|_| None);
    let providers = &loaded.settings.providers;
    let names: Vec<&str> = providers.keys().map(|name| &**name).collect();
    let ready =
        ["azure", "deepseek", "fireworks", "mistral", "ollama", "openrouter", "together", "vllm", "xai"];
    assert_eq!(names, ready);
    let quirks = |name: &str| &providers[name].quirks;
    assert_eq!(
        (quirks("azure").auth, quirks("azure").query.as_deref()),
        (Auth::ApiKey, Some("api-version=preview"))
    );
    assert!(quirks("mistral").tells_usage_unasked && !quirks("deepseek").tells_usage_unasked);
    assert_eq!(quirks("openrouter").headers.len(), 2);
    assert!(quirks("fireworks").cached_tokens_header.is_some());
}

#[test]
fn a_header_or_query_that_no_request_can_carry_is_a_fault() {
    let written = "[providers.x]\nbase_url='https://a/v1'\nheaders=['no colon']\nquery='a b'\nauth='digest'";
    assert_eq!(
        faults(written),
        [
            "gateway.toml:3:10: providers.x.headers[0]: expected a header as \"name: value\", in visible ASCII characters",
            "gateway.toml:4:7: providers.x.query: expected what follows the `?` of an address, such as \"api-version=2025-04-01-preview\"",
            "gateway.toml:5:6: providers.x.auth: unknown header `digest`; use one of bearer, api-key, x-api-key, x-goog-api-key",
        ]
    );
}

#[test]
fn betas_are_flags_and_for_anthropic_alone() {
    let written = "[providers.x]\nkind='anthropic'\nbase_url='https://a/v1'\nbetas=['context-1m-2025-08-07','a, b']\n\
        [providers.y]\nbase_url='https://a/v1'\nbetas=[]";
    assert_eq!(
        faults(written),
        [
            "gateway.toml:4:32: providers.x.betas[1]: `a, b` is no flag of `anthropic-beta`; write one such as \"context-1m-2025-08-07\"",
            "gateway.toml:7:7: providers.y.betas: only providers of kind `anthropic` have this; leave it out",
        ]
    );
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let setup = Setup::new("");
    let absent = setup.folder.path().join("absent.toml");
    let faults = setup.load_with(|sources| sources.config = Some(absent.clone())).unwrap_err();
    assert_eq!(setup.folder.lines(&faults), ["absent.toml: no such file or folder"]);
}

#[test]
fn a_file_missing_at_its_usual_place_is_stood_in_for() {
    let folder = TestFolder::new();
    let mut report = Report::default();
    let path = folder.path().join("gateway.toml");
    assert!(written(&path, false, &mut report).unwrap().is_none());
    let warnings = folder.lines(report.finish().unwrap());
    let expected = "gateway.toml: no such file; the built-in configuration is used, with the providers openai, groq and echo";
    assert_eq!(warnings, [expected]);
}

#[test]
fn a_flag_goes_before_a_variable_and_a_variable_before_the_file() {
    let setup = Setup::new("[server]\nlisten = '127.0.0.1:1'\n");
    let port = |setup: &Setup, flag: Option<&str>| {
        let loaded = setup.load_with(|sources| sources.listen = flag.map(str::to_owned)).unwrap();
        loaded.settings.server.listen.port()
    };
    assert_eq!(port(&setup, None), 1);
    let setup = setup.env("GATEWAY_LISTEN", "127.0.0.1:2");
    assert_eq!(port(&setup, None), 2);
    assert_eq!(port(&setup, Some("127.0.0.1:3")), 3);
    let setup = setup.env("GATEWAY_LISTEN", " ");
    assert_eq!(port(&setup, None), 1);
}

#[test]
fn a_bad_flag_or_variable_is_named_as_such() {
    let setup = Setup::new("")
        .env("GATEWAY_LISTEN", ":80")
        .env("DEFAULT_MODEL", "a b")
        .env("GATEWAY_ADMIN_TOKEN", "to ken");
    let listen = "`:80` is not an address to listen on; write one such as 127.0.0.1:8000 or [::]:8000";
    assert_eq!(setup.faults(), [
        "DEFAULT_MODEL: `a b` is not a model name; use 1 to 256 of the characters A-Z a-z 0-9 . _ : / @ + - without a `.` or `..` between slashes".to_owned(),
        "GATEWAY_ADMIN_TOKEN: the variable holds what no key or token can be; it must be one line of visible ASCII characters without blanks".to_owned(),
        format!("GATEWAY_LISTEN: {listen}"),
    ]);
    let faults = Setup::new("").load_with(|sources| sources.listen = Some(":80".to_owned())).unwrap_err();
    assert_eq!(faults.to_string(), format!("--listen: {listen}"));
}

#[test]
fn paths_in_the_file_are_relative_to_it_and_the_data_folder_is_not() {
    let setup = Setup::new("[clients]\ndir = 'people'\n").file("people/.keep", "");
    let folder = setup.folder.path().to_owned();
    let settings = setup.settings();
    assert_eq!(settings.clients_dir, folder.join("people"));
    assert_eq!(settings.ledger.path, Path::new("data/ledger.db"));
    let setup = setup.env("GATEWAY_DATA", "/var/lib/gateway");
    assert_eq!(setup.settings().ledger.path, Path::new("/var/lib/gateway/ledger.db"));
    let flagged = setup.load_with(|sources| sources.data_dir = Some("other".into())).unwrap().settings;
    assert_eq!(flagged.ledger.path, Path::new("other/ledger.db"));
    let written = Setup::new("[ledger]\npath = 'accounts.db'\n").env("GATEWAY_DATA", "elsewhere");
    assert_eq!(written.settings().ledger.path, written.folder.path().join("accounts.db"));
}

#[test]
fn a_variable_names_the_file_to_read() {
    let setup = Setup::new("[server]\nmax_in_flight = 7\n");
    let path = setup.folder.path().join("gateway.toml").display().to_string();
    let env = |name: &str| (name == "GATEWAY_CONFIG").then(|| path.clone());
    let sources = Sources { config: None, listen: None, data_dir: None, env: &env };
    assert_eq!(Settings::load(&sources).unwrap().settings.server.max_in_flight, 7);
}

#[test]
fn clocks_of_a_model_go_before_those_of_its_provider_and_those_before_the_general_ones() {
    let settings = Setup::new(
        "[timeouts]\nconnect = '1s'\nstall = '2s'\ntotal = '9s'\n[providers.echo.timeouts]\nstall = '3s'\nsilence = '4s'\n\
         [models.m.timeouts]\nsilence = '5s'\ntotal = '0s'\n",
    )
    .settings();
    let of_provider = settings.providers["echo"].timeouts;
    assert_eq!(of_provider.connect, Duration::from_secs(1));
    assert_eq!((of_provider.stall, of_provider.silence), (Duration::from_secs(3), Duration::from_secs(4)));
    assert_eq!(of_provider.total, Some(Duration::from_secs(9)));
    let of_model = of_provider.overridden_by(&settings.models.get("m").unwrap().timeouts);
    assert_eq!((of_model.stall, of_model.silence), (Duration::from_secs(3), Duration::from_secs(5)));
    assert_eq!(of_model.total, None);
    assert_eq!(of_model.answer, Duration::from_secs(600));
}

#[test]
fn a_provider_of_a_shipped_name_takes_from_there_what_it_leaves_out() {
    let settings = Setup::new("[providers.groq]\nbase_url = 'http://127.0.0.1:9/v1/'\nmax_concurrency = 2\n")
        .env("GROQ_API_KEY", "gsk-1")
        .settings();
    let groq = &settings.providers["groq"];
    assert_eq!(settings.providers.len(), 1);
    assert_eq!(groq.keys[0].base_url.as_ref(), "http://127.0.0.1:9/v1");
    assert_eq!(groq.keys[0].api_key.as_ref().unwrap().expose(), "gsk-1");
    assert_eq!(groq.default_model.as_deref(), Some("openai/gpt-oss-20b"));
    assert_eq!((groq.max_concurrency, groq.queue), (Some(2), QueueSettings::default()));
}

#[test]
fn a_provider_that_was_made_another_kind_takes_nothing_from_its_namesake() {
    let settings = Setup::new("[providers.openai]\nkind = 'echo'\n").settings();
    let provider = &settings.providers["openai"];
    assert_eq!(provider.keys[0].source, KeySource::NotNeeded);
    assert!(provider.default_model.is_none() && provider.models.is_empty());
    let faults = faults("[providers.echo]\nkind = 'openai'\n");
    assert_eq!(
        faults,
        [
            "gateway.toml:1:1: providers.echo.base_url: missing; write the address of its API, such as \"https://api.example.com/v1\""
        ]
    );
}

#[test]
fn a_pool_inherits_the_address_and_key_of_its_provider() {
    let toml = "\
[providers.x]
base_url = 'https://a.example/v1'
api_key_env = 'KEY_A'
[[providers.x.keys]]
[[providers.x.keys]]
name = 'eu'
base_url = 'https://eu.example/v1'
api_key_env = 'KEY_EU'
weight = 3
";
    let setup = Setup::new(toml).env("KEY_A", "a").env("KEY_EU", "eu");
    let settings = setup.settings();
    let keys = settings.providers["x"]
        .keys
        .iter()
        .map(|key| (&*key.name, &*key.base_url, key.api_key.as_ref().unwrap().expose(), key.weight));
    let expected = [("0", "https://a.example/v1", "a", 1), ("eu", "https://eu.example/v1", "eu", 3)];
    assert_eq!(keys.collect::<Vec<_>>(), expected);
    let setup = Setup::new(toml).env("KEY_A", "a");
    assert_eq!(
        setup.warnings(),
        [
            "gateway.toml:1:1: key `eu` of provider `x` is missing; set KEY_EU in the environment or in .env; until then the other keys serve alone"
        ]
    );
}

#[test]
fn a_key_may_lie_in_a_file_of_its_own() {
    let toml = "[providers.x]\nbase_url = 'https://a.example/v1'\napi_key_file = 'keys/x'\n";
    let setup = Setup::new(toml).file("keys/x", "sk-1\n");
    assert_eq!(setup.settings().providers["x"].keys[0].api_key.as_ref().unwrap().expose(), "sk-1");
    assert_eq!(
        Setup::new(toml).warnings(),
        [
            "gateway.toml:1:1: provider `x` has no key; write the key into keys/x; until then its calls are answered 503"
        ]
    );
    assert_eq!(
        Setup::new(toml).file("keys/x", "sk 1").faults(),
        [
            "keys/x: the file holds what no key or token can be; it must be one line of visible ASCII characters without blanks"
        ]
    );
}

#[test]
fn a_key_is_never_printed() {
    let toml = "[providers.x]\nbase_url = 'https://a.example/v1'\napi_key_env = 'KEY'\n";
    let good = Setup::new(toml).env("KEY", "sk-hidden").env("GATEWAY_ADMIN_TOKEN", "admin-hidden");
    assert!(!format!("{:?}", good.load_with(|_| ()).unwrap()).contains("hidden"));
    let bad = Setup::new(toml).env("KEY", "sk hidden");
    let expected = "gateway.toml:3:15: providers.x.api_key_env: KEY holds what no key or token can be; it must be one line of visible ASCII characters without blanks";
    assert_eq!(bad.faults(), [expected]);
    let in_the_file =
        faults("[providers.x]\nbase_url = 'https://user:hidden@a'\napi_key_env = 'sk-hidden'\n");
    assert_eq!(
        in_the_file,
        [
            "gateway.toml:2:12: providers.x.base_url: not an address of an API; write one such as https://api.example.com/v1, without user, password, `?` or `#`",
            "gateway.toml:3:15: providers.x.api_key_env: not the name of an environment variable; a key itself belongs into that variable or into .env, never into this file",
        ]
    );
}

#[test]
fn what_contradicts_itself_in_a_provider_is_a_fault() {
    let toml = "\
[providers.'a/b']
kind = 'echo'
[providers.echo]
base_url = 'http://a'
[providers.x]
base_url = 'http://a'
api_key_env = 'A'
api_key_file = 'a'
models = ['gpt *']
default_model = '../x'
[[providers.x.keys]]
name = 'a'
[[providers.x.keys]]
name = 'a'
weight = 0
";
    assert_eq!(
        faults(toml),
        [
            "gateway.toml:1:1: providers: `a/b` is not a name; use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
            "gateway.toml:4:12: providers.echo.base_url: not used by a provider of kind `echo`; remove it",
            "gateway.toml:8:16: providers.x.api_key_file: beside `api_key_env`; keep one of the two",
            "gateway.toml:9:11: providers.x.models[0]: `gpt *` is not a pattern; use 1 to 256 of the characters of a model name and `*`",
            "gateway.toml:10:17: providers.x.default_model: `../x` is not a model name; use 1 to 256 of the characters A-Z a-z 0-9 . _ : / @ + - without a `.` or `..` between slashes",
            "gateway.toml:14:8: providers.x.keys[1].name: written twice; keep one",
            "gateway.toml:15:10: providers.x.keys[1].weight: 0 is too small; use 1 or more",
        ]
    );
}

#[test]
fn an_alias_is_split_at_its_first_slash() {
    let settings = Setup::new("[models.fast]\ntargets = ['groq/openai/gpt-oss-20b']\n").settings();
    let target = &settings.models.get("fast").unwrap().targets[0];
    assert_eq!((&*target.provider, &*target.model), ("groq", "openai/gpt-oss-20b"));
    assert!(settings.models.get("slow").is_none());
}

#[test]
fn a_target_that_cannot_be_called_is_a_fault() {
    let toml = "\
[models.'a b']
targets = ['gpt-5', 'nowhere/gpt-5', 'echo/']
[models.b]
targets = []
[models.c]
replacement = 'd'
[models.d]
retired = '2026-01-01'
";
    let names =
        "use 1 to 256 of the characters A-Z a-z 0-9 . _ : / @ + - without a `.` or `..` between slashes";
    assert_eq!(faults(toml), [
        format!("gateway.toml:1:1: models: `a b` is not a model name; {names}"),
        "gateway.toml:2:12: models.\"a b\".targets[0]: `gpt-5` is not a target; write provider/model".to_owned(),
        "gateway.toml:2:21: models.\"a b\".targets[1]: provider `nowhere` is not configured; the providers are anthropic, echo, gemini, groq, openai".to_owned(),
        "gateway.toml:2:38: models.\"a b\".targets[2]: `echo/` is not a target; write provider/model".to_owned(),
        "gateway.toml:4:11: models.b.targets: must not be empty".to_owned(),
        "gateway.toml:6:15: models.c.replacement: a replacement without a date; add `retired`, such as retired = 2026-08-16".to_owned(),
        "gateway.toml:8:11: models.d.retired: expected a date such as 2026-08-16, without quotation marks, found a string".to_owned(),
    ]);
}

#[test]
fn what_works_but_surprises_is_warned_about() {
    let toml = "\
[server]
max_buffered_bytes = 5
[providers.a]
kind = 'echo'
models = ['m*']
[providers.b]
kind = 'echo'
models = ['x', 'm*']
default_model = 'old'
[models.chain]
targets = ['a/new', 'b/old']
[models.old]
retired = 2025-03-20
replacement = 'a/new'
[models.gone]
retired = 2025-03-20
replacement = 'nowhere/new'
";
    let setup = Setup::new(toml).env("DEFAULT_PROVIDER", "groq").env("DEFAULT_MODEL", "old");
    assert_eq!(
        setup.warnings(),
        [
            "DEFAULT_MODEL: model `old` is retired as of 2025-03-20; its replacement is `a/new`, so name that",
            "DEFAULT_PROVIDER: provider `groq` is not configured",
            "gateway.toml: providers.b.default_model: model `old` is retired as of 2025-03-20; its replacement is `a/new`, so name that",
            "gateway.toml:2:22: server.max_buffered_bytes: smaller than max_body_bytes, so that the largest bodies are always refused",
            "gateway.toml:8:16: providers.b.models[1]: `m*` stands under provider `a` too, which gets these models",
            "gateway.toml:11:21: models.chain.targets[1]: model `old` is retired as of 2025-03-20; its replacement is `a/new`, so name that",
            "gateway.toml:17:15: models.gone.replacement: no provider serves `nowhere/new`, so that the retired model is asked for all the same",
        ]
    );
}

#[test]
fn nothing_is_warned_about_when_all_is_well() {
    assert_eq!(warnings("[providers.echo]\n"), [""; 0]);
}

#[test]
fn a_model_table_beside_the_file_stands_in_for_the_built_in_one() {
    let table = "\
date = 2026-11-25
[x.'*']
cap_member = 'max_completion_tokens'
context = 1000
[x.'big-*']
context = 2000
takes_temperature = false
[x.'big-*-mini']
max_output = 10
";
    let capabilities = Setup::new("").file("models.toml", table).settings().capabilities;
    let of_all = capabilities.of("x", "small");
    assert_eq!((of_all.cap_member, of_all.context), (Some(CapMember::MaxCompletionTokens), Some(1000)));
    let of_mini = capabilities.of("x", "big-1-mini");
    assert_eq!((of_mini.context, of_mini.max_output), (Some(2000), Some(10)));
    assert_eq!(
        (of_mini.cap_member, of_mini.takes_temperature),
        (Some(CapMember::MaxCompletionTokens), false)
    );
    assert_eq!(capabilities.of("openai", "gpt-5.1"), Capability::default());
    assert_eq!(capabilities.date, Some(jiff::civil::date(2026, 11, 25)));
}

#[test]
fn the_built_in_model_table_knows_the_rules_of_the_shipped_providers() {
    let capabilities = Setup::new("").settings().capabilities;
    let of = |provider, model| {
        let capability = capabilities.of(provider, model);
        (capability.cap_member.unwrap_or_default().as_str(), capability.takes_temperature)
    };
    assert_eq!(of("openai", "gpt-5.4-nano"), ("max_completion_tokens", false));
    assert_eq!(of("openai", "gpt-4o-mini"), ("max_completion_tokens", true));
    assert_eq!(of("groq", "openai/gpt-oss-20b"), ("max_completion_tokens", true));
    assert_eq!(of("local", "llama3.2"), ("max_tokens", true));
}

/// Dollars per million tokens to pico-dollars per token.
const USD: u64 = 1_000_000;

fn price(table: &str, provider: &str, model: &str) -> Option<Price> {
    Setup::new("").file("models.toml", table).settings().capabilities.of(provider, model).price
}

#[test]
fn a_model_has_a_price_when_input_and_output_are_known_and_the_rest_costs_as_much() {
    let price = |row: &str| price(&format!("[x.m]\n{row}"), "x", "m");
    let plain = Price {
        input: 2 * USD,
        cache_read: 2 * USD,
        cache_write: 2 * USD,
        output: 8 * USD,
        reasoning: 8 * USD,
    };
    assert_eq!(price("input = 2\noutput = 8"), Some(plain));
    assert_eq!(
        price("input = 2.0\noutput = '8.00'\ncached_input = 0.5\ncache_write = 2.5\nreasoning = 9"),
        Some(Price { cache_read: USD / 2, cache_write: 5 * USD / 2, reasoning: 9 * USD, ..plain })
    );
    assert_eq!(price("input = 0\noutput = 0"), Some(Price::FREE));
    for incomplete in ["", "input = 2", "output = 8", "input = 2\ncached_input = 1\nreasoning = 9"] {
        assert_eq!(price(incomplete), None, "{incomplete}");
    }
}

#[test]
fn each_price_is_that_of_the_longest_pattern_that_says_it() {
    let table = "\
[x.'m*']
input = 1
cached_input = 0.1
output = 4
[x.'m-large']
input = 3
output = 12
[x.'m-odd']
output = 5
";
    let of = |model| price(table, "x", model).unwrap();
    let all =
        Price { input: USD, cache_read: USD / 10, cache_write: USD, output: 4 * USD, reasoning: 4 * USD };
    assert_eq!(of("m-small"), all);
    let large = Price { input: 3 * USD, cache_write: 3 * USD, output: 12 * USD, reasoning: 12 * USD, ..all };
    assert_eq!(of("m-large"), large);
    assert_eq!(of("m-odd"), Price { output: 5 * USD, reasoning: 5 * USD, ..all });
    assert_eq!(price(table, "x", "other"), None);
    assert_eq!(price(table, "y", "m-small"), None);
}

#[test]
fn the_echo_provider_is_free_whatever_its_row_says() {
    let table = "[free.'*']\ninput = 1\noutput = 1\n";
    let setup = Setup::new("[providers.free]\nkind = 'echo'\n").file("models.toml", table);
    assert_eq!(setup.settings().capabilities.of("free", "any").price, Some(Price::FREE));
    // Nor does it need a row.
    assert_eq!(Setup::new("").settings().capabilities.of("echo", "echo").price, Some(Price::FREE));
}

#[test]
fn the_shipped_table_has_a_price_for_the_default_model_of_every_shipped_provider() {
    let settings = load_shipped("gateway.toml", &|_| None).settings;
    for provider in settings.providers.values() {
        let model = provider.default_model.as_deref().unwrap();
        let price = settings.capabilities.of(&provider.name, model).price;
        assert!(price.is_some(), "{}/{model}", provider.name);
    }
    // The dearer sisters of a cheap model are not taken for it.
    for model in ["gpt-5.4-pro", "gpt-5.2-pro", "gpt-4o-audio-preview", "gpt-6-astra", "o3-pro"] {
        assert_eq!(settings.capabilities.of("openai", model).price, None, "{model}");
    }
}

#[test]
fn a_price_that_makes_no_sense_is_a_fault_with_its_line() {
    let table = "[x.m]\ninput = -1\noutput = 0.0000001\ncached_input = '1 USD'\nreasoning = 2000000\ncache_write = true\n";
    let cure = "is not a price; write US dollars per million tokens, such as 0.15 or \"0.15\", from 0 to 1000000 with at most 6 decimals";
    assert_eq!(
        Setup::new("").file("models.toml", table).faults(),
        [
            format!("models.toml:2:9: x.m.input: `-1` {cure}"),
            format!("models.toml:3:10: x.m.output: `0.0000001` {cure}"),
            format!("models.toml:4:16: x.m.cached_input: `1 USD` {cure}"),
            format!("models.toml:5:13: x.m.reasoning: `2000000` {cure}"),
            "models.toml:6:15: x.m.cache_write: expected a price such as 0.15 or \"0.15\", found true or false"
                .to_owned(),
        ]
    );
}

#[test]
fn a_row_is_named_so_that_it_can_be_written_as_it_is() {
    for (provider, model) in [("openai", "gpt-x"), ("my.own", "a/b:c@d+e"), ("x_1-y", "m.1")] {
        let table = format!("{}\ninput = 1\noutput = 2\n", row_of(provider, model));
        assert!(price(&table, provider, model).is_some(), "{table}");
    }
    assert_eq!(row_of("openai", "gpt-x"), "[openai.\"gpt-x\"]");
}

#[test]
fn faults_of_the_model_table_are_told_together_with_the_others() {
    let table = "date = 'today'\n[x.'a b']\ncontext = 0\ncap_member = 'max'\n[x.y]\nprice = 1\n";
    assert_eq!(
        Setup::new("[x]\n").file("models.toml", table).faults(),
        [
            "gateway.toml:1:2: x: unknown key; known here: server, clients, ledger, timeouts, retries, telemetry, providers, models",
            "models.toml:1:8: date: expected a date such as 2026-08-16, without quotation marks, found a string",
            "models.toml:2:1: `a b` is not a pattern; use 1 to 256 of the characters of a model name and `*`",
            "models.toml:3:11: x.\"a b\".context: 0 is too small; use 1 or more",
            "models.toml:4:14: x.\"a b\".cap_member: unknown member `max`; use one of max_tokens, max_completion_tokens",
            "models.toml:6:1: x.y.price: unknown key; known here: context, max_output, cap_member, takes_temperature, takes_prefill, input, cached_input, cache_write, output, reasoning",
        ]
    );
}

#[test]
fn a_broken_file_is_told_before_anything_else_is_read() {
    assert_eq!(faults("[server\n"), ["gateway.toml:1:8: not valid TOML: unclosed table, expected `]`"]);
}

#[test]
fn a_missing_clients_folder_is_a_fault() {
    assert_eq!(faults("[clients]\ndir = 'absent'\n"), ["absent: no such file or folder"]);
}

#[test]
fn what_lets_others_in_or_listen_is_warned_of() {
    let provider = |url: &str| format!("[providers.p]\nbase_url = \"{url}\"\napi_key_env = \"KEY\"\n");
    for (toml, told) in [
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"0.0.0.0/0\"]\n",
            "server.trusted_proxies[1]: every address",
        ),
        ("[server]\ntrusted_proxies = [\"::/0\"]\n", "server.trusted_proxies[0]: every address"),
        ("[server]\ncors_origins = [\"*\"]\n", "server.cors_origins[0]: browsers may call from"),
        (&provider("http://api.example.com/v1"), "gateway.toml:1:1: the key of provider `p`"),
        (&provider("http://203.0.113.7/v1"), "all prompts go to 203.0.113.7 in plain text"),
        (&provider("http://[2001:db8::1]:8000"), "all prompts go to 2001:db8::1 in plain text"),
    ] {
        let warnings = Setup::new(toml).env("KEY", "k").warnings();
        assert!(warnings.iter().any(|warning| warning.contains(told)), "no `{told}`: {warnings:?}");
    }
    for url in [
        "https://api.example.com/v1",
        "http://127.0.0.1:8000/v1",
        "http://[::1]:8000/v1",
        "http://10.1.2.3/v1",
        "http://[fd00::1]/v1",
        "http://localhost:11434/v1",
        "http://vllm:8000/v1",
        "http://vllm.models.svc.cluster.local/v1",
        "http://host.docker.internal:11434/v1",
    ] {
        assert_eq!(Setup::new(&provider(url)).env("KEY", "k").warnings(), [""; 0], "{url}");
    }
    let without_key = "[providers.p]\nbase_url = \"http://api.example.com/v1\"\n";
    assert_eq!(warnings(without_key), [""; 0], "no key is sent there");
}

#[test]
fn an_admin_token_that_can_be_guessed_is_warned_of() {
    let told = |token| Setup::new("[providers.echo]\n").env("GATEWAY_ADMIN_TOKEN", token).warnings();
    let short = told("chosen-by-hand");
    assert!(short.len() == 1 && short[0].starts_with("GATEWAY_ADMIN_TOKEN: shorter than 20"), "{short:?}");
    assert!(!short[0].contains("chosen"), "{short:?}");
    assert_eq!(told("0123456789abcdef0123"), [""; 0]);
}
