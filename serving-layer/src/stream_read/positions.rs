//! How far a reader of a topic has come: the next offset of each partition. As text it is what a client says to go on from there:
//!
//! ```text
//! <topic id>:<offset>,<offset>@<incarnation>,…
//! ```
//!
//! Offsets stand in the order of the partitions, which are numbered from 0. Where a partition's log has lost its tail, the
//! incarnation tells which of them the offset is of (R12).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use shared_logic::log::{Offsets, PartitionId};

/// How far a reader has come in every partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Positions {
    /// The topic's id.
    pub(super) topic: String,
    /// By the partition's number.
    pub(super) partitions: Vec<Position>,
}

/// How far a reader has come in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) incarnation: u64,
    pub(super) offset: i64,
}

/// The text names no positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a topic's id and an offset for each partition")]
pub(crate) struct NotPositions;

impl Positions {
    /// The id of the topic.
    pub(crate) fn log(&self) -> &str {
        &self.topic
    }

    /// The next offset of a partition; `None` if the topic had fewer.
    pub(super) fn offset(&self, partition: i32) -> Option<i64> {
        self.partitions.get(usize::try_from(partition).ok()?).map(|position| position.offset)
    }

    /// Notes that everything of a partition below that offset was read.
    pub(super) fn advance(&mut self, partition: i32, offset: i64) {
        let position = usize::try_from(partition).ok().and_then(|at| self.partitions.get_mut(at));
        if let Some(position) = position {
            position.offset = position.offset.max(offset);
        }
    }

    /// Notes that everything below those was read; they are of the same log.
    pub(super) fn reach(&mut self, others: &Positions) {
        for (own, other) in self.partitions.iter_mut().zip(&others.partitions) {
            own.offset = own.offset.max(other.offset);
        }
    }

    /// Whether offsets here and there mean the same.
    pub(super) fn is_of_the_same_log(&self, other: &Positions) -> bool {
        let incarnations =
            |of: &Positions| of.partitions.iter().map(|position| position.incarnation).collect::<Vec<_>>();
        self.topic == other.topic && incarnations(self) == incarnations(other)
    }

    /// What lies between these and later positions of the same log, by partition.
    pub(super) fn until(&self, others: &Positions) -> BTreeMap<i32, Range<i64>> {
        let pairs = (0..).zip(self.partitions.iter().zip(&others.partitions));
        let ranges = pairs.map(|(partition, (own, other))| (partition, own.offset..other.offset));
        ranges.filter(|(_, range)| !range.is_empty()).collect()
    }

    /// The same as offsets of the archive's logs.
    pub(crate) fn offsets(&self) -> Offsets {
        let of = |(partition, position): (i32, &Position)| (log_id(&self.topic, partition, *position), position.offset);
        (0..).zip(&self.partitions).map(of).collect()
    }
}

/// The log of a topic's partition in that incarnation.
fn log_id(topic: &str, partition: i32, position: Position) -> PartitionId {
    match position.incarnation {
        0 => PartitionId::new(topic, partition),
        n => PartitionId::new(format!("{topic}.{n}"), partition),
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.topic)?;
        for (at, position) in self.partitions.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { ':' } else { ',' }, position.offset)?;
            if position.incarnation > 0 {
                write!(f, "@{}", position.incarnation)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Positions {
    type Err = NotPositions;

    fn from_str(text: &str) -> Result<Positions, NotPositions> {
        let (topic, partitions) = text.split_once(':').ok_or(NotPositions)?;
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if topic.is_empty() || !topic.chars().all(is_id) {
            return Err(NotPositions);
        }
        let partitions = partitions.split(',').map(str::parse::<Position>).collect::<Result<Vec<_>, _>>()?;
        Ok(Positions { topic: topic.to_owned(), partitions })
    }
}

impl FromStr for Position {
    type Err = NotPositions;

    fn from_str(text: &str) -> Result<Position, NotPositions> {
        let (offset, incarnation) = text.split_once('@').unwrap_or((text, "0"));
        Ok(Position { incarnation: number(incarnation)?, offset: number(offset)? })
    }
}

/// A number without a sign.
fn number<T: FromStr>(digits: &str) -> Result<T, NotPositions> {
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).ok_or(NotPositions)
}

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::*;

    fn positions(text: &str) -> Positions {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn what_is_written_is_read() {
        for seed in 1..100 {
            let mut dice = Dice::new(seed);
            let partition = |_| {
                let incarnation = if dice.chance(30) { dice.below(5) as u64 } else { 0 };
                Position { incarnation, offset: dice.between(0, 1_000_000) }
            };
            let partitions = (0..1 + seed as usize % 7).map(partition).collect();
            let all = Positions { topic: "9mQZGkXb_dizQHTRD-iHCSg".to_owned(), partitions };
            assert_eq!(all.to_string().parse(), Ok(all));
        }
        assert_eq!(positions("L:7,41@2").to_string(), "L:7,41@2");
    }

    #[test]
    fn nothing_else_is_read() {
        for wrong in ["", "L", "L:", ":1", "L:1,", "L:-1", "L:+1", "L:1@", "L:1@x", "L:1 ", "L.1:1", "L:1;2", "L\n:1"] {
            assert_eq!(wrong.parse::<Positions>(), Err(NotPositions), "{wrong:?}");
        }
        assert_eq!("L:9223372036854775808".parse::<Positions>(), Err(NotPositions));
    }

    #[test]
    fn offsets_are_named_by_the_logs_of_the_archive() {
        let json = serde_json::to_string(&positions("L:7,41@2,9").offsets()).expect("plain data");
        assert_eq!(json, r#"{"L":{"0":7,"2":9},"L.2":{"1":41}}"#);
    }

    #[test]
    fn positions_only_advance() {
        let mut at = positions("L:7,41,9");
        at.advance(0, 9);
        at.advance(1, 40);
        at.advance(-1, 99);
        at.advance(3, 99);
        assert_eq!(at, positions("L:9,41,9"));
        assert_eq!(at.until(&positions("L:9,50,3")), BTreeMap::from([(1, 41..50)]));
        at.reach(&positions("L:1,50,9"));
        assert_eq!((at.to_string().as_str(), at.offset(1), at.offset(3)), ("L:9,50,9", Some(50), None));
        assert!(at.is_of_the_same_log(&positions("L:0,0,0")));
        for other in ["M:9,50,9", "L:9,50", "L:9,50@1,9"] {
            assert!(!at.is_of_the_same_log(&positions(other)), "{other}");
        }
    }
}
