//! Every reader under mutated bytes: what `cargo fuzz` runs for as long as it is let, for a moment and the same each
//! time.
//!
//! Owns     the mutations, which follow from the target's corpus (`fuzz/corpus`) and a round's number alone.
//! Bounded  by [`ROUNDS`] for each target; `FUZZ_ROUNDS` sets another number.
//! Fails    with the round's number and the input, which may go into the corpus as it is.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::panic::catch_unwind;
use std::path::Path;

/// Rounds for each target: all together take some 12 s on one core without optimization.
const ROUNDS: u64 = 10_000;

/// The longest input, in bytes: above the largest frame that the targets allow, so that it is met.
const INPUT_MAX: usize = 6 << 10;

/// What the readers look for. A byte alone seldom changes what an input means.
const WORDS: [&[u8]; 28] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"data: ",
    b"event: ",
    b": c\n\n",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"\"\"",
    b"{}",
    b"[]",
    b"\\ud83d",
    b"\\u0000",
    b"\xff",
    b"\xef\xbb\xbf",
    b"[DONE]",
    b"\"type\":",
];

/// A sequence of numbers that looks random (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014: SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

fn mutated(corpus: &[Vec<u8>], round: u64) -> Vec<u8> {
    let mut numbers = Numbers(round);
    let mut input = corpus[numbers.below(corpus.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let end = (at + numbers.below(1 + input.len() / 4)).min(input.len());
        match numbers.below(6) {
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..end, numbers.one_of(&WORDS).iter().copied())),
            3 => drop(input.splice(at..at, numbers.one_of(&WORDS).iter().copied())),
            // Twice the same, or a part of another.
            4 => drop(input.splice(at..at, input[at..end].to_vec())),
            _ => {
                let other = &corpus[numbers.below(corpus.len())];
                input.splice(at..end, other[numbers.below(other.len())..].iter().copied());
            }
        }
    }
    input.truncate(INPUT_MAX);
    input
}

fn run(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    let rounds = std::env::var("FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let inputs = corpus.iter().cloned().chain((0..rounds).map(|round| mutated(&corpus, round)));
    for (nth, input) in inputs.enumerate() {
        let held = catch_unwind(|| check(&input));
        assert!(held.is_ok(), "{target}: input {nth} fails: {}", input.escape_ascii());
    }
}

/// A test for each target.
macro_rules! targets {
    ($($name:ident: $path:literal),* $(,)?) => {
        $(
            #[path = $path]
            mod $name;

            #[test]
            fn $name() {
                run(stringify!($name), $name::check);
            }
        )*

        #[test]
        fn every_target_is_run_here() {
            let bodies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/bodies");
            let files = std::fs::read_dir(bodies).unwrap().map(|file| file.unwrap().path());
            let mut files: Vec<_> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            files.sort();
            assert_eq!(files, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    chat_request: "../../fuzz/bodies/chat_request.rs",
    chat_stream: "../../fuzz/bodies/chat_stream.rs",
    completions_request: "../../fuzz/bodies/completions_request.rs",
    gemini_request: "../../fuzz/bodies/gemini_request.rs",
    gemini_stream: "../../fuzz/bodies/gemini_stream.rs",
    interaction_request: "../../fuzz/bodies/interaction_request.rs",
    interaction_stream: "../../fuzz/bodies/interaction_stream.rs",
    json: "../../fuzz/bodies/json.rs",
    messages_request: "../../fuzz/bodies/messages_request.rs",
    messages_stream: "../../fuzz/bodies/messages_stream.rs",
    responses_request: "../../fuzz/bodies/responses_request.rs",
    responses_stream: "../../fuzz/bodies/responses_stream.rs",
    splice: "../../fuzz/bodies/splice.rs",
    sse: "../../fuzz/bodies/sse.rs",
    translate: "../../fuzz/bodies/translate.rs",
}
