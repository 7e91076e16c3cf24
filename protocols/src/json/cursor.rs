//! The walk over a JSON text: enter what matters, step over the rest, each byte once.
//!
//! Owns     a position in the text.
//! Called   by readers that pull: peek at a kind, enter an object or array, take its members, take
//!          a whole value.
//! Bounded  by [`MAX_DEPTH`], one bit of state per level; no recursion.
//! Fails    at the first byte that breaks the grammar; the cursor is of no use afterwards.

use std::borrow::Cow;

use super::{JsonFault, Key, Kind, MAX_DEPTH, Span, Value, decoded, lexer};

/// A position in a JSON text that only moves forward.
///
/// ```
/// use gateway_protocols::json::Cursor;
///
/// let mut cursor = Cursor::new(r#"{"model": "m", "n": 2}"#);
/// cursor.enter_object()?;
/// while let Some(key) = cursor.next_key()? {
///     let value = cursor.value()?;
///     println!("{} is {}", key.name, value.raw);
/// }
/// cursor.finish()?;
/// # Ok::<(), gateway_protocols::json::JsonFault>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Levels entered by the reader; those inside a skipped value are counted on top.
    depth: usize,
    /// Just behind an opening bracket, where no comma may stand.
    opened: bool,
}

impl<'a> Cursor<'a> {
    /// A cursor before the text's one value.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, opened: false }
    }

    /// A cursor before the value that an earlier walk over the same text found at `span`.
    ///
    /// What it hands out are spans of the whole text, and no span behind `span.end`.
    pub fn within(text: &'a str, span: Span) -> Self {
        Self { at: span.start, ..Self::new(text.get(..span.end).unwrap_or_default()) }
    }

    /// The offset of the next byte to be read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// What the next value is; the cursor stops before it.
    ///
    /// # Errors
    /// When no value begins here.
    pub fn peek(&mut self) -> Result<Kind, JsonFault> {
        self.skip_whitespace();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Takes the next value whole.
    ///
    /// # Errors
    /// When what follows is not a value, or nests too deep.
    pub fn value(&mut self) -> Result<Value<'a>, JsonFault> {
        let kind = self.peek()?;
        let start = self.at;
        match kind {
            Kind::Array | Kind::Object => self.skip_nested()?,
            _ => self.skip_leaf(kind)?,
        }
        let span = Span { start, end: self.at };
        Ok(Value { kind, span, raw: self.text.get(span.range()).unwrap_or_default() })
    }

    /// Goes inside the object that follows and returns the offset of its brace.
    ///
    /// # Errors
    /// When no object follows, or it nests too deep.
    pub fn enter_object(&mut self) -> Result<usize, JsonFault> {
        self.enter(b'{', "an object")
    }

    /// Goes inside the array that follows and returns the offset of its bracket.
    ///
    /// # Errors
    /// When no array follows, or it nests too deep.
    pub fn enter_array(&mut self) -> Result<usize, JsonFault> {
        self.enter(b'[', "an array")
    }

    /// Goes inside the next value if it is of this kind (an array or an object); otherwise takes it
    /// whole.
    ///
    /// # Errors
    /// When what follows is not a value, or nests too deep.
    pub fn enter_if(&mut self, kind: Kind) -> Result<bool, JsonFault> {
        match self.peek()? {
            Kind::Array if kind == Kind::Array => self.enter_array()?,
            Kind::Object if kind == Kind::Object => self.enter_object()?,
            _ => {
                self.value()?;
                return Ok(false);
            }
        };
        Ok(true)
    }

    /// The next key of the entered object, with the cursor before its value; `None` leaves the
    /// object. The value of the key before must have been taken or left.
    ///
    /// # Errors
    /// When neither a member nor the end of the object follows.
    pub fn next_key(&mut self) -> Result<Option<Key<'a>>, JsonFault> {
        if !self.another(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        let (span, escaped) = self.key()?;
        let raw = self.text.get(span.range()).unwrap_or_default();
        let plain = raw.get(1..raw.len() - 1).filter(|_| !escaped);
        Ok(Some(Key { name: plain.map_or_else(|| decoded(raw), Cow::Borrowed), span }))
    }

    /// Whether the entered array has another element, with the cursor before it; `false` leaves the
    /// array. The element before must have been taken or left.
    ///
    /// # Errors
    /// When neither an element nor the end of the array follows.
    pub fn next_element(&mut self) -> Result<bool, JsonFault> {
        self.another(b']', "`,` or `]`")
    }

    /// Checks that nothing but whitespace is left.
    ///
    /// # Errors
    /// When something is.
    pub fn finish(mut self) -> Result<(), JsonFault> {
        self.skip_whitespace();
        match self.byte() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the text")),
        }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &'static str) -> JsonFault {
        match self.byte() {
            Some(_) => JsonFault::Unexpected { at: self.at, expected },
            None => lexer::ends_early(self.text.as_bytes(), expected),
        }
    }

    fn enter(&mut self, bracket: u8, expected: &'static str) -> Result<usize, JsonFault> {
        self.skip_whitespace();
        if self.byte() != Some(bracket) {
            return Err(self.unexpected(expected));
        }
        if self.depth == MAX_DEPTH {
            return Err(JsonFault::TooDeep { at: self.at, limit: MAX_DEPTH });
        }
        self.depth += 1;
        self.at += 1;
        self.opened = true;
        Ok(self.at - 1)
    }

    /// Steps over the comma to the next element, or over the closing bracket.
    #[inline]
    fn another(&mut self, close: u8, expected: &'static str) -> Result<bool, JsonFault> {
        self.skip_whitespace();
        let opened = std::mem::take(&mut self.opened);
        match self.byte() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                Ok(false)
            }
            Some(b',') if !opened => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if opened => Ok(true),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Steps over a key and its colon; whether there is an escape in the key.
    #[inline]
    fn key(&mut self) -> Result<(Span, bool), JsonFault> {
        self.skip_whitespace();
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let start = self.at;
        let (end, escaped) = lexer::string_end(self.text.as_bytes(), start)?;
        self.at = end;
        self.skip_whitespace();
        if self.byte() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        Ok((Span { start, end }, escaped))
    }

    #[inline]
    fn skip_leaf(&mut self, kind: Kind) -> Result<(), JsonFault> {
        let text = self.text.as_bytes();
        self.at = match kind {
            Kind::String => lexer::string_end(text, self.at)?.0,
            Kind::Number => lexer::number_end(text, self.at)?,
            Kind::Null => lexer::literal_end(text, self.at, "null")?,
            Kind::Bool if self.byte() == Some(b't') => lexer::literal_end(text, self.at, "true")?,
            _ => lexer::literal_end(text, self.at, "false")?,
        };
        Ok(())
    }

    /// Steps over the array or object that follows, whatever is inside.
    fn skip_nested(&mut self) -> Result<(), JsonFault> {
        let outside = self.depth;
        let mut open = OpenBrackets::default();
        loop {
            match self.peek()? {
                Kind::Object => {
                    self.enter(b'{', "an object")?;
                    open.set(self.depth, true);
                }
                Kind::Array => {
                    self.enter(b'[', "an array")?;
                    open.set(self.depth, false);
                }
                leaf => self.skip_leaf(leaf)?,
            }
            // Behind a bracket or a leaf: on to the next value, leaving all that ends here.
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let in_object = open.is_object(self.depth);
                let more = match in_object {
                    true => self.another(b'}', "`,` or `}`")?,
                    false => self.another(b']', "`,` or `]`")?,
                };
                if more {
                    if in_object {
                        self.key()?;
                    }
                    break;
                }
            }
        }
    }
}

/// For each level whether it is an object: one bit, so that skipping needs neither stack nor heap.
#[derive(Default)]
struct OpenBrackets([u64; MAX_DEPTH / 64]);

impl OpenBrackets {
    /// `depth` counts from one.
    fn set(&mut self, depth: usize, object: bool) {
        if let Some(word) = self.0.get_mut((depth - 1) / 64) {
            let bit = 1 << ((depth - 1) % 64);
            *word = if object { *word | bit } else { *word & !bit };
        }
    }

    fn is_object(&self, depth: usize) -> bool {
        self.0.get((depth - 1) / 64).is_some_and(|word| word >> ((depth - 1) % 64) & 1 == 1)
    }
}
