//! `bailiwick tenant export` and `import`.

use std::path::Path;

use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, unknown};
use crate::cli::progress;
use crate::db::admin;
use crate::tenants::transfer::{self, ImportOptions, Step};

#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn export(client: &Client, slug: &str, file: &Path, json: bool) -> Result<(), CommandError> {
    let tenant = admin::tenant_end(client, slug, 0).await?.ok_or_else(|| unknown(slug))?;
    let bar = progress::counter("documents written", Some(0));
    let exported = transfer::export(client, tenant.id, file, |documents, of| {
        bar.set_length(of.unsigned_abs());
        bar.set_position(documents.unsigned_abs());
    });
    let exported = exported.await;
    bar.finish_and_clear();
    let exported = exported?;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&json!({ "exported": exported }))?),
        false => println!(
            "{}: {} documents of {slug} in {} passages; SHA-256 {}",
            file.display(),
            exported.documents,
            exported.chunks,
            exported.sha256
        ),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn import(
    client: &Client,
    file: &Path,
    options: &ImportOptions,
    json: bool,
) -> Result<(), CommandError> {
    let bar = progress::counter("documents stored", None);
    let imported = transfer::import(client, file, options, |step| match step {
        Step::Checked { documents } => bar.set_message(format!("the file is checked: {documents} documents")),
        Step::Stored { documents, of } => {
            bar.set_message("");
            bar.set_length(of.unsigned_abs());
            bar.set_position(documents.unsigned_abs());
        }
        Step::Indexing => bar.set_message("indexes are made"),
    });
    let imported = imported.await;
    bar.finish_and_clear();
    let imported = imported?;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&json!({ "imported": imported }))?),
        false => println!(
            "tenant {} made ({}): {} documents in {} passages; it has no keys yet",
            imported.slug, imported.id, imported.documents, imported.chunks
        ),
    }
    Ok(())
}
