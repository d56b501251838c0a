//! Rows put into groups, which are in the order of their keys.
//!
//! The values of a column become codes that order as they do: a text is hashed once, and compared with other distinct texts only,
//! however many rows have it. The codes of a row's columns become one number, and numbers are sorted, digit by digit. Then a group's
//! rows lie together, and groups need neither be looked up nor be sorted. A batch view has nearly as many groups as there are events.

use polars::prelude::*;

use crate::hash_index::Texts;
use crate::measure::NO_GROUP;

/// The bits of a digit by which numbers are sorted.
const DIGIT: usize = 11;
/// Fewer rows than this are compared with each other.
const FEW: usize = 512;
/// A column has at most so many codes.
const CODES_MAX: u64 = 1 << 32;

/// Rows put into groups. Groups are ordered column by column, absent values first.
#[derive(Debug, PartialEq)]
pub(super) struct Groups {
    /// The group of each row; [`NO_GROUP`] of one that is left out.
    pub(super) of_rows: Vec<u32>,
    /// The first row of each group.
    pub(super) firsts: Vec<IdxSize>,
}

impl Groups {
    /// Groups rows by those columns. Only rows that are `kept` have a group; all of them where nothing is said.
    ///
    /// # Errors
    /// If a column is missing, or holds neither texts nor truth values nor integers.
    pub(super) fn of(rows: &DataFrame, keys: &[&str], kept: Option<&[bool]>) -> PolarsResult<Groups> {
        let all = 0..rows.height() as IdxSize;
        let of_kept: Vec<IdxSize> = each(all, kept).collect();
        let mut numbers = Numbers { of_rows: vec![0; of_kept.len()], below: 1 };
        for name in keys {
            numbers.divide(rows.column(name)?, kept)?;
        }
        let mut sorted: Vec<(u64, IdxSize)> = numbers.of_rows.into_iter().zip(of_kept).collect();
        sort(&mut sorted, numbers.below);
        let mut groups = Groups { of_rows: vec![NO_GROUP; rows.height()], firsts: Vec::new() };
        let mut last = None;
        for (number, row) in sorted {
            if last != Some(number) {
                last = Some(number);
                groups.firsts.push(row);
            }
            groups.of_rows[row as usize] = groups.firsts.len() as u32 - 1;
        }
        Ok(groups)
    }
}

/// A number for each row that is kept. They are equal where rows agree in the columns so far, and order as rows do by these.
struct Numbers {
    of_rows: Vec<u64>,
    /// All of them are below this one.
    below: u64,
}

impl Numbers {
    /// Divides the rows of each number by another column.
    fn divide(&mut self, column: &Column, kept: Option<&[bool]>) -> PolarsResult<()> {
        match column.dtype() {
            DataType::String => self.divide_by_texts(column.str()?, kept),
            DataType::Boolean => {
                let code = |truth: Option<bool>| truth.map_or(0, |truth| 1 + u64::from(truth));
                self.divide_by(each(column.bool()?.iter(), kept).map(code), 3);
            }
            _ => self.divide_by_ints(column.i64()?, kept),
        }
        Ok(())
    }

