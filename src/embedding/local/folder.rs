use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::bert::Config;
use crate::embedding::Prompts;

/// A sentence-transformers model on disk, as far as it is read before its weights are.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    pub(super) config: Config,
    pub(super) pooling: Pooling,
    /// Tokens of a text that are read, with the two marks at its ends.
    pub(super) longest_tokens: usize,
    /// What goes before queries and passages.
    pub(super) prompts: Prompts,
}

/// How the states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Their mean.
    Mean,
    /// The first token's.
    Cls,
}

/// Why a folder is no model that can be used. The display says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the embedding model in {folder} cannot be used: {problem}. Expected is the folder of a sentence-transformers model of the BERT \
     family, with config.json, tokenizer.json and model.safetensors"
)]
pub struct FolderError {
    folder: PathBuf,
    problem: String,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

impl Folder {
    /// Reads everything but the weights.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(root: &Path) -> Result<Self, FolderError> {
        let mut folder = Self {
            root: root.to_owned(),
            config: read_json(root, "config.json")?,
            pooling: Pooling::Mean,
            longest_tokens: 0,
            prompts: Prompts::default(),
        };
        if let Some(problem) = folder.config.unsupported() {
            return Err(folder.broken("config.json", &problem));
        }
        for file in ["tokenizer.json", "model.safetensors"] {
            if !root.join(file).is_file() {
                return Err(folder.broken(file, &"it is missing"));
            }
        }
        folder.pooling = folder.read_pooling()?;
        let limits: Map<String, Value> = read_optional(root, "sentence_bert_config.json")?;
        let said = limits.get("max_seq_length").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let most = folder.config.max_position_embeddings;
        folder.longest_tokens = said.unwrap_or(most).min(most);
        if folder.longest_tokens < 8 {
            return Err(folder.broken("sentence_bert_config.json", &"max_seq_length is too small"));
        }
        folder.prompts = folder.read_prompts()?;
        Ok(folder)
    }

