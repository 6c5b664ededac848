use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// What a body may weigh once it is parsed: some 300,000 numbers, where the vectors of a hundred
/// documents are 200,000.
pub(super) const MOST_BYTES: usize = 32 << 20;

/// Bytes that a value takes once messages are parsed, measured by what a body of 12 MiB of nothing else took: a text, a number, a
/// list, an object, and a name within one.
const SCALAR_BYTES: usize = 100;
const LIST_BYTES: usize = 200;
const OBJECT_BYTES: usize = 900;
const NAME_BYTES: usize = 300;

/// What a body of JSON takes of the memory once it is parsed, beside the bytes of its texts; `None` if that is more than
/// [`MOST_BYTES`]. Two bytes of a body may become a hundred, and seven a thousand.
///
/// Nothing is built for it. What is not JSON, or nested too deeply, weighs what comes before: whoever parses it stops there, too.
pub(super) fn parsed_bytes(body: &[u8]) -> Option<usize> {
    let mut scale = Scale { bytes: 0 };
    // Its errors are told by who judges the message.
    let _ = scale.deserialize(&mut serde_json::Deserializer::from_slice(body));
    (scale.bytes <= MOST_BYTES).then_some(scale.bytes)
}

struct Scale {
    bytes: usize,
}

impl Scale {
    fn add<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.bytes += bytes;
        if self.bytes > MOST_BYTES { Err(E::custom("too many values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Scale {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Scale {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.add(SCALAR_BYTES)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.add(SCALAR_BYTES)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.add(SCALAR_BYTES)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.add(SCALAR_BYTES)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.add(SCALAR_BYTES)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.add(SCALAR_BYTES)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.add(LIST_BYTES)?;
        while list.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.add(OBJECT_BYTES)?;
        while object.next_key_seed(&mut *self)?.is_some() {
            self.add(NAME_BYTES - SCALAR_BYTES)?;
            object.next_value_seed(&mut *self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_weigh_what_they_become_and_texts_nothing_more() {
        let call = r#"{"a":[1,-1,1.5,true,null,"text"],"b":{}}"#;
        let expected = 2 * OBJECT_BYTES + 2 * NAME_BYTES + LIST_BYTES + 6 * SCALAR_BYTES;
        assert_eq!(parsed_bytes(call.as_bytes()), Some(expected));
        assert_eq!(parsed_bytes(format!("\"{}\"", "word ".repeat(1 << 20)).as_bytes()), Some(SCALAR_BYTES));
        assert_eq!(parsed_bytes(format!("[{}1]", "1,".repeat(200_000)).as_bytes()), Some(LIST_BYTES + 20_000_100));
    }

    #[test]
    fn a_body_of_nothing_but_values_is_too_much() {
        for (piece, count) in [("1,", 6 << 20), (r#"{"":1},"#, 1_700_000), ("[],", 4 << 20), ("{},", 4 << 20)] {
            let list = format!("[{}1]", piece.repeat(count));
            assert_eq!(parsed_bytes(list.as_bytes()), None, "{piece}");
            let call = format!(r#"{{"jsonrpc":"2.0","id":1,"params":{{"arguments":{{"x":{list}}}}}}}"#);
            assert_eq!(parsed_bytes(call.as_bytes()), None, "{piece}");
        }
    }

    #[test]
    fn what_is_no_json_weighs_what_comes_before() {
        assert_eq!(parsed_bytes(b""), Some(0));
        assert_eq!(parsed_bytes(b"[1,1"), Some(LIST_BYTES + 2 * SCALAR_BYTES));
        assert!(parsed_bytes("[".repeat(1 << 20).as_bytes()).is_some_and(|bytes| bytes < 200 * LIST_BYTES));
    }
}
