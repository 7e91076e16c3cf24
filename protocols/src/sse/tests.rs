use proptest::prelude::*;

use super::*;

/// A stream with everything the standard allows, its lines ended by `end`.
fn sample(end: &str) -> String {
    let lines = [
        "\u{feff}data: first",
        "",
        ": comment",
        "",
        "event: delta",
        "data:second",
        "id: 7",
        "",
        "",
        "data: two",
        "data:  lines",
        "data",
        "",
        "data: é😀",
        "retry: 10",
        "",
        "nothing known",
        "",
    ];
    lines.map(|line| format!("{line}{end}")).concat()
}

type Seen = (Option<String>, Option<String>);

fn seen(frame: &Frame) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (frame.event().map(text), frame.data().map(text))
}

/// All frames of a stream given in these chunks, and the bytes they hold together.
fn frames(chunks: &[&[u8]]) -> (Vec<Seen>, Vec<u8>) {
    let mut reader = FrameReader::new(1024);
    let mut frames = Vec::new();
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = reader.next_frame().unwrap() {
            if let Some(range) = frame.in_chunk() {
                assert_eq!(&chunk[range], &**frame.raw());
            }
            frames.push(frame);
        }
    }
    frames.extend(reader.finish());
    let raw = frames.iter().flat_map(|frame| frame.raw().to_vec()).collect();
    (frames.iter().filter(|frame| !frame.is_late_newline()).map(seen).collect(), raw)
}

fn expected() -> Vec<Seen> {
    let data = |text: &str| (None, Some(text.to_owned()));
    vec![
        data("first"),
        (None, None),
        (Some("delta".to_owned()), Some("second".to_owned())),
        (None, None),
        data("two\n lines\n"),
        data("é😀"),
        (None, None),
    ]
}

#[test]
fn every_line_end_and_every_cut_gives_the_same_frames() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = sample(end);
        let bytes = stream.as_bytes();
        for first in 0..=bytes.len() {
            for second in [first, (first + 1).min(bytes.len()), bytes.len()] {
                let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                let (frames, raw) = frames(&chunks);
                assert_eq!(frames, expected(), "cut at {first} and {second}, {end:?}");
                assert_eq!(raw, bytes, "cut at {first} and {second}, {end:?}");
            }
        }
    }
}

#[test]
fn byte_by_byte_is_as_good_as_at_once() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = sample(end);
        let chunks: Vec<_> = stream.as_bytes().chunks(1).collect();
        let (frames, raw) = frames(&chunks);
        assert_eq!(frames, expected(), "{end:?}");
        assert_eq!(raw, stream.as_bytes(), "{end:?}");
    }
}

#[test]
fn a_frame_inside_a_chunk_is_a_slice_of_it() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let mut reader = FrameReader::new(1024);
    reader.push(chunk.clone());
    reader.next_frame().unwrap().unwrap();
    let second = reader.next_frame().unwrap().unwrap();
    assert_eq!(second.raw().as_ptr(), chunk[9..].as_ptr());
}

#[test]
fn a_missing_end_is_completed() {
    for (cut, completed) in [
        ("data: x", "data: x\n\n"),
        ("data: x\n", "data: x\n\n"),
        ("data: x\r", "data: x\r\n\n"),
        ("data: x\r\n", "data: x\r\n\n"),
    ] {
        let (frames, raw) = frames(&[cut.as_bytes()]);
        assert_eq!(frames, [(None, Some("x".to_owned()))], "{cut:?}");
        assert_eq!(raw, completed.as_bytes(), "{cut:?}");
    }
}

#[test]
fn a_frame_above_the_limit_is_refused_whole_or_in_pieces() {
    let frame = format!("data: {}\n\n", "x".repeat(92));
    assert_eq!(frame.len(), 100);
    for size in [1, 7, 100] {
        for (limit, fits) in [(100, true), (99, false)] {
            let mut reader = FrameReader::new(limit);
            let mut refused = false;
            for chunk in frame.as_bytes().chunks(size) {
                reader.push(Bytes::copy_from_slice(chunk));
                match reader.next_frame() {
                    Ok(_) => {}
                    Err(fault) => refused = fault == FrameTooLarge { limit },
                }
            }
            assert_eq!(refused, !fits, "chunks of {size}, limit {limit}");
        }
    }
}

#[test]
fn a_mark_is_skipped_only_at_the_start_of_the_stream() {
    let (frames, _) = frames(&["data: a\n\n\u{feff}data: b\n\n".as_bytes()]);
    assert_eq!(frames, [(None, Some("a".to_owned())), (None, None)]);
}

#[test]
fn other_data_leaves_the_rest_of_the_frame_alone() {
    let stream = "\u{feff}event: x\r\ndata:{\r\n: note\r\ndata: }\r\nid: 1\r\n\r\n";
    let mut reader = FrameReader::new(1024);
    reader.push(Bytes::from_static(stream.as_bytes()));
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!(frame.data(), Some(&b"{\n}"[..]));
    let changed = frame.with_data(b"{\n1}");
    let expected = "\u{feff}event: x\r\ndata: {\r\ndata: 1}\r\n: note\r\nid: 1\r\n\r\n";
    assert_eq!(std::str::from_utf8(&changed), Ok(expected));
}

#[test]
fn a_frame_in_a_hundred_thousand_pieces_or_lines_is_linear() {
    // Quadratic work on 4 MiB would take minutes; the test has no clock, it only has to end.
    let mut reader = FrameReader::new(DEFAULT_MAX_FRAME_BYTES);
    for _ in 0..100_000 {
        reader.push(Bytes::from_static(b"data: 0123456789012345678901234567890123\n"));
        assert!(reader.next_frame().unwrap().is_none());
    }
    reader.push(Bytes::from_static(b"\n"));
    let frame = reader.next_frame().unwrap().unwrap();
    assert_eq!(frame.data().unwrap().len(), 100_000 * 35 - 1);
}

proptest! {
    #[test]
    fn any_bytes_in_any_chunks_are_the_same_frames(
        bytes in prop::collection::vec(prop::sample::select(b"d:ata \r\n\r\nx".to_vec()), 0..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
        let (whole, whole_raw) = frames(&[&bytes]);
        let (cut, cut_raw) = frames(&chunks);
        prop_assert_eq!(whole, cut);
        prop_assert_eq!(&whole_raw, &cut_raw);
        prop_assert!(whole_raw.starts_with(&bytes));
    }
}
