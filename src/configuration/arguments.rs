use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secrecy::SecretString;

use super::{ConfigurationError, IssuerArguments};
use crate::costs::alerts::Webhook;
use crate::http::ForwardedHeader;

/// Which database to use. Without a URL the program runs its own PostgreSQL in the data folder.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArguments {
    /// PostgreSQL 16 or newer with pgvector, as the role bailiwick_app: postgresql://bailiwick_app:PASSWORD@HOST/DATABASE. Without it (and without DATABASE_URL) the program runs its own PostgreSQL
    #[arg(long, env = "BAILIWICK_DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// The same database and role past its pooler, where BAILIWICK_DATABASE_URL leads to one in transaction mode (PgBouncer): for what needs a session of its own
    #[arg(long, env = "BAILIWICK_DIRECT_DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub direct_database_url: Option<String>,
    /// The same database as its administrator and past any pooler, for migrate and administration
    #[arg(long, env = "BAILIWICK_ADMIN_DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub admin_database_url: Option<String>,
    /// A streaming replica of that database, as the same role: searches are read there while it is new enough
    #[arg(long, env = "BAILIWICK_REPLICA_DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub replica_database_url: Option<String>,
    /// How many milliseconds of changes an answer that is read on the replica may lack at most; what is older is read on the primary. 1000 by default
    #[arg(long, env = "BAILIWICK_REPLICA_MAX_LAG_MS", global = true, value_name = "N")]
    pub replica_max_lag_ms: Option<String>,
    /// The same database as a role that reads past row-level security, for backup; by default the administrator, acting as bailiwick_backup
    #[arg(long, env = "BAILIWICK_BACKUP_DATABASE_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub backup_database_url: Option<String>,
    /// Folder of the program's own PostgreSQL, and of what is kept beside any database (audit rows that wait for it); by default in your user's data folder
    #[arg(long, env = "BAILIWICK_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder with the programs of a PostgreSQL 16 or newer that has pgvector, to run instead of the downloaded one; of another database's, for backup and restore
    #[arg(long, env = "BAILIWICK_PG_BIN", global = true, value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,
    /// With what to embed.
    #[command(flatten)]
    pub embedding: EmbeddingArguments,
}

/// What makes vectors of documents and queries.
#[derive(Clone, Args, Default)]
#[command(next_help_heading = "Embeddings")]
pub struct EmbeddingArguments {
    /// Do without: documents are found by words alone, or by vectors that callers bring
    #[arg(long, env = "BAILIWICK_NO_EMBEDDINGS", global = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub no_embeddings: bool,
    /// OpenAI-compatible service that embeds: `https://api.openai.com/v1/embeddings`. Without one the program's own database is embedded in process
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_URL", hide_env_values = true, global = true, value_name = "URL")]
    pub embeddings_url: Option<String>,
    /// The service's model; or all-MiniLM-L6-v2, or the absolute path of a sentence-transformers folder (BERT family), to embed in process; or else the name of the model that callers' own vectors are of, "caller" by default. Vectors of different models are never compared
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_MODEL", global = true, value_name = "MODEL")]
    pub embeddings_model: Option<String>,
    /// The service's API key
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_API_KEY", hide_env_values = true, global = true, value_name = "KEY")]
    pub embeddings_api_key: Option<String>,
    /// Dimensions of the embeddings, settled when the database is made: the model's, or else 1536 by default
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_DIMENSIONS", global = true, value_name = "N")]
    pub embeddings_dimensions: Option<String>,
    /// Languages that the model covers, as ISO 639 codes parted by spaces; all by default. Queries in others run by words
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_LANGUAGES", global = true, value_name = "CODES")]
    pub embeddings_languages: Option<String>,
    /// What the model wants before texts: none, e5 (`query: ` and `passage: `), or input_type (the service is told which a text is and puts it there); by the model's name by default
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_PROMPTS", global = true, value_name = "STYLE")]
    pub embeddings_prompts: Option<String>,
    /// Who runs the service, as the table model_prices names it; openai, or the service's host, by default
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_PROVIDER", global = true, value_name = "NAME")]
    pub embeddings_provider: Option<String>,
    /// Use a service whose model has no price in model_prices: its tokens are recorded at 0 USD and flagged as unpriced
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_UNPRICED", global = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub embeddings_unpriced: bool,
    /// Texts in one request to the service; 64 by default
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_BATCH", global = true, value_name = "N")]
    pub embeddings_batch: Option<String>,
    /// Requests to the service at once; 4 by default
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_CONCURRENCY", global = true, value_name = "N")]
    pub embeddings_concurrency: Option<String>,
    /// Seconds that one request to the service may take; 30 by default
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_TIMEOUT_S", global = true, value_name = "SECONDS")]
    pub embeddings_timeout_s: Option<String>,
    /// Tokens of a text that the service's model reads, such as 512; passages are cut so that they fit. Known of some models
    #[arg(long, env = "BAILIWICK_EMBEDDINGS_LONGEST_TOKENS", global = true, value_name = "N")]
    pub embeddings_longest_tokens: Option<String>,
}

