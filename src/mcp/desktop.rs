//! What a person at a desktop may set, for the forms of those who install the program: bundles (MCPB) and registries.

use serde_json::{Value, json};

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name in a form's configuration.
    pub key: &'static str,
    /// The variable that the program reads.
    pub variable: &'static str,
    /// What a person reads before the field.
    pub title: &'static str,
    /// And below it.
    pub description: &'static str,
    pub kind: Kind,
    /// Whether it is kept like a password.
    pub is_secret: bool,
}

/// What may be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line; with what stands there at first.
    Text(&'static str),
    /// A folder of this computer.
    Folder,
    /// On or off; off at first.
    Switch,
}

const fn setting(key: &'static str, variable: &'static str, kind: Kind) -> Setting {
    Setting { key, variable, title: "", description: "", kind, is_secret: false }
}

impl Setting {
    const fn told(self, title: &'static str, description: &'static str) -> Self {
        Self { title, description, ..self }
    }

    const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// As a field of a bundle's form (MCPB 0.3, `user_config`). Each has a default: clients hand a field that has none and was left out
    /// to the program as it stands in the manifest, `${user_config.…}`.
    pub fn field(&self) -> Value {
        let (kind, default) = match self.kind {
            Kind::Text(default) => ("string", json!(default)),
            Kind::Folder => ("directory", json!("")),
            Kind::Switch => ("boolean", json!(false)),
        };
        let mut field = json!({
            "type": kind, "title": self.title, "description": self.description, "required": false, "default": default,
        });
        if self.is_secret {
            field["sensitive"] = json!(true);
        }
        field
    }

    /// As a variable of a registry's package (`KeyValueInput` of the schema of 2025-12-11).
    pub fn input(&self) -> Value {
        let mut input = json!({ "name": self.variable, "description": self.description });
        match self.kind {
            Kind::Text("") => {}
            Kind::Text(default) => input["default"] = json!(default),
            Kind::Folder => input["format"] = json!("filepath"),
            Kind::Switch => {
                input["format"] = json!("boolean");
                input["default"] = json!("false");
            }
        }
        if self.is_secret {
            input["isSecret"] = json!(true);
        }
        input
    }
}

/// All of them, in the order in which a person is asked.
pub(super) const SETTINGS: [Setting; 17] = [
    setting("tenant", "BAILIWICK_TENANT", Kind::Text("demo"))
        .told("Tenant", "Slug or id of the tenant whose documents to serve."),
    setting("user", "BAILIWICK_USER", Kind::Text(""))
        .told("User", "Your name in the audit trail. Empty: your login on this computer."),
    setting("scopes", "BAILIWICK_SCOPES", Kind::Text("all")).told(
        "Scopes",
        "What the assistant may do, parted by spaces: documents:read documents:write costs:read costs:write audit:read, or all.",
    ),
    setting("data_folder", "BAILIWICK_DATA_DIR", Kind::Folder).told(
        "Data folder",
        "Where the program's own PostgreSQL and model are kept, about 300 MB and what you store. Empty: your user's data folder.",
    ),
    setting("database_url", "BAILIWICK_DATABASE_URL", Kind::Text(""))
        .told(
            "Database URL",
            "PostgreSQL 16 or newer with pgvector, as the role bailiwick_app: postgresql://bailiwick_app:PASSWORD@HOST/DATABASE. Empty: a PostgreSQL of its own on this computer, which needs Python 3 with pip once.",
        )
        .secret(),
    setting("direct_database_url", "BAILIWICK_DIRECT_DATABASE_URL", Kind::Text(""))
        .told(
            "Direct database URL",
            "Only where the database URL leads to a transaction pooler, such as PgBouncer: the same database past it, as the same role.",
        )
        .secret(),
    setting("postgres_programs", "BAILIWICK_PG_BIN", Kind::Folder).told(
        "PostgreSQL programs",
        "Folder with the programs of a PostgreSQL 16 or newer that has pgvector, to run as its own instead of a downloaded one; no Python is needed then.",
    ),
    setting("words_only", "BAILIWICK_NO_EMBEDDINGS", Kind::Switch).told(
        "Words only",
        "Find documents by words alone, without an embedding model (else all-MiniLM-L6-v2, English, is fetched once, 84 MB).",
    ),
    setting("embeddings_url", "BAILIWICK_EMBEDDINGS_URL", Kind::Text(""))
        .told(
            "Embedding service",
            "OpenAI-compatible service that embeds instead of the built-in model: https://api.openai.com/v1, or one on this computer.",
        )
        .secret(),
    setting("embeddings_model", "BAILIWICK_EMBEDDINGS_MODEL", Kind::Text("")).told(
        "Embedding model",
        "The service's model, such as text-embedding-3-small; or the full path of a sentence-transformers folder. Empty: the built-in one.",
    ),
    setting("embeddings_api_key", "BAILIWICK_EMBEDDINGS_API_KEY", Kind::Text(""))
        .told("Embedding service's key", "API key of the embedding service.")
        .secret(),
    setting("embeddings_dimensions", "BAILIWICK_EMBEDDINGS_DIMENSIONS", Kind::Text("")).told(
        "Embedding dimensions",
        "How many numbers a vector of the service's model has, where the program does not know the model; settled when the database is made.",
    ),
    setting("embeddings_languages", "BAILIWICK_EMBEDDINGS_LANGUAGES", Kind::Text("")).told(
        "Embedding languages",
        "Languages that the model covers, as codes parted by spaces: en ko. Empty: all. Questions in others are searched by words.",
    ),
    setting("embeddings_unpriced", "BAILIWICK_EMBEDDINGS_UNPRICED", Kind::Switch).told(
        "Without a price",
        "Use an embedding service whose model has no price in the price table: its tokens are recorded at 0 USD.",
    ),
    setting("budget_webhook_url", "BAILIWICK_BUDGET_WEBHOOK_URL", Kind::Text(""))
        .told("Budget alerts", "URL to post to when a budget is nearly or wholly spent; the secret below signs it.")
        .secret(),
    setting("budget_webhook_secret", "BAILIWICK_BUDGET_WEBHOOK_SECRET", Kind::Text(""))
        .told("Budget alerts' secret", "At least 24 random bytes in base64 (Standard Webhooks).")
        .secret(),
    setting("log", "BAILIWICK_LOG", Kind::Text("info"))
        .told("Log", "What to write into the client's log: info, debug, warn."),
];
