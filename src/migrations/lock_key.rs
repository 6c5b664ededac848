//! The advisory lock's key: golang-migrate's own, so that the two tools exclude each other.

/// golang-migrate's constant.
const SALT: u32 = 1_486_364_155;

/// The key that `migrate -database postgres://…/DATABASE` uses with its default settings: a salted
/// CRC-32 of schema, table and the path of the URL, which is the database's name behind a slash.
pub(super) fn of_database(database: &str) -> i64 {
    key(&["public", "schema_migrations", &format!("/{database}")])
}

fn key(names: &[&str]) -> i64 {
    i64::from(crc32(names.join("\0").as_bytes()).wrapping_mul(SALT))
}

/// CRC-32 (IEEE), bit by bit: it runs once over a few bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let mask = (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ (0xEDB8_8320 & mask);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn the_keys_are_those_of_golang_migrates_own_tests() {
        for (names, expected) in [
            (&["database_name"][..], 1_764_327_054),
            (&["schema_name_1", "database_name"], 2_453_313_553),
            (&["schema_name_1", "schema_name_2", "database_name"], 3_743_845_847),
        ] {
            assert_eq!(key(names), expected, "{names:?}");
        }
    }

    #[test]
    fn databases_have_keys_of_their_own_that_fit_32_bits() {
        let (a, b) = (of_database("a"), of_database("b"));
        assert_ne!(a, b);
        assert!([a, b].iter().all(|key| (0..=i64::from(u32::MAX)).contains(key)));
    }
}
