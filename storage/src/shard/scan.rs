//! K6: all counters of a slice that has ended, some at a time.
//!
//! Nothing is added to such a slice, so a scan finds every field that is there from begin to end; a field may come twice. The slice may be
//! dropped meanwhile, and with it its counters: whoever has scanned looks at the shard again before it believes what it has found, and whether
//! the server is still the same ([`ShardClient::life`]), as another one goes on at another place.

use platform::redis::Connection;
use redis::Value;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::speed_view::script::UnknownReply;
use shared_logic::contracts::speed_view::{Instance, ShardKeys};

use super::{ShardClient, ShardError, refused};

/// About how many fields one step reads.
const FIELDS_AT_ONCE: usize = 500;
/// How many bytes of fields one step may read where these are large: then the next one reads fewer.
const BYTES_AT_ONCE: usize = 4 << 20;

/// A field of counters, and what it holds.
type Field = (String, Vec<u8>);

/// A scan of the counters of one definition in one slice.
#[derive(Debug)]
pub struct SliceScan {
    key: String,
    keys: ShardKeys,
    /// Where Redis goes on; `None` before the first step.
    cursor: Option<u64>,
    at_once: usize,
}

impl ShardClient {
    /// Scans the counters of a slice. Nothing is read yet.
    pub fn scan(&self, keys: &ShardKeys, (instance, slice): (Instance, i64), definition: &DefinitionHash) -> SliceScan {
        let key = keys.counters(instance, slice, definition);
        SliceScan { key, keys: keys.clone(), cursor: None, at_once: FIELDS_AT_ONCE }
    }
}

impl SliceScan {
    /// The next fields, of which there may be none; `None` at the end.
    ///
    /// # Errors
    /// [`ShardError`].
    pub async fn next(&mut self, redis: &mut Connection) -> Result<Option<Vec<Field>>, ShardError> {
        if self.cursor == Some(0) {
            return Ok(None);
        }
        let (cursor, flat): (u64, Vec<Value>) = redis::cmd("HSCAN")
            .arg(&self.key)
            .arg(self.cursor.unwrap_or_default())
            .arg("COUNT")
            .arg(self.at_once)
            .query_async(redis)
            .await
            .map_err(|source| refused(&self.keys, "scan the counters of", source))?;
        self.cursor = Some(cursor);
        let fields = fields(flat).map_err(|source| ShardError::unreadable(&self.keys, source))?;
        let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > BYTES_AT_ONCE {
            self.at_once = (self.at_once / 2).max(1);
        }
        Ok(Some(fields))
    }
}

fn fields(flat: Vec<Value>) -> Result<Vec<Field>, UnknownReply> {
    let mut fields = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        match (name, value) {
            (Value::BulkString(name), Value::BulkString(value)) => {
                let strange = |error: std::string::FromUtf8Error| UnknownReply { what: error.to_string() };
                fields.push((String::from_utf8(name).map_err(strange)?, value));
            }
            other => return Err(UnknownReply { what: format!("{other:?}").chars().take(200).collect() }),
        }
    }
    Ok(fields)
}
