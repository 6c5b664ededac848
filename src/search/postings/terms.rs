use tokio_postgres::types::{FromSql, Type};

/// A `tsvector` as the server sends it, borrowed from the row.
///
/// Format (`tsvectorsend` in PostgreSQL's tsvector.c): int32 number of lexemes; each lexeme as a string that ends with a
/// zero byte, int16 number of positions, and the positions as int16, whose two high bits are a weight.
#[derive(Debug, Clone, Copy)]
pub struct TermVector<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> TermVector<'a> {
    /// Each lexeme with its first position, which in `fresh_postings` is its frequency.
    ///
    /// Ends early if the bytes do, which the protocol rules out.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, u32)> + use<'a> {
        let (mut rest, mut left) = (self.bytes, self.count);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let end = rest.iter().position(|byte| *byte == 0)?;
            let (lexeme, after) = rest.split_at(end);
            let (positions, after) = after.get(1..)?.split_first_chunk::<2>()?;
            let (positions, after) = after.split_at_checked(2 * usize::from(u16::from_be_bytes(*positions)))?;
            rest = after;
            let first = positions.first_chunk::<2>().map_or(1, |first| u16::from_be_bytes(*first) & 0x3fff);
            Some((std::str::from_utf8(lexeme).ok()?, u32::from(first)))
        })
    }
}

impl<'a> FromSql<'a> for TermVector<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let (count, bytes) = raw.split_first_chunk::<4>().ok_or("a tsvector without a count")?;
        Ok(Self { bytes, count: u32::from_be_bytes(*count) as usize })
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TS_VECTOR
    }
}
