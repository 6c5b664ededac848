use std::path::PathBuf;

use reqwest::Url;
use secrecy::SecretString;

use super::EmbeddingArguments;
use crate::documents::language::Language;
use crate::embedding::Prompts;
use crate::embedding::local::{Folder, MINILM};

/// pgvector indexes halfvec up to this many dimensions.
const MOST_DIMENSIONS: u16 = 4000;
/// Dimensions of OpenAI's models, as its documentation lists them.
const KNOWN_DIMENSIONS: [(&str, u16); 3] =
    [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)];

/// With what documents and queries are embedded.
#[derive(Debug, Clone)]
pub struct EmbeddingSettings {
    /// The embedder.
    pub choice: EmbedderChoice,
    /// Dimensions to make a new database with; `None` leaves the default of 1536.
    pub dimensions: Option<u16>,
    /// Model of the vectors that callers give, where there is no embedder.
    pub caller_model: String,
    /// Tokens of a service without a list price are recorded at 0 USD and flagged.
    pub allows_unpriced: bool,
}

/// Which embedder.
#[derive(Debug, Clone)]
pub enum EmbedderChoice {
    /// None was asked for, or it was asked for none.
    None {
        /// Whether that was said, so that nobody needs to be told.
        is_wanted: bool,
    },
    /// all-MiniLM-L6-v2, in this process.
    MiniLm {
        /// Whether it was named; else it gives way to what the database holds.
        is_named: bool,
    },
    /// A sentence-transformers folder, in this process.
    Folder {
        /// Where.
        path: PathBuf,
        /// Languages it covers, if that was said.
        languages: Option<Vec<Language>>,
    },
    /// A service.
    Http(Box<HttpEmbedder>),
}

/// An embedding service. `Debug` leaves the key out.
#[derive(Debug, Clone)]
pub struct HttpEmbedder {
    /// The endpoint.
    pub url: Url,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// The model as the service names it.
    pub model: String,
    /// Dimensions that were named: the service is asked for them where its model can shorten its vectors.
    pub dimensions: Option<u16>,
    /// Who runs it, as `model_prices` names it.
    pub provider: String,
    /// Languages it covers, if that was said.
    pub languages: Option<Vec<Language>>,
    /// What it wants before texts.
    pub prompts: Prompts,
    /// Texts in one request.
    pub batch_size: usize,
    /// Requests at once.
    pub concurrency: usize,
    /// How long one may take, in seconds.
    pub timeout_s: u64,
    /// Tokens of a text that the model reads, where that is known.
    pub longest_tokens: Option<usize>,
}

impl EmbeddingSettings {
    /// The same, for somebody who asks to embed: what would give way to the database does not.
    #[must_use]
    pub fn asked_for(mut self) -> Self {
        if let EmbedderChoice::MiniLm { is_named } = &mut self.choice {
            *is_named = true;
        }
        self
    }

    /// all-MiniLM-L6-v2 in this process, whatever else is configured; nothing if that was asked for.
    #[must_use]
    pub fn built_in(arguments: &EmbeddingArguments) -> Self {
        let (choice, dimensions) = match arguments.no_embeddings {
            true => (EmbedderChoice::None { is_wanted: true }, None),
            false => (EmbedderChoice::MiniLm { is_named: true }, Some(384)),
        };
        Self { choice, dimensions, caller_model: "caller".to_owned(), allows_unpriced: false }
    }

