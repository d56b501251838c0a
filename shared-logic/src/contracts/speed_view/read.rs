//! One look at a shard (R10): its positions and, of the slices asked for, the counters of group keys.

use super::chunks::ChunkRange;
use super::counters::{self, Counters};
use super::script::{self, UnknownReply};
use super::shard::Shard;
use super::{Instance, ShardKeys};
use crate::catalog::DefinitionHash;
use crate::group_key::GroupKey;
use crate::measure::MeasureKind;

/// The counters of one group key in one slice, as a reader asks for them.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The instance whose counters they are.
    pub instance: Instance,
    /// The begin of the slice.
    pub slice: i64,
    /// What is counted.
    pub definition: &'a DefinitionHash,
    /// The measures of that definition, in order.
    pub kinds: &'a [MeasureKind],
    /// The group key.
    pub key: &'a GroupKey,
    /// The chunks that the reader needs.
    pub chunks: ChunkRange,
}

/// What the read script is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The keys of counters, each once. The script's first key is that of the shard.
    pub keys: Vec<String>,
    /// Four for each [`Wanted`]: the number of its key, the group key, and the first and the last chunk.
    pub arguments: Vec<String>,
}

/// The chunks that were found, each with its values.
pub type FoundChunks = Vec<(i64, Vec<u8>)>;

/// A shard at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its positions.
    pub shard: Shard,
    /// The latest moment at which the log's end was asked and is by now at or below the cursor; microseconds since 1970 by
    /// the worker's clock, if there was one.
    pub as_of_us: Option<i64>,
    /// The start of the log when the shard was first opened (K5); `None` of a shard that an older build opened. Only where nothing is archived
    /// does anything follow from it.
    pub begin: Option<i64>,
}

/// What the read script answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The shard at the moment at which the counters were read.
    pub state: State,
    /// For each [`Wanted`] its counters.
    pub counters: Vec<Counters>,
}

impl Request {
    /// How the script is asked for those counters.
    pub fn new(keys: &ShardKeys, wanted: &[Wanted<'_>]) -> Request {
        let mut request = Request { keys: Vec::new(), arguments: Vec::with_capacity(wanted.len() * 4) };
        for each in wanted {
            let name = keys.counters(each.instance, each.slice, each.definition);
            let known = request.keys.iter().position(|key| *key == name);
            let at = known.unwrap_or_else(|| {
                request.keys.push(name);
                request.keys.len() - 1
            });
            // Lua counts from 1, and the shard's key comes first.
            request.arguments.push((at + 2).to_string());
            request.arguments.push(each.key.as_str().to_owned());
            request.arguments.push(each.chunks.first.to_string());
            request.arguments.push(each.chunks.last.to_string());
        }
        request
    }
}

impl Reading {
    /// Reads the answer: `{cursor, slices, definitions, instance, as_of, witnesses, truncated, begin, found, …}` as positions and
    /// what was found of each [`Wanted`].
    ///
    /// # Errors
    /// If a position or a value is not of the form that the scripts write, or something else was asked for.
    pub fn parse(head: [&str; 8], found: &[FoundChunks], wanted: &[Wanted<'_>]) -> Result<Reading, UnknownReply> {
        let [cursor, begins, definitions, instance, as_of, witnesses, truncated, begin] = head;
        if found.len() != wanted.len() {
            let what = format!("counters of {} keys instead of {}", found.len(), wanted.len());
            return Err(UnknownReply { what });
        }
        let counters = found.iter().zip(wanted).map(|(chunks, wanted)| {
            let mut counters = Counters::new();
            for (chunk, values) in chunks {
                counters::read_chunk(*chunk, values, wanted.kinds, &mut counters)?;
            }
            Ok(counters)
        });
        let counters = counters.collect::<Result<_, _>>()?;
        let shard = script::shard(cursor, begins, definitions, instance, witnesses, truncated)?;
        Ok(Reading { state: State { shard, as_of_us: as_of.parse().ok(), begin: begin.parse().ok() }, counters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Deployment;
    use crate::log::PartitionId;

    #[test]
    fn each_hash_is_named_once_whatever_is_wanted_of_it() {
        let deployment = Deployment::new("braid", "v1");
        let keys = ShardKeys::new(&deployment, "s", &PartitionId::new("log", 0));
        let definition: DefinitionHash = "00000000000000aa".parse().expect("16 digits");
        let key = GroupKey::new(&[]);
        let wanted = |slice: i64| Wanted {
            instance: Instance::new(1),
            slice,
            definition: &definition,
            kinds: &[],
            key: &key,
            chunks: ChunkRange { first: -1, last: 5 },
        };
        let request = Request::new(&keys, &[wanted(3), wanted(0), wanted(3)]);
        let names = [3, 0].map(|slice| keys.counters(Instance::new(1), slice, &definition));
        assert_eq!(request.keys, names);
        assert_eq!(request.arguments, ["2", "[]", "-1", "5", "3", "[]", "-1", "5", "2", "[]", "-1", "5"]);
    }
}
