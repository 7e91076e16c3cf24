//! Keys in an upstream's words: found by their look and masked.
//!
//! Owns     the rules by which a run of characters looks like a key.
//! Called   for every text of an error body before it is kept.
//! Bounded  by the text: one pass.
//! Fails    towards masking too much: an id of 24 letters and digits goes as well.

use std::borrow::Cow;

/// How keys begin: OpenAI, Anthropic and DeepSeek (`sk-`), Groq, xAI, Google, Hugging Face,
/// Perplexity, NVIDIA, Cerebras, AWS.
const KEY_PREFIXES: [&str; 11] =
    ["sk-", "sk_", "gsk_", "xai-", "AIza", "ya29.", "hf_", "pplx-", "nvapi-", "csk-", "AKIA"];

/// Letters and digits without a break that no word or model name has, but every key: the shortest
/// known random part is 32 long, names with dates and sizes in them stay below 20.
const RANDOM_RUN_MIN: usize = 24;

/// What follows `Bearer` is a token from this length on; shorter only when a digit is in it, so
/// that "bearer authentication" stays readable.
const BEARER_TOKEN_MIN: usize = 16;

const MASK: &str = "***";

/// The text with everything that looks like an API key replaced by `***`.
pub fn mask_keys(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut copied = 0;
    let mut after_bearer = false;
    for (start, run) in runs(text) {
        let bearer_token =
            after_bearer && (run.len() >= BEARER_TOKEN_MIN || run.bytes().any(|b| b.is_ascii_digit()));
        if bearer_token || looks_like_a_key(run) {
            masked.push_str(&text[copied..start]);
            masked.push_str(MASK);
            copied = start + run.len();
        }
        after_bearer = run.eq_ignore_ascii_case("bearer");
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[copied..]);
    Cow::Owned(masked)
}

/// The runs of characters that keys are made of, with their offsets. A full stop at the end is the
/// sentence's.
fn runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let separates = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '~'));
    let mut start = 0;
    text.split(separates).filter_map(move |run| {
        let at = start;
        start += run.len();
        // The separator behind the run may be longer than one byte.
        start += text[start..].chars().next().map_or(0, char::len_utf8);
        let run = run.trim_end_matches('.');
        (!run.is_empty()).then_some((at, run))
    })
}

fn looks_like_a_key(run: &str) -> bool {
    let named = KEY_PREFIXES.iter().any(|prefix| {
        // Four characters more, so that "keys begin with sk-" stays readable.
        run.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 4)
    });
    named || run.split(|c: char| !c.is_ascii_alphanumeric()).any(looks_random)
}

fn looks_random(word: &str) -> bool {
    word.len() >= RANDOM_RUN_MIN
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
}
