//! One configuration file as a tree, the same for TOML and JSON, whose nodes know where they were written.
//!
//! Owns     the text and the tree.
//! Called   by `Section`, which gives typed access to it.
//! Bounded  by the size of the file and the depth of nesting, checked before the tree is built.
//! Fails    in its two readers, `toml_text` and `json`, with every fault of syntax that they can tell.

use std::path::Path;
use std::sync::Arc;

use super::{Fault, Faults, Place, Position, Problem, Report, json, toml_text};

/// Where a document comes from, which decides what an unknown member in it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Unknown keys are faults: a mistyped clock would silently keep its default.
    Toml,
    /// Unknown members are warned about: other programs may keep theirs in the same file.
    Json,
    /// JSON in the body of a request. Unknown members are faults: whoever asks for something must know that it is
    /// not done.
    Request,
}

/// How messages name the body of a request.
const BODY: &str = "body";

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// JSON's `null`: the same as leaving the member out.
    Null,
    Boolean(bool),
    Whole(i128),
    /// A number with a fraction or exponent, or one too large for 128 bits, as written.
    Decimal(String),
    Text(String),
    /// A date, a time or both, as TOML writes them.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Member>),
}

impl Value {
    /// What a person calls a value of this kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "true or false",
            Self::Whole(_) => "a whole number",
            Self::Decimal(_) => "a decimal number",
            Self::Text(_) => "a string",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table or object",
        }
    }

    /// The problem of finding this where something else belongs.
    pub(crate) fn instead_of(&self, expected: &'static str) -> Problem {
        Problem::WrongType { expected, found: self.kind() }
    }
}

/// A value and the byte at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// A named value and the byte at which its name begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// A problem and the byte at which it is.
pub(super) type Located = (usize, Problem);

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) form: Form,
    pub(crate) members: Vec<Member>,
    lines: Lines,
}

impl Document {
    /// Reads TOML.
    pub(crate) fn from_toml(file: &Path, text: &str) -> Result<Self, Faults> {
        Self::read(file, text, Form::Toml, toml_text::members)
    }

    /// Reads JSON, whose top must be an object.
    pub(crate) fn from_json(file: &Path, text: &str) -> Result<Self, Faults> {
        Self::read(file, text, Form::Json, json::members)
    }

    /// Reads the JSON of a request's body, whose top must be an object.
    pub(crate) fn from_request(text: &str) -> Result<Self, Faults> {
        Self::read(Path::new(BODY), text, Form::Request, json::members)
    }

    /// What is wrong with a request's body as a whole.
    pub(crate) fn fault_of_request(problem: Problem) -> Faults {
        Faults::from(Fault { place: Place::file(Path::new(BODY)), member: String::new(), problem })
    }

    fn read(
        file: &Path,
        text: &str,
        form: Form,
        parse: fn(&str) -> Result<Vec<Member>, Vec<Located>>,
    ) -> Result<Self, Faults> {
        let lines = Lines { file: file.into(), text: text.to_owned() };
        let problems = match parse(text) {
            Ok(members) => return Ok(Self { form, members, lines }),
            Err(problems) => problems,
        };
        let mut report = Report::default();
        for (at, problem) in problems {
            report.fault(lines.place(at), "", problem);
        }
        report.finish().map(|_| Self { form, members: Vec::new(), lines })
    }

    /// Where a byte of the text is.
    pub(crate) fn place(&self, at: usize) -> Place {
        self.lines.place(at)
    }

    /// The file as a whole.
    pub(crate) fn file(&self) -> Place {
        Place::File { path: Arc::clone(&self.lines.file), position: None }
    }
}

#[derive(Debug)]
struct Lines {
    file: Arc<Path>,
    text: String,
}

impl Lines {
    fn place(&self, at: usize) -> Place {
        // A parser may point behind the end, or into a character that it could not read.
        let before = self.text.get(..self.text.floor_char_boundary(at)).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Place::File { path: Arc::clone(&self.file), position: Some(Position { line, column }) }
    }
}
