//! What a request refers to that its upstream keeps: files, items of earlier answers, conversations, cached contents,
//! containers, vector stores.
//!
//! Owns     the list of the members that hold such ids, in OpenAI's, Anthropic's and Gemini's requests.
//! Called   by the handlers before admission: an upstream's key is shared, and what it keeps is not.
//! Bounded  by one search for a few words; only a body that has one of them is walked, once, and [`REFERENCES_MAX`]
//!          ids of it are taken.
//! Fails    with a [`RequestFault`] for more of them. Of a body that is no JSON it finds nothing; its reader says so.
//!
//! What a model or a tool wrote is not looked into: arguments, results, citations and schemas may have members of any
//! name, and clients send them back as they came.

use memchr::memmem;

use crate::json::{Cursor, JsonFault, Kind, utf8};
use crate::openai::RequestFault;

#[cfg(test)]
mod tests;

/// References in one request. Each may cost a look into the ledger; a batch of documents has some 50.
pub const REFERENCES_MAX: usize = 256;

/// A body without any of these refers to nothing. The last begins an escape of a plain character, which may hide a name.
const WORDS: [&str; 10] = [
    "file_",
    "fileUri",
    "\"uri\"",
    "\"id\"",
    "ached",
    "\"conversation\"",
    "\"container",
    "\"vector_store_ids\"",
    "ileSearchStoreNames",
    "\\u00",
];

/// Members that hold what a model or a tool wrote, or a schema; `tools` has a walk of its own.
const OPAQUE: [&str; 18] = [
    "annotations",
    "arguments",
    "args",
    "response",
    "result",
    "results",
    "schema",
    "parameters",
    "parametersJsonSchema",
    "parameters_json_schema",
    "input_schema",
    "json_schema",
    "response_schema",
    "responseSchema",
    "responseJsonSchema",
    "response_format",
    "metadata",
    "labels",
];

/// Blocks in which a tool of Anthropic's says which files it has written.
const WRITTEN_FILES: [&str; 2] = ["code_execution_output", "bash_code_execution_output"];

/// Where Gemini's API keeps files. Other addresses are anybody's.
const GEMINI_HOST: &str = "https://generativelanguage.googleapis.com/";

/// One thing that an upstream keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it is, for a person: `file`, `item`, `conversation`, `cached content`, `container`, `vector store`,
    /// `file search store`.
    pub what: &'static str,
    /// Its id.
    pub id: String,
}

/// All that a body refers to, each once.
///
/// # Errors
/// More than [`REFERENCES_MAX`].
pub fn references(body: &[u8]) -> Result<Vec<Reference>, RequestFault> {
    let mut found = Found::default();
    let Ok(text) = utf8(body) else { return Ok(found.references) };
    if WORDS.iter().all(|word| memmem::find(body, word.as_bytes()).is_none()) {
        return Ok(found.references);
    }
    // What is no JSON is refused by the reader of the request.
    let _ = found.walk(&mut Cursor::new(text), true);
    match found.are_too_many {
        true => Err(too_many()),
        false => Ok(found.references),
    }
}

/// The fault of more than [`REFERENCES_MAX`].
pub(crate) fn too_many() -> RequestFault {
    RequestFault::Member { member: "file_id".to_owned(), expected: "at most 256 references to what is kept" }
}

#[derive(Default)]
struct Found {
    references: Vec<Reference>,
    are_too_many: bool,
}

impl Found {
    fn note(&mut self, what: &'static str, id: &str) {
        if self.references.iter().any(|one| one.what == what && one.id == id) {
            return;
        }
        if self.references.len() == REFERENCES_MAX {
            self.are_too_many = true;
            return;
        }
        self.references.push(Reference { what, id: id.to_owned() });
    }

    /// Any value; of the body itself (`is_top`) some members mean more.
    fn walk(&mut self, cursor: &mut Cursor<'_>, is_top: bool) -> Result<(), JsonFault> {
        if cursor.peek()? != Kind::Object {
            return self.elements(cursor, |found, cursor| found.walk(cursor, false));
        }
        let (mut file, mut is_written) = (None, None);
        let walked = self.members(cursor, is_top, &mut file, &mut is_written);
        if let Some(file) = file.filter(|_| is_written != Some(true)) {
            self.note("file", &file);
        }
        walked
    }

    /// The members of an object; its `file_id` may be one that a tool `is_written` to have made.
    fn members(
        &mut self,
        cursor: &mut Cursor<'_>,
        is_top: bool,
        file: &mut Option<String>,
        is_written: &mut Option<bool>,
    ) -> Result<(), JsonFault> {
        cursor.enter_object()?;
        while let Some(key) = cursor.next_key()? {
            match (&*key.name, cursor.peek()?) {
                ("file_id", Kind::String) if file.is_none() => {
                    *file = cursor.value()?.as_text().map(String::from);
                }
                // Which of several counts is not known, so all are looked at.
                ("type", Kind::String) => {
                    let sort = cursor.value()?.as_text();
                    let is_so = sort.is_some_and(|sort| WRITTEN_FILES.contains(&&*sort));
                    *is_written = Some(is_so && *is_written != Some(false));
                }
                (name, _) => self.member(name, cursor, is_top)?,
            }
        }
        Ok(())
    }

