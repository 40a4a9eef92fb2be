//! The frame around every stored snapshot: what wrote it, and a checksum that no single flipped bit
//! gets past.
//!
//! Layout, numbers little-endian: magic `DS` (2 bytes), envelope version (u8), codec (u8), state
//! version (u32), schema fingerprint (u64), CRC-32C (u32) of the whole frame with these four bytes
//! zero, payload (the rest).
//!
//! Never reuse: an envelope version or a codec number keeps its meaning for ever. Magic, envelope
//! version and checksum stay at their places in every later envelope, so that damage is never taken
//! for a newer version.

use std::fmt;

use crate::state::Fingerprint;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 20;

const MAGIC: [u8; 2] = *b"DS";
const ENVELOPE: u8 = 1;
const CRC_AT: usize = 16;

/// How a payload is encoded. Numbers are stored; 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// The postcard wire format.
    Postcard = 1,
    /// No payload: the object was brought back to before its birth and does not exist, but its past is kept.
    Nothing = 2,
}

/// What a frame says of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) codec: Codec,
    /// Version of the state's layout, as its class counts.
    pub(crate) state_version: u32,
    /// Which schema the writer had.
    pub(crate) fingerprint: Fingerprint,
}

/// Why bytes are not a frame that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// Shorter than a header.
    Short { bytes: usize },
    /// The first bytes are not the magic.
    Magic { found: [u8; 2] },
    /// The checksum does not fit the bytes.
    Checksum { stored: u32, computed: u32 },
    /// Whole, but in an envelope that this code does not know.
    Envelope { found: u8 },
    /// Whole, but in a codec that this code does not know.
    Codec { found: u8 },
}

impl FrameError {
    /// Whether newer code wrote the frame, as opposed to damage.
    pub(crate) fn is_newer(self) -> bool {
        matches!(self, FrameError::Envelope { .. } | FrameError::Codec { .. })
    }
}

