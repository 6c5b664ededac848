use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::list::{ListFilter, Listed};

/// Distinguishes these bytes from those of later versions.
const VERSION: u8 = 1;
const DIGEST_BYTES: usize = 8;

/// By what documents are listed; documents that are equal in it by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// When they were stored.
    #[default]
    CreatedAt,
    /// When they last changed.
    UpdatedAt,
    /// Their titles, by code points.
    Title,
}

impl Order {
    /// As the statement knows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::Title => "title",
        }
    }
}

/// Where a page ended, for which order and filters: what the next page goes on from.
///
/// It names a document of the tenant's own; in another tenant's hands it names nothing but a place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last document.
    pub id: Uuid,
    /// Its time, in whole microseconds, where the order is by time.
    pub at: Option<Timestamp>,
    /// Its title, where the order is by title.
    pub title: Option<String>,
}

impl Cursor {
    /// Goes on behind this document.
    #[must_use]
    pub fn behind(listed: &Listed, order: Order) -> Self {
        let at = match order {
            Order::CreatedAt => Some(listed.created_at),
            Order::UpdatedAt => Some(listed.updated_at),
            Order::Title => None,
        };
        let title = (order == Order::Title).then(|| listed.title.clone());
        Self { id: listed.document_id, at, title }
    }

    /// As text for the caller, bound to these filters and their order.
    #[must_use]
    pub fn encode(&self, filter: &ListFilter) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(digest(filter));
        bytes.extend(self.id.as_bytes());
        match (&self.at, &self.title) {
            (Some(at), _) => bytes.extend(at.as_microsecond().to_be_bytes()),
            (None, title) => bytes.extend(title.as_deref().unwrap_or_default().as_bytes()),
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote for the same filters and order.
    ///
    /// # Errors
    /// In words for the caller, to be put behind the argument's name.
    pub fn decode(text: &str, filter: &ListFilter) -> Result<Self, &'static str> {
        let (cursor, filters) = parse(text, filter.order).ok_or(
            "is not a cursor of this list and order; give next_cursor of the previous answer as it is, or leave it out to begin anew",
        )?;
        if filters != digest(filter) {
            return Err(
                "belongs to other filters or another order; repeat those of the call that gave it (only limit may differ), or leave cursor out to begin anew",
            );
        }
        Ok(cursor)
    }
}

fn parse(text: &str, order: Order) -> Option<(Cursor, [u8; DIGEST_BYTES])> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (&version, rest) = bytes.split_first()?;
    let (filters, rest) = rest.split_first_chunk::<DIGEST_BYTES>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let id = Some(Uuid::from_bytes(*id)).filter(|_| version == VERSION)?;
    let cursor = if order == Order::Title {
        let title = std::str::from_utf8(rest).ok()?.to_owned();
        // PostgreSQL knows no such text.
        Some(Cursor { id, at: None, title: Some(title) }).filter(|_| !rest.contains(&0))?
    } else {
        // Earlier instants may be none that the database knows.
        let micros = Some(i64::from_be_bytes(rest.try_into().ok()?)).filter(|micros| *micros >= 0)?;
        Cursor { id, at: Some(Timestamp::from_microsecond(micros).ok()?), title: None }
    };
    Some((cursor, *filters))
}

fn digest(filter: &ListFilter) -> [u8; DIGEST_BYTES] {
    let digest = Sha256::digest(serde_json::to_vec(filter).unwrap_or_default());
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(micros in 0..253_000_000_000_000_000_i64, id: u128, title in "[^\\x00]{0,40}") {
            let (id, at) = (Uuid::from_u128(id), Timestamp::from_microsecond(micros).unwrap());
            for (order, cursor) in [
                (Order::CreatedAt, Cursor { id, at: Some(at), title: None }),
                (Order::UpdatedAt, Cursor { id, at: Some(at), title: None }),
                (Order::Title, Cursor { id, at: None, title: Some(title) }),
            ] {
                let filter = ListFilter { order, ..ListFilter::default() };
                let text = cursor.encode(&filter);
                prop_assert_eq!(Cursor::decode(&text, &filter), Ok(cursor));
                let other = ListFilter { is_descending: true, ..filter };
                prop_assert!(Cursor::decode(&text, &other).is_err());
            }
        }

        #[test]
        fn garbage_is_no_cursor(text in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            for order in [Order::CreatedAt, Order::Title] {
                let filter = ListFilter { order, ..ListFilter::default() };
                for text in [text.clone(), URL_SAFE_NO_PAD.encode(&bytes)] {
                    prop_assert!(Cursor::decode(&text, &filter).is_err());
                }
            }
        }
    }
}
