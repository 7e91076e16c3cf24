//! What each character costs, by its class and the class before it.
//!
//! Owns     the classes, and the weights that came out of the measurement below.
//! Called   by [`super::Estimator`] for every character.
//! Bounded  by two look-ups for an ASCII character, one `match` for any other.
//! Fails    never.
//!
//! Where a tokenizer cuts depends mostly on what two neighbours are: a word goes on cheaply over
//! pairs that words are made of (`n` and `t`), is cut at pairs that none has (`q` and `x`), and a
//! digit behind a space begins two tokens. So ASCII has 25 classes and a weight for each pair of
//! them. The weights solve a linear programme: the smallest total over English prose and source
//! code such that no sample of the training set is below its true count in OpenAI's `o200k_base`;
//! and among the solutions within 2 % of the smallest, the one nearest to what each pair costs on
//! average (a regression), since the smallest alone would leave every pair that few samples need at
//! nothing. The training set was 110,000 windows of 3 to 1,500 characters: documentation, manuals,
//! source in nine languages, JSON, TOML, YAML, SQL, CSS, minified scripts, program messages in 169
//! languages, word lists in 42, and random text of every class, hex, base64, numbers, tables and
//! identifiers.
//!
//! On 40,000 windows drawn anew the bound was below the count in four: lists of odd identifiers and
//! names. It is 1.3 times the count on English prose, Rust and Python, 1.2 on base64 and hex, 1.4 to
//! 1.5 on German, French and Spanish. Letters of other scripts are charged what they cost at random,
//! and in words they cost less than that: the bound is 2 times the count on Japanese, 2.3 to 2.7 on
//! Chinese, 3 to 4 on Arabic, Russian and Hindi.

/// Weights are in 64ths of a token: fine enough for a letter at 1/32, and in a byte up to four
/// tokens.
pub(super) const UNIT: u64 = 64;

/// The class of everything that is not ASCII. Its own weight comes on top ([`other_weight`]).
pub(super) const NON_ASCII: u8 = 5;

/// The class before the first character: a text begins like a line.
pub(super) const START: u8 = 3;

/// How many classes there are.
const CLASSES: usize = 25;

/// The members of each class. Control characters, class 0, are all that stand in none; class 5 is
/// [`NON_ASCII`].
const MEMBERS: [&[u8]; CLASSES] = [
    b"",
    b"\t",
    b" ",
    b"\n\r",
    b"0123456789",
    b"",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"a",
    b"e",
    b"i",
    b"o",
    b"u",
    b"n",
    b"r",
    b"s",
    b"t",
    b"l",
    b"h",
    b"cdm",
    b"bfgp",
    b"vwy",
    b"jkqxz",
    b"_",
    b"\"#'()*,-./[",
    b"!$%&+:;<=>?@\\]^`{|}~",
];

/// The class of each ASCII character.
pub(super) const CLASS: [u8; 128] = classes();

const fn classes() -> [u8; 128] {
    let mut table = [0; 128];
    let mut class = 0;
    while class < MEMBERS.len() {
        let members = MEMBERS[class];
        let mut i = 0;
        while i < members.len() {
            table[members[i] as usize] = class as u8;
            i += 1;
        }
        class += 1;
    }
    table
}

