//! Values as codes, which are small numbers: two values of one column are equal if their codes are.

use polars::prelude::{Column, Int64Chunked, PolarsResult};

use crate::group_key::{LentPart, shortened};
use crate::hash_index::{HashIndex, Texts};
use crate::schema::FieldType;
use crate::time::bucket_start;

/// The code of a column that is summed over.
pub(super) const ALL: u32 = u32::MAX;
/// The code of a column that is absent.
const MISSING: u32 = u32::MAX - 1;

/// The values of a group-key column.
#[derive(Debug)]
pub(super) struct Codes {
    /// By row.
    pub(super) of_rows: Vec<u32>,
    kind: FieldType,
    values: Values,
}

/// What codes stand for. The first value has the code 0.
#[derive(Debug)]
enum Values {
    Texts(Texts),
    Numbers(Numbers),
}

/// The buckets of event times.
#[derive(Debug)]
pub(super) struct Buckets {
    /// By row.
    pub(super) of_rows: Vec<u32>,
    starts: Numbers,
}

impl Codes {
    /// The codes of a column. Texts are those of group keys, so what is shortened to one text has one code.
    pub(super) fn of_column(column: &Column, kind: FieldType) -> PolarsResult<Codes> {
        let (mut texts, mut numbers) = (Texts::default(), Numbers::default());
        let mut number = |value: Option<i64>| value.map_or(MISSING, |value| numbers.code(value));
        let of_rows = match kind {
            FieldType::String => {
                let mut text = |value: &str| texts.number(&shortened(value));
                column.str()?.iter().map(|value| value.map_or(MISSING, &mut text)).collect()
            }
            FieldType::Bool => column.bool()?.iter().map(|value| number(value.map(i64::from))).collect(),
            FieldType::Int | FieldType::Float | FieldType::Timestamp => column.i64()?.iter().map(number).collect(),
        };
        let values = if kind == FieldType::String { Values::Texts(texts) } else { Values::Numbers(numbers) };
        Ok(Codes { of_rows, kind, values })
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Texts(texts) => texts.len(),
            Values::Numbers(numbers) => numbers.values.len(),
        }
    }

    /// What a group key with that code says of the column.
    pub(super) fn part(&self, code: u32) -> LentPart<'_> {
        match &self.values {
            _ if code == ALL => LentPart::All,
            _ if code == MISSING => LentPart::Missing,
            Values::Texts(texts) => LentPart::Text(texts.get(code)),
            Values::Numbers(numbers) => match (self.kind, numbers.get(code)) {
                (FieldType::Bool, truth) => LentPart::Bool(truth != 0),
                (FieldType::Timestamp, us) => LentPart::Timestamp(us),
                (_, int) => LentPart::Int(int),
            },
        }
    }
}

impl Buckets {
    /// The buckets of that grain.
    pub(super) fn of_times(times: &Int64Chunked, grain_us: i64) -> Buckets {
        let mut starts = Numbers::default();
        // Events come in the order of time, more or less. So most need no division.
        let (mut start, mut code) = (i64::MIN, MISSING);
        let of_rows = times.iter().map(|time| {
            let time = time.unwrap_or_default();
            if code == MISSING || !(0..grain_us).contains(&(time - start)) {
                start = bucket_start(time, grain_us);
                code = starts.code(start);
            }
            code
        });
        let of_rows = of_rows.collect();
        Buckets { of_rows, starts }
    }

    /// The start of the bucket with that code, in microseconds.
    pub(super) fn start(&self, code: u32) -> i64 {
        self.starts.get(code)
    }
}

/// Distinct numbers.
#[derive(Debug, Default)]
struct Numbers {
    values: Vec<i64>,
    index: HashIndex,
}

impl Numbers {
    fn code(&mut self, value: i64) -> u32 {
        let hash = hash(value);
        self.index.get(hash, |code| self.get(code) == value).unwrap_or_else(|| {
            let code = self.values.len() as u32;
            self.values.push(value);
            self.index.insert(hash, code);
            code
        })
    }

    fn get(&self, code: u32) -> i64 {
        self.values[code as usize]
    }
}

/// Multiplicative hashing (Knuth) with the golden ratio, after both halves were mixed.
fn hash(value: i64) -> u32 {
    let value = value as u64;
    ((value ^ (value >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}
