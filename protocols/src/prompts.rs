//! The prompts of a request that may hold several: texts, or tokens by their numbers.
//!
//! Owns     the four forms of `prompt` and `input`: a text, a list of texts, a list of tokens, a list of such lists.
//! Called   by the readers of completions and embeddings.
//! Bounded  by one pass over the value; nothing of it is copied.
//! Fails    with a [`RequestFault`] for a value of another form.

use crate::estimate;
use crate::json::{Cursor, JsonFault, Kind, Value};
use crate::openai::RequestFault;

/// What prompts amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompts {
    /// How many there are.
    pub(crate) count: u64,
    /// The most tokens they can be, all together; exact for those that are given as tokens.
    pub(crate) tokens: u64,
}

impl Prompts {
    /// Reads the value of `param`.
    pub(crate) fn read(param: &'static str, value: &Value<'_>) -> Result<Self, RequestFault> {
        match value.kind {
            Kind::String => Ok(Self { count: 1, tokens: estimate::prompt_tokens(value.raw.as_bytes()) }),
            Kind::Array => Self::read_list(param, value),
            found => Err(RequestFault::WrongType { param, found, expected: "a string or an array" }),
        }
    }

    fn read_list(param: &'static str, list: &Value<'_>) -> Result<Self, RequestFault> {
        let mut prompts = Self::default();
        // Tokens that stand in the list itself are one prompt.
        let mut own_tokens = 0;
        let mut cursor = Cursor::new(list.raw);
        cursor.enter_array()?;
        while cursor.next_element()? {
            match cursor.peek()? {
                Kind::Number => {
                    cursor.value()?;
                    own_tokens += 1;
                }
                Kind::Array => prompts.add(elements(&mut cursor)?),
                Kind::String => {
                    prompts.add(estimate::prompt_tokens(cursor.value()?.raw.as_bytes()));
                }
                found => {
                    let expected = "an array of strings, of tokens, or of arrays of tokens";
                    return Err(RequestFault::WrongType { param, found, expected });
                }
            }
        }
        if own_tokens > 0 {
            prompts.add(own_tokens);
        }
        Ok(prompts)
    }

    fn add(&mut self, tokens: u64) {
        self.count += 1;
        self.tokens = self.tokens.saturating_add(tokens);
    }
}

/// How many elements the array at the cursor has.
fn elements(cursor: &mut Cursor<'_>) -> Result<u64, JsonFault> {
    let mut count = 0;
    cursor.enter_array()?;
    while cursor.next_element()? {
        cursor.value()?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Prompts, RequestFault> {
        Prompts::read("input", &Cursor::new(json).value().unwrap())
    }

    #[test]
    fn tokens_are_counted_exactly_and_texts_by_their_bound() {
        assert_eq!(read("[15496, 995, 0]"), Ok(Prompts { count: 1, tokens: 3 }));
        assert_eq!(read("[[1,2],[3],[]]"), Ok(Prompts { count: 3, tokens: 3 }));
        let one = read(r#""Hello there""#).unwrap();
        assert_eq!(one, Prompts { count: 1, tokens: estimate::prompt_tokens(br#""Hello there""#) });
        let two = read(r#"["Hello there", "Hello there"]"#).unwrap();
        assert_eq!(two, Prompts { count: 2, tokens: 2 * one.tokens });
    }

    #[test]
    fn another_form_is_refused_with_what_it_is() {
        assert_eq!(read("[]"), Ok(Prompts::default()));
        for (json, found) in
            [("7", Kind::Number), ("{}", Kind::Object), ("[{}]", Kind::Object), ("[null]", Kind::Null)]
        {
            let fault = read(json).unwrap_err();
            assert!(
                matches!(fault, RequestFault::WrongType { param: "input", found: f, .. } if f == found),
                "{json}"
            );
        }
    }
}