impl std::fmt::Debug for EmbeddingArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A URL may hold a password, and the key is one.
        f.debug_struct("EmbeddingArguments")
            .field("no_embeddings", &self.no_embeddings)
            .field("embeddings_model", &self.embeddings_model)
            .field("embeddings_dimensions", &self.embeddings_dimensions)
            .finish_non_exhaustive()
    }
}

/// Who the one user of a stdio server is.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "Identity")]
pub struct IdentityArguments {
    /// Tenant to serve, by slug or id; "demo" on the program's own PostgreSQL
    #[arg(long, env = "BAILIWICK_TENANT", value_name = "TENANT")]
    pub tenant: Option<String>,
    /// User in the audit trail; your login by default
    #[arg(long, env = "BAILIWICK_USER", value_name = "USER")]
    pub user: Option<String>,
    /// What the user may do, parted by spaces: documents:read documents:write costs:read costs:write audit:read; all by default
    #[arg(long, env = "BAILIWICK_SCOPES", value_name = "SCOPES")]
    pub scopes: Option<String>,
}

/// Where the audit trail's seals get their signature from, and where their heads are kept.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "Audit")]
pub struct AuditArguments {
    /// Ed25519 key that signs the audit trail's seals, as PKCS#8 PEM; made by itself on the program's own PostgreSQL
    #[arg(long, env = "BAILIWICK_AUDIT_KEY", global = true, value_name = "FILE")]
    pub audit_key: Option<PathBuf>,
    /// File to append each new seal's head to, outside of the database; in the data folder on the program's own PostgreSQL
    #[arg(long, env = "BAILIWICK_AUDIT_HEADS", global = true, value_name = "FILE")]
    pub audit_heads: Option<PathBuf>,
    /// Folder of public keys (*.pem) whose seals are believed beside the one that signs now: those that signed before; audit/trusted in
    /// the data folder on the program's own PostgreSQL
    #[arg(long, env = "BAILIWICK_AUDIT_TRUSTED_KEYS", global = true, value_name = "DIR")]
    pub audit_trusted_keys: Option<PathBuf>,
}

/// Whom to tell that a budget is nearly or wholly spent, beside the trail and the log.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "Budgets")]
pub struct BudgetArguments {
    /// URL to post budget alerts to, signed as Standard Webhooks has it
    #[arg(
        long,
        env = "BAILIWICK_BUDGET_WEBHOOK_URL",
        hide_env_values = true,
        value_name = "URL",
        requires = "budget_webhook_secret"
    )]
    pub budget_webhook_url: Option<String>,
    /// Secret that signs them: at least 24 random bytes in base64, with or without whsec_ before them
    #[arg(long, env = "BAILIWICK_BUDGET_WEBHOOK_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub budget_webhook_secret: Option<SecretString>,
}

impl BudgetArguments {
    /// The webhook, if there is one.
    ///
    /// # Errors
    /// [`ConfigurationError`] if its address or secret is none.
    pub fn webhook(&self) -> Result<Option<Webhook>, ConfigurationError> {
        let (Some(url), Some(secret)) = (&self.budget_webhook_url, &self.budget_webhook_secret) else {
            return Ok(None);
        };
        Webhook::new(url, secret).map(Some).map_err(|error| ConfigurationError(vec![error.to_string()]))
    }
}