/// What the second of two neighbours costs: a row for the class of the first, a column for that of
/// the second, both in the order of [`MEMBERS`].
///
/// No weight is below 2, so that a text of n bytes never costs less than n/32. The step from white
/// space to anything else costs at least a token: between words there is always a cut.
#[rustfmt::skip]
pub(super) const PAIRS: [[u8; CLASSES]; CLASSES] = [
    [ 66, 50, 68, 65, 93, 85, 59, 58, 95, 70, 79, 69, 89,103, 85,105, 61,102, 83, 88, 95, 60,101,106,100],
    [ 78, 34, 38,128, 78,114,113,103, 72, 87, 86, 88,115, 87, 87,115, 71, 83,115, 71, 98,114,105, 89,114],
    [ 71, 22,  7,128,128, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 99, 80, 64],
    [ 70, 69, 29,  3, 78, 65, 64, 90, 70, 98, 71, 96,128,101, 89, 64, 71, 89, 91, 78, 75, 97,104, 64, 71],
    [ 78, 51,  2, 50, 24, 62, 64, 43,128, 42, 69, 48, 50, 66, 61, 72, 38, 49, 68, 97, 66, 94, 83, 83, 65],
    [ 69,  9,  2,  3, 77,  5, 62, 42, 73, 40, 78, 59, 10, 59,  2, 67, 44, 27, 50, 56, 52,  6, 47,  5, 24],
    [ 70, 42,  2,  2, 69, 59, 41,  7, 27, 25,  2, 10, 15,  2, 38,  2, 10,  2, 93, 47, 41, 58,  2, 43, 77],
    [ 71,101,  2,103, 66, 79, 98, 84,111, 95,110, 27,  2,  2,  2,  2,  2, 82,  2, 41,  2, 53, 69,128,128],
    [ 96, 91,  2, 32, 42, 50, 40,  2,  2, 73, 78,128,  2,  2,  2,  2,  2, 53,  2,  2, 13,  2, 11, 20, 56],
    [ 71, 30, 55, 80, 53, 23, 98, 92, 62, 48,  2,110,  2, 24,  2,  2,  2, 38,  2,  2, 49, 57,104,108,102],
    [ 82, 13,  2,102, 44, 90, 94,  2,  2,  2,  2,  2,  2,  2, 68,  2, 67, 65,  2,  2,  2,  2, 91,125, 91],
    [ 89, 66,  2, 25, 63, 75, 90, 23,  3,  8, 39,  9,  2,  2,  2,  2,  2, 86,  2,  3,128,128, 69,109,112],
    [ 73, 66,  2, 73, 47, 42, 73, 31,  2, 13,  2, 17,124,114,  2,  2, 64,  9,  2,  2, 20, 65, 78, 60,  2],
    [ 80, 93,  2, 27, 62, 41, 56, 19,  2, 28,  2,  9,  2,  2,  2,  2, 75, 84,  2, 18,  2, 74, 32,  2,  2],
    [ 71,114,  2, 41, 76,  5, 38, 42,  2,  2,  2,  2, 34, 22,  2,  2, 15, 25, 83, 24, 35,  2, 65, 54, 12],
    [ 77, 69,  2, 53, 79, 34, 31,  2,  2,  2,  2,  2, 57,  2,  2, 11, 21,  2, 40, 80,  2,128, 46,  2, 28],
    [ 76, 56,  2, 52, 73, 28, 91, 23,  2,  2,  2,  2, 45, 85, 24,  2,  2, 56, 20, 22, 10, 67, 11, 29,  8],
    [101, 28,  2, 13, 15, 45, 68,  2,  2,  2,  2, 57, 50,  2, 71,  2,125, 66,121,121, 61, 75, 56, 18, 50],
    [ 89,115,  2,  7, 54,  2, 11,  2,  2,  2,  2,  2, 47, 43,  2,  2,  2,  2,  7,  2, 59,  2,  2, 35,  2],
    [ 75, 11,  2,  2, 42, 33, 57,  2,  2,  2,  2,  2,  2,  2, 12,  2,  2, 55, 84, 54, 36, 51, 34,  2, 48],
    [102, 55,  2, 12, 32, 37, 39,  2,  2,  2,  2,128, 99, 20, 28, 26, 30,  2,115, 29, 96,107, 21, 33, 58],
    [ 73,  9,  2,125, 53, 46,128,128,  2, 81,128, 11, 82,128, 48, 25,119,112, 73,110,128,128,107, 42,104],
    [110, 52, 11, 28, 95,  8,  7,  2,  2, 30, 11, 20,  2,  2,  2, 40, 22, 75, 82,  8, 24, 45,  2, 38,126],
    [ 98, 35,  2, 11, 66, 16, 47, 52,  2, 52, 24,128, 27,128, 54, 27,128, 24, 92,  2,122, 68, 55, 41, 13],
    [ 96, 23,  2,  2,111, 68, 72, 62, 40, 17, 33,  8,  2, 47, 88, 52, 45, 95,128,128, 71, 46, 86, 84, 50],
];

/// What a character outside ASCII costs: a little more than characters of its block, drawn at
/// random, need on average.
///
/// The most that a byte-level tokenizer can need is a token for each byte of UTF-8; scripts that
/// are seldom printed, and emoji younger than the vocabulary, come near that.
pub(super) fn other_weight(character: char) -> u64 {
    match u32::from(character) {
        // Latin-1: signs, then letters.
        0x80..=0xbf => 96,
        0xc0..=0xff => 72,
        // Latin Extended-A.
        0x100..=0x17f => 96,
        // Greek, Cyrillic, Armenian, Hebrew.
        0x386..=0x3ce => 80,
        0x400..=0x45f => 72,
        0x531..=0x587 => 80,
        0x5d0..=0x5ea => 56,
        // Arabic: its common letters, then those of its neighbours.
        0x620..=0x64a => 72,
        0x64b..=0x6ff => 104,
        // Devanagari, the other Indian scripts, Thai.
        0x900..=0x97f => 96,
        0x980..=0xdff => 112,
        0xe00..=0xe5b => 88,
        // Lao, Tibetan; Burmese, Georgian; Ethiopic; Khmer.
        0xe80..=0xfbf => 128,
        0x1000..=0x10ff => 120,
        0x1200..=0x137f => 128,
        0x1780..=0x17ff => 96,
        // Vietnamese, then the rest of Latin Extended Additional.
        0x1ea0..=0x1ef9 => 88,
        0x1e00..=0x1eff => 128,
        // Dashes, quotes and dots; then punctuation, currencies, arrows, mathematics, box drawing,
        // dingbats.
        0x2010..=0x2027 => 88,
        0x2000..=0x233f | 0x2440..=0x26bf | 0x2700..=0x27bf => 128,
        // Chinese punctuation, kana, Chinese characters, Hangul.
        0x3000..=0x303f => 116,
        0x3040..=0x30ff => 84,
        0x4e00..=0x9fff => 132,
        0xac00..=0xd7a3 => 152,
        // Variation selectors, full-width forms.
        0xfe00..=0xfe0f => 128,
        0xff01..=0xff5e => 96,
        // Emoji: flags and pictures, faces, younger pictures.
        0x1f1e6..=0x1f5ff => 152,
        0x1f600..=0x1f64f => 128,
        0x1f650..=0x1f9ff => 168,
        // A token for each byte of UTF-8.
        _ => UNIT * character.len_utf8() as u64,
    }
}
