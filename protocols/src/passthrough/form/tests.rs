//! What is found in a form, and what is refused since others may find something else.

use super::*;
use crate::passthrough::model;

const FORM: &str = "multipart/form-data; boundary=\"xyz\"";

#[test]
fn a_form_that_others_may_read_otherwise_is_refused() {
    let form = |heads: &[&str]| {
        let part = |head: &&str| format!("--xyz\r\n{head}\r\n\r\nm\r\n");
        format!("{}--xyz--\r\n", heads.iter().map(part).collect::<String>())
    };
    let plain = "Content-Disposition: form-data; name=\"model\"";
    assert!(model(form(&[plain]).as_bytes(), FORM).unwrap().is_some());
    let file =
        "Content-Disposition: form-data; name=file; filename=\"a\\\"b.wav\"\r\nContent-Type: audio/wav";
    assert!(model(form(&[file, plain]).as_bytes(), FORM).unwrap().is_some());
    for odd in [
        "Content-Disposition: form-data; name=\"mod\\el\"",
        "Content-Disposition: form-data; name=\"mod%65l\"",
        "Content-Disposition: form-data; name*=utf-8''model",
        "Content-Disposition: form-data; name=\"x\"; name=\"model\"",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"",
        "Content-Disposition: form-data;\r\n name=\"model\"",
        "Content-Disposition: form-data; name=\"x\"\r\nX: y\r\n\t; name=\"model\"",
        "Content-Type: text/plain",
    ] {
        let form = form(&[plain, odd]);
        assert!(matches!(model(form.as_bytes(), FORM), Err(RequestFault::Member { .. })), "{odd}");
    }
    for odd in ["a--xyz", "\r\n--xyzzy\r\n\r\n", "\n--xyz\n\n", "--xyz\r\n"] {
        let form = form(&[plain]).replace("\r\n\r\nm", &format!("\r\n\r\nm{odd}"));
        assert!(matches!(model(form.as_bytes(), FORM), Err(RequestFault::Member { .. })), "{odd}");
    }
}

#[test]
fn a_form_is_as_much_as_its_texts_and_files() {
    let part = |head: &str, content: &[u8]| {
        [format!("--xyz\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes(), content, b"\r\n"]
            .concat()
    };
    let form = |parts: &[Vec<u8>]| [parts.concat().as_slice(), b"--xyz--\r\n"].concat();
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[0xff; 100]].concat();
    let text = part("name=\"prompt\"", b"a cat");
    let picture = part("name=\"image\"; filename=\"a.png\"", &png);
    let sound = part("name=\"file\"; filename=\"a.mp3\"", &[0xff; 6_200]);
    let of = |parts: &[Vec<u8>]| form_tokens(&form(parts), FORM);
    let words = of(std::slice::from_ref(&text));
    assert!((1..20).contains(&words), "{words}");
    assert_eq!(of(&[text.clone(), picture.clone(), picture]), words + 30_000);
    assert_eq!(of(&[text, sound]), words + 100);
    assert_eq!(form_tokens(b"x", "application/json"), 0);
}
