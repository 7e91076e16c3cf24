//! The code obeys its own rules, as far as a machine can tell.
//!
//! What rustc, clippy and rustfmt can check is left to them. Every exception stands in a list here, with its
//! reason, and an exception that is not needed any more is a failure too.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

/// Production files longer than [`FILE_LINES_MAX`], and why.
const LONG_FILES: [(&str, &str); 0] = [];

/// Functions longer than [`FUNCTION_LINES_MAX`], as `file::function`, and why.
const LONG_FUNCTIONS: [(&str, &str); 0] = [];

/// Tests' files that wait for time to pass, and why neither an event nor the paused clock would do.
const SLEEPING_TESTS: [(&str, &str); 7] = [
    (
        "tests/grid/cell.rs",
        "the pauses between questions in an outage, on real sockets; no event stands for them",
    ),
    ("src/accept/tests/timeouts.rs", "real sockets; clients that are slow on purpose are what is tested"),
    ("tests/it/hostile/clocks.rs", "real sockets; a client that reads slowly is what is tested"),
    ("tests/crash/load.rs", "a client that was refused pauses, as real ones do; no event stands for that"),
    ("tests/crash/main.rs", "the lives between random kills, under load on real sockets, are what is tested"),
    ("tests/crash/trace.rs", "a client that leaves at a random moment is what is tested"),
    (
        "tests/simulation.rs",
        "the pauses between random deaths, under load on real sockets, are what is tested",
    ),
];

/// Beyond it a file is not read from top to bottom any more.
const FILE_LINES_MAX: usize = 500;

/// What fits on a tall screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Names of files that say nothing of what is in them.
const BANNED_NAMES: [&str; 9] =
    ["common", "data", "helper", "helpers", "manager", "misc", "process", "util", "utils"];

/// Marks of work that was left for later.
const LEFT_FOR_LATER: [&str; 4] = ["todo!", "unimplemented!", "TODO", "FIXME"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Shipped, or run by people: the program, the crates, the benchmark, the examples, the testkit.
    Production,
    Test,
}

#[derive(Debug)]
struct Source {
    /// Below the project's folder, with `/` on every system.
    path: String,
    role: Role,
    text: String,
}

impl Source {
    /// The lines before an inline test module, which stands last in its file.
    fn production_lines(&self) -> impl Iterator<Item = &str> {
        let in_tests = |pair: &[&str]| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        let lines: Vec<&str> = self.text.lines().collect();
        let end = lines.windows(2).position(in_tests).unwrap_or(lines.len());
        lines.into_iter().take(end)
    }

