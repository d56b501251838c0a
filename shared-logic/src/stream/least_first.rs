//! The least of some items, one after the other, without sorting all of them at once.

/// Items of which the least is taken first: a heap whose order is given with each call, since keys lie elsewhere.
#[derive(Debug)]
pub(super) struct LeastFirst(Vec<u32>);

impl LeastFirst {
    /// All items at once, in time that follows their number.
    pub(super) fn new(items: Vec<u32>, is_less: impl Fn(u32, u32) -> bool) -> LeastFirst {
        let mut heap = LeastFirst(items);
        (0..heap.0.len() / 2).rev().for_each(|at| heap.sink(at, &is_less));
        heap
    }

    /// Takes the least item.
    pub(super) fn pop(&mut self, is_less: impl Fn(u32, u32) -> bool) -> Option<u32> {
        let last = self.0.len().checked_sub(1)?;
        self.0.swap(0, last);
        let least = self.0.pop();
        self.sink(0, &is_less);
        least
    }

    fn sink(&mut self, mut at: usize, is_less: &impl Fn(u32, u32) -> bool) {
        let items = &mut self.0;
        loop {
            let mut child = 2 * at + 1;
            if child + 1 < items.len() && is_less(items[child + 1], items[child]) {
                child += 1;
            }
            if child >= items.len() || !is_less(items[child], items[at]) {
                return;
            }
            items.swap(at, child);
            at = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_come_in_order(items in prop::collection::vec(0..50_u32, 0..60)) {
            let mut expected = items.clone();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            let mut heap = LeastFirst::new(items, |a, b| a > b);
            let taken: Vec<u32> = std::iter::from_fn(|| heap.pop(|a, b| a > b)).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
