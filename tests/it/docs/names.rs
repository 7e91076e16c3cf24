//! Whether the names in a document exist: files, routes, items of the code, members and headers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use dsp_ai_gateway::cli::Cli;
use dsp_ai_gateway::routes;

use super::markdown::{Document, code_spans};

/// Folders whose paths are meant as paths and nothing else.
const FOLDERS: [&str; 14] = [
    ".ci/",
    "actors/",
    "benches/",
    "configs/",
    "docs/",
    "examples/",
    "fuzz/",
    "limits/",
    "packaging/",
    "protocols/",
    "scripts/",
    "src/",
    "testkit/",
    "tests/",
];

/// Ends of names of files that are read for their words.
const ENDS: [&str; 11] =
    [".rs", ".toml", ".json", ".py", ".mjs", ".sh", ".yaml", ".service", ".socket", ".conf", "Dockerfile"];

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The texts that names must come from.
pub struct Code {
    root: PathBuf,
    files: Vec<(PathBuf, String)>,
    words: HashSet<String>,
}

impl Code {
    /// Reads the sources, configurations and scripts of the project; no document, and not these tests.
    pub fn read(root: &Path) -> Self {
        let mut files = Vec::new();
        for folder in [
            "src",
            "actors",
            "limits",
            "packaging",
            "protocols",
            "scripts",
            "testkit",
            "benches",
            "configs",
            "examples",
            "tests",
        ] {
            gather(&root.join(folder), &mut files);
        }
        for file in ["Cargo.toml", "clippy.toml", "deny.toml", ".env.example", "run_api.ps1", "run_api.bat"] {
            files.push((root.join(file), std::fs::read_to_string(root.join(file)).unwrap()));
        }
        files.retain(|(path, _)| {
            !path.starts_with(root.join("tests/it/docs")) && !path.ends_with("tests/it/docs.rs")
        });
        let mut words = HashSet::new();
        for (_, text) in &files {
            let text = text.to_lowercase();
            words.extend(text.split(|c: char| !is_word(c)).map(str::to_owned));
            words.extend(text.split(|c: char| !is_word(c) && c != '-').map(str::to_owned));
        }
        Self { root: root.to_path_buf(), files, words }
    }

    /// The code spans of a document that name nothing, each as a sentence.
    pub fn missing_from(&self, document: &Document) -> Vec<String> {
        let mut missing: Vec<String> = code_spans(&document.lines)
            .filter(|span| !self.exists(document, span))
            .map(|span| format!("{}: `{span}`", document.name()))
            .collect();
        missing.dedup();
        missing
    }

    fn exists(&self, document: &Document, span: &str) -> bool {
        if !span.contains(is_word) {
            return true;
        }
        if let Some(flag) = span.strip_prefix("--") {
            return is_flag(flag.split(' ').next().unwrap_or_default()) || self.is_of_a_script(span);
        }
        // A place on a machine, as a package names it.
        if ["/etc/", "/usr/", "/var/"].iter().any(|begin| span.starts_with(begin)) {
            return self.files.iter().any(|(_, text)| text.contains(span));
        }
        if span.starts_with('/') || METHODS.iter().any(|method| span.starts_with(&format!("{method} "))) {
            return is_served(span) || is_above_a_route(span);
        }
        if let Some(arguments) = span.strip_prefix("dsp-ai-gateway ") {
            return is_command(arguments);
        }
        if let Some(arguments) = span.strip_prefix("cargo ") {
            return self.can_be_tested(arguments);
        }
        if self.is_path(document, span) {
            return true;
        }
        if FOLDERS.iter().any(|folder| span.starts_with(folder)) {
            return false;
        }
        match span.rsplit_once("::") {
            Some((owner, name)) => self.is_item(owner, name.trim_end_matches("()")),
            None => self.has_all_words(span),
        }
    }

    /// A path below the project's folder or the document's, or a file's name alone.
    fn is_path(&self, document: &Document, span: &str) -> bool {
        // `configs/clients/ID.json` and `*.json` stand for the files of a folder.
        let pattern =
            span.rsplit_once('/').filter(|(_, file)| file.starts_with("ID.") || file.starts_with('*'));
        let path = pattern.map_or(span, |(folder, _)| folder);
        let here = document.path.parent().unwrap_or(&self.root);
        let is_file_name = !span.contains('/') && self.files.iter().any(|(path, _)| path.ends_with(span));
        !path.is_empty() && (self.root.join(path).exists() || here.join(path).exists() || is_file_name)
    }

