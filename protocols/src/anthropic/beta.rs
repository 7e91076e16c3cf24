//! The `anthropic-beta` header: which of a caller's flags go on to a provider.
//!
//! Owns     what a flag looks like.
//! Called   for each target that speaks Anthropic's dialect, so that a target further down the chain gets what is
//!          allowed there.
//! Bounded  by the headers themselves.
//! Fails    never: a flag that is none is left out.

/// The longest flag, in bytes: three times the longest known (`mid-conversation-tool-changes-2026-07-01`).
const FLAG_BYTES_MAX: usize = 128;

/// The flags of all lines of the header in one comma list, in their order and each once. What is no flag is left out,
/// and what is not in `allowed`, if there is such a list. Empty when nothing stays: then there is no header to send.
///
/// ```
/// use gateway_protocols::anthropic::beta;
///
/// let lines: [&[u8]; 2] = [b"context-1m-2025-08-07, not a flag", b"files-api-2025-04-14"];
/// assert_eq!(beta::filtered(lines, None), "context-1m-2025-08-07,files-api-2025-04-14");
/// let allowed = ["files-api-2025-04-14".to_owned()];
/// assert_eq!(beta::filtered(lines, Some(&allowed)), "files-api-2025-04-14");
/// ```
pub fn filtered<'a>(lines: impl IntoIterator<Item = &'a [u8]>, allowed: Option<&[String]>) -> String {
    let mut flags: Vec<&str> = Vec::new();
    for token in lines.into_iter().flat_map(|line| line.split(|byte| *byte == b',')) {
        let Some(flag) = flag(token) else { continue };
        let is_allowed = allowed.is_none_or(|allowed| allowed.iter().any(|one| one == flag));
        if is_allowed && !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    flags.join(",")
}

/// Whether this is a flag: 1 to 128 letters, digits, and what joins them.
pub fn is_flag(text: &str) -> bool {
    flag(text.as_bytes()) == Some(text)
}

/// The flag that a piece of the list is: letters, digits, and what joins them.
fn flag(token: &[u8]) -> Option<&str> {
    let flag = std::str::from_utf8(token).ok()?.trim_matches([' ', '\t']);
    let is_flag_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_flag = (1..=FLAG_BYTES_MAX).contains(&flag.len()) && flag.bytes().all(is_flag_byte);
    is_flag.then_some(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &[&str]) -> String {
        filtered(lines.iter().map(|line| line.as_bytes()), None)
    }

    #[test]
    fn lists_and_several_lines_become_one_list_in_order() {
        assert_eq!(all(&["b-2025-01-01,a-2025-01-01", " c ,\tb-2025-01-01"]), "b-2025-01-01,a-2025-01-01,c");
    }

    #[test]
    fn a_malformed_flag_is_dropped_and_the_others_stay() {
        assert_eq!(all(&["good-1,,two words,bad\"quote,é,new\nline,good-2;q=1,good-3"]), "good-1,good-3");
        assert_eq!(filtered([b"\xff\xfe,ok".as_slice()], None), "ok");
        assert_eq!(all(&[&"x".repeat(FLAG_BYTES_MAX + 1), ""]), "");
    }

    #[test]
    fn an_allow_list_lets_pass_what_it_names() {
        let allowed = ["a".to_owned(), "b".to_owned()];
        assert_eq!(filtered([b"c,b,a".as_slice()], Some(&allowed)), "b,a");
        assert_eq!(filtered([b"a".as_slice()], Some(&[])), "");
        assert!(is_flag("context-1m-2025-08-07") && !is_flag(" a") && !is_flag("a,b") && !is_flag(""));
    }
}
