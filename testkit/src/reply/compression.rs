//! Compressed bodies, part by part, so that a compressed stream can still be paced and cut.
//!
//! Each part ends in a full flush (RFC 1951 blocks that refer to nothing before them, aligned to a
//! byte), so a part that is written many times is compressed once: a bomb costs nothing here.

use bytes::Bytes;
use flate2::{Compress, Crc, FlushCompress};

use super::plan::{FOREVER, Part};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Compression {
    #[default]
    None,
    Gzip,
    Deflate,
    DamagedGzip,
    DamagedDeflate,
}

/// gzip's header (RFC 1952): no name, no time, unknown system.
const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// How much of a damaged body is left whole: its header, so that it is recognised.
const WHOLE: usize = 12;

impl Compression {
    /// The same with a damaged outcome.
    ///
    /// # Panics
    /// If nothing is compressed: there would be nothing to notice the damage by.
    pub(super) fn damaged(self) -> Self {
        match self {
            Self::None => panic!("only a compressed body can be corrupted: gzip() comes first"),
            Self::Gzip | Self::DamagedGzip => Self::DamagedGzip,
            Self::Deflate | Self::DamagedDeflate => Self::DamagedDeflate,
        }
    }

    /// Compresses each part in its place and adds what frames the whole.
    pub(super) fn apply(self, parts: &mut Vec<Part>) {
        match self {
            Self::None => {}
            Self::Gzip => gzip(parts),
            Self::Deflate => deflate(parts),
            Self::DamagedGzip => {
                gzip(parts);
                damage(parts);
            }
            Self::DamagedDeflate => {
                deflate(parts);
                damage(parts);
            }
        }
    }
}

fn gzip(parts: &mut Vec<Part>) {
    let mut compress = Compress::new(flate2::Compression::fast(), false);
    let mut sum = Crc::new();
    for part in parts.iter_mut().filter(|part| !part.bytes.is_empty()) {
        let mut once = Crc::new();
        once.update(&part.bytes);
        // Behind an endless part nobody reads a sum.
        let times = if part.times == FOREVER { 1 } else { part.times };
        (0..times).for_each(|_| sum.combine(&once));
        part.bytes = flushed(&mut compress, &part.bytes, FlushCompress::Full);
    }
    let mut trailer = flushed(&mut compress, &[], FlushCompress::Finish).to_vec();
    trailer.extend_from_slice(&sum.sum().to_le_bytes());
    trailer.extend_from_slice(&sum.amount().to_le_bytes());
    parts.insert(0, Part::aside(GZIP_HEADER));
    parts.push(Part::aside(trailer));
}

fn deflate(parts: &mut Vec<Part>) {
    let mut compress = Compress::new(flate2::Compression::fast(), true);
    for part in parts.iter_mut().filter(|part| !part.bytes.is_empty()) {
        assert!(part.times == 1, "a repeated part can't have zlib's checksum: use gzip()");
        part.bytes = flushed(&mut compress, &part.bytes, FlushCompress::Full);
    }
    let end = flushed(&mut compress, &[], FlushCompress::Finish);
    parts.push(Part::aside(end));
}

fn flushed(compress: &mut Compress, input: &[u8], flush: FlushCompress) -> Bytes {
    // Room for what deflate can't make smaller: 5 bytes per 64 KiB, and the flush's marker.
    let mut output = Vec::with_capacity(input.len() + input.len() / 1000 + 128);
    compress.compress_vec(input, &mut output, flush).expect("deflate takes any input");
    assert!(output.len() < output.capacity(), "compressed bytes were left behind");
    Bytes::from(output)
}

fn damage(parts: &mut [Part]) {
    let mut passed = 0;
    for part in parts {
        let whole = WHOLE.saturating_sub(passed).min(part.bytes.len());
        passed += part.bytes.len();
        let mut bytes = part.bytes.to_vec();
        bytes[whole..].iter_mut().for_each(|byte| *byte = !*byte);
        part.bytes = Bytes::from(bytes);
    }
}
