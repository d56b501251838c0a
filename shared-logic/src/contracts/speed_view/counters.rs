//! How the values of one group key in one chunk are written down; a chunk is [`CHUNK_BUCKETS`] consecutive buckets, and one if any measure
//! is a sketch: sketches are large, and a field is written whole.
//!
//! They are a sequence of MessagePack items: per bucket that something was counted into, ascending, the bucket's place in its
//! chunk and then one item per measure ([`MeasureKind::write`]).

use super::script::UnknownReply;
use crate::measure::{MeasureKind, Value};

/// The buckets of one chunk: few enough that a field is small, enough that a year has few thousand chunks of minutes.
pub const CHUNK_BUCKETS: i64 = 64;

/// The values of one group key in one slice: `(bucket index, measure index, value)`.
pub type Counters = Vec<(i64, usize, Value)>;

/// The buckets of one chunk where those measures are counted.
pub(super) fn chunk_width(kinds: &[MeasureKind]) -> i64 {
    if kinds.iter().any(|kind| kind.is_sketch()) { 1 } else { CHUNK_BUCKETS }
}

/// The chunk of a bucket, and its place in it, where chunks are so wide.
pub(super) fn chunk_of(bucket_index: i64, width: i64) -> (i64, u8) {
    let place = bucket_index.rem_euclid(width);
    (bucket_index.div_euclid(width), u8::try_from(place).expect("a chunk has less than 256 buckets"))
}

/// Appends one bucket's values, one per measure. What leaves 64 bits is kept as an overflow.
pub(super) fn write(out: &mut Vec<u8>, place: u8, kinds: &[MeasureKind], values: &[Value]) {
    rmp::encode::write_uint(out, place.into()).expect("a vector takes every byte");
    for (kind, value) in kinds.iter().zip(values) {
        kind.write(out, value.clone());
    }
}

/// Reads the next bucket's values into `values`, and gives its place in the chunk; `None` at the end.
///
/// # Errors
/// If they are not of the form above, or a value is not of its measure's kind.
pub(super) fn read(
    from: &mut &[u8],
    kinds: &[MeasureKind],
    values: &mut Vec<Value>,
) -> Result<Option<u8>, UnknownReply> {
    values.clear();
    if from.is_empty() {
        return Ok(None);
    }
    let all = *from;
    let mut item = || {
        let place: u8 = rmp::decode::read_int(from).ok().filter(|place| i64::from(*place) < chunk_width(kinds))?;
        for kind in kinds {
            values.push(kind.read(from)?);
        }
        Some(place)
    };
    item().map(Some).ok_or_else(|| UnknownReply { what: format!("counters {all:02x?}") })
}

/// Appends the values of a chunk to `counters`.
///
/// # Errors
/// As [`read`].
pub(super) fn read_chunk(
    chunk: i64,
    mut field: &[u8],
    kinds: &[MeasureKind],
    counters: &mut Counters,
) -> Result<(), UnknownReply> {
    let mut values = Vec::with_capacity(kinds.len());
    while let Some(place) = read(&mut field, kinds, &mut values)? {
        let bucket = chunk * chunk_width(kinds) + i64::from(place);
        counters.extend(values.drain(..).enumerate().map(|(measure, value)| (bucket, measure, value)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Argument;

    const KINDS: [MeasureKind; 3] = [MeasureKind::Count, MeasureKind::MinInt, MeasureKind::SumFloat];

    #[test]
    fn a_bucket_has_its_place_on_both_sides_of_1970() {
        assert_eq!(
            [-65, -64, -1, 0, 63, 64].map(|bucket| chunk_of(bucket, CHUNK_BUCKETS)),
            [(-2, 63), (-1, 0), (-1, 63), (0, 0), (0, 63), (1, 0)]
        );
    }

    #[test]
    fn a_sketch_has_a_chunk_of_its_own() {
        let kinds = [MeasureKind::Count, MeasureKind::Quantile];
        assert_eq!((chunk_width(&KINDS), chunk_width(&kinds)), (64, 1));
        let latency = MeasureKind::Quantile.of_event(Argument::Int(7));
        let mut field = Vec::new();
        write(&mut field, 0, &kinds, &[Value::Int(1), latency.clone()]);
        let mut counters = Counters::new();
        read_chunk(-3, &field, &kinds, &mut counters).expect("readable");
        assert_eq!(counters, [(-3, 0, Value::Int(1)), (-3, 1, latency)]);
        write(&mut field, 1, &kinds, &kinds.map(MeasureKind::identity));
        assert!(read_chunk(-3, &field, &kinds, &mut Counters::new()).is_err(), "there is no second place");
    }

    #[test]
    fn every_value_is_read_as_it_was_written() {
        let int = |x: i64| Value::Int(x.into());
        let rows = [
            [int(0), Value::Null, Value::Float(-1.5e308)],
            [int(i64::MAX), int(i64::MIN), Value::Float(5e-324)],
            [Value::Overflow, int(-1), Value::Overflow],
            [int(127), int(-33), Value::Float(1.0 / 3.0)],
        ];
        let mut field = Vec::new();
        for (place, row) in (0..).zip(&rows) {
            write(&mut field, place * 21, &KINDS, row);
        }
        let mut counters = Counters::new();
        read_chunk(-1, &field, &KINDS, &mut counters).expect("readable");
        let expected = rows.iter().zip([-64, -43, -22, -1]).flat_map(|(row, bucket)| {
            row.iter().enumerate().map(move |(measure, value)| (bucket, measure, value.clone()))
        });
        assert_eq!(counters, expected.collect::<Vec<_>>());
    }

    #[test]
    fn what_leaves_64_bits_is_kept_as_an_overflow() {
        let mut field = Vec::new();
        write(&mut field, 1, &KINDS, &[Value::Int(i128::from(i64::MAX) + 1), Value::Null, Value::Float(0.0)]);
        let mut counters = Counters::new();
        read_chunk(0, &field, &KINDS, &mut counters).expect("readable");
        assert_eq!(counters[0], (1, 0, Value::Overflow));
    }

    #[test]
    fn what_no_worker_writes_is_refused() {
        let mut whole = Vec::new();
        write(&mut whole, 63, &KINDS, &[Value::Int(1), Value::Int(-70_000), Value::Float(0.5)]);
        for length in 1..whole.len() {
            assert!(read_chunk(0, &whole[..length], &KINDS, &mut Counters::new()).is_err(), "{length} bytes");
        }
        for strange in [&[64, 1, 1, 0xc0][..], &[0xc0], &[0xa1, b'x'], &[0, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]] {
            assert!(read_chunk(0, strange, &KINDS, &mut Counters::new()).is_err(), "{strange:02x?}");
        }
    }
}
