use std::sync::Arc;

type Tell = dyn Fn(u64, u64, &str) + Send + Sync;

/// Where a client hears how far its call has come; nowhere by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Tell>>);

impl Progress {
    /// Tells it to a function: how much is done, of how much, and what is being done. It must not block.
    pub fn to(tell: impl Fn(u64, u64, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Tells it.
    pub fn tell(&self, done: u64, total: u64, what: &str) {
        if let Some(tell) = &self.0 {
            tell(done, total, what);
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Progress::to(..)" } else { "Progress::default()" })
    }
}
