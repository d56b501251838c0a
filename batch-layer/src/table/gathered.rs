//! The archive's files → the changes of some offsets, of as many shares as fit into memory.
//!
//! Of the changes that were read, only the last ones of their keys in their partitions are kept (B1). If these are too many all the same,
//! the upper half of the shares is left to another pass over the archive; a single share is divided into two.

use platform::store::StoreError;
use polars::prelude::*;
use shared_logic::contracts::table::SHARES_MAX;
use shared_logic::log::OffsetRange;

use super::held::Held;
use super::settled::settled;
use super::shape::{OF_RECORDS, Shape, Shares, is_change};
use crate::archive_rows::picked::Picked;
use crate::archive_rows::{may_hold, within};
use crate::rows::{self, RowsError, bytes_of};

/// What is done where the changes of some shares do not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMany {
    /// The upper half of the shares is left, and a single share is divided into two.
    Divide,
    /// The upper half of the shares is left; how many there are is settled.
    Halve,
    /// They are kept: all of them are asked for.
    Keep,
}

/// Changes of some shares.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) shares: Shares,
    /// In any order; of changes of a key in a partition, the last one at least.
    pub(super) changes: Vec<DataFrame>,
    /// How many archived records were read.
    pub(super) rows_read: u64,
}

/// Gathers the changes of some offsets and shares, in about so many bytes.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn gathered(
    held: &Held,
    shape: &Shape,
    ranges: &[OffsetRange],
    shares: Shares,
    memory: usize,
    too_many: TooMany,
) -> Result<Gathered, RowsError> {
    let picked = Picked::new(&held.archive, &held.source, &OF_RECORDS, |name| shape.reads(name))?;
    let mut gathered = Gathered { shares, changes: Vec::new(), rows_read: 0 };
    let (mut bytes, mut room) = (0, memory);
    let failed =
        |source| StoreError::Frame { operation: "gather changes", table: held.archive.path().to_owned(), source };
    for file in held.files.iter().filter(|file| may_hold(file, ranges)) {
        for group in picked.groups(file, |part| may_hold(part, ranges)).await? {
            gathered.rows_read += group.rows();
            let (of_shape, shares) = (shape.clone(), gathered.shares.clone());
            let of_group = move |records: DataFrame| shares.among(&of_shape.of_records(&records)?);
            let changes = group.read(is_change().and(within(ranges)), of_group).await?;
            bytes += bytes_of(&changes).map_err(failed)?;
            gathered.changes.push(changes);
            if bytes > room {
                bytes = gathered.reduce(held, shape, memory, too_many).await?;
                // Where nothing more can be left out, the next look is worth its while later.
                room = memory.max(bytes.saturating_mul(2));
            }
        }
    }
    Ok(gathered)
}

impl Gathered {
    /// Leaves out what no key needs, and then shares until half of the room is free, if that is possible. Returns how many bytes are left.
    async fn reduce(
        &mut self,
        held: &Held,
        shape: &Shape,
        memory: usize,
        too_many: TooMany,
    ) -> Result<usize, RowsError> {
        let (changes, logs, columns) = (std::mem::take(&mut self.changes), held.logs.clone(), shape.change_columns());
        let mut shares = self.shares.clone();
        let reduce = move || -> PolarsResult<_> {
            let mut left = settled(changes, &columns, &logs)?.into_changes()?;
            let mut bytes = bytes_of(&left)?;
            while bytes > memory / 2
                && let Some(fewer) = too_many.fewer(&shares)
            {
                left = fewer.among(&left)?;
                (bytes, shares) = (bytes_of(&left)?, fewer);
            }
            Ok((left, bytes, shares))
        };
        let (left, bytes, shares) = rows::compute("settle changes", held.archive.path(), reduce).await?;
        self.shares = shares;
        self.changes.push(left);
        Ok(bytes)
    }
}

impl TooMany {
    /// The shares that are left; `None`: all stay.
    fn fewer(self, shares: &Shares) -> Option<Shares> {
        let Shares { of, all } = shares;
        let half = of.start + (of.end - of.start) / 2;
        match self {
            TooMany::Divide | TooMany::Halve if half > of.start => Some(Shares { of: of.start..half, all: *all }),
            TooMany::Divide if *all < SHARES_MAX => Some(Shares { of: 2 * of.start..2 * of.start + 1, all: 2 * all }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_left_to_another_pass_and_divided_only_while_none_is_written() {
        let shares = |of: std::ops::Range<u32>, all| Shares { of, all };
        assert_eq!(TooMany::Divide.fewer(&shares(0..4, 4)), Some(shares(0..2, 4)));
        assert_eq!(TooMany::Divide.fewer(&shares(0..1, 4)), Some(shares(0..1, 8)));
        assert_eq!(TooMany::Divide.fewer(&shares(0..1, SHARES_MAX)), None);
        assert_eq!(TooMany::Halve.fewer(&shares(1..4, 4)), Some(shares(1..2, 4)));
        assert_eq!(TooMany::Halve.fewer(&shares(1..2, 4)), None);
        assert_eq!(TooMany::Keep.fewer(&shares(0..4, 4)), None);
    }
}