    /// The lines that only tests run.
    fn test_lines(&self) -> impl Iterator<Item = &str> {
        let skipped = if self.role == Role::Test { 0 } else { self.production_lines().count() };
        self.text.lines().skip(skipped)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file with the line ends that it has in the repository, whatever the checkout made of them.
fn read(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("\r\n", "\n")
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in ["src", "actors", "limits", "protocols", "testkit", "benches", "examples", "tests", "fuzz"]
    {
        gather(&root().join(folder), &mut sources);
    }
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    sources
}

fn gather(folder: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => return,
    };
    entries.sort();
    for entry in entries {
        if entry.is_dir() && entry.file_name().is_none_or(|name| name != "target" && name != "node_modules") {
            gather(&entry, sources);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let below = entry.strip_prefix(root()).unwrap();
            let parts: Vec<&str> = below.iter().map(|part| part.to_str().unwrap()).collect();
            let is_test = parts.contains(&"tests") || parts.last() == Some(&"tests.rs");
            let role = if is_test { Role::Test } else { Role::Production };
            sources.push(Source { path: parts.join("/"), role, text: read(&entry) });
        }
    }
}

/// Fails with all that was found but for the exceptions, and with the exceptions that are not needed.
fn assert_none(what: &str, found: &[(String, String)], exceptions: &[(&str, &str)]) {
    let is_excepted = |place: &str| exceptions.iter().any(|(excepted, _)| *excepted == place);
    let mut wrong: Vec<String> = found
        .iter()
        .filter(|(place, _)| !is_excepted(place))
        .map(|(place, detail)| format!("{place}: {detail}"))
        .collect();
    let is_needed = |excepted: &str| found.iter().any(|(place, _)| place == excepted);
    let stale = exceptions.iter().filter(|(excepted, _)| !is_needed(excepted));
    wrong.extend(stale.map(|(excepted, _)| format!("{excepted}: is excepted and need not be")));
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

fn in_production(find: impl Fn(&Source) -> Option<String>) -> Vec<(String, String)> {
    let sources = sources().into_iter().filter(|source| source.role == Role::Production);
    sources.filter_map(|source| Some((source.path.clone(), find(&source)?))).collect()
}

#[test]
fn every_production_file_says_at_its_head_what_it_is_for() {
    let headless = in_production(|source| {
        let has_head = source.text.starts_with("//! ") || source.text.starts_with("#![no_main]\n//! ");
        (!has_head).then(|| "begins with no `//!`".to_owned())
    });
    assert_none("files without a head", &headless, &[]);
}

#[test]
fn no_production_file_is_too_long_to_be_read() {
    let long = in_production(|source| {
        let lines = source.production_lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{lines} lines"))
    });
    assert_none("long files", &long, &LONG_FILES);
}

#[test]
fn no_function_is_too_long_to_be_seen_at_once() {
    let mut long = Vec::new();
    for source in sources().iter().filter(|source| source.role == Role::Production) {
        let lines: Vec<&str> = source.production_lines().collect();
        for (begin, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            // rustfmt closes a function at the indentation at which it begins.
            let indentation = &line[..line.len() - line.trim_start().len()];
            let closes = |line: &&str| line.strip_prefix(indentation) == Some("}");
            let declares =
                |line: &&str| line.ends_with(';') && !line.starts_with(&format!("{indentation}  "));
            let behind = lines[begin..].iter().position(|line| closes(line) || declares(line));
            let length = behind.map_or(1, |behind| behind + 1);
            if length > FUNCTION_LINES_MAX {
                long.push((format!("{}::{name}", source.path), format!("{length} lines")));
            }
        }
    }
    assert_none("long functions", &long, &LONG_FUNCTIONS);
}

/// The name of the function that a line begins, if it begins one.
fn function_name(line: &str) -> Option<&str> {
    let (before, behind) = line.split_once("fn ")?;
    let begins = before.split_whitespace().all(|word| {
        word.starts_with("pub")
            || word.starts_with("in ")
            || ["async", "const", "crate)", "super)"].contains(&word)
    });
    let end = behind.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    (begins && end > 0).then(|| &behind[..end])
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let mut nameless = Vec::new();
    for source in sources() {
        let path = Path::new(&source.path);
        for part in path.with_extension("").iter().map(|part| part.to_str().unwrap()) {
            if BANNED_NAMES.contains(&part) {
                nameless.push((source.path.clone(), format!("`{part}` says nothing of what is in it")));
            }
        }
    }
    assert_none("empty names", &nameless, &[]);
}

#[test]
fn nothing_is_left_for_later() {
    let mut left = Vec::new();
    for source in sources().iter().filter(|source| source.path != "tests/tidy.rs") {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(mark) = LEFT_FOR_LATER.iter().find(|mark| line.contains(**mark)) {
                left.push((format!("{}:{}", source.path, number + 1), (*mark).to_owned()));
            }
        }
    }
    assert_none("left for later", &left, &[]);
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    let silenced = in_production(|source| {
        let lines: Vec<&str> = source.production_lines().collect();
        let silences = |line: &str| {
            let line = line.trim_start();
            ["#[allow(", "#![allow(", "#[expect(", "#![expect("].iter().any(|begin| line.starts_with(begin))
        };
        let mut at = (0..lines.len()).filter(|at| silences(lines[*at]));
        // An attribute over several lines ends with a line of its own.
        let bare = at.find(|at| {
            let end = lines[*at..].iter().position(|line| line.trim_end().ends_with(")]")).unwrap_or(0);
            let attribute = lines[*at..=*at + end].join(" ");
            !attribute.contains("reason = ") || attribute.contains("[allow(")
        })?;
        Some(format!("line {}: use #[expect(…, reason = \"…\")]", bare + 1))
    });
    assert_none("silenced lints", &silenced, &[]);
}

#[test]
fn no_test_is_ignored_and_none_waits_for_time_to_pass() {
    let (mut ignored, mut sleeping) = (Vec::new(), Vec::new());
    for source in sources().iter().filter(|source| source.path != "tests/tidy.rs") {
        if source.text.contains("#[ignore") {
            ignored.push((source.path.clone(), "a test that is not run tells nothing".to_owned()));
        }
        if let Some(line) = waits_for_time(source) {
            sleeping.push((source.path.clone(), format!("waits: {line}")));
        }
    }
    assert_none("ignored tests", &ignored, &[]);
    assert_none("tests that wait for time and not for an event", &sleeping, &SLEEPING_TESTS);
}

/// The first line of a test that sleeps in real time, but for a pause between two looks at a condition.
fn waits_for_time(source: &Source) -> Option<String> {
    // Time that passes on the paused clock takes none.
    if source.text.contains("start_paused = true") {
        return None;
    }
    let lines: Vec<&str> = source.test_lines().collect();
    let polls = |at: usize| at > 0 && lines[at - 1].trim_start().starts_with("while ");
    let sleeps = (0..lines.len()).find(|at| lines[*at].contains("sleep(") && !polls(*at))?;
    Some(lines[sleeps].trim().to_owned())
}

#[test]
fn the_names_of_tests_are_sentences() {
    let mut short = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.test_lines().collect();
        for pair in lines.windows(2) {
            let is_test = pair[0].trim() == "#[test]" || pair[0].trim().starts_with("#[tokio::test");
            if let Some(name) = function_name(pair[1]).filter(|_| is_test)
                && name.split('_').count() < 3
            {
                short.push((source.path.clone(), format!("`{name}` says too little")));
            }
        }
    }
    assert_none("names of tests", &short, &[]);
}