/// Where and for whom to serve over HTTP.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "HTTP")]
pub struct HttpArguments {
    /// Serve MCP over HTTP here, at /mcp, for every tenant that has an API key, instead of over stdio: 127.0.0.1:8080
    #[arg(long, env = "BAILIWICK_HTTP", value_name = "ADDRESS:PORT")]
    pub http: Option<String>,
    /// URL by which clients reach this server (`https://mcp.example.com`), with a path where a proxy serves it below one; its host is allowed
    #[arg(long, env = "BAILIWICK_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Host names under which clients may reach this server beside localhost, parted by commas: mcp.example.com
    #[arg(long, env = "BAILIWICK_ALLOWED_HOSTS", value_name = "HOSTS")]
    pub allowed_hosts: Option<String>,
    /// Origins of browsers' pages that may call, parted by commas (`https://app.example.com`)
    #[arg(long, env = "BAILIWICK_ALLOWED_ORIGINS", value_name = "ORIGINS")]
    pub allowed_origins: Option<String>,
    /// Addresses or networks of proxies before this server whose word on the client's address is believed, parted by commas: 10.0.0.0/8
    #[arg(long, env = "BAILIWICK_TRUSTED_PROXIES", value_name = "NETWORKS")]
    pub trusted_proxies: Option<String>,
    /// Header in which they name it: x-forwarded-for (the default) or forwarded (RFC 7239); the other one is not looked at
    #[arg(
        long,
        env = "BAILIWICK_FORWARDED_HEADER",
        value_name = "HEADER",
        value_enum,
        default_value_t,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub forwarded_header: ForwardedHeader,
    /// Certificate to encrypt connections with, and its chain, as PEM; read anew when it changes
    #[arg(long, env = "BAILIWICK_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, as PEM
    #[arg(long, env = "BAILIWICK_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Serve unencrypted beyond this machine, because something else keeps the network private (a container's own network, a mesh): whoever listens there reads keys and documents
    #[arg(long, env = "BAILIWICK_PLAIN_HTTP", value_parser = clap::builder::BoolishValueParser::new())]
    pub plain_http: bool,
    /// Speak A2A 1.0, too: the tools as an agent's skills, at /a2a, with the card at /.well-known/agent-card.json
    #[arg(long, env = "BAILIWICK_A2A", value_parser = clap::builder::BoolishValueParser::new())]
    pub a2a: bool,
    /// Connections at the same time; one too many takes the place of one that asks nothing, or is closed unheard. 4096 by default
    #[arg(long, env = "BAILIWICK_MOST_CONNECTIONS", value_name = "N")]
    pub most_connections: Option<usize>,
    /// Of them, from one address that is no trusted proxy's. 512 by default
    #[arg(long, env = "BAILIWICK_MOST_CONNECTIONS_OF_ADDRESS", value_name = "N")]
    pub most_connections_of_address: Option<usize>,
    /// MiB that the bodies of requests may hold at the same time, and as many the answers that wait to be read; what finds no room is put off. 96 by default
    #[arg(long, env = "BAILIWICK_MOST_BODY_MIB", value_name = "N")]
    pub most_body_mib: Option<usize>,
    /// Of them, those of one user of a tenant. 24 by default
    #[arg(long, env = "BAILIWICK_MOST_BODY_MIB_OF_USER", value_name = "N")]
    pub most_body_mib_of_user: Option<usize>,
    /// Requests with a bad credential that one address may make in a minute before it is put off; a good one is let in all the same. 0 is no bound, 60 by default
    #[arg(long, env = "BAILIWICK_BAD_CREDENTIALS_PER_MINUTE", value_name = "N")]
    pub bad_credentials_per_minute: Option<u32>,
    /// Requests that one user of a tenant may make in a minute; 0 is no bound. 6000 by default
    #[arg(long, env = "BAILIWICK_REQUESTS_PER_MINUTE", value_name = "N")]
    pub requests_per_minute: Option<String>,
    /// Listen here for Prometheus, at /metrics alone: 127.0.0.1:9464. Beyond this machine that takes BAILIWICK_METRICS_TOKEN
    #[arg(long, env = "BAILIWICK_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<String>,
    /// Bearer token that may read /metrics, where the other routes are, too; without one it is only at BAILIWICK_METRICS_LISTEN
    #[arg(long, env = "BAILIWICK_METRICS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub metrics_token: Option<String>,
    /// Counts calls by tenant, too: /metrics then names each that calls, by its id
    #[arg(long, env = "BAILIWICK_METRICS_BY_TENANT", value_parser = clap::builder::BoolishValueParser::new())]
    pub metrics_by_tenant: bool,
    /// Serve HTTP+SSE of 2024-11-05, too, at /sse and /messages, for clients that know nothing newer
    #[arg(long, env = "BAILIWICK_LEGACY_SSE", value_parser = clap::builder::BoolishValueParser::new())]
    pub legacy_sse: bool,
    /// Whose tokens are believed.
    #[command(flatten)]
    pub issuer: IssuerArguments,
}

/// What to tell the operator, and where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetryArguments {
    /// What to log on stderr, as tracing's filter: info, debug, info,bailiwick::call=debug … Of libraries only warnings are told
    #[arg(long, env = "BAILIWICK_LOG", global = true, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// How: text for people, json for machines, an object a line
    #[arg(long, env = "BAILIWICK_LOG_FORMAT", global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Collector that takes OpenTelemetry traces by OTLP over HTTP (`http://127.0.0.1:4318`); the other OTEL_ variables hold, too
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true, global = true, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}
