use crate::documents::language::Language;

use super::coverage;

/// What is known of an embedding model. It is recorded in `embedding_models`, and each vector names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name: vectors of different names are never compared.
    pub name: String,
    /// Who runs it, as `model_prices` and `cost_tracking` name it; `local` for this program itself.
    pub provider: String,
    /// Components of its vectors.
    pub dimensions: usize,
    /// Languages whose meaning it knows.
    pub languages: Languages,
    /// What it wants before each text.
    pub prompts: Prompts,
    /// Word pieces of a text that it reads; the rest is cut off. `None` if only its server knows.
    pub longest_tokens: Option<usize>,
}

/// What a text is embedded for. Some models embed the two differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To look for passages.
    Query,
    /// To be found.
    Passage,
}

impl Purpose {
    /// `query` or `passage`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Passage => "passage",
        }
    }
}

/// Languages that a model covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Languages {
    /// All, as far as anybody has said.
    Any,
    /// These and no others.
    Only(Vec<Language>),
}

impl Languages {
    /// Why a text is not for a model of these languages, in words for whoever searches; `None` if it is.
    #[must_use]
    pub fn refusal(&self, text: &str) -> Option<String> {
        match self {
            Self::Any => None,
            Self::Only(languages) => coverage::foreign(languages, text),
        }
    }

    /// ISO 639 codes; `None` for all.
    #[must_use]
    pub fn codes(&self) -> Option<Vec<String>> {
        match self {
            Self::Any => None,
            Self::Only(languages) => Some(languages.iter().map(|language| language.code().to_owned()).collect()),
        }
    }
}

/// Texts that a model was trained to see before a query and before a passage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prompts {
    /// Before a query.
    pub query: String,
    /// Before a passage.
    pub passage: String,
    /// The service puts them there itself, and is told by `input_type` which of the two a text is.
    pub by_service: bool,
}

impl Prompts {
    /// Those of the E5 family (Wang et al. 2022, section 4): `query: ` and `passage: `.
    #[must_use]
    pub fn e5() -> Self {
        Self { query: "query: ".to_owned(), passage: "passage: ".to_owned(), by_service: false }
    }

    /// Those that the service knows best.
    #[must_use]
    pub fn of_service() -> Self {
        Self { by_service: true, ..Self::default() }
    }

    /// Those that a model of that name wants.
    #[must_use]
    pub fn for_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        // intfloat/multilingual-e5-small, e5-base-v2; not "base512" or "code5".
        let is_e5 = name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "e5");
        if is_e5 { Self::e5() } else { Self::default() }
    }

    /// The text as the model wants to see it.
    #[must_use]
    pub fn apply(&self, purpose: Purpose, text: &str) -> String {
        let prompt = match purpose {
            Purpose::Query => &self.query,
            Purpose::Passage => &self.passage,
        };
        format!("{prompt}{text}")
    }

    /// The name in `embedding_models.prompt_style`.
    #[must_use]
    pub fn style(&self) -> &'static str {
        if self.by_service {
            "input_type"
        } else if *self == Self::default() {
            "none"
        } else if *self == Self::e5() {
            "e5"
        } else {
            "own"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e5_is_told_from_names_that_only_look_like_it() {
        for name in ["intfloat/multilingual-e5-small", "e5-base-v2", "E5_large"] {
            assert_eq!(Prompts::for_name(name).style(), "e5", "{name}");
        }
        for name in ["all-MiniLM-L6-v2", "code5-base", "text-embedding-3-small", "be5t"] {
            assert_eq!(Prompts::for_name(name).style(), "none", "{name}");
        }
    }

    #[test]
    fn a_prompt_comes_before_the_text() {
        assert_eq!(Prompts::e5().apply(Purpose::Query, "leave"), "query: leave");
        assert_eq!(Prompts::e5().apply(Purpose::Passage, "leave"), "passage: leave");
        assert_eq!(Prompts::default().apply(Purpose::Query, "leave"), "leave");
    }
}
