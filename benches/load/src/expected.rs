//! The body a client must receive, and the comparison with what it does receive.
//!
//! Owns     the expected bytes, and the marks among them for what each answer has of its own.
//! Called   by [`crate::scenario`], which says what is expected, and [`crate::load`], which compares.
//! Bounded  by the body: what arrives is compared as it comes, and nothing of it is kept but [`OWN_BYTES`].
//! Fails    with the place of the first byte that is not right.
//!
//! What passes is the upstream's, byte for byte. A translated answer has an id and a time that the gateway
//! gives it: there a mark stands for each byte that may be any letter or digit, but must be the same one
//! wherever the mark comes again, as in every chunk of a stream.

use bytes::Bytes;

/// Marks are the bytes from here on; all else that is expected is ASCII.
const FIRST_MARK: u8 = 0x80;

/// How many bytes an answer may have of its own: 32 of its id and 10 of its time, with some to spare.
const OWN_BYTES: usize = 64;

/// A body that a client must receive.
#[derive(Debug, Clone)]
pub struct Expected {
    body: Bytes,
    latency_bytes: usize,
    has_marks: bool,
}

/// `count` marks as text, the first of them the mark number `first`.
pub fn marks(first: u8, count: u8) -> String {
    (first..first + count).map(|number| char::from(FIRST_MARK + number)).collect()
}

impl Expected {
    /// What a client must receive until the latency is taken, and then until the end; all of it ASCII, or
    /// [`marks`].
    pub fn new(until_latency: &str, rest: &str) -> Self {
        // A mark is one char and, here, one byte.
        let bytes =
            |text: &str| -> Vec<u8> { text.chars().filter_map(|one| u8::try_from(one).ok()).collect() };
        let (head, rest) = (bytes(until_latency), bytes(rest));
        let body = Bytes::from([head.as_slice(), &rest].concat());
        Self { latency_bytes: head.len(), has_marks: !body.is_ascii(), body }
    }

    /// How many bytes the body has.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Begins to compare an answer with it.
    pub fn compare(&self) -> Comparison<'_> {
        Comparison { expected: self, received: 0, own: [0; OWN_BYTES] }
    }
}

/// One answer on its way in.
#[derive(Debug)]
pub struct Comparison<'e> {
    expected: &'e Expected,
    received: usize,
    /// What stood where a mark is; zero until it has come.
    own: [u8; OWN_BYTES],
}

impl Comparison<'_> {
    /// Takes what came next.
    ///
    /// # Errors
    /// The place in the body of the first byte that is wrong, or one too many.
    pub fn take(&mut self, data: &[u8]) -> Result<(), usize> {
        let rest = &self.expected.body[self.received..];
        if self.expected.has_marks || !rest.starts_with(data) {
            for (at, &byte) in data.iter().enumerate() {
                if !rest.get(at).is_some_and(|&wanted| self.is_right(wanted, byte)) {
                    return Err(self.received + at);
                }
            }
        }
        self.received += data.len();
        Ok(())
    }

    fn is_right(&mut self, wanted: u8, byte: u8) -> bool {
        match wanted.checked_sub(FIRST_MARK).and_then(|mark| self.own.get_mut(usize::from(mark))) {
            None => wanted == byte,
            Some(own @ 0) => {
                *own = byte;
                byte.is_ascii_alphanumeric()
            }
            Some(own) => *own == byte,
        }
    }

    /// How many bytes have come, all of them right.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Whether so much has come that the latency is taken.
    pub fn is_past_latency(&self) -> bool {
        self.received >= self.expected.latency_bytes
    }

    /// Whether all has come.
    pub fn is_whole(&self) -> bool {
        self.received == self.expected.len()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    impl Expected {
        /// The expected bytes; marks are not ASCII.
        pub fn body(&self) -> &[u8] {
            &self.body
        }

        /// How many bytes come until the latency is taken.
        pub fn latency_bytes(&self) -> usize {
            self.latency_bytes
        }
    }

    fn compare(expected: &Expected, pieces: &[&str]) -> Result<bool, usize> {
        let mut comparison = expected.compare();
        pieces.iter().try_for_each(|piece| comparison.take(piece.as_bytes()))?;
        Ok(comparison.is_whole())
    }

    #[test]
    fn a_body_is_right_however_it_is_cut_and_whole_with_its_last_byte() {
        let expected = Expected::new("one ", "two");
        for cut in 0..=7 {
            let (head, rest) = "one two".split_at(cut);
            assert_eq!(compare(&expected, &[head, rest]), Ok(true));
            assert_eq!(compare(&expected, &[head]), Ok(cut == 7));
        }
    }

    #[test]
    fn the_latency_is_taken_with_the_last_byte_before_the_rest() {
        let expected = Expected::new("one ", "two");
        let mut comparison = expected.compare();
        comparison.take(b"one").unwrap();
        assert!(!comparison.is_past_latency());
        comparison.take(b" ").unwrap();
        assert!(comparison.is_past_latency());
        assert_eq!(comparison.received(), 4);
    }

    #[test]
    fn the_first_wrong_byte_is_told_and_so_is_one_too_many() {
        let expected = Expected::new("one ", "two");
        assert_eq!(compare(&expected, &["one", " Two"]), Err(4));
        assert_eq!(compare(&expected, &["one two", "!"]), Err(7));
        assert_eq!(compare(&expected, &["one two!"]), Err(7));
    }

    #[test]
    fn what_an_answer_has_of_its_own_is_free_and_the_same_throughout() {
        let id = marks(0, 2);
        let expected = Expected::new(&format!("<{id}>"), &format!("<{}{id}>", marks(2, 1)));
        assert_eq!(expected.len(), 9);
        assert_eq!(compare(&expected, &["<a1><", "7a1>"]), Ok(true));
        assert_eq!(compare(&expected, &["<zz><", "zzz>"]), Ok(true));
        assert_eq!(compare(&expected, &["<a1><7a", "2>"]), Err(7));
        assert_eq!(compare(&expected, &["<a\"><7a\">"]), Err(2));
    }
}
