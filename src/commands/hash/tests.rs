use super::*;

fn read(input: &[u8]) -> Result<Vec<u8>, HashFault> {
    read_secret(input, false)
}

#[test]
fn one_line_break_at_the_end_is_not_part_of_the_secret() {
    assert_eq!(read(b"secret").unwrap(), b"secret");
    assert_eq!(read(b"secret\n").unwrap(), b"secret");
    assert_eq!(read(b"secret\r\n").unwrap(), b"secret");
    assert_eq!(read(b"secret\n\n").unwrap(), b"secret\n");
    assert_eq!(read(b" two\nlines ").unwrap(), b" two\nlines ");
    assert_eq!(read(b"\xff\n").unwrap(), b"\xff");
}

#[test]
fn on_a_terminal_the_first_line_is_the_secret() {
    assert_eq!(read_secret(&b"secret\nnext"[..], true).unwrap(), b"secret");
    assert_eq!(read_secret(&b"secret"[..], true).unwrap(), b"secret");
}

#[test]
fn an_empty_secret_is_none() {
    for empty in [&b""[..], b"\n", b"\r\n"] {
        assert!(matches!(read(empty), Err(HashFault::Empty)));
    }
}

#[test]
fn a_secret_that_no_head_has_room_for_is_refused() {
    let mut longest = vec![b'x'; SECRET_MAX];
    longest.extend(b"\r\n");
    assert_eq!(read(&longest).unwrap().len(), SECRET_MAX);
    assert!(matches!(read(&vec![b'x'; SECRET_MAX + 1]), Err(HashFault::TooLong)));
    assert!(matches!(read(&vec![b'x'; 10 * SECRET_MAX]), Err(HashFault::TooLong)));
}

#[test]
fn what_may_go_unnoticed_is_told() {
    let random = b"0123456789abcdef0123456789abcdef";
    assert_eq!(caution(random, false), None);
    assert_eq!(caution(b"password", true), Some(Caution::Published));
    assert_eq!(caution(b"correct horse", false), Some(Caution::Short));
    assert_eq!(caution(b"correct horse", true), None);
    assert_eq!(caution(&[random, &b" "[..]].concat(), false), Some(Caution::OuterBlank));
    assert_eq!(caution(&[random, &b"\nnext"[..]].concat(), true), Some(Caution::ControlCharacter));
}
