//! What a micro-batch adds to the counters of one definition.
//!
//! A worker reads the fields that an addition names, merges, and writes them back in the script that moves the cursor. That
//! script refuses where the shard is not the one that was read, so nothing is lost between the two, and writing the same
//! values twice is writing them once.

use std::collections::{BTreeSet, HashMap};

use super::counters::{self, CHUNKS, chunk_of};
use super::script::UnknownReply;
use crate::catalog::{DefinitionHash, Metric};
use crate::group_key::GroupKey;
use crate::measure::{MeasureKind, Value};
use crate::partial::Partials;
use crate::time::bucket_index;

/// The partials of one definition, by the fields that they belong to.
#[derive(Debug, Clone)]
pub struct Addition {
    /// What is counted.
    pub definition: DefinitionHash,
    kinds: Vec<MeasureKind>,
    /// The fields' names, one behind the other, and where each ends.
    names: String,
    ends: Vec<usize>,
    chunks: BTreeSet<i64>,
    /// Ascending, each pair once: the field and the bucket's place in its chunk; with the row of its values.
    rows: Vec<(u32, u8, u32)>,
    /// Row-major, one per measure.
    values: Vec<Value>,
}

impl Addition {
    /// Sorts partials of a metric by field.
    pub fn new(definition: DefinitionHash, metric: &Metric, partials: &Partials) -> Addition {
        let mut addition = Addition {
            definition,
            kinds: metric.measures.iter().map(|measure| measure.kind).collect(),
            names: String::new(),
            ends: Vec::with_capacity(partials.len()),
            chunks: BTreeSet::new(),
            rows: Vec::with_capacity(partials.len()),
            values: Vec::with_capacity(partials.len() * metric.measures.len()),
        };
        let mut fields: HashMap<(i64, &GroupKey), u32> = HashMap::with_capacity(partials.len());
        let (mut last, mut prefix) = (None, String::new());
        for (row, (key, bucket, values)) in (0_u32..).zip(partials.rows()) {
            let (chunk, place) = chunk_of(bucket_index(bucket, metric.grain_us));
            let field = *fields.entry((chunk, key)).or_insert_with(|| {
                if last != Some(chunk) {
                    addition.chunks.insert(chunk);
                    (last, prefix) = (Some(chunk), format!("{chunk}:"));
                }
                addition.names.push_str(&prefix);
                addition.names.push_str(key.as_str());
                addition.ends.push(addition.names.len());
                u32::try_from(addition.ends.len() - 1).expect("a micro-batch is bounded")
            });
            addition.rows.push((field, place, row));
            addition.values.extend_from_slice(values);
        }
        addition.rows.sort_unstable();
        let (kinds, values) = (&addition.kinds, &mut addition.values);
        addition.rows.dedup_by(|later, first| {
            let same = (later.0, later.1) == (first.0, first.1);
            if same {
                for (measure, kind) in kinds.iter().enumerate() {
                    let [first, later] = [first.2, later.2].map(|row| row as usize * kinds.len() + measure);
                    values[first] = kind.merge(values[first].clone(), values[later].clone());
                }
            }
            same
        });
        addition
    }