    /// Mean pooling where there is no word of another.
    fn read_pooling(&self) -> Result<Pooling, FolderError> {
        let modules: Vec<Module> = read_optional(&self.root, "modules.json")?;
        let mut pooling = Pooling::Mean;
        for module in modules {
            match module.kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" | "Normalize" => {}
                "Pooling" => {
                    let file = format!("{}/config.json", module.path);
                    let config: Map<String, Value> = read_json(&self.root, &file)?;
                    let is_set = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
                    let wanted = ["pooling_mode_cls_token", "pooling_mode_mean_tokens"].map(is_set);
                    let others = config.iter().filter(|(name, value)| {
                        name.starts_with("pooling_mode_")
                            && value.as_bool() == Some(true)
                            && !["pooling_mode_cls_token", "pooling_mode_mean_tokens"].contains(&name.as_str())
                    });
                    pooling = match (wanted, others.count()) {
                        ([true, false], 0) => Pooling::Cls,
                        ([false, true], 0) => Pooling::Mean,
                        _ => return Err(self.broken(&file, &"only cls and mean pooling are supported")),
                    };
                }
                other => return Err(self.broken("modules.json", &format!("it has a module {other:?}"))),
            }
        }
        Ok(pooling)
    }

    /// Prompts that the model names, else those that its name suggests.
    fn read_prompts(&self) -> Result<Prompts, FolderError> {
        let config: Map<String, Value> = read_optional(&self.root, "config_sentence_transformers.json")?;
        let prompts = config.get("prompts").and_then(Value::as_object);
        let prompt = |names: &[&str]| {
            let found = names.iter().find_map(|name| prompts?.get(*name)?.as_str());
            found.map(str::to_owned).unwrap_or_default()
        };
        let named = Prompts { query: prompt(&["query"]), passage: prompt(&["passage", "document"]), by_service: false };
        Ok(if named == Prompts::default() { Prompts::for_name(&self.name()) } else { named })
    }

    /// The folder's own name.
    #[must_use]
    pub fn name(&self) -> String {
        self.root.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Components of its vectors.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.config.hidden_size
    }

    /// Eight hexadecimal digits that differ where the models do: two folders may bear one name.
    ///
    /// # Errors
    /// [`FolderError`] if a file cannot be read.
    pub fn fingerprint(&self) -> Result<String, FolderError> {
        let mut hash = Sha256::new();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            let mut opened = fs::File::open(self.path(file)).map_err(|error| self.broken(file, &error))?;
            std::io::copy(&mut opened, &mut HashWriter(&mut hash)).map_err(|error| self.broken(file, &error))?;
        }
        Ok(hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    pub(super) fn read(&self, file: &str) -> Result<Vec<u8>, FolderError> {
        fs::read(self.path(file)).map_err(|error| self.broken(file, &error))
    }

    pub(super) fn broken(&self, file: &str, problem: &dyn ToString) -> FolderError {
        broken(&self.root, file, problem)
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn broken(root: &Path, file: &str, problem: &dyn ToString) -> FolderError {
    FolderError { folder: root.to_owned(), problem: format!("{file}: {}", problem.to_string()) }
}

fn read_json<T: DeserializeOwned>(root: &Path, file: &str) -> Result<T, FolderError> {
    let text = fs::read_to_string(root.join(file)).map_err(|error| broken(root, file, &error))?;
    serde_json::from_str(&text).map_err(|error| broken(root, file, &error))
}

fn read_optional<T: DeserializeOwned + Default>(root: &Path, file: &str) -> Result<T, FolderError> {
    if root.join(file).is_file() { read_json(root, file) } else { Ok(T::default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let config = r#"{"model_type":"bert","vocab_size":10,"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
            "intermediate_size":16,"hidden_act":"gelu","max_position_embeddings":64,"type_vocab_size":2,"layer_norm_eps":1e-12}"#;
        for (name, text) in
            [("config.json", config), ("tokenizer.json", "{}"), ("model.safetensors", "")].iter().chain(files)
        {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn what_the_files_say_is_read() {
        let dir = model(&[
            (
                "modules.json",
                r#"[{"type":"sentence_transformers.models.Transformer","path":""},{"type":"sentence_transformers.models.Pooling","path":"1_Pooling"}]"#,
            ),
            ("1_Pooling/config.json", r#"{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false}"#),
            ("sentence_bert_config.json", r#"{"max_seq_length":32}"#),
            ("config_sentence_transformers.json", r#"{"prompts":{"query":"Q: ","document":"D: "}}"#),
        ]);
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!((folder.pooling, folder.longest_tokens, folder.dimensions()), (Pooling::Cls, 32, 8));
        assert_eq!(folder.prompts, Prompts { query: "Q: ".to_owned(), passage: "D: ".to_owned(), by_service: false });
    }

    #[test]
    fn what_is_not_computed_here_is_refused_with_its_reason() {
        let refused = |files: &[(&str, &str)]| Folder::open(model(files).path()).unwrap_err().to_string();
        assert!(refused(&[("config.json", "{}")]).contains("config.json"));
        assert!(refused(&[("modules.json", r#"[{"type":"sentence_transformers.models.Dense"}]"#)]).contains("Dense"));
        let max = [
            ("modules.json", r#"[{"type":"x.Pooling","path":"1_Pooling"}]"#),
            ("1_Pooling/config.json", r#"{"pooling_mode_max_tokens":true}"#),
        ];
        assert!(refused(&max).contains("pooling"));
        assert!(Folder::open(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn two_models_of_one_name_have_two_fingerprints() {
        let (one, other) = (model(&[]), model(&[("model.safetensors", "x")]));
        let fingerprint = |dir: &tempfile::TempDir| Folder::open(dir.path()).unwrap().fingerprint().unwrap();
        assert_eq!(fingerprint(&one), fingerprint(&one));
        assert_ne!(fingerprint(&one), fingerprint(&other));
    }
}
