//! The two layers without their stores: the crate's decoder, windows, plans and partials, and maps for Redis and Delta.

use std::collections::HashMap;
use std::fmt;

use polars::prelude::*;
use shared_logic::contracts::speed_view::{
    Addition, ChunkRange, FoundChunks, Held, Instance, KnownFields, Reading, Shard, ShardKeys, Wanted, script,
};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::dedup::{FirstCopies, Place, RecentIdentities, Sighting};
use shared_logic::group_key::{GroupKey, KeyPart, KeyValue};
use shared_logic::identity::Identity;
use shared_logic::log::PartitionId;
use shared_logic::measure::Value;
use shared_logic::merge::SpeedCell;
use shared_logic::partial::Partials;
use shared_logic::plan::{Plan, SourcePlan};
use test_kit::Dice;

use super::Key;
use super::catalogs::Definition;
use super::records::{Partition, Record};

/// Both layers at one cut.
pub(super) struct Layers {
    /// Partials of everything below the cut.
    batch: DataFrame,
    /// Per partition its cut, its shard, and its counters.
    speed: Vec<(i64, Shard, Counters)>,
}

/// What Redis holds of a slice's counters: field → value.
type Fields = HashMap<String, Vec<u8>>;
/// The counters of one shard, by key.
type Counters = HashMap<String, Fields>;

impl Layers {
    /// Cuts each partition anywhere, begins slices anywhere, one of them at the cut.
    pub(super) fn split(dice: &mut Dice, definition: &Definition, partitions: &[Partition]) -> Layers {
        let speed: Vec<_> =
            partitions.iter().enumerate().map(|(at, partition)| speed(dice, definition, at, partition)).collect();
        let cuts: Vec<i64> = speed.iter().map(|(cut, ..)| *cut).collect();
        Layers { batch: batch(definition, partitions, &cuts), speed }
    }

    /// One plan over everything.
    pub(super) fn all_batch(definition: &Definition, partitions: &[Partition]) -> Layers {
        Layers { batch: batch(definition, partitions, &vec![i64::MAX; partitions.len()]), speed: Vec::new() }
    }

    pub(super) fn cut(&self, partition: usize) -> i64 {
        self.speed[partition].0
    }

    /// The view's rows of a key, as a reader finds them: by the columns that are named.
    pub(super) fn batch_rows(&self, definition: &Definition, key: &Key) -> Vec<(i64, Vec<Value>)> {
        let named = definition.metric().by.iter().zip(key);
        let of_key = named.filter_map(|(name, part)| is_of(col(name.as_str()), part)).reduce(Expr::and);
        let rows = self.batch.clone().lazy().filter(of_key.unwrap_or_else(|| lit(true))).collect().expect("a filter");
        let partials =
            Partials::of_frame(definition.source(), definition.metric(), &rows, |_| true).expect("a view's rows");
        partials.rows().map(|(_, bucket, values)| (bucket, values.to_vec())).collect()
    }

    /// The counters of a key in every slice that begins at the cut or above.
    pub(super) fn speed_cells(&self, definition: &Definition, key: &GroupKey) -> Vec<SpeedCell> {
        let mut cells = Vec::new();
        for (at, (cut, shard, counters)) in self.speed.iter().enumerate() {
            assert!(shard.slices.contains(cut), "{shard:?} has no slice at {cut}");
            let keys = shard_keys(definition, at);
            let (hash, kinds) = (definition.hash(), definition.kinds());
            let wanted = |slice: &i64| Wanted {
                instance: shard.instance,
                slice: *slice,
                definition: &hash,
                kinds: &kinds,
                key,
                chunks: ChunkRange { first: i64::MIN, last: i64::MAX },
            };
            let wanted: Vec<Wanted<'_>> = shard.slices.iter().filter(|begin| *begin >= cut).map(wanted).collect();
            let fields_of = |wanted: &Wanted<'_>| counters.get(&keys.counters(wanted.instance, wanted.slice, &hash));
            let found: Vec<FoundChunks> = wanted.iter().map(|wanted| chunks(fields_of(wanted), key)).collect();
            let definitions = script::definitions_text(&shard.definitions);
            let begins = shard.slices.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
            let (cursor, instance) = (shard.cursor.to_string(), shard.instance.to_string());
            let witnesses = script::witnesses_text(shard);
            let head: [&str; 8] = [&cursor, &begins, &definitions, &instance, "", &witnesses, "", ""];
            let reading = Reading::parse(head, &found, &wanted).expect("what was written is read");
            assert_eq!(reading.state.shard, *shard);
            let grain_us = definition.metric().grain_us;
            let counters = reading.counters.into_iter().flatten();
            cells.extend(counters.map(|(bucket, measure, value)| (bucket * grain_us, measure, value)));
        }
        cells
    }
}