    fn divide_by_texts(&mut self, texts: &StringChunked, kept: Option<&[bool]>) {
        let mut known = Texts::default();
        let mut number = |text: Option<&str>| text.map_or(u32::MAX, |text| known.number(text));
        let of_rows: Vec<u32> = each(texts.iter(), kept).map(&mut number).collect();
        // Most texts differ in their first bytes, which lie at hand.
        let mut ordered: Vec<(u64, u32)> = known.iter().map(first_bytes).zip(0..).collect();
        ordered.sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| known.get(*one).cmp(known.get(*other))));
        let mut codes = vec![0_u64; ordered.len()];
        for (code, (_, number)) in (1..).zip(ordered) {
            codes[number as usize] = code;
        }
        let count = codes.len() as u64 + 1;
        self.divide_by(of_rows.into_iter().map(|number| codes.get(number as usize).copied().unwrap_or(0)), count);
    }

    fn divide_by_ints(&mut self, ints: &Int64Chunked, kept: Option<&[bool]>) {
        let values = || each(ints.iter(), kept);
        // Where they begin and end, and what all of their distances are multiples of. Buckets lie a grain apart.
        let (mut range, mut unit, mut last) = (None, 0, None);
        for value in values().flatten() {
            if last != Some(value) {
                unit = last.map_or(unit, |last: i64| common_divisor(value.abs_diff(last), unit));
                let (low, high) = range.unwrap_or((value, value));
                range = Some((value.min(low), value.max(high)));
                last = Some(value);
            }
        }
        let ((low, high), unit) = (range.unwrap_or_default(), unit.max(1));
        let units = high.abs_diff(low) / unit;
        if units >= CODES_MAX - 1 {
            let (codes, count) = numbered(values().map(|value| value.map(ordered)));
            return self.divide_by(codes.into_iter().map(u64::from), count);
        }
        // Rows of one bucket lie together, so most of them need no division.
        let mut last = (low, 1);
        let mut code = |value: i64| {
            if last.0 != value {
                last = (value, value.abs_diff(low) / unit + 1);
            }
            last.1
        };
        self.divide_by(values().map(|value| value.map_or(0, &mut code)), units + 2);
    }

    /// Divides by codes, of which there are so many.
    fn divide_by(&mut self, codes: impl Iterator<Item = u64>, count: u64) {
        if self.below.checked_mul(count).is_none() {
            let (numbers, below) = numbered(self.of_rows.iter().copied().map(Some));
            (self.of_rows, self.below) = (numbers.into_iter().map(u64::from).collect(), below);
        }
        self.of_rows.iter_mut().zip(codes).for_each(|(number, code)| *number = *number * count + code);
        self.below = self.below.saturating_mul(count);
    }
}

/// The values of the rows that are kept.
fn each<T>(values: impl Iterator<Item = T>, kept: Option<&[bool]>) -> impl Iterator<Item = T> {
    let is_kept = move |row: usize| kept.is_none_or(|kept| kept[row]);
    values.enumerate().filter(move |(row, _)| is_kept(*row)).map(|(_, value)| value)
}

/// Numbers distinct values in their order, from 1 on; an absent one has the number 0. Returns the numbers, and how many there are.
fn numbered(values: impl Iterator<Item = Option<u64>>) -> (Vec<u32>, u64) {
    let values: Vec<Option<u64>> = values.collect();
    let present = values.iter().zip(0..).filter_map(|(value, row): (&Option<u64>, u32)| Some(((*value)?, row)));
    let mut sorted: Vec<(u64, u32)> = present.collect();
    sort(&mut sorted, u64::MAX);
    let (mut numbers, mut number, mut last) = (vec![0; values.len()], 0_u32, None);
    for (value, row) in sorted {
        if last != Some(value) {
            last = Some(value);
            number += 1;
        }
        numbers[row as usize] = number;
    }
    (numbers, u64::from(number) + 1)
}

/// Sorts by numbers, which are all below that one, or equal to it. Of equal ones, what stands first stays first.
fn sort(pairs: &mut Vec<(u64, u32)>, below: u64) {
    if pairs.len() < FEW {
        pairs.sort_by_key(|(number, _)| *number);
        return;
    }
    let mut next = vec![(0, 0); pairs.len()];
    let bits = u64::BITS - below.leading_zeros();
    for shift in (0..bits).step_by(DIGIT) {
        let digit = |number: u64| (number >> shift) as usize & ((1 << DIGIT) - 1);
        let mut places = [0_usize; 1 << DIGIT];
        pairs.iter().for_each(|(number, _)| places[digit(*number)] += 1);
        let mut begin = 0;
        for place in &mut places {
            let count = *place;
            *place = begin;
            begin += count;
        }
        for pair in pairs.iter() {
            let place = &mut places[digit(pair.0)];
            next[*place] = *pair;
            *place += 1;
        }
        std::mem::swap(pairs, &mut next);
    }
}

