use super::*;
use crate::config::test_folder::TestFolder;

fn read(content: &str) -> EnvFile {
    let folder = TestFolder::new().with(".env", content);
    EnvFile::read(&folder.path().join(".env")).unwrap()
}

fn faults(content: impl AsRef<[u8]>) -> Vec<String> {
    let folder = TestFolder::new().with(".env", content);
    let faults = EnvFile::read(&folder.path().join(".env")).unwrap_err();
    folder.lines(&faults)
}

#[test]
fn each_way_to_write_a_value_is_read() {
    let expectations = [
        ("K=v", "v"),
        ("  K = v  ", "v"),
        ("export K=v", "v"),
        ("export\tK=v", "v"),
        ("K=a b # a comment", "a b"),
        ("K=a#b", "a#b"),
        ("K=a=b", "a=b"),
        ("K='a # b' # c", "a # b"),
        (r"K='a\n'", r"a\n"),
        (r#"K="a # \"b\" \\ \n \$X \d" # c"#, "a # \"b\" \\ \n $X \\d"),
        ("K=$HOME", "$HOME"),
        ("\u{feff}K=v\r\n", "v"),
        ("K=first\nK=last\n", "last"),
        ("# K=no\n\n   # K=no\nK=v\n#K=no", "v"),
        ("K=it's", "it's"),
        ("K=é", "é"),
    ];
    for (written, value) in expectations {
        assert_eq!(read(written).lookup("K").as_deref(), Some(value), "{written}");
    }
}

#[test]
fn an_empty_value_is_the_same_as_none() {
    for written in ["K=", "K=\"\"", "K=''", "K=   ", "K=  # a comment", "K=#", "K=v\nK=", ""] {
        assert_eq!(read(written).lookup("K"), None, "{written}");
    }
}

#[test]
fn a_name_may_begin_like_export() {
    assert_eq!(read("exported=v").lookup("exported").as_deref(), Some("v"));
    assert_eq!(read("export=v").lookup("export").as_deref(), Some("v"));
}

#[test]
fn a_missing_file_is_an_empty_one_unless_it_was_named() {
    let folder = TestFolder::new();
    let missing = folder.path().join(".env");
    assert_eq!(EnvFile::read_if_there(&missing).unwrap(), EnvFile::default());
    assert_eq!(folder.lines(&EnvFile::read(&missing).unwrap_err()), [".env: no such file or folder"]);
}

#[test]
fn every_bad_line_is_named_and_none_is_quoted() {
    let content = "K=v\nhidden\n1K=hidden\nK K=hidden\nK='hidden\nK=\"hidden\\\nK='v' hidden\n=hidden\n";
    let assignment =
        "not KEY=VALUE; write one variable per line, or start the line with # to make it a comment";
    let open = "a quotation mark is not closed on this line";
    let behind = "text after the closing quotation mark; remove it, or start it with # to make it a comment";
    let expected = [
        (2, assignment),
        (3, assignment),
        (4, assignment),
        (5, open),
        (6, open),
        (7, behind),
        (8, assignment),
    ];
    let expected = expected.map(|(line, problem)| format!(".env:{line}:1: {problem}"));
    assert_eq!(faults(content), expected);
    assert_eq!(faults(b"K=\xff"), [".env: not UTF-8 text; save it in that encoding"]);
}

#[test]
fn values_are_never_printed() {
    assert_eq!(format!("{:?}", read("B=hidden\nA=hidden")), r#"EnvFile(["A", "B"])"#);
}
