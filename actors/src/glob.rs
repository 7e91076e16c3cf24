//! Names of models, and patterns over them.
//!
//! Owns     the two rules that configuration, clients and routing must read alike: what a model name is,
//!          and what `*` stands for.
//! Called   wherever a model is matched: a client's `allowed_models`, a provider's `models`, the table of
//!          capabilities.
//! Bounded  by the rule for names: 256 characters; matching takes at most pattern times name steps.
//! Fails    never: any text is a pattern, of which only `*` is special.

use std::fmt;

/// The longest model name or pattern, in characters.
pub const MODEL_NAME_MAX: usize = 256;

/// Whether a text can be a model's name: 1 to 256 of `A-Za-z0-9._:/@+-`, without `.` or `..` between slashes.
///
/// A name becomes part of an upstream's URL and of log lines, so whatever could end or climb either is out.
pub fn is_model_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
    (1..=MODEL_NAME_MAX).contains(&name.len())
        && name.bytes().all(allowed)
        && name.split('/').all(|segment| segment != "." && segment != "..")
}

/// A pattern: `*` stands for any run of characters, also none, that holds no `/`. The whole name must match.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes a pattern as written.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How specific the pattern is: its length. Where several match, the longest wins.
    pub fn specificity(&self) -> usize {
        self.0.len()
    }

    /// Whether the whole name fits the pattern.
    pub fn matches(&self, name: &str) -> bool {
        // Most patterns of a table differ from a name in the first byte already.
        if let (Some(pattern), Some(byte)) = (self.0.as_bytes().first(), name.as_bytes().first())
            && *pattern != b'*'
            && pattern != byte
        {
            return false;
        }
        let mut patterns = self.0.split('/');
        let mut segments = name.split('/');
        loop {
            match (patterns.next(), segments.next()) {
                (None, None) => return true,
                (Some(pattern), Some(segment)) => {
                    if !segment_matches(pattern.as_bytes(), segment.as_bytes()) {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Matches what lies between two slashes. On a mismatch the latest `*` takes one byte more; an earlier one
/// never has to, since whatever it could take the latest can take too.
fn segment_matches(pattern: &[u8], segment: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    // Where the latest `*` stands, and up to where it has taken the segment.
    let mut star: Option<(usize, usize)> = None;
    while s < segment.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, s));
                p += 1;
            }
            Some(byte) if *byte == segment[s] => {
                p += 1;
                s += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                p = star_at + 1;
                s = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule said again as slowly as possible, to compare with.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), Some((byte, tail))) => {
                slow(rest, name) || (*byte != b'/' && slow(pattern, tail))
            }
            (Some((b'*', rest)), None) => slow(rest, name),
            (Some((want, rest)), Some((got, tail))) => want == got && slow(rest, tail),
            _ => false,
        }
    }

    fn all_texts(alphabet: &[u8], longest: usize) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..longest {
            let until = texts.len();
            for at in from..until {
                for byte in alphabet {
                    texts.push(format!("{}{}", texts[at], char::from(*byte)));
                }
            }
            from = until;
        }
        texts
    }

    #[test]
    fn every_short_pattern_agrees_with_the_slow_rule_on_every_short_name() {
        let names = all_texts(b"ab/", 5);
        for pattern in all_texts(b"ab/*", 4) {
            let glob = Glob::new(&pattern);
            for name in &names {
                let right = slow(pattern.as_bytes(), name.as_bytes());
                assert_eq!(glob.matches(name), right, "`{pattern}` on `{name}`");
            }
        }
    }

    #[test]
    fn a_star_does_not_cross_a_slash() {
        assert!(Glob::new("gpt-*").matches("gpt-5.4-nano"));
        assert!(!Glob::new("gpt-*").matches("gpt-5/latest"));
        assert!(!Glob::new("*").matches("openai/gpt-oss-20b"));
        assert!(Glob::new("openai/gpt-oss-*").matches("openai/gpt-oss-20b"));
    }

    #[test]
    fn many_stars_against_a_long_name_end_soon() {
        let pattern = "a*".repeat(128);
        let name = "a".repeat(MODEL_NAME_MAX);
        assert!(Glob::new(&pattern).matches(&name));
        assert!(!Glob::new(&format!("{pattern}b")).matches(&name));
    }

    #[test]
    fn a_model_name_can_neither_climb_a_path_nor_break_a_line() {
        for good in
            ["gpt-5.4-nano", "openai/gpt-oss-20b", "ft:gpt-4o:acme::1", "a..b", "x/...", "@cf/meta+a_b"]
        {
            assert!(is_model_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/../b", "a/.", "gpt 4", "a\r\nb", "a?b", "a#b", "a%2e", "é", "a*"] {
            assert!(!is_model_name(bad), "{bad}");
        }
        assert!(is_model_name(&"a".repeat(256)));
        assert!(!is_model_name(&"a".repeat(257)));
    }
}
