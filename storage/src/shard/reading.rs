//! R10: positions and counters by one read-only script, so that they belong together.

use platform::redis::Connection;
use redis::Value;
use shared_logic::contracts::speed_view::script::UnknownReply;
use shared_logic::contracts::speed_view::{Reading, ShardKeys};
use shared_logic::group_key::GroupKey;
use shared_logic::measure::MeasureKind;

use super::{ShardClient, ShardError, call};

impl ShardClient {
    /// R10: the shard's positions and one group key's counters in each of those keys (see [`ShardKeys::counters`]); `None` if
    /// there is no shard. `kinds` are the metric's measures in order.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn read(
        &self,
        redis: &mut Connection,
        keys: &ShardKeys,
        counters: &[String],
        key: &GroupKey,
        kinds: &[MeasureKind],
    ) -> Result<Option<Reading>, ShardError> {
        let arguments = [key.as_str().to_owned()];
        let reply = call(redis, keys, "read", &self.scripts.read, counters, &arguments).await?;
        reading(reply, kinds).map_err(|source| ShardError::unreadable(keys, source))
    }
}

/// Reads the reply: nothing if there is no shard, else
/// `{cursor, slices, definitions, instance, as_of, witnesses, truncated, {chunk, field, …}, …}`.
fn reading(answer: Value, kinds: &[MeasureKind]) -> Result<Option<Reading>, UnknownReply> {
    let Value::Array(items) = answer else { return Err(strange(&answer)) };
    if items.is_empty() {
        return Ok(None);
    }
    if items.len() < 7 {
        return Err(strange(&Value::Array(items)));
    }
    let head = items[..7].iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let slices = items[7..].iter().map(chunks).collect::<Result<Vec<_>, _>>()?;
    Reading::parse(std::array::from_fn(|at| head[at].as_str()), &slices, kinds).map(Some)
}

fn chunks(value: &Value) -> Result<Vec<(i64, Vec<u8>)>, UnknownReply> {
    let Value::Array(flat) = value else { return Err(strange(value)) };
    let each = flat.chunks(2).map(|pair| match pair {
        [chunk, Value::BulkString(field)] => {
            let chunk = text(chunk)?.parse().map_err(|_| strange(value))?;
            Ok((chunk, field.clone()))
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
    use super::*;
    use shared_logic::measure;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn positions_and_counters_are_read() {
        let field = Value::BulkString(vec![3, 17, 4, 0xc3]);
        let counters = Value::Array(vec![bulk("-2"), field]);
        let head = ["9", "4,7", "00000000000000aa=4", "00000000000000bb", "1000", "", "8"].map(bulk);
        let answer = Value::Array(head.into_iter().chain([counters]).collect());
        let reading = reading(answer, &[MeasureKind::Count]).expect("readable").expect("a shard");
        assert_eq!((reading.shard.cursor, reading.shard.slices, reading.as_of_us), (9, vec![4, 7], Some(1000)));
        assert_eq!(reading.shard.instance.to_string(), "00000000000000bb");
        assert_eq!(reading.shard.truncated, Some(8));
        assert_eq!(reading.counters, [[(-125, 0, measure::Value::Int(17)), (-124, 0, measure::Value::Overflow)]]);
    }

    #[test]
    fn what_is_no_shard_is_named() {
        assert_eq!(reading(Value::Array(vec![]), &[]), Ok(None));
        let other = reading(Value::Array(vec![bulk("format"), bulk("2")]), &[]).expect_err("another format");
        assert!(other.what.contains("format"), "{other}");
        assert!(reading(Value::Nil, &[]).is_err());
    }
}
