use std::collections::HashMap;

use super::draft::Draft;

/// Sources that a run has met, so that each run of the same ends with the same texts.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Of files that take the place of what is stored, and the file of each.
    files: HashMap<String, String>,
    /// Of the batch that is being gathered: where in it, and whether that one takes the place of what is stored.
    batch: HashMap<String, (usize, bool)>,
}

/// Where a document goes.
pub(super) enum Place {
    /// To the batch's end.
    Next,
    /// In the place of an earlier line of the batch.
    Instead(usize),
    /// Nowhere: an earlier file has its source.
    Taken(String),
}

impl Sources {
    /// Where a document goes, before it goes there.
    pub fn place(&mut self, draft: &Draft) -> Place {
        let Some(source) = draft.source.as_ref().filter(|_| draft.replace) else { return Place::Next };
        if draft.is_line {
            return match self.batch.get(source) {
                Some((place, true)) => Place::Instead(*place),
                _ => Place::Next,
            };
        }
        match self.files.get(source) {
            Some(first) => Place::Taken(first.clone()),
            None => {
                self.files.insert(source.clone(), draft.origin.clone());
                Place::Next
            }
        }
    }

    /// Notes a document of the batch.
    pub fn note(&mut self, draft: &Draft, place: usize) {
        if let Some(source) = &draft.source {
            let replaces = draft.replace || self.batch.get(source).is_some_and(|(_, replaces)| *replaces);
            self.batch.insert(source.clone(), (place, replaces));
        }
    }

    /// The sources of the batch, which is full; each with whether it is replaced.
    pub fn end_batch(&mut self) -> Batch {
        Batch(std::mem::take(&mut self.batch).into_iter().map(|(source, (_, replaces))| (source, replaces)).collect())
    }
}

/// Sources of a batch.
#[derive(Debug)]
pub(super) struct Batch(HashMap<String, bool>);

impl Batch {
    /// Whether it matters which of the two is stored first: they have a source in common, which one of them replaces.
    pub fn follows(&self, earlier: &Self) -> bool {
        let (few, many) = if self.0.len() < earlier.0.len() { (self, earlier) } else { (earlier, self) };
        few.0.iter().any(|(source, replaces)| many.0.get(source).is_some_and(|also| *replaces || *also))
    }
}
