//! The client of the rows of tables in Redis (B3): every script that changes them, and every command that reads them.
//!
//! `shared_logic::contracts::table_rows` says what the scripts do, as pure functions; the tests run both side by side on a real Redis.
//! A script whose reply was lost may have run: every change names what it expects, so a repeat changes nothing. Reading takes no script:
//! one command reads a cursor and rows, both as of one moment.

use std::sync::Arc;

use platform::redis::Connection;
use redis::{FromRedisValue, Pipeline, RedisError, Script, Value, from_redis_value};
use shared_logic::contracts::speed_view::Instance;
use shared_logic::contracts::table_rows::script::{self, HEAD, Reply, UnknownReply, witness_text};
use shared_logic::contracts::table_rows::{Held, RowsKey, Slot, field_of};
use shared_logic::log::Position;

/// Runs the scripts on rows. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct TableRowsClient {
    scripts: Arc<TableScripts>,
}

/// The scripts, ready to be sent. The key of each is that of the rows.
#[derive(Debug)]
pub struct TableScripts {
    /// Arguments: the new instance, and that of the rows that may go (empty: none).
    pub begin: Script,
    /// Arguments: the instance, the next one, and rows.
    pub fill: Script,
    /// Arguments: the instance, cursor, basis, witness.
    pub open: Script,
    /// R2. Arguments: cursor, instance, basis and witness that are expected, next cursor, its witness, and rows.
    pub apply: Script,
}

impl Default for TableScripts {
    fn default() -> TableScripts {
        TableScripts {
            begin: Script::new(include_str!("table_rows/begin.lua")),
            fill: Script::new(include_str!("table_rows/fill.lua")),
            open: Script::new(include_str!("table_rows/open.lua")),
            apply: Script::new(include_str!("table_rows/apply.lua")),
        }
    }
}

/// Why rows could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TableRowsError {
    /// Redis refused, or did not answer in time. A script may have run.
    #[error("cannot {operation} the rows {key}")]
    Redis {
        /// What was tried.
        operation: &'static str,
        /// Their key.
        key: String,
        /// What the server or the connection said.
        source: RedisError,
    },
    /// Redis took a script and failed to write. The rows are gone, and have to be filled again.
    #[error("redis could not write to the rows {key}, which have to be filled again: {why}")]
    Failed {
        /// Their key.
        key: String,
        /// What Redis said.
        why: String,
    },
    /// They are of another format, or damaged.
    #[error("cannot understand the rows {key}")]
    Unreadable {
        /// Their key.
        key: String,
        /// What was read.
        source: UnknownReply,
    },
}

/// What was there, and the last changes of the keys that were asked for, in their order.
pub type RowsRead = (Slot, Vec<Option<Vec<u8>>>);

impl TableRowsClient {
    /// Begins to fill rows anew as that instance, a random one. `known` are the rows that may go for that; none but these.
    ///
    /// # Errors
    /// [`TableRowsError`].
    pub async fn begin(
        &self,
        redis: &mut Connection,
        key: &RowsKey,
        known: Option<Instance>,
        instance: Instance,
    ) -> Result<Reply, TableRowsError> {
        let known = known.map_or(String::new(), |known| known.to_string());
        let arguments = [instance.to_string(), known].map(String::into_bytes);
        self.change(redis, key, "begin to fill", &self.scripts.begin, &arguments).await
    }

    /// Fills rows in: some of what [`script::rows`] has made. From then on they are filled as the instance `next`, a random one.
    ///
    /// # Errors
    /// [`TableRowsError`].
    pub async fn fill(
        &self,
        redis: &mut Connection,
        key: &RowsKey,
        instance: Instance,
        next: Instance,
        rows: Vec<Vec<u8>>,
    ) -> Result<Reply, TableRowsError> {
        let instances = [instance, next].map(|instance| instance.to_string().into_bytes());
        let arguments: Vec<Vec<u8>> = instances.into_iter().chain(rows).collect();
        self.change(redis, key, "fill", &self.scripts.fill, &arguments).await
    }

    /// Ends a filling: from now on these are rows as of a cursor.
    ///
    /// # Errors
    /// [`TableRowsError`].
    pub async fn open(&self, redis: &mut Connection, key: &RowsKey, held: &Held) -> Result<Reply, TableRowsError> {
        let Held { cursor, instance, basis, witness } = held;
        let arguments = [instance.to_string(), cursor.to_string(), basis.to_string(), witness_text(*witness)];
        self.change(redis, key, "open", &self.scripts.open, &arguments.map(String::into_bytes)).await
    }

