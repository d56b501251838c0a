//! A shard's positions, and what may happen to them: R2 to R5, R8 and R12 as pure functions.

use std::collections::BTreeMap;

use super::instance::Instance;
use crate::catalog::DefinitionHash;
use crate::log::{Position, Witness};

/// The definitions that a shard counts, each with the offset since which it was counted.
pub type Definitions = BTreeMap<DefinitionHash, i64>;

/// The positions of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The first offset that is not counted.
    pub cursor: i64,
    /// The begins of its slices, ascending, never empty. A slice ends where the next one begins.
    pub slices: Vec<i64>,
    /// What is counted, since when.
    pub definitions: Definitions,
    /// Tells it from an earlier shard of the partition, whose counters are not this one's.
    pub instance: Instance,
    /// R12: the witnesses of the slices' begins, in their order, and at last that of the cursor. `None`: there is no record
    /// before, or it is not known.
    pub witnesses: Vec<Option<Witness>>,
    /// R12: a worker found that at this offset the log holds another record than what was counted, or an operator said that
    /// the log ends there for good. The shard counts nothing more, and nothing of it is added to an answer.
    pub truncated: Option<i64>,
}

/// What an apply names of the shard as its worker knows it (R2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The cursor.
    pub cursor: i64,
    /// The begin of the last slice.
    pub slice: i64,
    /// The definitions, with their since.
    pub definitions: Definitions,
    /// The instance: another one has other counters.
    pub instance: Instance,
    /// R12: the cursor's witness. With another one, the offset is another position.
    pub witness: Option<Witness>,
}

/// Why a step changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such shard.
    Missing,
    /// The shard is not as expected; this is how it is.
    Differs(Shard),
}

impl Shard {
    /// Opens a shard at an offset, without counters; where there is one already, nothing changes.
    ///
    /// # Errors
    /// [`Refusal::Differs`] with the shard that exists.
    pub fn open(
        existing: Option<&Shard>,
        at: impl Into<Position>,
        hashes: &[DefinitionHash],
        instance: Instance,
    ) -> Result<Shard, Refusal> {
        match existing {
            Some(shard) => Err(Refusal::Differs(shard.clone())),
            None => Ok(Shard::fresh(at.into(), hashes, instance)),
        }
    }

    /// R2: adds a micro-batch to the last slice and moves the cursor to `to`.
    ///
    /// # Errors
    /// If cursor, last slice, definitions or instance differ from what is expected, or the shard is truncated; then nothing
    /// changes.
    pub fn apply(existing: Option<&Shard>, expected: &Expected, to: impl Into<Position>) -> Result<Shard, Refusal> {
        let (shard, to) = (existing.ok_or(Refusal::Missing)?, to.into());
        if shard.expected() != *expected || shard.truncated.is_some() || to.offset < shard.cursor {
            return Err(Refusal::Differs(shard.clone()));
        }
        let mut shard = Shard { cursor: to.offset, ..shard.clone() };
        shard.witnesses.pop();
        shard.witnesses.push(to.witness);
        Ok(shard)
    }

    /// R12: notes that the log does not hold any more, from `at` on, what was counted. The first mark stays.
    ///
    /// # Errors
    /// If there is none, or it is another instance.
    pub fn mark(existing: Option<&Shard>, instance: Instance, at: i64) -> Result<Shard, Refusal> {
        let shard = existing.ok_or(Refusal::Missing)?;
        if shard.instance != instance {
            return Err(Refusal::Differs(shard.clone()));
        }
        Ok(Shard { truncated: shard.truncated.or(Some(at)), ..shard.clone() })
    }

    /// R3: opens a new slice at the cursor and gives its begin. Twice at one cursor is once; at `max_slices` it opens none
    /// and gives the last begin.
    ///
    /// # Errors
    /// [`Refusal::Missing`]: a rotate creates no shard.
    pub fn rotate(existing: Option<&Shard>, max_slices: usize) -> Result<(Shard, i64), Refusal> {
        let mut shard = existing.ok_or(Refusal::Missing)?.clone();
        if shard.last_slice() != shard.cursor && shard.slices.len() < max_slices {
            shard.slices.push(shard.cursor);
            shard.witnesses.push(shard.witness());
        }
        let begin = shard.last_slice();
        Ok((shard, begin))
    }

