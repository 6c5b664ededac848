use std::fmt::Write as _;

/// Ids of rows, in runs: those of an archive are few, though its rows are many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ids(Vec<(i64, i64)>);

impl Ids {
    /// Adds one; they come in their order.
    pub(super) fn push(&mut self, id: i64) {
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => self.0.push((id, id)),
        }
    }

    /// All of these together, as PostgreSQL writes an `int8multirange`.
    pub(super) fn multirange<'a>(all: impl IntoIterator<Item = &'a Self>) -> String {
        let mut text = String::from("{");
        for (first, last) in all.into_iter().flat_map(|ids| &ids.0) {
            let comma = if text.len() > 1 { "," } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{comma}[{first},{last}]");
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_run() {
        let of = |all: &[i64]| {
            let mut ids = Ids::default();
            all.iter().for_each(|id| ids.push(*id));
            ids
        };
        assert_eq!(Ids::multirange([]), "{}");
        assert_eq!(Ids::multirange([&of(&[1, 2, 3, 5, 9, 10]), &of(&[]), &of(&[2])]), "{[1,3],[5,5],[9,10],[2,2]}");
        assert_eq!(Ids::multirange([&of(&[i64::MAX])]), format!("{{[{0},{0}]}}", i64::MAX));
    }
}
