use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::watch;

/// Which entries are read to their end, for readers side by side: a file that names its source itself waits for those before it, so
/// that of two with the same source it is always the same one that comes first.
pub(super) struct Turns {
    /// Those that ended before one ahead of them did.
    early: Mutex<BTreeSet<usize>>,
    /// All before this one have ended.
    first: watch::Sender<usize>,
}

/// An entry that is being read; it has ended when this is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    at: usize,
}

impl Turns {
    pub fn new() -> Self {
        Self { early: Mutex::default(), first: watch::Sender::new(0) }
    }

    /// Each entry must be begun once, in whatever order.
    pub fn begin(&self, at: usize) -> Turn<'_> {
        Turn { turns: self, at }
    }
}

impl Turn<'_> {
    /// Waits until all entries before this one have ended.
    pub async fn come(&self) {
        // The sender is there as long as this is.
        let _ = self.turns.first.subscribe().wait_for(|first| *first >= self.at).await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut early = self.turns.early.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        early.insert(self.at);
        self.turns.first.send_if_modified(|first| {
            let before = *first;
            while early.remove(first) {
                *first += 1;
            }
            *first > before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_comes_when_all_before_it_have_ended() {
        let turns = Turns::new();
        let (first, second, third) = (turns.begin(0), turns.begin(1), turns.begin(2));
        drop(second);
        first.come().await;
        {
            let mut waiting = std::pin::pin!(third.come());
            assert!(futures_util::poll!(&mut waiting).is_pending(), "the first is not through");
            drop(first);
            waiting.await;
        }
        drop(third);
        turns.begin(3).come().await;
    }
}