    /// R4: replaces the definitions. One that was counted goes on, a new one counts from the cursor on.
    ///
    /// # Errors
    /// [`Refusal::Missing`].
    pub fn adopt(existing: Option<&Shard>, hashes: &[DefinitionHash]) -> Result<Shard, Refusal> {
        let shard = existing.ok_or(Refusal::Missing)?;
        let since = |hash: &DefinitionHash| shard.definitions.get(hash).copied().unwrap_or(shard.cursor);
        let definitions = hashes.iter().map(|hash| (hash.clone(), since(hash))).collect();
        Ok(Shard { definitions, ..shard.clone() })
    }

    /// R5: the log no longer holds the cursor: every slice goes and one begins at `to`, counted by `hashes`, without counters.
    ///
    /// # Errors
    /// If the cursor is not the expected one, or the shard is truncated.
    pub fn reopen(
        existing: Option<&Shard>,
        cursor: i64,
        to: i64,
        hashes: &[DefinitionHash],
        instance: Instance,
    ) -> Result<Shard, Refusal> {
        let shard = existing.ok_or(Refusal::Missing)?;
        if shard.cursor != cursor || to <= cursor || shard.truncated.is_some() {
            return Err(Refusal::Differs(shard.clone()));
        }
        Ok(Shard::fresh(to.into(), hashes, instance))
    }

    /// R8: removes, from the front, every slice that ends at or below the cut; gives their begins.
    ///
    /// # Errors
    /// [`Refusal::Missing`].
    pub fn drop_below(existing: Option<&Shard>, cut: i64) -> Result<(Shard, Vec<i64>), Refusal> {
        let mut shard = existing.ok_or(Refusal::Missing)?.clone();
        let below = shard.slices.iter().skip(1).take_while(|end| **end <= cut).count();
        let dropped = shard.slices.drain(..below).collect();
        shard.witnesses.drain(..below);
        Ok((shard, dropped))
    }

    /// R8: deletes the shard of a closed log that lies wholly below every cut, unless it counted beyond the log's archived
    /// end: that has to be noted as lost first (R6). Gives what is gone.
    ///
    /// # Errors
    /// If there is none, or it counted beyond.
    pub fn delete(existing: Option<&Shard>, archived_end: i64) -> Result<Shard, Refusal> {
        let shard = existing.ok_or(Refusal::Missing)?;
        if shard.cursor > archived_end { Err(Refusal::Differs(shard.clone())) } else { Ok(shard.clone()) }
    }

    /// The begin of the last slice, into which is counted.
    pub fn last_slice(&self) -> i64 {
        self.slices.last().copied().unwrap_or(self.cursor)
    }

    /// What an apply has to name.
    pub fn expected(&self) -> Expected {
        let (cursor, slice, instance) = (self.cursor, self.last_slice(), self.instance);
        Expected { cursor, slice, definitions: self.definitions.clone(), instance, witness: self.witness() }
    }

    /// R12: the last record before the cursor.
    pub fn witness(&self) -> Option<Witness> {
        self.witnesses.last().copied().flatten()
    }

    /// The begins of its slices as positions, and the cursor as the last.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        let offsets = self.slices.iter().copied().chain([self.cursor]);
        offsets.zip(&self.witnesses).map(|(offset, witness)| Position { offset, witness: *witness })
    }

    /// Whether exactly those definitions are counted, since whenever.
    pub fn counts(&self, hashes: &[DefinitionHash]) -> bool {
        hashes.iter().all(|hash| self.definitions.contains_key(hash))
            && self.definitions.keys().all(|hash| hashes.contains(hash))
    }

    fn fresh(at: Position, hashes: &[DefinitionHash], instance: Instance) -> Shard {
        let Position { offset, witness } = at;
        let definitions = hashes.iter().map(|hash| (hash.clone(), offset)).collect();
        let witnesses = vec![witness, witness];
        Shard { cursor: offset, slices: vec![offset], definitions, instance, witnesses, truncated: None }
    }
}

#[cfg(test)]
mod tests;