/// What a column has to be; nothing where it is summed over.
fn is_of(column: Expr, part: &KeyPart) -> Option<Expr> {
    Some(match part {
        KeyPart::All => return None,
        KeyPart::Missing => column.is_null(),
        KeyPart::Value(KeyValue::Text(text)) => column.eq(lit(text.clone())),
        KeyPart::Value(KeyValue::Int(int) | KeyValue::Timestamp(int)) => column.eq(lit(*int)),
        KeyPart::Value(KeyValue::Bool(truth)) => column.eq(lit(*truth)),
    })
}

/// What lies below the cuts, exactly deduplicated, through one plan.
fn batch(definition: &Definition, partitions: &[Partition], cuts: &[i64]) -> DataFrame {
    let mut decoder = Decoder::new(definition.source());
    let mut columns = Columns::new(definition.source(), |_| true, 0);
    let mut places = Vec::new();
    // The archive has its rows in any order.
    for (at, partition) in partitions.iter().enumerate().rev() {
        for record in partition.records.iter().rev().filter(|record| record.offset < cuts[at]) {
            if let Ok(event) = decoder.decode(record.payload.as_deref(), record.timestamp_us) {
                columns.push(&event);
                places.push(Place { log: 0, partition: at as i32, offset: record.offset });
            }
        }
    }
    let events = columns.finish().expect("columns");
    let identities = Identity::of_columns(&events, &definition.source().event_id, "at").expect("an identity");
    let firsts: BooleanChunked = FirstCopies::of(&identities, &places).mask().into_iter().collect();
    let events = events.filter(&firsts).expect("a mask").lazy();
    Plan::new(definition.source(), definition.metric()).partials(events).expect("planned")
}

/// A worker's life on one partition: micro-batches of any size, rotates, restarts.
fn speed(dice: &mut Dice, definition: &Definition, number: usize, partition: &Partition) -> (i64, Shard, Counters) {
    let end = partition.records.last().map_or(0, |record| record.offset + 1);
    let cut = dice.between(0, end);
    let opened = if dice.chance(50) { cut } else { dice.between(0, cut) };
    let mut begins: Vec<i64> = (0..dice.below(3)).map(|_| dice.between(opened, end)).chain([cut]).collect();
    begins.sort_unstable();
    let plan = SourcePlan::new(definition.source(), [definition.metric()]);
    let hashes = [definition.hash()];
    let mut shard = Shard::open(None, opened, &hashes, Instance::new(dice.throw())).expect("there is none");
    let (keys, mut counters) = (shard_keys(definition, number), Counters::new());
    let mut worker = Worker::started(definition, &plan, partition, shard.cursor);
    while shard.cursor < end || begins.iter().any(|begin| *begin == shard.cursor && !shard.slices.contains(begin)) {
        if begins.contains(&shard.cursor) {
            shard = Shard::rotate(Some(&shard), 100).expect("there is one").0;
        }
        let stop = begins.iter().copied().filter(|begin| *begin > shard.cursor).min().unwrap_or(end);
        if shard.cursor == stop {
            break;
        }
        if dice.chance(20) {
            worker = Worker::started(definition, &plan, partition, shard.cursor);
        }
        let far = if dice.chance(50) { stop } else { dice.between(shard.cursor + 1, stop) };
        let addition = Addition::new(definition.hash(), definition.metric(), &worker.micro_batch(shard.cursor, far));
        let counted = keys.counters(shard.instance, shard.last_slice(), &definition.hash());
        let expected = shard.expected();
        let mut known = worker.known.lend(&expected);
        shard = Shard::apply(Some(&shard), &expected, far).expect("as expected");
        add(counters.entry(counted).or_default(), &addition, &mut known);
        // Now and then the script's reply is lost, and a later look shows that it ran.
        if dice.chance(90) {
            worker.known = known;
        }
    }
    (cut, shard, counters)
}

