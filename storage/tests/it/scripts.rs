//! The scripts beside the pure functions that say what they do.
//!
//! - `positions`: random steps with right and wrong expectations leave the same shard, in the reply and in Redis;
//! - `counters`: random micro-batches leave the same values as merging by the laws, to the limits of 64 bits;
//! - `chunks`: what a read of some buckets of one group key reads;
//! - `limits`: a full Redis, one that only reads, lost replies, and counters that must not be unlinked.

mod chunks;
mod counters;
mod limits;
mod positions;

use std::rc::Rc;

use ::redis::{Connection, FromRedisValue, RedisResult};
use shared_logic::catalog::{Catalog, DefinitionHash};
use shared_logic::contracts::speed_view::script::{self, Reply, definitions_text, hashes_text, witness_text};
use shared_logic::contracts::speed_view::{
    Addition, Expected, FoundChunks, Held, Instance, KnownFields, Reading, Request, Shard, ShardKeys, Wanted,
};
use shared_logic::log::{PartitionId, Position};
use storage::{Merged, Scripts};
use test_kit::{Redis, catalogs};

fn catalog() -> Catalog {
    Catalog::parse(catalogs::EVERY_MEASURE).expect("a valid catalog")
}

fn hash(n: usize) -> DefinitionHash {
    format!("{n:016x}").parse().expect("16 digits")
}

fn start_redis() -> Redis {
    Redis::start_blocking().expect("redis starts")
}

/// One shard in Redis, and the scripts on it.
struct StoredShard {
    keys: ShardKeys,
    /// The instance that the next open or reopen gives the shard.
    next: Instance,
    scripts: Rc<Scripts>,
    redis: Connection,
}

impl StoredShard {
    fn new(server: &Redis, name: &str) -> StoredShard {
        let redis = server.connection_blocking().expect("redis answers");
        let keys = ShardKeys::new(&catalog().deployment, "s", &PartitionId::new(name, 0));
        StoredShard { keys, next: Instance::new(1), scripts: Rc::default(), redis }
    }

