//! What an image, a sound or a document inside a prompt may cost, from its first bytes and its
//! size.
//!
//! Owns     the published prices of images and audio in tokens, as bounds that hold for every
//!          provider.
//! Called   by the walk over a prompt, with base64 text that is not decoded but for the bytes
//!          looked at.
//! Bounded  by [`JPEG_SEGMENTS_MAX`] steps.
//! Fails    never: what is not recognised costs the most its kind may cost.

/// The most tokens of one image, and the cost of an image that can't be seen: a remote URL, a
/// format without a header known here.
///
/// A photo of 12 megapixels costs 14,364 tokens at OpenAI's GPT-6 with `detail` left to the model
/// (126 × 95 patches of 32 pixels, times 1.2); its predecessors stop at 10,000 patches, which makes
/// 12,000, Claude at 4,784, Gemini at 2,240. Not covered is gpt-4o-mini, which books an image at 33
/// times gpt-4o's tokens; what it reports beyond the bound is settled all the same.
pub(super) const IMAGE_TOKENS_MAX: u64 = 15_000;

/// The least that an image is taken to cost: what Gemini 3 books for any image at its default
/// resolution.
const IMAGE_TOKENS_MIN: u64 = 1_120;

/// How many segments of a JPEG are stepped over in search of its size. A photo has about ten before
/// it, with colour profile and previews some thirty.
const JPEG_SEGMENTS_MAX: usize = 64;

/// Uncompressed sound: Gemini hears 32 tokens a second, OpenAI 10; uncompressed speech is at least
/// 8,000 bytes a second.
const BYTES_PER_TOKEN_PLAIN: u64 = 250;

/// Compressed sound: the same 32 tokens a second from 16 kbit/s, the thinnest speech in common use.
const BYTES_PER_TOKEN_COMPRESSED: u64 = 62;

/// How files of pictures begin: PNG, JPEG, GIF.
const PICTURES: [&[u8]; 3] = [b"\x89PNG", b"\xff\xd8\xff", b"GIF8"];

/// Tokens of a file that is no base64: a picture, or else sound.
pub(super) fn file_tokens(file: &[u8]) -> u64 {
    let in_riff = |kind: &[u8]| file.starts_with(b"RIFF") && file.get(8..12) == Some(kind);
    if in_riff(b"WEBP") || PICTURES.iter().any(|magic| file.starts_with(magic)) {
        return IMAGE_TOKENS_MAX;
    }
    let bytes_per_token = if in_riff(b"WAVE") { BYTES_PER_TOKEN_PLAIN } else { BYTES_PER_TOKEN_COMPRESSED };
    (file.len() as u64).div_ceil(bytes_per_token)
}

/// Tokens of the attachment whose base64 text this is. `media_type` is what its data URL says, if
/// it is one.
pub(super) fn tokens(media_type: Option<&str>, base64: &str) -> u64 {
    let file = Base64(base64.as_bytes());
    let media_type = media_type.unwrap_or_default();
    if let Some(size) = dimensions(&file) {
        image_tokens(size)
    } else if media_type.starts_with("image/") {
        IMAGE_TOKENS_MAX
    } else {
        let bytes_per_token = if file.starts_with(0, b"RIFF") && file.starts_with(8, b"WAVE") {
            BYTES_PER_TOKEN_PLAIN
        } else if media_type == "application/pdf" || file.starts_with(0, b"%PDF") {
            // A page costs up to 4,600 tokens at Claude (its text and its picture) and seldom has
            // less than 20 KB.
            4
        } else if media_type.starts_with("text/") {
            // Prose and code have more than two bytes a token.
            2
        } else {
            BYTES_PER_TOKEN_COMPRESSED
        };
        (file.len() as u64).div_ceil(bytes_per_token).max(1)
    }
}

/// The highest of the published prices for an image of this many pixels.
fn image_tokens((width, height): (u64, u64)) -> u64 {
    let patches = |side: u64| width.div_ceil(side).saturating_mul(height.div_ceil(side));
    // OpenAI's current models; the older ones, with tiles of 512 pixels (at most 1,445), are always
    // below.
    let current = patches(32).saturating_mul(12).div_ceil(10);
    // OpenAI's small models: at most 1,536 patches, up to 2.46 tokens each (gpt-4.1-nano,
    // gpt-5-nano).
    let small = patches(32).min(1_536).saturating_mul(246).div_ceil(100);
    // Claude: one token for 28 by 28 pixels, larger images scaled down.
    let claude = patches(28).min(4_784);
    current.max(small).max(claude).clamp(IMAGE_TOKENS_MIN, IMAGE_TOKENS_MAX)
}

