//! R10: the positions of shards without their counters. Those of many shards take one round trip and no script.

use platform::redis::Connection;
use redis::{Pipeline, RedisResult};
use shared_logic::contracts::speed_view::script::{self, UnknownReply};
use shared_logic::contracts::speed_view::{FORMAT, ShardKeys, State};

use super::{ShardClient, ShardError, refused};

/// The fields of a shard that [`state`] reads.
pub(super) const FIELDS: [&str; 9] =
    ["cursor", "slices", "definitions", "format", "instance", "witnesses", "truncated", "as_of", "begin"];

/// What Redis holds in these fields, or why it does not say so.
type Answer = RedisResult<Vec<Option<String>>>;

impl ShardClient {
    /// R10: the states of several shards, in their order and each at one moment after this call; `None` where there is no shard.
    ///
    /// # Errors
    /// [`ShardError`] of the first shard that cannot be read.
    pub async fn states(&self, redis: &mut Connection, shards: &[ShardKeys]) -> Result<Vec<Option<State>>, ShardError> {
        let Some(first) = shards.first() else { return Ok(Vec::new()) };
        let mut look = Pipeline::with_capacity(shards.len());
        // What Redis refuses is one shard, which the error names.
        look.ignore_errors();
        for keys in shards {
            look.cmd("HMGET").arg(keys.shard()).arg(&FIELDS);
        }
        let answers: Vec<Answer> = look.query_async(redis).await.map_err(|source| refused(first, "read", source))?;
        let read = |(keys, answer): (&ShardKeys, Answer)| {
            let fields = answer.map_err(|source| refused(keys, "read", source))?;
            state(&fields).map_err(|source| ShardError::unreadable(keys, source))
        };
        shards.iter().zip(answers).map(read).collect()
    }
}

/// The state that [`FIELDS`] hold; `None` if there is no shard.
///
/// # Errors
/// If the shard is of another format, or a field is not of the form that the scripts write.
pub(super) fn state(fields: &[Option<String>]) -> Result<Option<State>, UnknownReply> {
    match fields {
        [
            Some(cursor),
            Some(slices),
            Some(definitions),
            Some(format),
            Some(instance),
            witnesses,
            truncated,
            as_of,
            begin,
        ] if format == FORMAT => {
            let [witnesses, truncated] = [witnesses, truncated].map(|field| field.as_deref().unwrap_or_default());
            let shard = script::shard(cursor, slices, definitions, instance, witnesses, truncated)?;
            let [as_of_us, begin] = [as_of, begin].map(|field| field.as_ref().and_then(|field| field.parse().ok()));
            Ok(Some(State { shard, as_of_us, begin }))
        }
        [None, ..] => Ok(None),
        other => Err(UnknownReply { what: format!("{other:?}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(format: &str, as_of: Option<&str>) -> Vec<Option<String>> {
        let written = [Some("9"), Some("4,7"), Some("00000000000000aa=4"), Some(format), Some("00000000000000bb")];
        let others = [None, Some("8"), as_of, Some("2")];
        written.into_iter().chain(others).map(|field| field.map(str::to_owned)).collect()
    }

    #[test]
    fn a_state_is_read_as_it_is_written() {
        let State { shard, as_of_us, begin } =
            state(&fields(FORMAT, Some("1000"))).expect("readable").expect("a shard");
        assert_eq!((shard.cursor, shard.slices, shard.truncated), (9, vec![4, 7], Some(8)));
        assert_eq!((shard.witnesses, as_of_us, begin), (vec![None; 3], Some(1000), Some(2)));
        for unknown in [None, Some("")] {
            let undated = state(&fields(FORMAT, unknown)).expect("readable").expect("a shard");
            assert_eq!(undated.as_of_us, None);
        }
    }

    #[test]
    fn what_is_no_shard_is_named() {
        assert_eq!(state(&vec![None; FIELDS.len()]), Ok(None));
        let other = state(&fields("2", None)).expect_err("another format");
        assert!(other.what.contains("\"2\""), "{other}");
        assert!(state(&fields(FORMAT, None)[..8]).is_err(), "a field too few");
    }
}
