//! As much of Markdown as the documents use: fenced blocks, code spans, links and headings.

use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    info: String,
    /// What stands between the fences.
    pub text: String,
}

impl Block {
    /// All that stands behind the opening fence.
    pub fn info(&self) -> &str {
        &self.info
    }

    /// Its first word.
    pub fn language(&self) -> &str {
        self.info.split(' ').next().unwrap_or_default()
    }

    /// Its second word.
    pub fn label(&self) -> Option<&str> {
        self.info.split(' ').nth(1)
    }

    /// Whether a later word is this one.
    pub fn has(&self, word: &str) -> bool {
        self.info.split(' ').skip(2).any(|other| other == word)
    }

    fn is_run(&self) -> bool {
        matches!(self.language(), "sh" | "powershell" | "bat")
    }
}

/// A document.
#[derive(Debug)]
pub struct Document {
    /// Its file.
    pub path: PathBuf,
    /// Its fenced blocks, in order.
    pub blocks: Vec<Block>,
    /// Its lines outside of them.
    pub lines: Vec<String>,
}

impl Document {
    /// Reads a file.
    pub fn read(path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut document = Self { path: path.to_path_buf(), blocks: Vec::new(), lines: Vec::new() };
        let mut inside: Option<Block> = None;
        for line in text.lines() {
            match (line.strip_prefix("```"), &mut inside) {
                (Some(info), None) => inside = Some(Block { info: info.to_owned(), text: String::new() }),
                (Some(_), Some(_)) => document.blocks.extend(inside.take()),
                (None, Some(block)) => block.text.extend([line, "\n"]),
                (None, None) => document.lines.push(line.to_owned()),
            }
        }
        assert!(inside.is_none(), "{}: a block is not closed", path.display());
        document
    }

    /// Its path below the project's folder.
    pub fn name(&self) -> String {
        self.path.strip_prefix(super::root()).unwrap_or(&self.path).display().to_string()
    }

    /// The blocks that are run.
    pub fn runs(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| block.is_run())
    }

    /// The block that shows what comes of a run.
    pub fn outcome_of(&self, run: &Block) -> Option<&Block> {
        self.blocks
            .iter()
            .find(|block| !block.is_run() && block.label() == run.label() && block.label().is_some())
    }

    /// The lines below a heading, to the next one of its level.
    pub fn section(&self, heading: &str) -> Vec<String> {
        let begin = self.lines.iter().position(|line| line.trim_start_matches('#').trim() == heading);
        let begin = begin.unwrap_or_else(|| panic!("{}: no heading `{heading}`", self.name()));
        let level = self.lines[begin].chars().take_while(|c| *c == '#').count();
        let ends = |line: &&String| {
            let hashes = line.chars().take_while(|c| *c == '#').count();
            hashes > 0 && hashes <= level
        };
        self.lines[begin + 1..].iter().take_while(|line| !ends(line)).cloned().collect()
    }

    /// The targets of its links.
    pub fn links(&self) -> Vec<String> {
        let behind = |line: &String| {
            let targets = line.split("](").skip(1);
            targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect::<Vec<_>>()
        };
        self.lines.iter().flat_map(behind).collect()
    }
}

/// The code spans of lines, each with its line.
pub fn code_spans(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().flat_map(|line| line.split('`').skip(1).step_by(2))
}