    /// Reads the arguments; problems are added to the others. `is_own`: the database is the program's own.
    pub(super) fn resolve(arguments: &EmbeddingArguments, is_own: bool, problems: &mut Vec<String>) -> Self {
        let given =
            |text: &Option<String>| text.clone().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let model = given(&arguments.embeddings_model);
        if model.as_ref().is_some_and(|model| model.chars().count() > 200) {
            problems.push("BAILIWICK_EMBEDDINGS_MODEL has more than 200 characters.".to_owned());
        }
        let mut number = |name: &str, text: &Option<String>, most: u64| {
            let text = given(text)?;
            match text.parse::<u64>() {
                Ok(n) if (1..=most).contains(&n) => Some(n),
                _ => {
                    problems.push(format!("{name} is {text:?}; allowed is a whole number from 1 to {most}."));
                    None
                }
            }
        };
        let dimensions =
            number("BAILIWICK_EMBEDDINGS_DIMENSIONS", &arguments.embeddings_dimensions, MOST_DIMENSIONS.into());
        let dimensions = dimensions.and_then(|n| u16::try_from(n).ok());
        let batch_size = number("BAILIWICK_EMBEDDINGS_BATCH", &arguments.embeddings_batch, 2_048).unwrap_or(64);
        let concurrency =
            number("BAILIWICK_EMBEDDINGS_CONCURRENCY", &arguments.embeddings_concurrency, 64).unwrap_or(4);
        let timeout_s = number("BAILIWICK_EMBEDDINGS_TIMEOUT_S", &arguments.embeddings_timeout_s, 120).unwrap_or(30);
        let longest_tokens =
            number("BAILIWICK_EMBEDDINGS_LONGEST_TOKENS", &arguments.embeddings_longest_tokens, 1_000_000);
        let languages = given(&arguments.embeddings_languages).map(|codes| {
            let codes = codes.split([' ', ',']).filter(|code| !code.is_empty()).map(Language::from_code);
            codes.collect::<Result<Vec<_>, _>>().unwrap_or_else(|error| {
                problems.push(format!("BAILIWICK_EMBEDDINGS_LANGUAGES: {error}."));
                Vec::new()
            })
        });
        let url = given(&arguments.embeddings_url).and_then(|text| match endpoint(&text) {
            Some(url) => Some(url),
            None => {
                // It may hold a password, so it is not repeated.
                problems.push(
                    "BAILIWICK_EMBEDDINGS_URL is no http or https URL, like https://api.openai.com/v1/embeddings."
                        .to_owned(),
                );
                None
            }
        });
        let was_url_given = given(&arguments.embeddings_url).is_some();
        let folder =
            model.as_ref().map(PathBuf::from).filter(|path| path.components().count() > 1 && path.is_absolute());
        let choice = if arguments.no_embeddings {
            EmbedderChoice::None { is_wanted: true }
        } else if let Some(url) = url {
            match &model {
                Some(model) => EmbedderChoice::Http(Box::new(HttpEmbedder {
                    prompts: match given(&arguments.embeddings_prompts).as_deref() {
                        None => Prompts::for_name(model),
                        Some("none") => Prompts::default(),
                        Some("e5") => Prompts::e5(),
                        Some("input_type") => Prompts::of_service(),
                        Some(other) => {
                            problems.push(format!(
                                "BAILIWICK_EMBEDDINGS_PROMPTS is {other:?}; allowed are none, e5 and input_type."
                            ));
                            Prompts::default()
                        }
                    },
                    provider: given(&arguments.embeddings_provider).unwrap_or_else(|| provider(&url)),
                    url,
                    api_key: given(&arguments.embeddings_api_key).map(SecretString::from),
                    model: model.clone(),
                    dimensions,
                    languages,
                    batch_size: usize::try_from(batch_size).unwrap_or(64),
                    concurrency: usize::try_from(concurrency).unwrap_or(4),
                    timeout_s,
                    longest_tokens: longest_tokens.and_then(|n| usize::try_from(n).ok()).or(window(model)),
                })),
                None => {
                    problems.push("BAILIWICK_EMBEDDINGS_URL is set, and BAILIWICK_EMBEDDINGS_MODEL is not: name the model to ask for.".to_owned());
                    EmbedderChoice::None { is_wanted: false }
                }
            }
        } else if was_url_given {
            EmbedderChoice::None { is_wanted: false }
        } else if let Some(path) = folder {
            EmbedderChoice::Folder { path, languages }
        } else {
            match model.as_deref() {
                Some(MINILM) => EmbedderChoice::MiniLm { is_named: true },
                None if is_own && dimensions.is_none_or(|n| n == 384) => EmbedderChoice::MiniLm { is_named: false },
                // A name without a service: that of the callers' own vectors.
                _ => EmbedderChoice::None { is_wanted: false },
            }
        };
        let of_model = match &choice {
            EmbedderChoice::MiniLm { .. } => Some(384),
            EmbedderChoice::Http(http) => {
                KNOWN_DIMENSIONS.iter().find(|(name, _)| *name == http.model).map(|(_, dimensions)| *dimensions)
            }
            EmbedderChoice::Folder { path, .. } => match Folder::open(path) {
                Ok(folder) => u16::try_from(folder.dimensions()).ok(),
                Err(error) => {
                    problems.push(error.to_string());
                    None
                }
            },
            EmbedderChoice::None { .. } => None,
        };
        Self {
            choice,
            dimensions: dimensions.or(of_model),
            caller_model: model.unwrap_or_else(|| "caller".to_owned()),
            allows_unpriced: arguments.embeddings_unpriced,
        }
    }
}