/// Width and height in pixels, from the header of a PNG, JPEG, GIF or WebP file.
fn dimensions(file: &Base64<'_>) -> Option<(u64, u64)> {
    if file.starts_with(0, b"\x89PNG\r\n\x1a\n") {
        Some((file.big_endian(16, 4)?, file.big_endian(20, 4)?))
    } else if file.starts_with(0, b"\xff\xd8\xff") {
        jpeg_dimensions(file)
    } else if file.starts_with(0, b"GIF8") {
        Some((file.little_endian(6, 2)?, file.little_endian(8, 2)?))
    } else if file.starts_with(0, b"RIFF") && file.starts_with(8, b"WEBP") {
        webp_dimensions(file)
    } else {
        None
    }
}

/// From the frame header, the first segment `FFC0` to `FFCF` that is not one of the three tables
/// among them (ITU-T T.81, B.1.1.3 and B.2.2).
fn jpeg_dimensions(file: &Base64<'_>) -> Option<(u64, u64)> {
    let mut at = 2;
    for _ in 0..JPEG_SEGMENTS_MAX {
        match (file.byte(at)?, file.byte(at + 1)?) {
            // A marker may be filled up with FF.
            (0xff, 0xff) => at += 1,
            (0xff, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) => {
                return Some((file.big_endian(at + 7, 2)?, file.big_endian(at + 5, 2)?));
            }
            (0xff, _) => at += 2 + file.big_endian(at + 2, 2)? as usize,
            _ => return None,
        }
    }
    None
}

/// From the first chunk: lossy, lossless or extended (RFC 9649, sections 2.5 to 2.7).
fn webp_dimensions(file: &Base64<'_>) -> Option<(u64, u64)> {
    if file.starts_with(12, b"VP8 ") {
        Some((file.little_endian(26, 2)? & 0x3fff, file.little_endian(28, 2)? & 0x3fff))
    } else if file.starts_with(12, b"VP8L") {
        let bits = file.little_endian(21, 4)?;
        Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
    } else if file.starts_with(12, b"VP8X") {
        Some((file.little_endian(24, 3)? + 1, file.little_endian(27, 3)? + 1))
    } else {
        None
    }
}

/// Base64 text (RFC 4648, either alphabet) of which single bytes are decoded where they are asked
/// for.
struct Base64<'a>(&'a [u8]);

impl Base64<'_> {
    /// Bytes of the decoded file.
    fn len(&self) -> usize {
        let padding = self.0.iter().rev().take(2).filter(|&&digit| digit == b'=').count();
        (self.0.len() - padding) / 4 * 3 + (self.0.len() - padding) % 4 * 3 / 4
    }

    fn byte(&self, at: usize) -> Option<u8> {
        // Byte `at` lies in the two digits from here; it begins after 0, 2 or 4 bits of the first
        // one.
        let digit = at / 3 * 4 + at % 3;
        let (first, second) = (sextet(*self.0.get(digit)?)?, sextet(*self.0.get(digit + 1)?)?);
        let pair = u16::from(first) << 6 | u16::from(second);
        let [_, byte] = (pair >> (4 - at % 3 * 2)).to_be_bytes();
        Some(byte)
    }

    fn starts_with(&self, at: usize, magic: &[u8]) -> bool {
        magic.iter().enumerate().all(|(i, &byte)| self.byte(at + i) == Some(byte))
    }

    fn big_endian(&self, at: usize, bytes: usize) -> Option<u64> {
        (0..bytes).try_fold(0, |value, i| Some(value << 8 | u64::from(self.byte(at + i)?)))
    }

    fn little_endian(&self, at: usize, bytes: usize) -> Option<u64> {
        (0..bytes).rev().try_fold(0, |value, i| Some(value << 8 | u64::from(self.byte(at + i)?)))
    }
}

/// Whether the text is base64 from end to end, with `\/` for `/` as some JSON writers have it.
pub(super) fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| sextet(byte).is_some() || matches!(byte, b'=' | b'\\'))
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
