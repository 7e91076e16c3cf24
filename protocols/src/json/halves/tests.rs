use proptest::prelude::*;

use super::*;

/// What these literals say together, the end included.
fn joined(literals: &[&str]) -> String {
    let mut halves = Halves::default();
    let mut text: String = literals.iter().map(|literal| halves.join(literal)).collect();
    text.extend(halves.rest());
    assert_eq!(halves.rest(), None);
    text
}

#[test]
fn two_halves_in_two_pieces_are_one_character() {
    assert_eq!(joined(&[r#""a\ud83d""#, r#""\ude00b""#]), "a\u{1f600}b");
    assert_eq!(joined(&[r#""\uD83D""#, r#""\uDE00\uD83D""#, r#""\uDE01""#]), "\u{1f600}\u{1f601}");
}

#[test]
fn an_empty_piece_does_not_part_them() {
    assert_eq!(joined(&[r#""\ud83d""#, r#""""#, r#""\ude00""#]), "\u{1f600}");
}

#[test]
fn a_half_that_stays_alone_is_a_replacement_character() {
    assert_eq!(joined(&[r#""a\ud83d""#]), "a\u{fffd}");
    assert_eq!(joined(&[r#""a\ud83d""#, r#""b""#]), "a\u{fffd}b");
    assert_eq!(joined(&[r#""\ude00""#]), "\u{fffd}");
    assert_eq!(joined(&[r#""\ud83d""#, r#""\ud83d""#, r#""\ude00""#]), "\u{fffd}\u{1f600}");
}

#[test]
fn an_escaped_backslash_before_a_u_begins_no_escape() {
    assert_eq!(joined(&[r#""\\ud83d""#, r#""\ude00""#]), "\\ud83d\u{fffd}");
    assert_eq!(joined(&[r#""\\\ud83d""#, r#""\ude00""#]), "\\\u{1f600}");
}

#[test]
fn a_piece_that_ends_in_another_character_is_left_alone() {
    assert_eq!(joined(&[r#""é\n""#, r#""日本""#, r#""ab日本""#, r#""\u00e9""#]), "é\n日本ab日本é");
}

proptest! {
    #[test]
    fn a_text_in_escapes_reads_the_same_wherever_it_is_cut(text in "\\PC{0,8}", cut in any::<prop::sample::Index>()) {
        let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let (first, second) = units.split_at(cut.index(units.len() + 1));
        let literals = [format!("\"{}\"", first.concat()), format!("\"{}\"", second.concat())];
        prop_assert_eq!(joined(&[&literals[0], &literals[1]]), text);
    }
}
