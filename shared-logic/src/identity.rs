//! What makes two records the same event.

use polars::prelude::*;
use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

/// The identity of an event: records of a source with equal identities are copies of one event.
///
/// 128 bits of XXH3 over event id and event time; two different events share one with a chance of about 1e-26 per pair
/// of a trillion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u64, pub u64);

/// The value of one field of an event id, as the bytes that are hashed.
#[derive(Debug, Clone, Copy)]
pub enum IdValue<'a> {
    /// A text's bytes.
    Text(&'a [u8]),
    /// An integer's eight bytes.
    Int([u8; 8]),
}

impl<'a> IdValue<'a> {
    /// An integer.
    pub fn int(value: i64) -> IdValue<'a> {
        IdValue::Int(value.to_le_bytes())
    }
}

impl AsRef<[u8]> for IdValue<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            IdValue::Text(bytes) => bytes,
            IdValue::Int(bytes) => bytes,
        }
    }
}

impl Identity {
    /// The identity of an event with that event time and the values of the fields that its source's event id consists of, in
    /// their order: a text's bytes, or an integer's eight. There is at least one.
    ///
    /// Several are hashed with their lengths, so that `a` and `bc` are not `ab` and `c`.
    pub fn of<V: AsRef<[u8]>>(
        event_id: impl IntoIterator<Item = V, IntoIter: ExactSizeIterator>,
        event_time_us: i64,
    ) -> Identity {
        let (mut values, seed) = (event_id.into_iter(), event_time_us as u64);
        if values.len() == 1
            && let Some(only) = values.next()
        {
            return Identity::of_bits(xxh3_128_with_seed(only.as_ref(), seed));
        }
        let mut hash = Xxh3::with_seed(seed);
        for value in values {
            let value = value.as_ref();
            hash.update(&(value.len() as u64).to_le_bytes());
            hash.update(value);
        }
        Identity::of_bits(hash.digest128())
    }

    /// The identities of events in columns: those of the event id, texts or integers, in their order, and the event time as an
    /// integer of microseconds.
    ///
    /// # Errors
    /// If a column is missing or has another type.
    pub fn of_columns(events: &DataFrame, event_id: &[String], event_time: &str) -> PolarsResult<Vec<Identity>> {
        let times = events.column(event_time)?.i64()?;
        let ids = event_id.iter().map(|name| IdColumn::of(events.column(name)?)).collect::<PolarsResult<Vec<_>>>()?;
        let identity = |(row, time): (usize, Option<i64>)| {
            Identity::of(ids.iter().map(|values| values.get(row)), time.unwrap_or_default())
        };
        Ok(times.iter().enumerate().map(identity).collect())
    }

    /// The identity with those 128 bits.
    pub fn of_bits(bits: u128) -> Identity {
        Identity((bits >> 64) as u64, bits as u64)
    }

    /// Its 128 bits. They order as identities do.
    pub fn bits(self) -> u128 {
        (u128::from(self.0) << 64) | u128::from(self.1)
    }
}

/// A column of one field of the event id.
enum IdColumn<'a> {
    Texts(&'a StringChunked),
    Ints(&'a Int64Chunked),
}

impl IdColumn<'_> {
    fn of(column: &Column) -> PolarsResult<IdColumn<'_>> {
        Ok(match column.dtype() {
            DataType::String => IdColumn::Texts(column.str()?),
            _ => IdColumn::Ints(column.i64()?),
        })
    }

    /// The value in a row. The fields of an event id are required, so every event has one.
    fn get(&self, row: usize) -> IdValue<'_> {
        match self {
            IdColumn::Texts(texts) => IdValue::Text(texts.get(row).unwrap_or_default().as_bytes()),
            IdColumn::Ints(ints) => IdValue::int(ints.get(row).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_id_and_its_time() {
        assert_eq!(Identity::of([b"a"], 1), Identity::of([b"a"], 1));
        assert_ne!(Identity::of([b"a"], 1), Identity::of([b"a"], 2));
        assert_ne!(Identity::of([b"a"], 1), Identity::of([b"b"], 1));
    }

    #[test]
    fn the_identity_of_one_value_is_the_hash_of_its_bytes() {
        let hash = xxh3_128_with_seed(b"e-1", 7);
        assert_eq!(Identity::of([b"e-1"], 7), Identity((hash >> 64) as u64, hash as u64));
    }

    #[test]
    fn columns_have_the_identities_of_their_rows() {
        let (houses, ids, times) = (["h", "", "j"], [7_i64, -1, i64::MIN], [0_i64, 5, -5]);
        let events = df!("house" => houses, "id" => ids, "at" => times).expect("three columns");
        let event_id = ["house".to_owned(), "id".to_owned()];
        let of_row = |row: usize, fields: usize| {
            let values = [IdValue::Text(houses[row].as_bytes()), IdValue::int(ids[row])];
            Identity::of(values[..fields].iter(), times[row])
        };
        for fields in 1..=2 {
            let found = Identity::of_columns(&events, &event_id[..fields], "at").expect("its columns");
            assert_eq!(found, (0..3).map(|row| of_row(row, fields)).collect::<Vec<_>>());
        }
        assert!(Identity::of_columns(&events, &["missing".to_owned()], "at").is_err());
    }

    #[test]
    fn identities_order_as_their_bits_do() {
        let all = [Identity(0, 1), Identity(0, u64::MAX), Identity(1, 0), Identity(u64::MAX, 0)];
        assert!(all.is_sorted() && all.iter().map(|identity| identity.bits()).is_sorted());
        assert!(all.iter().all(|identity| Identity::of_bits(identity.bits()) == *identity));
    }

    #[test]
    fn several_values_do_not_run_into_each_other() {
        let of = |values: &[&str]| Identity::of(values, 1);
        let all = [
            of(&["a", "bc"]),
            of(&["ab", "c"]),
            of(&["abc", ""]),
            of(&["", "abc"]),
            of(&["abc"]),
            of(&["bc", "a"]),
            of(&["a", "b", "c"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
        assert_eq!(of(&["a", "bc"]), of(&["a", "bc"]));
        assert_ne!(Identity::of(["a", "bc"], 1), Identity::of(["a", "bc"], 2), "the time is a part of it");
    }
}
