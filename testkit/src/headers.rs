//! Header lines as they stood on the wire: in order, repeated ones kept apart, names as written.

/// The header lines of one request or answer.
///
/// Look-ups ignore the case of names, as HTTP does. A value that is not UTF-8 shows U+FFFD in
/// place of its bad bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Collects header lines in their order.
    pub(crate) fn new(lines: Vec<(String, String)>) -> Self {
        Self(lines)
    }

    /// The only value of `name`; `None` when there is none.
    ///
    /// # Panics
    /// If the header stands there more than once: a test that looks at one of several would pass
    /// by luck. [`Headers::all`] gives them all.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        assert!(values.len() < 2, "header `{name}` came {} times", values.len());
        values.pop()
    }

    /// Every value of `name`, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// Every line as name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
