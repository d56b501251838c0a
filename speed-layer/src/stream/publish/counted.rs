//! What is told of a transaction that took effect: nothing of one that failed, whose outputs are decided again.

use shared_logic::stream::{DecidedKind, Tally};

use crate::stream::parcel::Parcel;

/// What a transaction holds of a stream, and what was open behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) outputs: u64,
    pub(super) late: u64,
    /// Events that had no row which they must have (B5).
    pub(super) no_row: u64,
    /// Events that histories have lost since the transaction before.
    pub(super) dropped: u64,
    pub(super) open: usize,
}

/// What a transaction holds of each stream, behind one at whose end this had happened to their events.
pub(super) fn counted(parcel: &Parcel, before: &[Tally]) -> Vec<Counted> {
    let of = |(tally, before): (&Tally, &Tally)| {
        let dropped = tally.dropped.saturating_sub(before.dropped);
        Counted { dropped, open: tally.open, ..Counted::default() }
    };
    let mut counted: Vec<Counted> = parcel.tallies.iter().zip(before).map(of).collect();
    for decided in &parcel.outputs {
        let Some(counted) = counted.get_mut(decided.stream) else { continue };
        match decided.kind {
            DecidedKind::Output => counted.outputs += 1,
            DecidedKind::Late { .. } => counted.late += 1,
            DecidedKind::NoRow { .. } => counted.no_row += 1,
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use shared_logic::stream::{Decided, Fronts, OutputPosition};

    use super::*;

    #[test]
    fn what_a_transaction_holds_is_counted_by_stream() {
        let decided = |stream, kind| {
            let position = OutputPosition::before(7);
            Decided { stream, position, kind, key: None, payload: Vec::new(), time_us: 0 }
        };
        let late = || DecidedKind::Late { missed: None };
        let no_row = || DecidedKind::NoRow { table: "users".to_owned(), seen: None };
        let tally = |dropped, open| Tally { dropped, open, ..Tally::default() };
        let parcel = Parcel {
            outputs: vec![
                decided(0, DecidedKind::Output),
                decided(0, no_row()),
                decided(1, late()),
                decided(1, late()),
            ],
            positions: vec![OutputPosition::before(8); 2],
            fronts: Fronts::new(false),
            checked: None,
            is_whole: true,
            tallies: vec![tally(0, 3), tally(9, 4)],
        };
        let of = |outputs, late, no_row, dropped, open| Counted { outputs, late, no_row, dropped, open };
        assert_eq!(counted(&parcel, &[tally(0, 1), tally(5, 9)]), [of(1, 0, 1, 0, 3), of(0, 2, 0, 4, 4)]);
    }
}
