use std::fmt;

use axum::body::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::batch::MOST_MESSAGES;

/// The messages of a batch as they came, and not one more than one too many.
struct Pieces<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Pieces<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Pieces<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut pieces = Vec::new();
                while pieces.len() <= MOST_MESSAGES
                    && let Some(piece) = list.next_element()?
                {
                    pieces.push(piece);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Pieces(pieces))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// The messages of a batch, each as it came, so that each is judged as if it had come alone. Of too many it is enough to know that
/// they are: no more than one is given beyond the most.
pub(in crate::http) fn split(body: &Bytes) -> serde_json::Result<Vec<Bytes>> {
    let Pieces(pieces) = serde_json::from_slice(body)?;
    Ok(pieces.into_iter().map(|piece| body.slice_ref(piece.get().as_bytes())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_they_came_and_few() {
        let of = |text: &str| split(&Bytes::from(text.to_owned()));
        let two = of(r#" [ {"a":1, "a":2} , [[1]]] "#).unwrap();
        assert_eq!(two, [r#"{"a":1, "a":2}"#, "[[1]]"]);
        assert_eq!(of("[]").unwrap().len(), 0);
        assert_eq!(of(&format!("[{}1]", "1,".repeat(1_000_000))).unwrap().len(), MOST_MESSAGES + 1);
        for wrong in ["[1", "[1]]", "{}", "[1,]", ""] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