fn shard_keys(definition: &Definition, partition: usize) -> ShardKeys {
    ShardKeys::new(&definition.catalog.deployment, "events", &PartitionId::new("log", partition as i32))
}

/// What a worker's look and the apply script do to a slice's counters.
fn add(fields: &mut Fields, addition: &Addition, known: &mut KnownFields) {
    let own: Vec<Option<Vec<u8>>> = addition.unknown(known).map(|field| fields.get(field).cloned()).collect();
    let further = addition.further(known, &own).expect("what was written is read");
    let held = Held { own, further: further.iter().map(|field| fields.get(field).cloned()).collect() };
    let merged = addition.merged(known, &held).expect("what was written is read");
    for argument in merged {
        let mut rest = argument.as_slice();
        while !rest.is_empty() {
            fields.insert(String::from_utf8(next_text(&mut rest)).expect("text"), next_text(&mut rest));
        }
    }
}

fn next_text(rest: &mut &[u8]) -> Vec<u8> {
    let length = rmp::decode::read_str_len(rest).expect("a string") as usize;
    let (text, others) = rest.split_at(length);
    *rest = others;
    text.to_vec()
}

/// What the read script does: a group key's own field, and its fields in every other chunk that this one lists.
fn chunks(fields: Option<&Fields>, key: &GroupKey) -> Vec<(i64, Vec<u8>)> {
    let Some((fields, own)) = fields.and_then(|fields| Some((fields, fields.get(key.as_str())?))) else {
        return Vec::new();
    };
    let end = own.iter().position(|byte| *byte == b';').expect("a list");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let mut found = Vec::new();
    for (at, run) in std::str::from_utf8(&own[..end]).expect("text").split(',').enumerate() {
        let (first, more) = run.split_once('+').unwrap_or((run, "0"));
        for chunk in number(first)..=number(first) + number(more) {
            let field = if at == 0 { own[end + 1..].to_vec() } else { fields[&format!("{chunk}:{key}")].clone() };
            found.push((chunk, field));
        }
    }
    found
}

/// What a worker remembers, and forgets when it restarts.
struct Worker<'a> {
    definition: &'a Definition,
    plan: &'a SourcePlan,
    records: &'a [Record],
    decoder: Decoder,
    window: RecentIdentities,
    known: KnownFields,
}

impl<'a> Worker<'a> {
    fn started(definition: &'a Definition, plan: &'a SourcePlan, partition: &'a Partition, cursor: i64) -> Worker<'a> {
        let window = RecentIdentities::new(definition.source().dedup_window);
        let decoder = Decoder::new(definition.source());
        let known = KnownFields::new(100_000);
        let mut worker = Worker { definition, plan, records: &partition.records, decoder, window, known };
        let from = worker.window.warm_from(cursor);
        worker.read(from, cursor, &mut Columns::new(definition.source(), |_| false, 0));
        worker
    }

    fn micro_batch(&mut self, from: i64, to: i64) -> Partials {
        let (definition, plan) = (self.definition, self.plan);
        let wanted = |name: &str| plan.columns().binary_search_by(|column| column.as_str().cmp(name)).is_ok();
        let mut columns = Columns::new(definition.source(), wanted, 0);
        self.read(from, to, &mut columns);
        let (rows, events) = (columns.len(), columns.finish().expect("columns"));
        let counted = plan.count(&plan.encode(events).expect("evaluated"), 0, &[rows], usize::MAX);
        counted.partials.into_iter().next().expect("there is one metric")
    }

    fn read(&mut self, from: i64, to: i64, columns: &mut Columns) {
        for record in self.records.iter().filter(|record| (from..to).contains(&record.offset)) {
            let Ok(event) = self.decoder.decode(record.payload.as_deref(), record.timestamp_us) else { continue };
            let sighting = event.identity().map(|identity| Sighting { identity, offset: record.offset });
            let copies = self.window.judge(sighting.as_slice());
            if copies != [true] {
                columns.push(&event);
            }
        }
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (cut, shard, _)) in self.speed.iter().enumerate() {
            writeln!(f, "partition {at}: cut {cut}, slices {:?}, cursor {}", shard.slices, shard.cursor)?;
        }
        Ok(())
    }
}
