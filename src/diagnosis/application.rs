//! Whether the application gets in, and is who it should be.

use super::{Finding, Severity};
use crate::db::{self, Endpoint};

/// Logs in as a server would: what keeps it from serving. Roles' attributes alone do not tell, for a password may be wrong, or a rule of
/// `pg_hba.conf`, or a pooler in the way.
pub async fn of_application(app: &Endpoint, admin: &Endpoint) -> Vec<Finding> {
    let finding = |detail: String, remedy: &str| Finding {
        check: "application",
        severity: Severity::Fault,
        subject: "BAILIWICK_DATABASE_URL".to_owned(),
        detail,
        remedy: remedy.to_owned(),
    };
    const ROLE: &str = "let it be the role bailiwick_app, as sql/init.sql makes it: `bailiwick serve` refuses any that could see past a tenant";
    let (session, faults) = match db::examine_application(app).await {
        Ok(told) => told,
        Err(error) => {
            let remedy = "no server can start: see what the message says, and PostgreSQL's log";
            return vec![finding(format!("does not get in: {error}"), remedy)];
        }
    };
    let mut findings: Vec<_> = faults.into_iter().map(|fault| finding(fault, ROLE)).collect();
    if session.is_read_only {
        let detail = format!("the sessions of {} may not write", session.role_name);
        findings.push(finding(
            detail,
            "ALTER ROLE or ALTER DATABASE … RESET default_transaction_read_only, or let it lead to the primary",
        ));
    }
    if !session.finds_tables {
        let detail =
            format!("the sessions of {} look for tables in {:?} and find none", session.role_name, session.search_path);
        findings.push(finding(
            detail,
            "ALTER ROLE or ALTER DATABASE … RESET search_path, or let it lead to the migrated database",
        ));
    }
    // Where one cannot be asked, that was told already.
    if let Ok(false) = db::is_same_database(admin, app).await {
        findings.push(finding(
            "leads to another database than BAILIWICK_ADMIN_DATABASE_URL, which the rest of this was asked of"
                .to_owned(),
            "let both lead to one",
        ));
    }
    findings
}