    /// R2: writes the last changes of some keys, as [`script::rows`] has made them, and moves the cursor to `to`.
    ///
    /// # Errors
    /// [`TableRowsError`]. After [`TableRowsError::Failed`] the rows are gone.
    pub async fn apply(
        &self,
        redis: &mut Connection,
        key: &RowsKey,
        expected: &Held,
        to: Position,
        rows: &[Vec<u8>],
    ) -> Result<Reply, TableRowsError> {
        let Held { cursor, instance, basis, witness } = expected;
        let names = [
            cursor.to_string(),
            instance.to_string(),
            basis.to_string(),
            witness_text(*witness),
            to.offset.to_string(),
            witness_text(to.witness),
        ];
        let arguments: Vec<Vec<u8>> = names.into_iter().map(String::into_bytes).chain(rows.iter().cloned()).collect();
        self.change(redis, key, "apply a micro-batch to", &self.scripts.apply, &arguments).await
    }

    /// What is there of several partitions, in their order, and the last changes of those keys in each. Each is as of one moment after
    /// this call. There should be some thousand fields at most.
    ///
    /// # Errors
    /// [`TableRowsError`] of the first that cannot be read.
    pub async fn read(
        &self,
        redis: &mut Connection,
        partitions: &[RowsKey],
        keys: &[&str],
    ) -> Result<Vec<RowsRead>, TableRowsError> {
        let Some(first) = partitions.first() else { return Ok(Vec::new()) };
        let fields: Vec<String> = keys.iter().map(|key| field_of(key)).collect();
        let mut look = Pipeline::with_capacity(partitions.len());
        for partition in partitions {
            let command = look.cmd("HMGET").arg(partition.as_str()).arg(&HEAD);
            for field in &fields {
                command.arg(field);
            }
        }
        let answers: Vec<Value> = look.query_async(redis).await.map_err(|source| refused(first, "read", source))?;
        let read = partitions.iter().zip(answers).map(|(partition, answer)| {
            let of_redis = |error| refused(partition, "read", RedisError::from(error));
            let mut fields: Vec<Option<Vec<u8>>> = from_redis_value(answer).map_err(of_redis)?;
            let rows = fields.split_off(HEAD.len().min(fields.len()));
            let head = fields.iter().map(|field| field.as_deref().map(String::from_utf8_lossy));
            let head: Vec<_> = head.collect();
            let head: Vec<Option<&str>> = head.iter().map(Option::as_deref).collect();
            let slot = script::slot(&head).map_err(|source| unreadable(partition, source))?;
            Ok((slot, rows))
        });
        read.collect()
    }

    /// What is there of one partition.
    ///
    /// # Errors
    /// [`TableRowsError`].
    pub async fn slot(&self, redis: &mut Connection, key: &RowsKey) -> Result<Slot, TableRowsError> {
        let read = self.read(redis, std::slice::from_ref(key), &[]).await?;
        Ok(read.into_iter().next().map_or(Slot::Missing, |(slot, _)| slot))
    }

    /// Removes the rows of a partition. Returns how many keys are gone.
    ///
    /// # Errors
    /// [`TableRowsError`].
    pub async fn remove(&self, redis: &mut Connection, key: &RowsKey) -> Result<u64, TableRowsError> {
        let removed = redis::cmd("UNLINK").arg(key.as_str()).query_async(redis).await;
        removed.map_err(|source| refused(key, "remove", source))
    }

    async fn change(
        &self,
        redis: &mut Connection,
        key: &RowsKey,
        operation: &'static str,
        script: &Script,
        arguments: &[Vec<u8>],
    ) -> Result<Reply, TableRowsError> {
        let fields: Vec<String> = call(redis, key, operation, script, arguments).await?;
        match script::reply(&fields).map_err(|source| unreadable(key, source))? {
            Reply::Failed(why) => Err(TableRowsError::Failed { key: key.as_str().to_owned(), why }),
            reply => Ok(reply),
        }
    }
}

async fn call<T: FromRedisValue>(
    redis: &mut Connection,
    key: &RowsKey,
    operation: &'static str,
    script: &Script,
    arguments: &[Vec<u8>],
) -> Result<T, TableRowsError> {
    let mut invocation = script.key(key.as_str());
    arguments.iter().for_each(|argument| {
        invocation.arg(argument);
    });
    invocation.invoke_async(redis).await.map_err(|source| refused(key, operation, source))
}

fn refused(key: &RowsKey, operation: &'static str, source: RedisError) -> TableRowsError {
    TableRowsError::Redis { operation, key: key.as_str().to_owned(), source }
}

fn unreadable(key: &RowsKey, source: UnknownReply) -> TableRowsError {
    TableRowsError::Unreadable { key: key.as_str().to_owned(), source }
}
