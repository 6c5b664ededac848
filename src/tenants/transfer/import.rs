use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

use super::TransferError;
use super::format::{Document, End, Header};
use super::reader::{Next, Reader};
use super::rows::Columns;
use crate::db::{DbError, OwnerTransaction, Parameter, admin};
use crate::identity::TenantId;
use crate::maintenance::{self, Scope, lock};

const IMPORT_TARGET: &str = include_str!("../../../sql/queries/administration/import_target.sql");
const IMPORT_MODEL: &str = include_str!("../../../sql/queries/administration/import_model.sql");
const BEGIN_IMPORT: &str = include_str!("../../../sql/queries/administration/begin_import.sql");
const IMPORTED: &str = include_str!("../../../sql/queries/administration/imported.sql");
const IMPORT_DOCUMENTS: &str = include_str!("../../../sql/queries/administration/import_documents.sql");
const END_IMPORT: &str = include_str!("../../../sql/queries/administration/end_import.sql");

/// A batch is as many documents, passages or characters as come first.
const MOST_DOCUMENTS: usize = 200;
const MOST_CHUNKS: usize = 2_000;
const MOST_BYTES: usize = 8 << 20;

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The short name here; that of the file if absent.
    pub slug: Option<String>,
    /// Leaves the file's vectors out: documents wait to be embedded by the model here.
    pub without_vectors: bool,
}

/// What was stored.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "counts and names")]
pub struct Imported {
    pub id: TenantId,
    pub slug: String,
    pub documents: i64,
    pub chunks: i64,
    /// Documents that an earlier try had stored.
    pub found: i64,
}

/// How far an import is.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Step {
    Checked { documents: i64 },
    Stored { documents: i64, of: i64 },
    Indexing,
}

/// Makes a tenant of a file. All of the file is held against its sums first. Then its documents are stored, a batch a transaction,
/// in a tenant whom nobody can be yet; when all are there and indexed it opens. Broken off, it goes on when the same file is
/// imported under the same name again; otherwise what was stored is purged like a deleted tenant.
///
/// # Errors
/// [`TransferError`].
pub async fn import(
    client: &Client,
    path: &Path,
    options: &ImportOptions,
    mut tell: impl FnMut(Step),
) -> Result<Imported, TransferError> {
    let (header, end) = check(path, &mut tell)?;
    let slug = options.slug.clone().unwrap_or_else(|| header.tenant.slug.clone());
    let models = if options.without_vectors { HashMap::new() } else { models(client, &header).await? };
    let sha256 = end.sha256.as_bytes().chunks(2).map(|pair| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default()
    });
    let sha256: Vec<u8> = sha256.collect();
    let id = begin(client, &slug, &header, &sha256).await?;
    if !lock::try_take(client, lock::import_of(id)).await? {
        return Err(TransferError::Refused(format!("another import of {slug:?} is under way")));
    }
    let work = Work { client, path, options, header: &header, end: &end, sha256: &sha256, models: &models };
    let stored = work.run(id, &mut tell).await;
    lock::release(client, lock::import_of(id)).await?;
    let found = stored?;
    Ok(Imported { id, slug, documents: end.documents, chunks: end.chunks, found })
}

/// Reads the whole file, which must be as it was written.
fn check(path: &Path, tell: &mut impl FnMut(Step)) -> Result<(Header, End), TransferError> {
    let mut reader = Reader::open(path)?;
    let mut documents = 0;
    loop {
        match reader.next()? {
            Next::Document(_) => {
                documents += 1;
                tell(Step::Checked { documents });
            }
            Next::End(end) => return Ok((reader.header, end)),
        }
    }
}

/// The models of the file's vectors as they are known here, by name.
async fn models(client: &Client, header: &Header) -> Result<HashMap<String, i16>, TransferError> {
    if header.models.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = admin::as_owner(client, IMPORT_TARGET, &[]).await?;
    let row = rows.first().ok_or_else(|| DbError::Other("no row".to_owned()))?;
    let dimensions: i32 = row.try_get("dimensions").map_err(DbError::from)?;
    let current: Option<String> = row.try_get("current_model").map_err(DbError::from)?;
    let remedy = "import with --without-vectors, and the documents are embedded anew here";
    if dimensions != header.dimensions {
        return Err(TransferError::Refused(format!(
            "the file's vectors have {} dimensions, and those of this database {dimensions}: {remedy}",
            header.dimensions
        )));
    }
    let foreign = header
        .models
        .iter()
        .find(|model| model.provider != "caller" && current.as_ref().is_some_and(|current| *current != model.name));
    if let (Some(model), Some(current)) = (foreign, &current) {
        return Err(TransferError::Refused(format!(
            "the file's vectors are of the model {:?}, and this database embeds with {current:?}: {remedy}",
            model.name
        )));
    }
    let mut ids = HashMap::new();
    for model in &header.models {
        let parameters: [Parameter<'_>; 6] = [
            &model.name,
            &model.dimensions,
            &model.provider,
            &model.languages,
            &model.prompt_style,
            &model.longest_tokens,
        ];
        let rows = admin::as_owner(client, IMPORT_MODEL, &parameters).await?;
        let row = rows.first().ok_or_else(|| {
            TransferError::Refused(format!(
                "the model {:?} has {} dimensions in the file, and others here: {remedy}",
                model.name, model.dimensions
            ))
        })?;
        ids.insert(model.name.clone(), row.try_get(0).map_err(DbError::from)?);
    }
    Ok(ids)
}

