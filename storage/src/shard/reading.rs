//! R10: positions and counters by one read-only script, so that they belong together.

use platform::redis::Connection;
use redis::Value;
use shared_logic::contracts::speed_view::script::UnknownReply;
use shared_logic::contracts::speed_view::{FoundChunks, Reading, Request, ShardKeys, Wanted};

use super::{ShardClient, ShardError, call};

/// How many texts of the reply say where the shard stands.
const HEAD: usize = 8;

impl ShardClient {
    /// R10: the shard's positions and the counters that are wanted of it; `None` if there is no shard, or it has lost some of these counters.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn read(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        wanted: &[Wanted<'_>],
    ) -> Result<Option<Reading>, ShardError> {
        let mut request = Request::new(keys, wanted);
        if !request.keys.is_empty() {
            request.keys.push(keys.names());
        }
        let reply = call(redis, keys, "read", &self.scripts.read, &request.keys, &request.arguments).await?;
        reading(reply, wanted).map_err(|source| ShardError::unreadable(keys, source))
    }
}

/// Reads the reply: nothing if there is no shard, else
/// `{cursor, slices, definitions, instance, as_of, witnesses, truncated, begin, {chunk, values, …}, …}`.
fn reading(answer: Value, wanted: &[Wanted<'_>]) -> Result<Option<Reading>, UnknownReply> {
    let Value::Array(items) = answer else { return Err(strange(&answer)) };
    if items.is_empty() {
        return Ok(None);
    }
    if items.len() < HEAD {
        return Err(strange(&Value::Array(items)));
    }
    let head = items[..HEAD].iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let found = items[HEAD..].iter().map(chunks).collect::<Result<Vec<_>, _>>()?;
    Reading::parse(std::array::from_fn(|at| head[at].as_str()), &found, wanted).map(Some)
}

fn chunks(value: &Value) -> Result<FoundChunks, UnknownReply> {
    let Value::Array(flat) = value else { return Err(strange(value)) };
    let each = flat.chunks(2).map(|pair| match pair {
        [chunk, Value::BulkString(values)] => {
            let chunk = text(chunk)?.parse().map_err(|_| strange(value))?;
            Ok((chunk, values.clone()))
        }
        _ => Err(strange(value)),
    });
    each.collect()
}

fn text(value: &Value) -> Result<String, UnknownReply> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).map_err(|_| strange(value)),
        Value::SimpleString(text) => Ok(text.clone()),
        _ => Err(strange(value)),
    }
}

fn strange(value: &Value) -> UnknownReply {
    let what: String = format!("{value:?}").chars().take(200).collect();
    UnknownReply { what }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::DefinitionHash;
    use shared_logic::contracts::speed_view::{ChunkRange, Instance};
    use shared_logic::group_key::GroupKey;
    use shared_logic::measure::{self, MeasureKind};

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn positions_and_counters_are_read() {
        let (definition, key): (DefinitionHash, _) =
            ("00000000000000aa".parse().expect("16 digits"), GroupKey::new(&[]));
        let wanted = Wanted {
            instance: Instance::new(0xbb),
            slice: 4,
            definition: &definition,
            kinds: &[MeasureKind::Count],
            key: &key,
            chunks: ChunkRange { first: -9, last: 9 },
        };
        let values = Value::BulkString(vec![3, 17, 4, 0xc3]);
        let counters = Value::Array(vec![bulk("-2"), values]);
        let head = ["9", "4,7", "00000000000000aa=4", "00000000000000bb", "1000", "", "8", "2"].map(bulk);
        let answer = Value::Array(head.into_iter().chain([counters, Value::Array(vec![])]).collect());
        let Reading { state, counters } =
            reading(answer.clone(), &[wanted, wanted]).expect("readable").expect("a shard");
        assert_eq!((state.shard.cursor, state.shard.slices), (9, vec![4, 7]));
        assert_eq!((state.as_of_us, state.begin), (Some(1000), Some(2)));
        assert_eq!(state.shard.instance.to_string(), "00000000000000bb");
        assert_eq!(state.shard.truncated, Some(8));
        let expected = vec![(-125, 0, measure::Value::Int(17)), (-124, 0, measure::Value::Overflow)];
        assert_eq!(counters, [expected, vec![]]);
        assert!(reading(answer, &[wanted]).is_err(), "more than was wanted");
    }

    #[test]
    fn what_is_no_shard_is_named() {
        assert_eq!(reading(Value::Array(vec![]), &[]), Ok(None));
        let other = reading(Value::Array(vec![bulk("format"), bulk("2")]), &[]).expect_err("another format");
        assert!(other.what.contains("format"), "{other}");
        assert!(reading(Value::Nil, &[]).is_err());
    }
}
