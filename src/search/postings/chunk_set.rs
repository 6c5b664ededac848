/// A set of chunk numbers: a bit each, for numbers are dense.
#[derive(Debug, Clone, Default)]
pub struct ChunkSet {
    words: Vec<u64>,
    count: usize,
}

impl ChunkSet {
    /// Whether the chunk is in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, chunk_no: i32) -> bool {
        usize::try_from(chunk_no).is_ok_and(|no| self.words.get(no / 64).is_some_and(|word| word >> (no % 64) & 1 == 1))
    }

    /// Whether any chunk from one number to below another is in it; to the last one if there is no other.
    #[must_use]
    pub fn meets(&self, from: i32, end: Option<i32>) -> bool {
        let bits = 64 * self.words.len();
        let from = usize::try_from(from).unwrap_or(0);
        let end = end.map_or(bits, |end| usize::try_from(end).unwrap_or(0).min(bits));
        if from >= end {
            return false;
        }
        let (first, last) = (from / 64, (end - 1) / 64);
        self.words[first..=last].iter().zip(first..).any(|(word, at)| {
            let from = if at == first { u64::MAX << (from % 64) } else { u64::MAX };
            let end = if at == last { u64::MAX >> (63 - (end - 1) % 64) } else { u64::MAX };
            word & from & end != 0
        })
    }

    /// How many chunks are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its chunks in order.
    #[must_use]
    pub fn to_vec(&self) -> Vec<i32> {
        let mut numbers = Vec::with_capacity(self.count);
        for (at, word) in (0_i32..).step_by(64).zip(&self.words) {
            let mut word = *word;
            while word != 0 {
                numbers.push(at + word.trailing_zeros().cast_signed());
                word &= word - 1;
            }
        }
        numbers
    }

    fn insert(&mut self, chunk_no: i32) {
        // There are no negative chunk numbers (a constraint of the table).
        let Ok(no) = usize::try_from(chunk_no) else { return };
        if self.words.len() <= no / 64 {
            self.words.resize(no / 64 + 1, 0);
        }
        let (word, bit) = (&mut self.words[no / 64], 1 << (no % 64));
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }
}

impl FromIterator<i32> for ChunkSet {
    fn from_iter<I: IntoIterator<Item = i32>>(numbers: I) -> Self {
        let mut set = Self::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_meets_a_range_that_holds_one_of_its_chunks(
            numbers in prop::collection::vec(0_i32..400, 0..6), from in -3_i32..420, end in prop::option::of(-3_i32..420),
        ) {
            let set: ChunkSet = numbers.iter().copied().collect();
            let held = numbers.iter().any(|number| *number >= from && end.is_none_or(|end| *number < end));
            prop_assert_eq!(set.meets(from, end), held);
        }
    }
}