/// The tenant to fill: a new one, or the one that this very file was begun with.
async fn begin(client: &Client, slug: &str, header: &Header, sha256: &[u8]) -> Result<TenantId, TransferError> {
    let made = match admin::as_owner(client, BEGIN_IMPORT, &[&slug, &header.tenant.name, &sha256]).await {
        Err(DbError::RefusedValue(text)) if text.contains("tenants_") => {
            let rule = "a slug has 1 to 63 small letters, digits and hyphens and begins with none of the last, and a name is not blank";
            return Err(TransferError::Refused(format!("a tenant {slug:?} cannot be made: {rule}")));
        }
        other => other?,
    };
    if let Some(row) = made.first() {
        return Ok(TenantId::from(row.try_get::<_, Uuid>("id").map_err(DbError::from)?));
    }
    let known = admin::tenant_end(client, slug, 0).await?;
    let known =
        known.ok_or_else(|| TransferError::Refused(format!("the tenant {slug:?} ended just now: try again")))?;
    match known.import_sha256 {
        Some(begun) if begun == sha256 && !known.is_being_purged => Ok(known.id),
        Some(_) => Err(TransferError::Refused(format!(
            "an import of another file as {slug:?} was broken off: `bailiwick tenant purge {slug} --now --confirm {slug}` clears it away"
        ))),
        None => Err(TransferError::Refused(format!(
            "there is a tenant {slug:?} already, deleted or not: give another name with --as"
        ))),
    }
}

struct Work<'a> {
    client: &'a Client,
    path: &'a Path,
    options: &'a ImportOptions,
    header: &'a Header,
    end: &'a End,
    sha256: &'a [u8],
    models: &'a HashMap<String, i16>,
}

impl Work<'_> {
    async fn run(&self, id: TenantId, tell: &mut impl FnMut(Step)) -> Result<i64, TransferError> {
        let mut reader = Reader::open(self.path)?;
        let (mut found, mut stored) = (0, 0);
        let mut batch: Vec<Document> = Vec::new();
        loop {
            let next = reader.next()?;
            if let Next::Document(document) = next {
                batch.push(self.fitted(*document));
                if !is_full(&batch) {
                    continue;
                }
                found += self.store(id, &mut batch, &mut stored).await?;
                tell(Step::Stored { documents: stored, of: self.end.documents });
                continue;
            }
            found += self.store(id, &mut batch, &mut stored).await?;
            tell(Step::Stored { documents: stored, of: self.end.documents });
            break;
        }
        tell(Step::Indexing);
        let report = maintenance::run(self.client, None, Scope::Everything, Some(id)).await?;
        if let Some(error) = report.tenants.iter().find_map(|tenant| tenant.error.clone()) {
            return Err(DbError::Other(error).into());
        }
        self.open(id).await?;
        Ok(found)
    }

    /// The document as it is to be stored.
    fn fitted(&self, mut document: Document) -> Document {
        if self.options.without_vectors {
            document.embedding = None;
            document.embedding_model = None;
            document.embedding_status = "pending".to_owned();
            for chunk in &mut document.chunks {
                (chunk.embedding, chunk.model) = (None, None);
            }
        }
        document
    }

    /// Stores what is not there yet; how much was.
    async fn store(&self, id: TenantId, batch: &mut Vec<Document>, stored: &mut i64) -> Result<i64, TransferError> {
        if batch.is_empty() {
            return Ok(0);
        }
        let transaction = OwnerTransaction::begin(self.client, id).await?;
        let work = self.store_in(&transaction, std::mem::take(batch)).await;
        let (given, found) = transaction.end(work).await?;
        *stored += given;
        Ok(found)
    }

    async fn store_in(&self, transaction: &OwnerTransaction<'_>, batch: Vec<Document>) -> Result<(i64, i64), DbError> {
        let id = transaction.tenant_id();
        let ids: Vec<Uuid> = batch.iter().map(|document| document.id).collect();
        let rows = transaction.query(IMPORTED, &[&id, &ids]).await?;
        let there = rows.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<Uuid>, _>>()?;
        let given = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let mut columns = Columns::default();
        for document in batch.into_iter().filter(|document| !there.contains(&document.id)) {
            columns.push(document, |name| self.models.get(name).copied());
        }
        let found = i64::try_from(there.len()).unwrap_or(i64::MAX);
        if columns.ids.is_empty() {
            return Ok((given, found));
        }
        let c = &columns;
        let parameters: [Parameter<'_>; 19] = [
            &id,
            &c.ids,
            &c.titles,
            &c.contents,
            &c.sources,
            &c.metadata,
            &c.languages,
            &c.created,
            &c.updated,
            &c.statuses,
            &c.models,
            &c.embeddings,
            &c.places,
            &c.ordinals,
            &c.starts,
            &c.ends,
            &c.tokens,
            &c.chunk_embeddings,
            &c.chunk_models,
        ];
        transaction.query(IMPORT_DOCUMENTS, &parameters).await?;
        Ok((given, found))
    }

    async fn open(&self, id: TenantId) -> Result<(), TransferError> {
        let tenant = &self.header.tenant;
        let parameters: [Parameter<'_>; 10] = [
            &id,
            &self.sha256,
            &tenant.status,
            &tenant.name,
            &tenant.settings,
            &tenant.max_documents,
            &tenant.max_storage_mb,
            &tenant.monthly_budget_usd,
            &self.end.documents,
            &self.end.chunks,
        ];
        if admin::as_owner(self.client, END_IMPORT, &parameters).await?.is_empty() {
            return Err(TransferError::Refused(
                "not as much was stored as the file has, so the tenant stays shut: purge it and import again"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn is_full(batch: &[Document]) -> bool {
    let chunks: usize = batch.iter().map(|document| document.chunks.len()).sum();
    let bytes: usize = batch.iter().map(|document| document.content.len()).sum();
    batch.len() >= MOST_DOCUMENTS || chunks >= MOST_CHUNKS || bytes >= MOST_BYTES
}
