//! Reads what postcard wrote, piece by piece. No bytes make it panic, or take more memory than they are.

use crate::limits::EMPTY_ELEMENTS_MAX;

/// Bytes that are read from their front.
pub(super) struct Bytes<'de> {
    rest: &'de [u8],
    /// Elements without bytes that may still come: nothing else bounds their count.
    empty_left: usize,
}

/// Why bytes cannot be what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage(String);

impl Damage {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Damage(text.into())
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Bytes<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Bytes { rest: bytes, empty_left: EMPTY_ELEMENTS_MAX }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Damage> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Damage(format!("{left} bytes are left over"))),
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damage> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'de [u8], Damage> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Damage(format!("{count} bytes should follow, {} do", self.rest.len())));
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        self.take(N).map(|bytes| bytes.try_into().expect("as many as were asked for"))
    }

    /// A number of at most `bits` bits, seven in each byte, the lowest first.
    pub(super) fn varint(&mut self, bits: u32) -> Result<u128, Damage> {
        let mut number = 0_u128;
        for place in 0..bits.div_ceil(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            let room = bits - 7 * place;
            if room < 7 && part >> room != 0 {
                break;
            }
            number |= part << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damage(format!("a number has more than {bits} bits")))
    }

    /// A signed number of at most `bits` bits: the magnitude, with the sign in the lowest bit.
    pub(super) fn zigzag(&mut self, bits: u32) -> Result<i128, Damage> {
        let number = self.varint(bits)?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// How many things follow, each of which has at least one byte.
    pub(super) fn count(&mut self) -> Result<usize, Damage> {
        let count = self.varint(64)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => {
                let left = self.rest.len();
                Err(Damage(format!("{count} elements should follow in {left} bytes")))
            }
        }
    }

    /// How many things without bytes follow.
    pub(super) fn empty_count(&mut self) -> Result<usize, Damage> {
        let count = self.varint(64)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.empty_left => {
                self.empty_left -= count;
                Ok(count)
            }
            _ => Err(Damage(format!(
                "{count} elements without bytes should follow, at most {EMPTY_ELEMENTS_MAX} may"
            ))),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'de str, Damage> {
        let count = self.count()?;
        std::str::from_utf8(self.take(count)?).map_err(|_| Damage::new("a text is not UTF-8"))
    }

    /// `false` or `true`; also whether an option holds something.
    pub(super) fn flag(&mut self) -> Result<bool, Damage> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Damage(format!("{other} stands where 0 or 1 should"))),
        }
    }

    pub(super) fn letter(&mut self) -> Result<char, Damage> {
        let mut letters = self.text()?.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Ok(letter),
            _ => Err(Damage::new("a character is not one")),
        }
    }
}

/// Appends a count as [`Bytes::varint`] reads it.
pub(super) fn write_varint(mut number: usize, to: &mut Vec<u8>) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}
