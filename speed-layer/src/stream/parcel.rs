//! What is decided and not published: parcels, in the order of the log.
//!
//! A parcel ends at an offset's border, where everything is decided that the offsets before it cause, or inside of an offset, where a step
//! of the lane ended. A transaction is some parcels. It ends at a border wherever the outputs of an offset fit into one (T3).

use std::collections::VecDeque;

use shared_logic::contracts::stream::Checked;
use shared_logic::stream::{Decided, Fronts, OutputPosition, Tally};

/// What a lane has decided.
#[derive(Debug)]
pub struct Parcel {
    /// The outputs, without those that were published before.
    pub outputs: Vec<Decided>,
    /// For each stream, the position behind them.
    pub positions: Vec<OutputPosition>,
    /// The fronts at the smallest of these positions' offsets.
    pub fronts: Fronts,
    /// R12: the newest witness at or before that offset.
    pub checked: Option<Checked>,
    /// Whether it ends at an offset's border.
    pub is_whole: bool,
    /// For each stream, what has happened to its events since the lane began.
    pub tallies: Vec<Tally>,
}

/// How much a transaction holds, about.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// The most outputs.
    pub outputs: usize,
    /// The most bytes of these.
    pub bytes: usize,
}

/// Parcels that wait for a transaction.
#[derive(Debug, Default)]
pub struct Parcels {
    waiting: VecDeque<Waiting>,
    outputs: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    parcel: Parcel,
    /// The memory of its outputs.
    bytes: usize,
}

impl Parcel {
    /// Moves its end to that of the next one.
    fn end_as(&mut self, next: Parcel) {
        self.outputs.extend(next.outputs);
        (self.positions, self.fronts, self.checked) = (next.positions, next.fronts, next.checked);
        (self.is_whole, self.tallies) = (next.is_whole, next.tallies);
    }
}

impl Parcels {
    /// Appends what was decided next. A parcel without outputs only moves the end of the one before.
    pub fn push(&mut self, parcel: Parcel) {
        let bytes: usize = parcel.outputs.iter().map(Decided::bytes).sum();
        self.outputs += parcel.outputs.len();
        self.bytes += bytes;
        match self.waiting.back_mut() {
            Some(last) if parcel.outputs.is_empty() => last.parcel.end_as(parcel),
            _ => self.waiting.push_back(Waiting { parcel, bytes }),
        }
    }

    /// Takes what the next transaction writes, as far as it is at hand: whole offsets, as many as fit; or of one that does not fit as much
    /// as does, but at least one parcel.
    pub fn take(&mut self, most: Most) -> Option<Parcel> {
        let (ready, mut taken) = (self.ready(most), None::<Parcel>);
        for Waiting { parcel, bytes } in self.waiting.drain(..ready) {
            self.outputs -= parcel.outputs.len();
            self.bytes -= bytes;
            match &mut taken {
                Some(taken) => taken.end_as(parcel),
                None => taken = Some(parcel),
            }
        }
        taken
    }

    /// How many parcels the next transaction takes. None if it is not decided yet whether the outputs of the first offset fit.
    pub fn ready(&self, most: Most) -> usize {
        let (mut whole, mut outputs, mut bytes) = (0, 0, 0);
        for (at, waiting) in self.waiting.iter().enumerate() {
            outputs += waiting.parcel.outputs.len();
            bytes += waiting.bytes;
            if outputs > most.outputs || bytes > most.bytes {
                return if whole > 0 { whole } else { at.max(1) };
            }
            if waiting.parcel.is_whole {
                whole = at + 1;
            }
        }
        whole
    }

    /// How many outputs wait.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The memory of these outputs.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the lane has not moved since the last transaction.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared_logic::stream::DecidedKind;

    use super::*;

    /// Outputs of an offset from that number on, each of ten bytes, and whether there are no others.
    fn parcel(offset: i64, ns: std::ops::Range<u32>, is_whole: bool) -> Parcel {
        let end = OutputPosition { offset, n: ns.end };
        let output = |n| Decided {
            stream: 0,
            position: OutputPosition { offset, n },
            kind: DecidedKind::Output,
            key: None,
            payload: vec![0; 10],
            time_us: 0,
        };
        Parcel {
            outputs: ns.map(output).collect(),
            positions: vec![if is_whole { OutputPosition::before(offset + 1) } else { end }],
            fronts: Fronts::new(false),
            checked: None,
            is_whole: is_whole || end.n == 0,
            tallies: Vec::new(),
        }
    }

    /// So many outputs, whatever they take.
    fn most(outputs: usize) -> Most {
        Most { outputs, bytes: usize::MAX }
    }

    fn filled(parcels: impl IntoIterator<Item = Parcel>) -> Parcels {
        let mut filled = Parcels::default();
        parcels.into_iter().for_each(|parcel| filled.push(parcel));
        filled
    }

