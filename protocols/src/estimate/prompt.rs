//! The walk over the JSON of a prompt: which of it is text, which is structure, and which is an
//! attachment.
//!
//! Owns     what each part of a request's `messages`, `tools`, `input` and the like is charged as.
//! Called   by [`super::prompt_tokens`].
//! Bounded  by one pass over the text; no recursion, nothing allocated.
//! Fails    never: text that breaks the grammar is charged as text to its end.

use super::{Estimator, attachment};

/// What a member of an object and a bracket cost beyond their characters.
///
/// Templates that show tools to a model may lay them out with a line for each member and each
/// bracket (Llama's do, with four spaces a level). A line end and an indentation are at most two
/// tokens more than the compact text.
const MEMBER_TOKENS: u64 = 2;
const BRACKET_TOKENS: u64 = 1;

/// The shortest string that is taken for a file. Below it a file is no smaller than the text it is
/// written as.
const FILE_MIN: usize = 64;

/// How far into a data URL the end of its media type is looked for.
const MEDIA_TYPE_MAX: usize = 256;

/// The state of a walk.
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
    meter: Estimator,
    /// Tokens of members and attachments.
    flat: u64,
    /// How many brackets are open.
    depth: usize,
    /// The key read last, as it is written.
    key: &'a str,
    /// The depth inside the object that is the value of `image_url`.
    image: Option<usize>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, meter: Estimator::default(), flat: 0, depth: 0, key: "", image: None }
    }

    pub(super) fn tokens(mut self) -> u64 {
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => self.string(),
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                _ => self.structure(),
            }
        }
        self.meter.tokens().saturating_add(self.flat)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Brackets, commas, colons, numbers and literals up to the next string or white space.
    fn structure(&mut self) {
        let start = self.at;
        while let Some(byte) = self.byte() {
            match byte {
                b'"' | b' ' | b'\n' | b'\r' | b'\t' => break,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.flat += BRACKET_TOKENS;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.flat += BRACKET_TOKENS;
                }
                b':' => self.flat += MEMBER_TOKENS,
                _ => {}
            }
            self.at += 1;
        }
        self.meter.push(self.slice(start, self.at));
    }

    fn string(&mut self) {
        let content = self.content();
        let mut behind = self.text.as_bytes().get(self.at..).unwrap_or_default().trim_ascii_start();
        if let Some((b':', value)) = behind.split_first() {
            self.enter_member(content);
            behind = value.trim_ascii_start();
            if matches!(content, "role" | "content") && behind.first() != Some(&b'{') {
                // The frame of a message, which no template writes as JSON. A schema that describes
                // a member of that name has an object there.
                self.at = self.text.len() - behind.len();
                return;
            }
        } else if let Some(tokens) = self.attachment(content) {
            self.flat = self.flat.saturating_add(tokens);
            return;
        }
        self.meter.push("\"");
        self.push_unescaped(content);
        self.meter.push("\"");
    }

    fn enter_member(&mut self, key: &'a str) {
        self.key = key;
        if key == "image_url" {
            self.image = Some(self.depth + 1);
        } else if self.image.is_some_and(|inside| self.depth < inside) {
            self.image = None;
        }
    }

    /// Steps over the string at the cursor and returns what is between its quotes.
    fn content(&mut self) -> &'a str {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut end = start;
        loop {
            let rest = bytes.get(end..).unwrap_or_default();
            match memchr::memchr2(b'"', b'\\', rest) {
                Some(found) if rest[found] == b'\\' => end += found + 2,
                Some(found) => {
                    end += found;
                    break;
                }
                None => {
                    end = bytes.len();
                    break;
                }
            }
        }
        self.at = end + 1;
        self.slice(start, end)
    }

    fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The tokens of a string value that is not read as text: a file in base64, or the address of
    /// an image.
    ///
    /// Only members that hold files count as such. A data URL in `content` or `text` is text to the
    /// model.
    fn attachment(&self, content: &str) -> Option<u64> {
        if !matches!(self.key, "url" | "image_url" | "file_data" | "data") {
            return None;
        }
        if let Some((media_type, base64)) = data_url(content) {
            return Some(attachment::tokens(Some(media_type), base64));
        }
        if self.key == "data" {
            let is_file = content.len() >= FILE_MIN && attachment::is_base64(content);
            return is_file.then(|| attachment::tokens(None, content));
        }
        let is_image = self.key == "image_url" || self.image == Some(self.depth);
        is_image.then_some(attachment::IMAGE_TOKENS_MAX)
    }

    fn push_unescaped(&mut self, content: &str) {
        let mut rest = content;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            let (plain, escape) = rest.split_at(at);
            self.meter.push(plain);
            let (character, length) = unescaped(escape);
            self.meter.push(character.encode_utf8(&mut [0; 4]));
            rest = escape.get(length..).unwrap_or_default();
        }
        self.meter.push(rest);
    }
}

/// Media type and base64 text of a data URL (RFC 2397).
fn data_url(content: &str) -> Option<(&str, &str)> {
    let rest = content.strip_prefix("data:")?;
    let head = rest.get(..rest.floor_char_boundary(MEDIA_TYPE_MAX))?;
    let (media_type, _) = head.split_once(";base64,")?;
    let base64 = rest.get(media_type.len() + ";base64,".len()..)?;
    Some((media_type, base64))
}

/// The character that the escape at the start of `text` stands for, and how many bytes it takes.
/// Half a surrogate pair is U+FFFD, as upstreams read it, and a backslash that begins no escape
/// stands alone.
fn unescaped(text: &str) -> (char, usize) {
    match text.as_bytes().get(1) {
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'u') => {
            let Some(first) = unit(text) else { return (char::REPLACEMENT_CHARACTER, 1) };
            let second = text.get(6..).and_then(unit);
            let decoded = char::decode_utf16([first].into_iter().chain(second)).next();
            let character = decoded.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
            (character, 6 * character.len_utf16())
        }
        Some(&byte) if byte.is_ascii() => (char::from(byte), 2),
        _ => (char::REPLACEMENT_CHARACTER, 1),
    }
}

/// The sixteen bits of the `\uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}
