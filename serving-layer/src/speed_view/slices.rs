//! Slices as ranges of positions.

use shared_logic::contracts::speed_view::Shard;
use shared_logic::log::Position;

/// One slice at the time at which its shard was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) begin: i64,
    /// Up to where it was counted: where the next slice begins, or the cursor. With the same shard, slice and position, counters
    /// are the same.
    pub(super) upto: Position,
}

/// The slices of a shard that begin at the offset `from` or later.
pub(super) fn slices(shard: &Shard, from: i64) -> impl Iterator<Item = Slice> {
    let all = shard.positions().zip(shard.positions().skip(1));
    let all = all.map(|(begin, upto)| Slice { begin: begin.offset, upto });
    all.filter(move |slice| slice.begin >= from)
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::speed_view::Instance;

    use super::*;

    #[test]
    fn a_slice_is_counted_up_to_the_next_one_or_the_cursor() {
        let shard = Shard {
            cursor: 30,
            slices: vec![0, 10, 20],
            definitions: Default::default(),
            instance: Instance::new(1),
            witnesses: vec![None; 4],
            truncated: None,
        };
        let of = |from: i64| -> Vec<(i64, i64)> {
            slices(&shard, from).map(|slice| (slice.begin, slice.upto.offset)).collect()
        };
        assert_eq!(of(0), [(0, 10), (10, 20), (20, 30)]);
        assert_eq!(of(10), of(0)[1..]);
        assert_eq!(of(21), []);
    }
}