    #[test]
    fn a_transaction_is_whole_parcels_and_ends_where_the_last_one_does() {
        let whole = |(offset, outputs)| parcel(offset, 0..outputs, true);
        let mut parcels = filled([(0, 0), (5, 3), (6, 0), (9, 3), (10, 4)].map(whole));
        assert_eq!(parcels.outputs(), 10);
        let first = parcels.take(most(6)).expect("parcels");
        assert_eq!((first.outputs.len(), first.positions[0].offset), (6, 10));
        let second = parcels.take(most(1)).expect("a parcel goes, however large");
        assert_eq!((second.outputs.len(), second.positions[0].offset), (4, 11));
        assert!(
            parcels.take(most(1)).is_none() && parcels.is_empty() && parcels.bytes() == 0 && parcels.outputs() == 0
        );
    }

    #[test]
    fn a_transaction_is_bounded_by_bytes_as_well() {
        let mut parcels = filled((0..10).map(|offset| parcel(offset, 0..1, true)));
        let each = parcels.bytes() / 10;
        let taken = parcels.take(Most { outputs: 100, bytes: 3 * each }).expect("parcels");
        assert_eq!((taken.outputs.len(), parcels.bytes()), (3, 7 * each));
        let taken = parcels.take(Most { outputs: 100, bytes: 1 }).expect("one goes, however large");
        assert_eq!(taken.outputs.len(), 1);
    }

    #[test]
    fn an_offset_that_fits_is_waited_for_and_never_divided() {
        let mut parcels = filled([parcel(0, 0..6, true), parcel(1, 0..2, false)]);
        let first = parcels.take(most(8)).expect("a whole one");
        assert_eq!(first.positions, [OutputPosition::before(1)], "eight would fit, and end inside");
        assert!(parcels.take(most(8)).is_none(), "the rest of it may fit");
        parcels.push(parcel(1, 2..6, true));
        parcels.push(parcel(2, 0..3, true));
        let second = parcels.take(most(8)).expect("a whole one");
        assert_eq!((second.outputs.len(), second.positions[0]), (6, OutputPosition::before(2)));
        // Nothing else is caused by an offset that was begun.
        let mut parcels = filled([parcel(4, 0..2, false), parcel(4, 2..2, true)]);
        assert_eq!(parcels.take(most(8)).expect("a whole one").positions, [OutputPosition::before(5)]);
    }

    #[test]
    fn an_offset_that_does_not_fit_goes_in_parts() {
        let mut parcels = filled([parcel(3, 0..4, false), parcel(3, 4..8, false)]);
        assert_eq!(parcels.ready(most(8)), 0, "it may end here");
        parcels.push(parcel(3, 8..12, false));
        let first = parcels.take(most(8)).expect("it cannot fit");
        assert_eq!(first.positions, [OutputPosition { offset: 3, n: 8 }]);
        parcels.push(parcel(3, 12..14, true));
        assert_eq!(parcels.take(most(8)).expect("its end").positions, [OutputPosition::before(4)]);
    }

    #[test]
    fn progress_without_outputs_takes_no_room() {
        let mut parcels = filled((0..1_000).map(|offset| parcel(offset, 0..0, true)));
        let all = parcels.take(most(1)).expect("a parcel");
        assert_eq!((all.positions[0].offset, parcels.is_empty()), (1_000, true));
    }

    proptest! {
        /// Offsets cause any number of outputs, which are decided in any steps, while transactions are taken.
        #[test]
        fn transactions_end_inside_of_an_offset_only_if_it_does_not_fit(
            offsets in prop::collection::vec((prop::collection::vec(0..4_u32, 1..5), any::<bool>()), 0..30), room in 1..10_usize,
        ) {
            let (mut parcels, mut taken) = (Parcels::default(), Vec::new());
            for (offset, (steps, takes)) in (0..).zip(&offsets) {
                let mut n = 0;
                for (at, outputs) in steps.iter().enumerate() {
                    parcels.push(parcel(offset, n..n + outputs, at + 1 == steps.len()));
                    n += outputs;
                    taken.extend(takes.then(|| parcels.take(most(room))).flatten());
                }
            }
            while let Some(parcel) = parcels.take(most(room)) {
                taken.push(parcel);
            }
            prop_assert!(parcels.is_empty(), "the last offset is whole");
            let caused = |offset: i64| offsets[offset as usize].0.iter().sum::<u32>() as usize;
            for parcel in &taken {
                let end = parcel.positions[0];
                prop_assert!(parcel.is_whole == (end.n == 0));
                prop_assert!(parcel.is_whole || caused(end.offset) > room, "{end} is inside");
                prop_assert!(parcel.outputs.len() <= room.max(4), "{} outputs of {room}", parcel.outputs.len());
            }
            let written: Vec<OutputPosition> = taken.iter().flat_map(|parcel| &parcel.outputs).map(|output| output.position).collect();
            let expected: Vec<OutputPosition> =
                (0..).zip(&offsets).flat_map(|(offset, (steps, _))| (0..steps.iter().sum()).map(move |n| OutputPosition { offset, n })).collect();
            prop_assert_eq!(written, expected);
        }
    }
}
