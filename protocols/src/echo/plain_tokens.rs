//! The echo provider's own token: a word with the white space before it.
//!
//! Owns     where one token ends.
//! Called   by the answer, to count and to cut, and by the stream, to send one at a time.
//! Bounded  by [`TOKEN_MAX`] bytes a token.
//! Fails    never.

/// The most bytes of one token.
///
/// A token of 32 bytes is longer than almost any word, and short enough that the bound of
/// [`crate::estimate::text_tokens`], which charges at least 1/32 for every byte, is never below the
/// count.
const TOKEN_MAX: usize = 32;

/// The plain tokens of a text; together they are the text.
///
/// ```
/// use gateway_protocols::echo::PlainTokens;
///
/// let tokens: Vec<&str> = PlainTokens::new("to be,\n or not").collect();
/// assert_eq!(tokens, ["to", " be,", "\n or", " not"]);
/// ```
#[derive(Clone, Debug)]
pub struct PlainTokens<'a> {
    rest: &'a str,
}

impl<'a> PlainTokens<'a> {
    /// The tokens of `text` from its beginning.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for PlainTokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let most = self.rest.floor_char_boundary(TOKEN_MAX);
        let before_word = run(bytes, most, |byte| byte.is_ascii_whitespace());
        let word = run(&bytes[before_word..], most - before_word, |byte| !byte.is_ascii_whitespace());
        let (token, rest) = self.rest.split_at(before_word + word);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }
}

/// How many of the first `most` bytes belong to the run at the start.
fn run(bytes: &[u8], most: usize, belongs: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().take(most).take_while(|byte| belongs(byte)).count()
}
