use std::path::PathBuf;

use clap::Args;

use super::ConfigurationError;

/// How long what is over is kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retention")]
pub struct RetentionArguments {
    /// Days after which a deleted tenant's rows are purged; until then it can be restored. 30 by default
    #[arg(long, env = "BAILIWICK_PURGE_AFTER_DAYS", global = true, value_name = "DAYS", default_value_t = 30, hide_default_value = true, value_parser = clap::value_parser!(u16).range(0..=3650))]
    pub purge_after_days: u16,
    /// Whole months of the audit trail to keep beside this one; older ones are archived in BAILIWICK_RETENTION_DIR and retired. All by default
    #[arg(long, env = "BAILIWICK_KEEP_AUDIT_MONTHS", global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1200))]
    pub keep_audit_months: Option<u16>,
    /// Whole months of costs to keep beside this one; older ones are written to BAILIWICK_RETENTION_DIR, if there is one, and dropped. All by default
    #[arg(long, env = "BAILIWICK_KEEP_COST_MONTHS", global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1200))]
    pub keep_cost_months: Option<u16>,
    /// Folder for what is retired, a file a month
    #[arg(long, env = "BAILIWICK_RETENTION_DIR", global = true, value_name = "DIR")]
    pub retention_dir: Option<PathBuf>,
}

impl Default for RetentionArguments {
    fn default() -> Self {
        Self { purge_after_days: 30, keep_audit_months: None, keep_cost_months: None, retention_dir: None }
    }
}

impl RetentionArguments {
    /// The arguments, if they go together.
    ///
    /// # Errors
    /// [`ConfigurationError`] if the trail shall be retired and there is no folder for its archives.
    pub fn checked(&self) -> Result<&Self, ConfigurationError> {
        if self.keep_audit_months.is_some() && self.retention_dir.is_none() {
            return Err(ConfigurationError(vec![
                "BAILIWICK_KEEP_AUDIT_MONTHS needs BAILIWICK_RETENTION_DIR: no month of the audit trail is dropped that is in no archive".to_owned(),
            ]));
        }
        Ok(self)
    }
}
