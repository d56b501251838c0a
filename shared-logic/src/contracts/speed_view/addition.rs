//! What a micro-batch adds to the counters of one definition.
//!
//! A worker reads the fields that an addition names, merges, and writes them back in the script that moves the cursor. That
//! script refuses where the shard is not the one that was read, so nothing is lost between the two, and writing the same
//! values twice is writing them once.
//!
//! It reads each key's own field first, unless it [knows](KnownFields) what that holds. The field lists the key's other chunks
//! ([`chunks`](super)), so a second look is needed only for keys that the micro-batch adds to in such a chunk.

use std::io::Write;
use std::slice;
use std::sync::Arc;

use super::chunks::{Chunks, lists_others, own_field};
use super::counters::{self, chunk_of, chunk_width};
use super::known::{KnownFields, OwnFields, Place};
use super::script::UnknownReply;
use crate::catalog::{DefinitionHash, Metric};
use crate::contracts::arguments::Arguments;
use crate::hash_index::Texts;
use crate::measure::{MeasureKind, Value};
use crate::partial::Partials;
use crate::time::bucket_index;

/// The partials of one definition, by group key and bucket.
#[derive(Debug, Clone)]
pub struct Addition {
    /// What is counted.
    pub definition: DefinitionHash,
    kinds: Vec<MeasureKind>,
    /// The group keys' texts, each once.
    keys: Texts,
    /// Ascending, each pair of key and bucket once.
    rows: Vec<Row>,
    /// Row-major, one per measure. Shared with the partials, unless rows were merged.
    values: Arc<Vec<Value>>,
}

/// The number of a group key, the index of a bucket, and the row of its values.
type Row = (u32, i64, u32);

/// How many keys are looked for at the same time.
const AT_ONCE: usize = 32;
/// What a new field holds.
const NOTHING: &[u8] = &[];

/// What the fields held that an addition adds to.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// The fields that [`Addition::unknown`] names, in its order.
    pub own: Vec<Option<Vec<u8>>>,
    /// The fields that [`Addition::further`] names, in its order.
    pub further: Vec<Option<Vec<u8>>>,
}

impl Addition {
    /// Sorts partials of a metric by field.
    pub fn new(definition: DefinitionHash, metric: &Metric, partials: &Partials) -> Addition {
        let mut addition = Addition {
            definition,
            kinds: metric.measures.iter().map(|measure| measure.kind).collect(),
            keys: Texts::with_room(partials.len()),
            rows: Vec::with_capacity(partials.len()),
            values: partials.values(),
        };
        for (row, (key, bucket, _)) in (0_u32..).zip(partials.rows()) {
            let number = addition.keys.number(key.as_str());
            addition.rows.push((number, bucket_index(bucket, metric.grain_us), row));
        }
        addition.rows.sort_unstable();
        let (kinds, values) = (&addition.kinds, &mut addition.values);
        addition.rows.dedup_by(|later, first| {
            let same = (later.0, later.1) == (first.0, first.1);
            if same {
                let values = Arc::make_mut(values);
                for (measure, kind) in kinds.iter().enumerate() {
                    let [first, later] = [first.2, later.2].map(|row| row as usize * kinds.len() + measure);
                    values[first] = kind.merge(values[first].clone(), values[later].clone());
                }
            }
            same
        });
        addition
    }

    /// The names of the fields that are to be read first: the own ones of the group keys that are added to, but for those that are
    /// known.
    pub fn unknown<'a>(&'a self, known: &'a KnownFields) -> impl Iterator<Item = &'a str> {
        let fields = known.of(&self.definition);
        let is_known = move |key: &str| known.are_all() || fields.is_some_and(|fields| fields.get(key).is_some());
        self.keys.iter().filter(move |key| !is_known(key))
    }

    /// The names of the other fields that are to be read, given what the keys' own fields held.
    ///
    /// # Errors
    /// If a field held something that no worker writes.
    pub fn further(&self, known: &KnownFields, own: &[Option<Vec<u8>>]) -> Result<Vec<String>, UnknownReply> {
        let mut names = Vec::new();
        // As a rule, no key has other chunks.
        if !known.list_others() && !own.iter().flatten().any(|field| lists_others(field)) {
            return Ok(names);
        }
        let nothing = OwnFields::default();
        let (fields, mut own) = (known.of(&self.definition).unwrap_or(&nothing), own.iter());
        for (key, rows) in self.by_key() {
            let field = held(fields, &fields.place(key), known.are_all(), &mut own)?;
            let Some(field) = field.filter(|field| lists_others(field)) else {
                continue;
            };
            let (chunks, _) = own_field(field)?;
            let touched = by_chunk(rows, self.width()).map(|(chunk, _)| chunk).filter(|chunk| chunks.has_field(*chunk));
            names.extend(touched.map(|chunk| field_name(chunk, key)));
        }
        Ok(names)
    }

