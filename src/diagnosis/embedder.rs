//! Whether what embeds is there, and gives what the database holds.

use std::path::Path;
use std::time::Duration;

use super::{Finding, Severity};
use crate::configuration::{DatabaseSettings, EmbedderChoice, HttpEmbedder};
use crate::embedded;
use crate::embedding::EmbeddingError;
use crate::embedding::http::Look;
use crate::embedding::local::Local;
use crate::startup;

/// How long a service is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// A search waits for its query's vector for two seconds, and then goes on by words.
const SLOW: Duration = Duration::from_secs(1);

/// What keeps the embedder of the settings from embedding for this database. A service is asked once, for the vector of one word;
/// a model in process is loaded. `dimensions` are the database's, where they are known.
pub async fn of_embedder(settings: &DatabaseSettings, dimensions: Option<usize>) -> Option<Finding> {
    match &settings.embedding.choice {
        EmbedderChoice::None { .. } => None,
        EmbedderChoice::Http(http) => of_service(http, dimensions).await,
        EmbedderChoice::Folder { path, .. } => of_folder(path, dimensions).await,
        // Where its vectors do not fit it gives way by itself, unless it was asked for.
        EmbedderChoice::MiniLm { is_named } if !is_named && dimensions.is_some_and(|count| count != 384) => None,
        EmbedderChoice::MiniLm { .. } => match embedded::fetched_minilm(&settings.data_dir().ok()?) {
            Some(folder) => of_folder(&folder, dimensions).await,
            None => Some(Finding {
                check: "embedder",
                severity: Severity::Note,
                subject: "all-MiniLM-L6-v2".to_owned(),
                detail: "was not fetched yet".to_owned(),
                remedy: "the first server that starts fetches it; until then documents are found by words".to_owned(),
            }),
        },
    }
}

async fn of_service(http: &HttpEmbedder, dimensions: Option<usize>) -> Option<Finding> {
    // Its host alone: the rest of a URL may hold a secret.
    let subject = http.url.host_str().unwrap_or_default();
    let subject = http.url.port().map_or_else(|| subject.to_owned(), |port| format!("{subject}:{port}"));
    let finding = |severity, detail: String, remedy: &str| {
        let remedy = format!("{remedy}; until then searches go by words and documents wait for their vectors");
        Some(Finding { check: "embedder", severity, subject: subject.clone(), detail, remedy })
    };
    let expected = http.dimensions.map(usize::from).or(dimensions);
    let client = match startup::embedding_service(http, expected.unwrap_or_default()) {
        Ok(client) => client,
        Err(error) => return finding(Severity::Fault, error.to_string(), "correct it"),
    };
    let model = &http.model;
    match client.look(PATIENCE.min(Duration::from_secs(http.timeout_s))).await {
        Ok(look) => of_look(&look, http.dimensions.map(usize::from), dimensions)
            .and_then(|(severity, detail, remedy)| finding(severity, detail, &remedy)),
        Err(EmbeddingError::Refused { status: status @ (401 | 403) }) => finding(
            Severity::Fault,
            format!("does not take the key (HTTP {status})"),
            "set BAILIWICK_EMBEDDINGS_API_KEY to one that it takes",
        ),
        Err(EmbeddingError::Refused { status: 404 }) => finding(
            Severity::Fault,
            format!("has nothing at that address, or no model {model:?} (HTTP 404)"),
            "correct BAILIWICK_EMBEDDINGS_URL or BAILIWICK_EMBEDDINGS_MODEL",
        ),
        Err(error @ EmbeddingError::Refused { .. }) => finding(
            Severity::Fault,
            format!("{error}, for the model {model:?}"),
            "see its documentation for what it wants",
        ),
        Err(EmbeddingError::Unreachable) => {
            finding(Severity::Fault, "cannot be reached".to_owned(), "start it, or correct BAILIWICK_EMBEDDINGS_URL")
        }
        Err(EmbeddingError::TimedOut) => finding(
            Severity::Fault,
            format!("did not answer within {} s", PATIENCE.as_secs().min(http.timeout_s)),
            "see what it is busy with",
        ),
        Err(error @ EmbeddingError::Busy { .. }) => finding(
            Severity::Warning,
            error.to_string(),
            "ask for a larger allowance, or less at once (BAILIWICK_EMBEDDINGS_CONCURRENCY)",
        ),
        Err(error) => finding(Severity::Fault, error.to_string(), "see its own log"),
    }
}

/// What of a good answer is not good enough.
fn of_look(look: &Look, configured: Option<usize>, of_database: Option<usize>) -> Option<(Severity, String, String)> {
    let wanted = [(of_database, "the database's"), (configured, "those that were asked for")];
    let others =
        wanted.into_iter().find_map(|(count, whose)| Some((count.filter(|count| *count != look.dimensions)?, whose)));
    if let Some((expected, whose)) = others {
        return Some((
            Severity::Fault,
            format!("its vectors have {} dimensions, and {whose} have {expected}", look.dimensions),
            "name the model that the documents are embedded with, or move them to this one by `bailiwick embed`"
                .to_owned(),
        ));
    }
    (look.took > SLOW).then(|| {
        (
            Severity::Warning,
            format!("took {:.1} s for one word, and a search waits for 2 s at most", look.took.as_secs_f64()),
            "bring it nearer, or give it more".to_owned(),
        )
    })
}

async fn of_folder(path: &Path, dimensions: Option<usize>) -> Option<Finding> {
    let finding = |detail: String, remedy: &str| {
        let (subject, remedy) = (path.display().to_string(), remedy.to_owned());
        Some(Finding { check: "embedder", severity: Severity::Fault, subject, detail, remedy })
    };
    match (Local::check(path.to_owned()).await, dimensions) {
        (Err(problem), _) => finding(problem, "put the whole model there, readable for the server's user"),
        (Ok(own), Some(expected)) if own != expected => finding(
            format!("its vectors have {own} dimensions, and the database's {expected}"),
            "name the model that the documents are embedded with, or move them to this one by `bailiwick embed`",
        ),
        (Ok(_), _) => None,
    }
}