    fn command<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        self.try_command(words).expect("redis answers")
    }

    fn try_command<T: FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        ::redis::cmd(words[0]).arg(&words[1..]).query(&mut self.redis)
    }

    fn run(&mut self, script: fn(&Scripts) -> &::redis::Script, arguments: &[String]) -> RedisResult<Reply> {
        let scripts = Rc::clone(&self.scripts);
        let mut invocation = script(&scripts).key(self.keys.shard());
        for argument in arguments {
            invocation.arg(argument);
        }
        let fields: Vec<String> = invocation.invoke(&mut self.redis)?;
        Ok(script::reply(&fields).expect("a known reply"))
    }

    fn open(&mut self, at: impl Into<Position>, hashes: &[DefinitionHash]) -> RedisResult<Reply> {
        let Position { offset, witness } = at.into();
        let arguments = [offset.to_string(), hashes_text(hashes), self.next.to_string(), witness_text(witness)];
        self.run(|scripts| &scripts.open, &arguments)
    }

    fn adopt(&mut self, hashes: &[DefinitionHash]) -> RedisResult<Reply> {
        self.run(|scripts| &scripts.adopt, &[hashes_text(hashes)])
    }

    fn reopen(&mut self, cursor: i64, to: i64, hashes: &[DefinitionHash]) -> RedisResult<Reply> {
        let arguments = [cursor.to_string(), to.to_string(), hashes_text(hashes), self.next.to_string()];
        self.run(|scripts| &scripts.reopen, &arguments)
    }

    fn rotate(&mut self, max_slices: usize) -> RedisResult<Reply> {
        self.run(|scripts| &scripts.rotate, &[max_slices.to_string()])
    }

    fn mark(&mut self, instance: Instance, at: i64) -> RedisResult<Reply> {
        self.run(|scripts| &scripts.mark, &[instance.to_string(), at.to_string()])
    }

    fn drop(&mut self, cut: i64) -> RedisResult<Reply> {
        self.run(|scripts| &scripts.drop, &[cut.to_string()])
    }

    fn delete(&mut self, archived_end: i64) -> RedisResult<Reply> {
        self.run(|scripts| &scripts.delete, &[archived_end.to_string()])
    }

    /// What the fields of an addition hold in the expected slice, merged with it.
    fn merged(&mut self, expected: &Expected, addition: &Addition) -> Merged {
        let key = self.keys.counters(expected.instance, expected.slice, &addition.definition);
        let mut known = KnownFields::default();
        let own = self.fields(&key, addition.unknown(&known));
        let further = addition.further(&known, &own).expect("of the form that workers write");
        let further = self.fields(&key, further.iter().map(String::as_str));
        addition.merged(&mut known, &Held { own, further }).expect("of the form that workers write")
    }

    fn fields<'a>(&mut self, key: &str, names: impl Iterator<Item = &'a str>) -> Vec<Option<Vec<u8>>> {
        let names: Vec<&str> = names.collect();
        if names.is_empty() {
            return Vec::new();
        }
        ::redis::cmd("HMGET").arg(key).arg(names).query(&mut self.redis).expect("redis answers")
    }

    /// Writes to the expected slice what was merged per definition.
    fn apply(
        &mut self,
        expected: &Expected,
        to: impl Into<Position>,
        merged: &[(DefinitionHash, Merged)],
    ) -> RedisResult<Reply> {
        let to = to.into();
        let mut invocation = self.scripts.apply.key(self.keys.shard());
        invocation.key(self.keys.names()).key(self.keys.sweep()).key(self.keys.changes());
        for (definition, arguments) in merged {
            let counters = self.keys.counters(expected.instance, expected.slice, definition);
            for _ in arguments {
                invocation.key(&counters);
            }
        }
        invocation.arg(expected.cursor).arg(expected.slice).arg(definitions_text(&expected.definitions));
        invocation.arg(expected.instance.to_string()).arg(witness_text(expected.witness));
        invocation.arg(to.offset).arg(witness_text(to.witness)).arg("");
        for (_, arguments) in merged {
            invocation.arg(arguments);
        }
        let fields: Vec<String> = invocation.invoke(&mut self.redis)?;
        Ok(script::reply(&fields).expect("a known reply"))
    }

    fn unlink(&mut self, instance: Instance, slice: i64, keys: &[String]) -> RedisResult<u64> {
        let mut invocation = self.scripts.unlink.key(self.keys.shard());
        invocation.key(self.keys.names());
        for key in keys {
            invocation.key(key);
        }
        invocation.arg(instance.to_string()).arg(slice).invoke(&mut self.redis)
    }

    /// What a reader sees of those counters; `None` if there is no shard.
    fn read(&mut self, wanted: &[Wanted<'_>]) -> RedisResult<Option<Reading>> {
        let request = Request::new(&self.keys, wanted);
        let mut invocation = self.scripts.read.key(self.keys.shard());
        for key in &request.keys {
            invocation.key(key);
        }
        if !request.keys.is_empty() {
            invocation.key(self.keys.names());
        }
        let answer: Vec<::redis::Value> = invocation.arg(&request.arguments).invoke(&mut self.redis)?;
        let [cursor, slices, definitions, instance, as_of, witnesses, truncated, begin, found @ ..] = answer.as_slice()
        else {
            return Ok(None);
        };
        let text = |value: &::redis::Value| String::from_redis_value_ref(value).expect("text");
        let found: Vec<FoundChunks> = found
            .iter()
            .map(|flat| FromRedisValue::from_redis_value_ref(flat).expect("chunks and their values"))
            .collect();
        let head = [cursor, slices, definitions, instance, as_of, witnesses, truncated, begin].map(text);
        let head = head.each_ref().map(String::as_str);
        Ok(Some(Reading::parse(head, &found, wanted).expect("of the form that the scripts write")))
    }

    fn shard(&mut self) -> Option<Shard> {
        self.read(&[]).expect("redis answers").map(|reading| reading.state.shard)
    }
}