/// Writes the header and the checksum in front of the payload that follows [`HEADER_BYTES`] reserved bytes.
pub(crate) fn finish(header: Header, frame: &mut [u8]) {
    assert!(frame.len() >= HEADER_BYTES, "a frame begins with {HEADER_BYTES} reserved bytes");
    frame[..2].copy_from_slice(&MAGIC);
    frame[2] = ENVELOPE;
    frame[3] = header.codec as u8;
    frame[4..8].copy_from_slice(&header.state_version.to_le_bytes());
    frame[8..CRC_AT].copy_from_slice(&header.fingerprint.0.to_le_bytes());
    let crc = checksum(frame);
    frame[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// The header and the payload of a frame that is whole.
pub(crate) fn decode(frame: &[u8]) -> Result<(Header, &[u8]), FrameError> {
    let Some((head, payload)) = frame.split_first_chunk::<HEADER_BYTES>() else {
        return Err(FrameError::Short { bytes: frame.len() });
    };
    if head[..2] != MAGIC {
        return Err(FrameError::Magic { found: [head[0], head[1]] });
    }
    let (stored, computed) = (u32_at(head, CRC_AT), checksum(frame));
    if stored != computed {
        return Err(FrameError::Checksum { stored, computed });
    }
    // Only after the checksum: a flipped bit in the version is damage, not newer code.
    if head[2] != ENVELOPE {
        return Err(FrameError::Envelope { found: head[2] });
    }
    let codec = match head[3] {
        1 => Codec::Postcard,
        2 if payload.is_empty() => Codec::Nothing,
        found => return Err(FrameError::Codec { found }),
    };
    let fingerprint = u64::from(u32_at(head, 12)) << 32 | u64::from(u32_at(head, 8));
    let header =
        Header { codec, state_version: u32_at(head, 4), fingerprint: Fingerprint(fingerprint) };
    Ok((header, payload))
}

/// The frame of an object that was brought back to before its birth.
pub(crate) fn gone() -> [u8; HEADER_BYTES] {
    let mut frame = [0; HEADER_BYTES];
    let nothing = Fingerprint(0);
    finish(Header { codec: Codec::Nothing, state_version: 0, fingerprint: nothing }, &mut frame);
    frame
}

/// Whether it is the frame of an object that was brought back to before its birth.
pub(crate) fn is_gone(frame: &[u8]) -> bool {
    // Most frames are longer, and their checksums are looked at once only.
    frame.len() == HEADER_BYTES
        && matches!(decode(frame), Ok((Header { codec: Codec::Nothing, .. }, _)))
}

/// Writes the checksum that fits, so that a fuzzer gets past it. Shorter bytes stay as they are.
pub(crate) fn reseal(frame: &mut [u8]) {
    if frame.len() >= HEADER_BYTES {
        let crc = checksum(frame);
        frame[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}

fn u32_at(head: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn checksum(frame: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&frame[..CRC_AT]);
    let crc = crc32c::crc32c_append(crc, &[0; HEADER_BYTES - CRC_AT]);
    crc32c::crc32c_append(crc, &frame[HEADER_BYTES..])
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Short { bytes } => {
                write!(f, "{bytes} bytes are stored, a frame has at least {HEADER_BYTES}")
            }
            FrameError::Magic { found } => {
                write!(f, "it begins with {found:02x?}, a frame begins with {MAGIC:02x?}")
            }
            FrameError::Checksum { stored, computed } => {
                write!(f, "its checksum is {stored:08x}, its bytes give {computed:08x}")
            }
            FrameError::Envelope { found } => {
                write!(f, "its envelope has version {found}, this code knows up to {ENVELOPE}")
            }
            FrameError::Codec { found } => {
                let (postcard, nothing) = (Codec::Postcard as u8, Codec::Nothing as u8);
                write!(f, "its codec is {found}, this code knows {postcard} and {nothing}")
            }
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
/// A whole frame around a copy of `payload`.
pub(crate) fn encode(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame.extend_from_slice(payload);
    finish(header, &mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(state_version: u32, fingerprint: u64) -> Header {
        Header { codec: Codec::Postcard, state_version, fingerprint: Fingerprint(fingerprint) }
    }

    proptest! {
        #[test]
        fn a_frame_round_trips(version: u32, print: u64, payload: Vec<u8>) {
            let frame = encode(header(version, print), &payload);
            prop_assert_eq!(decode(&frame), Ok((header(version, print), &payload[..])));
        }

        #[test]
        fn every_flipped_bit_and_every_cut_is_found(version: u32, print: u64, payload: Vec<u8>) {
            let frame = encode(header(version, print), &payload);
            for bit in 0..frame.len() * 8 {
                let mut torn = frame.clone();
                torn[bit / 8] ^= 1 << (bit % 8);
                let error = decode(&torn).expect_err("one bit differs");
                prop_assert!(!error.is_newer(), "bit {} passes for newer code", bit);
            }
            for bytes in 0..frame.len() {
                prop_assert!(decode(&frame[..bytes]).is_err(), "{} bytes pass", bytes);
            }
        }

        #[test]
        fn other_bytes_are_no_frame_and_no_panic(bytes: Vec<u8>) {
            prop_assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let frame = encode(header(0x0403_0201, 0x0c0b_0a09_0807_0605), b"ab");
        let written =
            [b'D', b'S', 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 0, b'a', b'b'];
        let crc = crc32c::crc32c(&written);
        assert_eq!(frame[..16], written[..16]);
        assert_eq!(frame[16..20], crc.to_le_bytes());
        assert_eq!(frame[20..], written[20..]);
    }

    #[test]
    fn a_whole_frame_of_newer_code_is_told_from_damage() {
        for (at, found) in
            [(2, FrameError::Envelope { found: 9 }), (3, FrameError::Codec { found: 9 })]
        {
            let mut frame = encode(header(1, 2), b"payload");
            frame[at] = 9;
            let crc = checksum(&frame);
            frame[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(decode(&frame), Err(found));
            assert!(found.is_newer());
        }
    }
}
