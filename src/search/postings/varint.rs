//! LEB128: seven bits a byte, the lowest first, the high bit on all but the last.

use super::Damaged;

/// Appends a number.
pub(super) fn write(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits of it")]
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(number as u8);
}

/// Reads numbers from the front of a slice.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next number.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<u64, Damaged> {
        match self.bytes {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(*byte))
            }
            // Lengths mostly take two.
            [low, high, rest @ ..] if *high < 0x80 => {
                self.bytes = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_number(),
        }
    }

    #[cold]
    fn long_number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0_u64;
        // Nine bytes hold 63 bits, more than anything that we write.
        for (at, byte) in self.bytes.iter().take(9).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.bytes = &self.bytes[at + 1..];
                return Ok(number);
            }
        }
        Err(Damaged("a number does not end"))
    }

    /// The next number, which counts bytes, postings or the like.
    pub(super) fn count(&mut self) -> Result<usize, Damaged> {
        usize::try_from(self.number()?).map_err(|_| Damaged("a count is too large"))
    }

    /// The next bytes as they stand.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Damaged("an entry ends early"))?;
        self.bytes = rest;
        Ok(taken)
    }
}