/// The first eight bytes of a text as a number. Where they differ, texts order as these numbers do.
fn first_bytes(text: &str) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(text.as_bytes()).for_each(|(to, byte)| *to = *byte);
    u64::from_be_bytes(first)
}

/// The greatest common divisor; of zero and a number that number.
fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A number that orders among others as the integer does.
fn ordered(int: i64) -> u64 {
    int as u64 ^ (1 << 63)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The columns `t`, `b`, `n` and `w`; the last one holds multiples of 60.
    type Row = (Option<String>, Option<bool>, Option<i64>, i64);

    fn frame(rows: &[Row]) -> DataFrame {
        df!(
            "t" => rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(),
            "b" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
            "n" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
            "w" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
        )
        .expect("four columns")
    }

    /// What a map says, which orders absent values first, too.
    fn by_map(rows: &[Row], kept: &[bool]) -> Groups {
        let mut groups: BTreeMap<&Row, Vec<usize>> = BTreeMap::new();
        for (row, key) in rows.iter().enumerate().filter(|(row, _)| kept[*row]) {
            groups.entry(key).or_default().push(row);
        }
        let mut of_rows = vec![NO_GROUP; rows.len()];
        for (group, members) in (0..).zip(groups.values()) {
            members.iter().for_each(|row| of_rows[*row] = group);
        }
        Groups { of_rows, firsts: groups.values().map(|members| members[0] as IdxSize).collect() }
    }

    fn row() -> impl Strategy<Value = Row> {
        let text = prop_oneof![
            Just(String::new()),
            Just("a".to_owned()),
            Just("a\0".to_owned()),
            Just("ab".to_owned()),
            "commonly[ab]{0,3}",
        ];
        let int = prop_oneof![-3_i64..3, Just(i64::MIN), Just(i64::MAX), any::<i64>()];
        (
            prop::option::of(text),
            prop::option::of(any::<bool>()),
            prop::option::of(int),
            (-2_i64..3).prop_map(|n| n * 60),
        )
    }

    proptest! {
        #[test]
        fn groups_are_those_of_a_map_and_in_its_order(
            rows in prop::collection::vec((row(), any::<bool>()), 0..1_200),
            are_all_kept in any::<bool>(),
        ) {
            let (rows, mut kept): (Vec<Row>, Vec<bool>) = rows.into_iter().unzip();
            if are_all_kept {
                kept.fill(true);
            }
            let groups = Groups::of(&frame(&rows), &["t", "b", "n", "w"], Some(&kept).filter(|_| !are_all_kept).map(Vec::as_slice));
            prop_assert_eq!(groups.expect("grouped"), by_map(&rows, &kept));
        }
    }

    #[test]
    fn columns_with_more_values_together_than_a_number_has_are_grouped() {
        let wide = |row: i64| row.wrapping_mul(0x4F1B_BCDC_BFA5_3E0B);
        let rows: Vec<Row> =
            (0..2_000).map(|row| (None, None, Some(wide(row / 2)), wide(row / 2) / 120 * 60)).collect();
        let keys = ["n", "w"].repeat(4);
        let groups = Groups::of(&frame(&rows), &keys, None).expect("grouped");
        assert_eq!(groups, by_map(&rows, &[true; 2_000]));
    }

    #[test]
    fn without_a_column_everything_is_one_group() {
        let rows: [Row; 3] = [(None, None, None, 0), (None, None, None, 60), (None, None, None, 0)];
        let groups = Groups::of(&frame(&rows), &[], Some(&[false, true, true])).expect("grouped");
        assert_eq!(groups, Groups { of_rows: vec![NO_GROUP, 0, 0], firsts: vec![1] });
    }
}
