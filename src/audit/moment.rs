use std::error::Error;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Microseconds from 1970-01-01 to 2000-01-01, both UTC.
const EPOCHS_APART: i64 = 946_684_800_000_000;

/// A `timestamptz` to its last bit: microseconds since 2000-01-01 UTC, as PostgreSQL holds it.
///
/// Everything that the column can hold is a moment, the infinities too (they are the extremes): what somebody tampered
/// with must be told as such and not fail to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// 1970-01-01 UTC, before every call.
    pub const UNIX_EPOCH: Self = Self(-EPOCHS_APART);

    /// Microseconds since 2000-01-01 UTC.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// From microseconds since 2000-01-01 UTC.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    fn as_timestamp(self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.0.checked_add(EPOCHS_APART)?).ok()
    }
}

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_microsecond() - EPOCHS_APART)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_timestamp(), self.0) {
            (Some(timestamp), _) => write!(f, "{timestamp}"),
            (None, i64::MAX) => f.write_str("infinity"),
            (None, i64::MIN) => f.write_str("-infinity"),
            (None, micros) => write!(f, "{micros} µs after 2000"),
        }
    }
}

impl Serialize for Moment {
    /// RFC 3339; what that cannot say, as the number of microseconds since 2000.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_timestamp() {
            Some(timestamp) => timestamp.serialize(serializer),
            None => serializer.serialize_i64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(Timestamp),
            Micros(i64),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(timestamp) => timestamp.into(),
            Written::Micros(micros) => Self(micros),
        })
    }
}

impl<'a> FromSql<'a> for Moment {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

impl ToSql for Moment {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_survives_json() {
        for micros in [0, 1, -EPOCHS_APART - 1, 863_000_000_000_001, i64::MAX, i64::MIN, i64::MAX - 1] {
            let json = serde_json::to_string(&Moment(micros)).unwrap();
            assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), Moment(micros), "{json}");
        }
        assert_eq!(Moment::UNIX_EPOCH.to_string(), "1970-01-01T00:00:00Z");
    }
}
