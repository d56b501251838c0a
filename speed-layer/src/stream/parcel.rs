//! What is decided and not published: parcels, in the order of the log.
//!
//! A parcel ends where a step of the lane ended, which is an offset's border wherever its outputs fit into one. So does a transaction,
//! which is some parcels.

use std::collections::VecDeque;

use shared_logic::contracts::stream::Checked;
use shared_logic::stream::{Decided, Fronts, OutputPosition};

/// What one step of a lane has decided.
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
}

/// Parcels that wait for a transaction.
#[derive(Debug, Default)]
pub struct Parcels {
    waiting: VecDeque<Parcel>,
    outputs: usize,
    bytes: usize,
}

impl Parcel {
    fn bytes(&self) -> usize {
        self.outputs.iter().map(|output| size_of::<Decided>() + output.payload.len()).sum()
    }
}

impl Parcels {
    /// Appends what was decided next. A parcel without outputs only moves the end of the one before.
    pub fn push(&mut self, parcel: Parcel) {
        self.outputs += parcel.outputs.len();
        self.bytes += parcel.bytes();
        match self.waiting.back_mut() {
            Some(last) if parcel.outputs.is_empty() => {
                (last.positions, last.fronts, last.checked) = (parcel.positions, parcel.fronts, parcel.checked);
            }
            _ => self.waiting.push_back(parcel),
        }
    }

    /// Takes what the next transaction writes: parcels with at most so many outputs, but at least one parcel.
    pub fn take(&mut self, outputs_max: usize) -> Option<Parcel> {
        let mut taken = self.waiting.pop_front()?;
        while let Some(next) = self.waiting.front()
            && taken.outputs.len() + next.outputs.len() <= outputs_max
        {
            let next = self.waiting.pop_front().unwrap_or_else(|| unreachable!("there is a first one"));
            taken.outputs.extend(next.outputs);
            (taken.positions, taken.fronts, taken.checked) = (next.positions, next.fronts, next.checked);
        }
        self.outputs -= taken.outputs.len();
        self.bytes -= taken.bytes();
        Some(taken)
    }

    /// How many outputs wait.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The memory of these outputs.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the lane has moved since the last transaction.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::stream::DecidedKind;

    use super::*;

    fn parcel(offset: i64, outputs: u32) -> Parcel {
        let output = |n| Decided {
            stream: 0,
            position: OutputPosition { offset, n },
            kind: DecidedKind::Output,
            key: None,
            payload: vec![0; 10],
            time_us: 0,
        };
        Parcel {
            outputs: (0..outputs).map(output).collect(),
            positions: vec![OutputPosition::before(offset + 1)],
            fronts: Fronts::new(false),
            checked: None,
        }
    }

    #[test]
    fn a_transaction_is_whole_parcels_and_ends_where_the_last_one_does() {
        let mut parcels = Parcels::default();
        for (offset, outputs) in [(0, 0), (5, 3), (6, 0), (9, 3), (10, 4)] {
            parcels.push(parcel(offset, outputs));
        }
        assert_eq!(parcels.outputs(), 10);
        let first = parcels.take(6).expect("parcels");
        assert_eq!((first.outputs.len(), first.positions[0].offset), (6, 10));
        let second = parcels.take(1).expect("a parcel goes, however large");
        assert_eq!((second.outputs.len(), second.positions[0].offset), (4, 11));
        assert!(parcels.take(1).is_none() && parcels.is_empty() && parcels.bytes() == 0 && parcels.outputs() == 0);
    }

    #[test]
    fn progress_without_outputs_takes_no_room() {
        let mut parcels = Parcels::default();
        (0..1_000).for_each(|offset| parcels.push(parcel(offset, 0)));
        let all = parcels.take(1).expect("a parcel");
        assert_eq!((all.positions[0].offset, parcels.is_empty()), (1_000, true));
    }
}
