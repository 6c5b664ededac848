use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Entry, Filter};

/// Distinguishes these bytes from those of later versions.
const VERSION: u8 = 1;

/// Where a page ended, and for which filters: what the next page goes on from.
///
/// It names a row of the tenant's own by its call; in another tenant's hands it names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the last row was completed, in whole microseconds.
    pub completed_at: Timestamp,
    /// Its call.
    pub call_id: Uuid,
}

impl Cursor {
    /// Goes on behind this row.
    #[must_use]
    pub fn behind(entry: &Entry) -> Self {
        Self { completed_at: entry.completed_at, call_id: entry.call_id }
    }

    /// As text for the caller, bound to these filters.
    #[must_use]
    pub fn encode(&self, filter: &Filter) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.completed_at.as_microsecond().to_be_bytes());
        bytes.extend(self.call_id.as_bytes());
        bytes.extend(digest(filter));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote for the same filters.
    ///
    /// # Errors
    /// In words for the caller, to be put behind the argument's name.
    pub fn decode(text: &str, filter: &Filter) -> Result<Self, &'static str> {
        let (cursor, filters) = parse(text).ok_or(
            "is not a cursor of this trail; give next_cursor of the previous answer as it is, or leave it out to begin with the newest row",
        )?;
        if filters != digest(filter) {
            return Err(
                "belongs to other filters; repeat those of the call that gave it (only limit may differ), or leave cursor out to begin anew",
            );
        }
        Ok(cursor)
    }
}

fn parse(text: &str) -> Option<(Cursor, [u8; 8])> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (&version, rest) = bytes.split_first()?;
    let (micros, rest) = rest.split_first_chunk::<8>()?;
    let (call_id, filters) = rest.split_first_chunk::<16>()?;
    // Earlier instants may be none that the database knows.
    let micros = Some(i64::from_be_bytes(*micros)).filter(|micros| version == VERSION && *micros >= 0)?;
    let completed_at = Timestamp::from_microsecond(micros).ok()?;
    Some((Cursor { completed_at, call_id: Uuid::from_bytes(*call_id) }, filters.try_into().ok()?))
}

fn digest(filter: &Filter) -> [u8; 8] {
    let text = serde_json::to_vec(filter).unwrap_or_default();
    let digest = Sha256::digest(text);
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(micros in 0..253_000_000_000_000_000_i64, call_id: u128) {
            let completed_at = Timestamp::from_microsecond(micros).unwrap();
            let cursor = Cursor { completed_at, call_id: Uuid::from_u128(call_id) };
            let filter = Filter { success: Some(true), ..Filter::default() };
            let text = cursor.encode(&filter);
            prop_assert_eq!(Cursor::decode(&text, &filter), Ok(cursor));
            let other = Cursor::decode(&text, &Filter::default());
            prop_assert!(other.is_err_and(|problem| problem.starts_with("belongs to other filters")));
        }

        #[test]
        fn garbage_is_no_cursor(text in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for text in [text, URL_SAFE_NO_PAD.encode(bytes)] {
                prop_assert!(Cursor::decode(&text, &Filter::default()).is_err());
            }
        }
    }
}
