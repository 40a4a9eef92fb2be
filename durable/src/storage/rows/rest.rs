//! Reading the numbers and the parts that stored rows are made of, from the front. `None`: the bytes end too early, or
//! say what no row says.

use std::sync::Arc;

use crate::kernel::pages::Replayed;
use crate::kv::Framed;
use crate::limits::SQL_PAGE_BYTES;
use crate::sql::Page;

/// Bytes that were not read yet.
pub(super) struct Rest<'a>(pub(super) &'a [u8]);

impl<'a> Rest<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<usize> {
        self.array().map(|bytes| u16::from_le_bytes(bytes).into())
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A value that may be missing. An inner `None`: it is.
    pub(super) fn value(&mut self) -> Option<Option<Framed>> {
        match self.u8()? {
            0 => Some(None),
            1 => {
                let length = self.u32()? as usize;
                self.take(length).map(|value| Some(Arc::from(value)))
            }
            _ => None,
        }
    }

    /// What a row says of a page: how many ranges follow, and each one's offset, length and bytes; 0 ranges stand for the
    /// whole page.
    pub(super) fn page(&mut self) -> Option<Replayed<Page>> {
        let ranges = self.u16()?;
        if ranges == 0 {
            return self.take(SQL_PAGE_BYTES).map(|page| Replayed::Whole(page.into()));
        }
        // Each takes four bytes at least, so damaged bytes ask for no more memory than they are.
        let mut parts = Vec::with_capacity(ranges.min(self.0.len() / 4));
        for _ in 0..ranges {
            let (start, bytes) = (self.u16()?, self.u16()?);
            if start + bytes > SQL_PAGE_BYTES {
                return None;
            }
            parts.push((start, self.take(bytes)?.to_vec()));
        }
        Some(Replayed::Ranges(parts))
    }
}