    /// The names of the fields that are to be read, the list of chunks first.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        [CHUNKS].into_iter().chain(begins.zip(&self.ends).map(|(begin, end)| &self.names[begin..*end]))
    }

    /// Merges into what the fields held, in the order of [`Addition::fields`], and gives what they hold then: one
    /// MessagePack array `field, value, …` for the apply script.
    ///
    /// # Errors
    /// If a field held something that no worker writes.
    pub fn merged(&self, held: &[Option<Vec<u8>>]) -> Result<Vec<u8>, UnknownReply> {
        let (held_chunks, held) =
            held.split_first().filter(|(_, held)| held.len() == self.ends.len()).ok_or_else(|| UnknownReply {
                what: format!("{} fields instead of {}", held.len(), self.ends.len() + 1),
            })?;
        let chunks = self.merged_chunks(held_chunks.as_deref())?;
        let mut out = Vec::with_capacity(self.names.len() + self.ends.len() * 24);
        out.push(0xdd);
        let items = 2 * (self.ends.len() + usize::from(chunks.is_some()));
        out.extend_from_slice(&u32::try_from(items).expect("a micro-batch is bounded").to_be_bytes());
        if let Some(chunks) = chunks {
            write_bytes(&mut out, CHUNKS.as_bytes());
            write_bytes(&mut out, chunks.as_bytes());
        }
        let (mut field, mut rest) = (Vec::new(), self.rows.as_slice());
        for (at, (name, held)) in (0_u32..).zip(self.fields().skip(1).zip(held)) {
            let (rows, others) = rest.split_at(rest.iter().take_while(|row| row.0 == at).count());
            rest = others;
            field.clear();
            self.merge_field(&mut field, held.as_deref().unwrap_or_default(), rows)?;
            write_bytes(&mut out, name.as_bytes());
            write_bytes(&mut out, &field);
        }
        Ok(out)
    }

    /// The list with this addition's chunks, if they are not all in it.
    fn merged_chunks(&self, held: Option<&[u8]>) -> Result<Option<String>, UnknownReply> {
        let held = held.unwrap_or_default();
        let unknown = || UnknownReply { what: format!("chunks {:?}", String::from_utf8_lossy(held)) };
        let text = std::str::from_utf8(held).map_err(|_| unknown())?;
        let listed = text.split(',').filter(|chunk| !chunk.is_empty()).map(str::parse);
        let listed: BTreeSet<i64> = listed.collect::<Result<_, _>>().map_err(|_| unknown())?;
        if self.chunks.is_subset(&listed) {
            return Ok(None);
        }
        let all: Vec<String> = listed.union(&self.chunks).map(i64::to_string).collect();
        Ok(Some(all.join(",")))
    }

    /// Merges one field's rows into what it held; both are ascending by bucket.
    fn merge_field(&self, out: &mut Vec<u8>, mut held: &[u8], rows: &[(u32, u8, u32)]) -> Result<(), UnknownReply> {
        let mut rows = rows.iter().map(|(_, place, row)| (*place, self.row(*row))).peekable();
        let mut values = Vec::with_capacity(self.kinds.len());
        while let Some(place) = counters::read(&mut held, &self.kinds, &mut values)? {
            while let Some((before, added)) = rows.next_if(|row| row.0 < place) {
                counters::write(out, before, &self.kinds, added);
            }
            if let Some((_, added)) = rows.next_if(|row| row.0 == place) {
                for ((value, kind), added) in values.iter_mut().zip(&self.kinds).zip(added) {
                    // A slice keeps 64 bits at every step: what leaves them stays an overflow until the next reconcile.
                    *value = kind.merge(value.clone(), added.clone().finalized()).finalized();
                }
            }
            counters::write(out, place, &self.kinds, &values);
        }
        rows.for_each(|(place, added)| counters::write(out, place, &self.kinds, added));
        Ok(())
    }

    fn row(&self, row: u32) -> &[Value] {
        let width = self.kinds.len();
        &self.values[row as usize * width..][..width]
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a field is bounded");
    rmp::encode::write_str_len(out, length).expect("a vector takes every byte");
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;
    use crate::catalog::Catalog;
    use crate::partial::BUCKET;

    fn addition(keys: &[&str], minutes: &[i64]) -> Addition {
        let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
        let (source, metric) = (&catalog.sources["s"], &catalog.metrics["m"]);
        let buckets: Vec<i64> = minutes.iter().map(|minute| minute * 60_000_000).collect();
        let frame = df!("k" => keys, BUCKET => buckets, "n" => vec![1_i64; keys.len()]).expect("three columns");
        let partials = Partials::of_frame(source, metric, &frame, |_| true).expect("their types");
        Addition::new(catalog.definition(metric), metric, &partials)
    }

    #[test]
    fn a_field_is_named_once_and_a_bucket_is_merged_once() {
        let addition = addition(&["a", "b", "a", "a"], &[3, 3, 1, 3]);
        assert_eq!(addition.fields().collect::<Vec<_>>(), [CHUNKS, "0:[\"a\"]", "0:[\"b\"]"]);
        let held = [None, Some(vec![2, 7]), None];
        let merged = addition.merged(&held).expect("readable");
        let field_of_a = [1, 1, 2, 7, 3, 2];
        assert!(merged.windows(6).any(|window| window == field_of_a), "{merged:02x?}");
    }

    #[test]
    fn the_list_of_chunks_is_written_only_where_it_grows() {
        let addition = addition(&["a", "a"], &[-1, 700]);
        let listed = |held: Option<&str>| addition.merged_chunks(held.map(str::as_bytes)).expect("readable");
        assert_eq!(listed(None).as_deref(), Some("-1,10"));
        assert_eq!(listed(Some("-7,9,10")).as_deref(), Some("-7,-1,9,10"));
        assert_eq!(listed(Some("-1,0,10")), None);
        assert!(addition.merged_chunks(Some(b"x")).is_err());
    }

    #[test]
    fn what_was_held_by_other_fields_is_refused() {
        assert!(addition(&["a"], &[0]).merged(&[None]).is_err());
    }
}