#[test]
fn arrows_between_crates_point_one_way() {
    let limits = read(&root().join("limits/Cargo.toml"));
    assert_eq!(dependencies(&limits).next(), None, "limits/Cargo.toml: must not depend on anything");
    let forbidden = [
        (
            "protocols",
            &["tokio", "ractor", "warp", "reqwest", "hyper", "hyper-util", "gateway-actors", "rusqlite"][..],
        ),
        ("actors", &["warp", "reqwest", "hyper", "hyper-util", "gateway-protocols", "dsp-ai-gateway"][..]),
        (".", &["rusqlite", "gateway-testkit"][..]),
    ];
    for (folder, banned) in forbidden {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        for dependency in dependencies(&manifest) {
            assert!(!banned.contains(&dependency), "{folder}/Cargo.toml: must not depend on {dependency}");
        }
    }
}

/// The names below `[dependencies]`; what tests alone use does not count.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    for folder in [".", "actors", "limits", "protocols", "testkit", "benches/load"] {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{folder}/Cargo.toml has lints of its own");
        assert!(
            !manifest.contains("panic = \"abort\"") || folder == ".",
            "{folder}: supervision needs unwinding"
        );
    }
    let workspace = read(&root().join("Cargo.toml"));
    for lint in
        ["unsafe_code = \"forbid\"", "missing_docs = \"deny\"", "unwrap_used = \"deny\"", "panic = \"deny\""]
    {
        assert!(workspace.contains(lint), "Cargo.toml has lost `{lint}`");
    }
    let sets_abort = workspace.lines().any(|line| line.trim_start().starts_with("panic = \"abort\""));
    assert!(!sets_abort, "supervision needs unwinding");
}
