use std::path::PathBuf;

use super::folder::{Folder, FolderError};
use crate::documents::language::Language;
use crate::embedded::{self, Progress};
use crate::embedding::{Languages, Model, Prompts};

/// Name of the model that is used unless another is named.
pub const MINILM: &str = "all-MiniLM-L6-v2";

/// Where a model comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// all-MiniLM-L6-v2, fetched once into the data folder and pinned by its hash.
    MiniLm {
        /// The data folder.
        data_dir: PathBuf,
        /// Where the download is told.
        progress: Progress,
    },
    /// A folder of a sentence-transformers model.
    Folder {
        /// Where.
        path: PathBuf,
        /// What it is called in the database; the folder's own name with a fingerprint if `None`.
        name: Option<String>,
        /// Languages it covers; all if `None`.
        languages: Option<Vec<Language>>,
    },
}

impl Source {
    /// For logs.
    pub(super) fn name(&self) -> String {
        match self {
            Self::MiniLm { .. } => MINILM.to_owned(),
            Self::Folder { path, .. } => path.display().to_string(),
        }
    }

    /// What is known of the model before it is loaded.
    pub(super) fn model(&self) -> Result<Model, FolderError> {
        match self {
            // Said here and not read from its files, which may still have to be fetched.
            Self::MiniLm { .. } => Ok(Model {
                name: MINILM.to_owned(),
                provider: "local".to_owned(),
                dimensions: 384,
                languages: Languages::Only(vec![Language::ENGLISH]),
                prompts: Prompts::default(),
                longest_tokens: Some(256),
            }),
            Self::Folder { path, name, languages } => {
                let folder = Folder::open(path)?;
                let name = match name {
                    Some(name) => name.clone(),
                    None => format!("{}@{}", folder.name(), folder.fingerprint()?),
                };
                Ok(Model {
                    name,
                    provider: "local".to_owned(),
                    dimensions: folder.dimensions(),
                    languages: languages.clone().map_or(Languages::Any, Languages::Only),
                    prompts: folder.prompts.clone(),
                    longest_tokens: Some(folder.longest_tokens),
                })
            }
        }
    }

    /// The model's folder, fetched if it has to be.
    pub(super) async fn fetch(&self) -> Result<PathBuf, String> {
        match self {
            Self::MiniLm { data_dir, progress } => {
                embedded::minilm(data_dir, progress).await.map_err(|error| embedded::explain(&error))
            }
            Self::Folder { path, .. } => Ok(path.clone()),
        }
    }
}