    fn member(&mut self, name: &str, cursor: &mut Cursor<'_>, is_top: bool) -> Result<(), JsonFault> {
        let kind = cursor.peek()?;
        match name {
            "file_id" if kind == Kind::String => self.text("file", cursor),
            "file_ids" => self.elements(cursor, |found, cursor| found.text("file", cursor)),
            "fileUri" | "file_uri" | "uri" if kind == Kind::String => {
                let uri = cursor.value()?.as_text().unwrap_or_default();
                if let Some(file) = gemini_file(&uri) {
                    self.note("file", file);
                }
                Ok(())
            }
            "cachedContent" | "cached_content" if is_top => self.text("cached content", cursor),
            "conversation" if is_top && kind == Kind::Object => {
                let conversation = cursor.value()?;
                self.id_of("conversation", conversation.raw, |_| true)
            }
            "conversation" if is_top => self.text("conversation", cursor),
            // Anthropic's, which may bring skills.
            "container" if is_top && kind == Kind::Object => {
                let container = cursor.value()?;
                self.id_of("container", container.raw, |_| true)
            }
            "container" if is_top => self.text("container", cursor),
            "container_id" if kind == Kind::String => self.text("container", cursor),
            "input" if is_top => self.elements(cursor, |found, cursor| {
                let item = cursor.value()?;
                // One without a type is a message, which has a role, or refers to an item.
                found.id_of("item", item.raw, |sort| matches!(sort, Some("item_reference") | None))?;
                found.walk(&mut Cursor::new(item.raw), false)
            }),
            "tools" if is_top => self.elements(cursor, Self::tool),
            // What a tool was called with.
            "input" | "tools" => cursor.value().map(drop),
            name if OPAQUE.contains(&name) => cursor.value().map(drop),
            _ => self.walk(cursor, false),
        }
    }

    /// Of a tool only these members refer to anything; the others are for the model.
    fn tool(&mut self, cursor: &mut Cursor<'_>) -> Result<(), JsonFault> {
        if !cursor.enter_if(Kind::Object)? {
            return Ok(());
        }
        while let Some(key) = cursor.next_key()? {
            match &*key.name {
                "container" if cursor.peek()? == Kind::String => self.text("container", cursor)?,
                "container" | "environment" | "input_image_mask" => self.walk(cursor, false)?,
                "vector_store_ids" => {
                    self.elements(cursor, |found, cursor| found.text("vector store", cursor))?;
                }
                "fileSearchStoreNames" | "file_search_store_names" => {
                    self.elements(cursor, |found, cursor| found.text("file search store", cursor))?;
                }
                // Gemini's tools are members of their own.
                "fileSearch" | "file_search" => self.tool(cursor)?,
                _ => drop(cursor.value()?),
            }
        }
        Ok(())
    }

    fn elements(
        &mut self,
        cursor: &mut Cursor<'_>,
        mut each: impl FnMut(&mut Self, &mut Cursor<'_>) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
        if cursor.enter_if(Kind::Array)? {
            while cursor.next_element()? {
                each(self, cursor)?;
            }
        }
        Ok(())
    }

    fn text(&mut self, what: &'static str, cursor: &mut Cursor<'_>) -> Result<(), JsonFault> {
        if let Some(id) = cursor.value()?.as_text() {
            self.note(what, &id);
        }
        Ok(())
    }

    /// The `id` of an object without a role whose `type` will do.
    fn id_of(
        &mut self,
        what: &'static str,
        object: &str,
        will_do: impl Fn(Option<&str>) -> bool,
    ) -> Result<(), JsonFault> {
        let (mut id, mut sort, mut has_role) = (None, None, false);
        let mut cursor = Cursor::new(object);
        if cursor.enter_if(Kind::Object)? {
            while let Some(key) = cursor.next_key()? {
                let value = cursor.value()?;
                match &*key.name {
                    "id" => id = value.as_text(),
                    "type" => sort = value.as_text(),
                    "role" => has_role = value.kind != Kind::Null,
                    _ => {}
                }
            }
        }
        if let Some(id) = id.filter(|_| !has_role && will_do(sort.as_deref())) {
            self.note(what, &id);
        }
        Ok(())
    }
}

/// The name (`files/…`) of a file that Gemini keeps.
fn gemini_file(uri: &str) -> Option<&str> {
    let file = match uri.get(..GEMINI_HOST.len()) {
        Some(host) if host.eq_ignore_ascii_case(GEMINI_HOST) => &uri[uri.find("/files/")? + 1..],
        _ => uri,
    };
    file.starts_with("files/").then_some(file)
}