    /// A flag of a script, or one that scripts and packages give to others.
    fn is_of_a_script(&self, flag: &str) -> bool {
        let folders = ["scripts", "packaging"].map(|folder| self.root.join(folder));
        let is_there = |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        self.files.iter().any(|(path, text)| is_there(path) && text.contains(flag))
    }

    /// `--test NAME` and `--example NAME` of a cargo command.
    fn can_be_tested(&self, arguments: &str) -> bool {
        let words: Vec<&str> = arguments.split(' ').collect();
        words.windows(2).all(|pair| match pair {
            ["--test", name] => {
                self.root.join(format!("tests/{name}.rs")).exists()
                    || self.root.join(format!("tests/{name}")).exists()
            }
            ["--example", name] => self.root.join(format!("examples/{name}.rs")).exists(),
            _ => true,
        })
    }

    /// `owner::name`: written so in the code, or both defined in one file (which may be named after the owner).
    fn is_item(&self, owner: &str, name: &str) -> bool {
        let whole = format!("{owner}::{name}");
        self.files.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "rs")).any(
            |(path, text)| {
                let is_written = text.lines().any(|line| {
                    let code = line.split("//").next().unwrap_or_default();
                    code.match_indices(&whole).any(|(at, _)| !code[at + whole.len()..].starts_with(is_word))
                });
                let is_module = path.file_stem().is_some_and(|stem| stem == owner);
                is_written || ((is_module || defines(text, owner)) && defines(text, name))
            },
        )
    }

    fn has_all_words(&self, span: &str) -> bool {
        let span = span.to_lowercase();
        let words = span.split(|c: char| !is_word(c) && c != '-').map(|word| word.trim_matches('-'));
        words.filter(|word| word.len() > 2).all(|word| self.words.contains(word))
    }
}

/// A command of the program, as far as its words name commands; what follows is up to it.
fn is_command(words: &str) -> bool {
    let mut command = Cli::command();
    words.split(' ').all(|word| {
        let inner = command.find_subcommand(word).cloned();
        let is_known = inner.is_some() || word == "--version" || !command.has_subcommands();
        command = inner.unwrap_or_else(|| command.clone());
        is_known
    })
}

/// A flag of the program or of one of its commands, its long name.
fn is_flag(name: &str) -> bool {
    fn takes(command: &clap::Command, name: &str) -> bool {
        command.get_arguments().any(|argument| argument.get_long() == Some(name))
            || command.get_subcommands().any(|inner| takes(inner, name))
    }
    takes(&Cli::command(), name)
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether a source defines an item, a variant or a field of that name.
fn defines(text: &str, name: &str) -> bool {
    const KEYWORDS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "impl"];
    text.lines().map(str::trim).any(|line| {
        let is_variant = line.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(',') || rest.starts_with('(') || rest.starts_with(" {")
        });
        is_variant
            || KEYWORDS.iter().any(|keyword| {
                let item = format!("{keyword} {name}");
                let at = line.find(&item);
                at.is_some_and(|at| !line[at + item.len()..].starts_with(is_word))
            })
    })
}

fn gather(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && !["target", "node_modules", ".venv", "corpus"].contains(&name.as_str()) {
            gather(&path, files);
        } else if ENDS.iter().any(|end| name.ends_with(end)) {
            files.extend(std::fs::read_to_string(&path).ok().map(|text| (path, text)));
        }
    }
}

/// The routes that lines name as `METHOD /path`.
pub fn routes_of(lines: &[String]) -> Vec<String> {
    code_spans(lines)
        .filter(|span| METHODS.iter().any(|method| span.starts_with(&format!("{method} /"))))
        .map(str::to_owned)
        .collect()
}

/// Whether the gateway has a route, with or without its method; `ID` stands for any id.
fn is_served(route: &str) -> bool {
    let (method, path) = route.split_once(' ').unwrap_or(("", route));
    let path = path.replace("ID", "any");
    METHODS.iter().filter(|known| method.is_empty() || **known == method).any(|method| {
        let method = http_method(method);
        // Gemini's methods stand behind a model's name.
        [path.clone(), format!("{path}:generateContent")]
            .iter()
            .any(|path| routes::find(&method, path).is_ok())
    })
}

fn http_method(name: &str) -> http::Method {
    name.parse().unwrap()
}

fn is_above_a_route(path: &str) -> bool {
    routes::ROUTES.iter().any(|line| line.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
}