    /// Merges into what the fields held, and gives what those hold then that change: arguments for the apply script, each with fields
    /// and their values as MessagePack texts `field value field …`. `known` is what the slice holds once that script is done.
    ///
    /// # Errors
    /// If a field held something that no worker writes.
    pub fn merged(&self, known: &mut KnownFields, held_fields: &Held) -> Result<Vec<Vec<u8>>, UnknownReply> {
        let mut out = Arguments::default();
        let (mut read, mut further) = (held_fields.own.iter(), held_fields.further.iter());
        let (mut values, mut bucket) = (Vec::new(), Vec::new());
        let (are_all, mut lack_one, mut list_others) = (known.are_all(), false, false);
        let fields = known.of_mut(&self.definition);
        let keys: Vec<(&str, &[Row])> = self.by_key().collect();
        for keys in keys.chunks(AT_ONCE) {
            let places = fields.places(keys.iter().map(|(key, _)| *key));
            for ((key, rows), place) in keys.iter().copied().zip(places) {
                let held = held(fields, &place, are_all, &mut read)?;
                let (mut chunks, own) = match held {
                    Some(field) => own_field(field)?,
                    None => (Chunks::new(chunk_of(rows[0].1, self.width()).0), NOTHING),
                };
                let (mut of_own, mut has_new): (&[Row], bool) = (&[], false);
                for (chunk, rows) in by_chunk(rows, self.width()) {
                    if chunk == chunks.own {
                        of_own = rows;
                        continue;
                    }
                    let held = if chunks.has_field(chunk) {
                        further.next().ok_or_else(other_fields)?.as_deref()
                    } else {
                        chunks.insert(chunk);
                        has_new = true;
                        None
                    };
                    values.clear();
                    self.merge_chunk(&mut values, held.unwrap_or_default(), rows, &mut bucket)?;
                    out.push(&field_name(chunk, key), &values);
                }
                if has_new || !of_own.is_empty() {
                    values.clear();
                    match held {
                        // The list as it stands there.
                        Some(field) if !has_new => values.extend_from_slice(&field[..field.len() - own.len()]),
                        _ => write!(values, "{chunks};").expect("a vector takes every byte"),
                    }
                    self.merge_chunk(&mut values, own, of_own, &mut bucket)?;
                    out.push(key, &values);
                    lack_one |= !fields.keep(place, key, &values);
                    list_others |= lists_others(&values);
                }
            }
        }
        known.note(lack_one, list_others);
        if read.next().is_some() || further.next().is_some() { Err(other_fields()) } else { Ok(out.finish()) }
    }

    /// Each group key with its rows.
    fn by_key(&self) -> impl Iterator<Item = (&str, &[Row])> {
        // Every key has a row, and rows are in the order of their keys.
        self.keys.iter().zip(self.rows.chunk_by(|one, next| one.0 == next.0))
    }

    /// Merges the rows of one chunk into what was held of it; both are ascending by bucket. `bucket` is room for the values of one.
    fn merge_chunk(
        &self,
        out: &mut Vec<u8>,
        mut held: &[u8],
        rows: &[Row],
        bucket: &mut Vec<Value>,
    ) -> Result<(), UnknownReply> {
        let width = self.width();
        let mut rows = rows.iter().map(|(_, bucket, row)| (chunk_of(*bucket, width).1, self.row(*row))).peekable();
        while let Some(place) = counters::read(&mut held, &self.kinds, bucket)? {
            while let Some((before, added)) = rows.next_if(|row| row.0 < place) {
                counters::write(out, before, &self.kinds, added);
            }
            if let Some((_, added)) = rows.next_if(|row| row.0 == place) {
                for ((value, kind), added) in bucket.iter_mut().zip(&self.kinds).zip(added) {
                    // A slice keeps 64 bits at every step: what leaves them stays an overflow until the next reconcile.
                    *value = kind.merge(value.clone(), added.clone().finalized()).finalized();
                }
            }
            counters::write(out, place, &self.kinds, bucket);
        }
        rows.for_each(|(place, added)| counters::write(out, place, &self.kinds, added));
        Ok(())
    }

    /// The buckets of one chunk.
    fn width(&self) -> i64 {
        chunk_width(&self.kinds)
    }

    fn row(&self, row: u32) -> &[Value] {
        let width = self.kinds.len();
        &self.values[row as usize * width..][..width]
    }
}

/// What a key's own field holds: as it is known, or else as it was read.
fn held<'a, 'b: 'a>(
    known: &'a OwnFields,
    place: &Place,
    are_all: bool,
    read: &mut slice::Iter<'b, Option<Vec<u8>>>,
) -> Result<Option<&'a [u8]>, UnknownReply> {
    match known.at(place) {
        None if !are_all => Ok(read.next().ok_or_else(other_fields)?.as_deref()),
        field => Ok(field),
    }
}

/// Rows of one key by chunk, ascending.
fn by_chunk(rows: &[Row], width: i64) -> impl Iterator<Item = (i64, &[Row])> {
    let chunk = move |row: &Row| chunk_of(row.1, width).0;
    rows.chunk_by(move |one, next| chunk(one) == chunk(next)).map(move |rows| (chunk(&rows[0]), rows))
}

/// The field of a chunk that is not the key's own.
fn field_name(chunk: i64, key: &str) -> String {
    format!("{chunk}:{key}")
}

fn other_fields() -> UnknownReply {
    UnknownReply { what: "other fields than were asked for".to_owned() }
}

#[cfg(test)]
mod tests;
