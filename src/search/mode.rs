use super::Search;

/// Which sides of a search took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// Words and vectors.
    Hybrid,
    /// Words alone.
    Bm25Only,
    /// Vectors alone.
    VectorOnly,
}

impl Ran {
    /// The name that clients see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Bm25Only => "bm25_only",
            Self::VectorOnly => "vector_only",
        }
    }
}

/// Which sides took part, and why a side did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The sides.
    pub ran: Ran,
    /// Why a side is missing; `None` for a hybrid search.
    pub reason: Option<String>,
}

impl Mode {
    /// Judges a search by how many terms its words had (`None`: that side was not asked) and how many documents had
    /// vectors to compare with.
    pub(super) fn of(search: &Search, terms: Option<usize>, vectors: Option<usize>) -> Self {
        let no_words = match terms {
            None => Some("bm25_weight is 0"),
            Some(0) => Some(
                "the query has no searchable words (stop words and punctuation are not searched), or nothing is stored yet",
            ),
            Some(_) => None,
        };
        let no_vectors = match vectors {
            None if search.weights.vector <= 0.0 => Some("vector_weight is 0"),
            None => {
                let known = search.no_embedding.as_deref();
                known.or(Some("no query_embedding was given and this server has no embedder"))
            }
            Some(0) => Some("no document that passes the filter has an embedding of the query's model"),
            Some(_) => None,
        };
        let (ran, reason) = match (no_words, no_vectors) {
            (None, None) => (Ran::Hybrid, None),
            (None, Some(why)) => (Ran::Bm25Only, Some(why.to_owned())),
            (Some(why), None) => (Ran::VectorOnly, Some(why.to_owned())),
            // Neither could find anything: named after the side that was asked.
            (Some(words), Some(vectors)) => {
                let ran = if terms.is_some() { Ran::Bm25Only } else { Ran::VectorOnly };
                (ran, Some(format!("{words}; {vectors}")))
            }
        };
        Self { ran, reason }
    }
}
