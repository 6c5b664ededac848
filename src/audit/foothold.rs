use super::{AuditError, Hash, HeadsFile, Seal};
use crate::db::{DbError, OperatorTransaction};

const DATABASE: &str = include_str!("../../sql/queries/audit/database.sql");
const HEAD_OF_SEAL: &str = include_str!("../../sql/queries/audit/head_of_seal.sql");

/// The seal that a sealer saw last, or the last whose head was kept outside: what it goes on from.
///
/// Somebody who cuts the chain's end off and changes the rows beneath would otherwise have them sealed anew, and signed.
#[derive(Debug, Default)]
pub(super) struct Foothold {
    seal: Option<(i64, Hash)>,
    has_read: bool,
}

impl Foothold {
    /// Makes sure that the chain goes on from there, and moves to its end.
    pub async fn check(
        &mut self,
        transaction: &OperatorTransaction<'_>,
        heads: Option<&HeadsFile>,
        last: Option<&Seal>,
    ) -> Result<(), AuditError> {
        if let (false, Some(file)) = (self.has_read, heads) {
            self.seal = last_kept(transaction, file).await?;
        }
        self.has_read = true;
        if let Some((seal_no, head)) = self.seal {
            let rows = transaction.query(HEAD_OF_SEAL, &[&seal_no]).await?;
            let found: Option<&[u8]> =
                rows.first().map(|row| row.try_get("head")).transpose().map_err(DbError::from)?;
            if found != Some(head.0.as_slice()) {
                return Err(AuditError::Refused(format!(
                    "the audit trail's chain no longer has seal {seal_no} with the head {head}: nothing is sealed, lest rows that \
                     were tampered with be sealed anew. `bailiwick audit verify` names what is wrong; if the database was \
                     restored from a backup, move the file of heads away"
                )));
            }
        }
        last.inspect(|last| self.go_to(last));
        Ok(())
    }

    /// Moves to a seal that was just written.
    pub fn go_to(&mut self, seal: &Seal) {
        self.seal = Some((seal.seal_no, seal.head));
    }
}

async fn last_kept(transaction: &OperatorTransaction<'_>, file: &HeadsFile) -> Result<Option<(i64, Hash)>, AuditError> {
    let rows = transaction.query(DATABASE, &[]).await?;
    let name = rows.first().map(|row| row.try_get::<_, String>("name")).transpose().map_err(DbError::from)?;
    let (file, name) = (file.clone(), name.unwrap_or_default());
    let read = tokio::task::spawn_blocking(move || file.read(&name)).await;
    let known = read.map_err(|error| AuditError::Refused(error.to_string()))??;
    Ok(known.into_iter().filter_map(|known| Some((known.seal_no?, known.head))).max_by_key(|(seal_no, _)| *seal_no))
}