/// Tokens that models of small windows read, as sentence-transformers' documentation lists them. Of others it need not be known:
/// no passage is longer than about 300.
fn window(model: &str) -> Option<usize> {
    let model = model.to_ascii_lowercase();
    let known = [("minilm-l6", 256), ("minilm-l12", 128), ("multi-qa-minilm", 512)];
    known.iter().rev().find(|(name, _)| model.contains(name)).map(|(_, tokens)| *tokens)
}

/// The endpoint: a base URL that ends with `/v1` is completed.
fn endpoint(text: &str) -> Option<Url> {
    let mut url: Url = text.parse().ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return None;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.is_empty() {
        url.set_path("/v1/embeddings");
    } else if path.ends_with("/v1") {
        url.set_path(&format!("{path}/embeddings"));
    }
    Some(url)
}

/// `openai` for api.openai.com; any other by its host.
fn provider(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    if host == "openai.com" || host.ends_with(".openai.com") { "openai".to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(arguments: &EmbeddingArguments, is_own: bool) -> (EmbeddingSettings, Vec<String>) {
        let mut problems = Vec::new();
        (EmbeddingSettings::resolve(arguments, is_own, &mut problems), problems)
    }

    #[test]
    fn the_own_database_is_embedded_in_process_and_no_other() {
        let (own, problems) = resolve(&EmbeddingArguments::default(), true);
        assert!(matches!(own.choice, EmbedderChoice::MiniLm { is_named: false }) && problems.is_empty());
        assert_eq!(own.dimensions, Some(384));
        let (other, _) = resolve(&EmbeddingArguments::default(), false);
        assert!(matches!(other.choice, EmbedderChoice::None { is_wanted: false }));
        assert_eq!((other.dimensions, other.caller_model.as_str()), (None, "caller"));
        let none = EmbeddingArguments { no_embeddings: true, ..EmbeddingArguments::default() };
        assert!(matches!(resolve(&none, true).0.choice, EmbedderChoice::None { is_wanted: true }));
        let wide =
            EmbeddingArguments { embeddings_dimensions: Some("768".to_owned()), ..EmbeddingArguments::default() };
        assert!(matches!(resolve(&wide, true).0.choice, EmbedderChoice::None { .. }), "MiniLM has 384");
    }

    #[test]
    fn a_service_is_found_at_its_endpoint() {
        for (given, found) in [
            ("https://api.openai.com/v1/embeddings", "https://api.openai.com/v1/embeddings"),
            ("https://api.openai.com/v1", "https://api.openai.com/v1/embeddings"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/embeddings"),
            (
                "http://host/openai/deployments/x/embeddings?api-version=1",
                "http://host/openai/deployments/x/embeddings?api-version=1",
            ),
        ] {
            assert_eq!(endpoint(given).unwrap().as_str(), found);
        }
        assert_eq!(endpoint("ftp://host/x"), None);
        assert_eq!(provider(&"https://api.openai.com/v1".parse().unwrap()), "openai");
        assert_eq!(provider(&"https://notopenai.com/v1".parse().unwrap()), "notopenai.com");
    }

    #[test]
    fn keys_and_passwords_are_not_shown() {
        let arguments = EmbeddingArguments {
            embeddings_url: Some("hunter2:nonsense".to_owned()),
            embeddings_api_key: Some("hunter2".to_owned()),
            embeddings_languages: Some("xx".to_owned()),
            embeddings_batch: Some("0".to_owned()),
            ..EmbeddingArguments::default()
        };
        let (_, problems) = resolve(&arguments, false);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(!format!("{arguments:?} {problems:?}").contains("hunter2"));
        let good = EmbeddingArguments {
            embeddings_url: Some("https://api.openai.com".to_owned()),
            embeddings_model: Some("text-embedding-3-large".to_owned()),
            embeddings_api_key: Some("hunter2".to_owned()),
            ..EmbeddingArguments::default()
        };
        let (settings, problems) = resolve(&good, false);
        assert!(problems.is_empty() && settings.dimensions == Some(3072));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
