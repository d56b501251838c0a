//! The smallest and largest values of columns.

use std::collections::{BTreeMap, HashMap};

use polars::prelude::*;

/// The smallest and largest values of columns of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ranges {
    /// Of integers.
    pub(super) numbers: HashMap<String, (i64, i64)>,
    /// Of texts.
    pub(super) texts: HashMap<String, (String, String)>,
    /// Of integers within each group.
    pub(super) groups: HashMap<String, BTreeMap<String, (i64, i64)>>,
}

impl Ranges {
    /// Those of a frame. `ranged` is as [`Table::write`](crate::store::Table::write) says.
    pub(super) fn of(frame: &DataFrame, ranged: &[&str]) -> PolarsResult<Ranges> {
        let mut ranges = Ranges::default();
        for name in ranged {
            if let [text, number, values] = *name.split('/').collect::<Vec<_>>() {
                let groups = of_groups(frame.column(text)?, frame.column(number)?, frame.column(values)?)?;
                ranges.groups.insert((*name).to_owned(), groups);
                continue;
            }
            // Of a column with one value in all rows, that value alone is looked at.
            let values = frame.column(name)?.as_materialized_series_maintain_scalar();
            if *values.dtype() == DataType::String {
                let values = range(values.str()?.iter().flatten());
                let owned = |(low, high): (&str, &str)| ((*name).to_owned(), (low.to_owned(), high.to_owned()));
                ranges.texts.extend(values.map(owned));
            } else {
                let values = values.cast(&DataType::Int64)?;
                ranges.numbers.extend(values.i64()?.min_max().map(|range| ((*name).to_owned(), range)));
            }
        }
        Ok(ranges)
    }

    /// Widens them so that they hold others, too.
    pub(super) fn widen(&mut self, others: Ranges) {
        let Ranges { numbers, texts, groups } = others;
        widen(&mut self.numbers, numbers);
        widen(&mut self.texts, texts);
        for (columns, groups) in groups {
            let known = self.groups.entry(columns).or_default();
            groups.into_iter().for_each(|(group, range)| add(known, group, range));
        }
    }
}

/// The ranges of values for each pair of a text and a number. Rows where one of the three is null belong to none.
fn of_groups(texts: &Column, numbers: &Column, values: &Column) -> PolarsResult<BTreeMap<String, (i64, i64)>> {
    let (numbers, values) = (numbers.cast(&DataType::Int64)?, values.cast(&DataType::Int64)?);
    let rows = texts.str()?.iter().zip(numbers.i64()?.iter()).zip(values.i64()?.iter());
    let mut groups: BTreeMap<(&str, i64), (i64, i64)> = BTreeMap::new();
    // As a rule, rows of a group lie together.
    let (mut group, mut range) = (("", 0), None);
    for row in rows {
        let ((Some(text), Some(number)), Some(value)) = row else { continue };
        match &mut range {
            Some((low, high)) if group == (text, number) => (*low, *high) = (value.min(*low), value.max(*high)),
            _ => {
                if let Some(range) = range.replace((value, value)) {
                    add(&mut groups, group, range);
                }
                group = (text, number);
            }
        }
    }
    if let Some(range) = range {
        add(&mut groups, group, range);
    }
    Ok(groups.into_iter().map(|((text, number), range)| (format!("{text}/{number}"), range)).collect())
}

fn add<K: Ord>(ranges: &mut BTreeMap<K, (i64, i64)>, group: K, (low, high): (i64, i64)) {
    let known = ranges.entry(group).or_insert((low, high));
    *known = (known.0.min(low), known.1.max(high));
}

/// Widens ranges so that they hold others, too.
fn widen<T: Ord>(ranges: &mut HashMap<String, (T, T)>, others: HashMap<String, (T, T)>) {
    for (name, (low, high)) in others {
        let range = match ranges.remove(&name) {
            Some((lowest, highest)) => (low.min(lowest), high.max(highest)),
            None => (low, high),
        };
        ranges.insert(name, range);
    }
}

/// The smallest and the largest value; `None` if there is none.
fn range<T: Copy + Ord>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(low, high), value| (low.min(value), high.max(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_a_range_of_its_own_however_its_rows_lie() {
        let frame = |rows: &[(Option<&str>, i32, i64)]| {
            let texts: Vec<Option<&str>> = rows.iter().map(|row| row.0).collect();
            let numbers: Vec<i32> = rows.iter().map(|row| row.1).collect();
            let values: Vec<i64> = rows.iter().map(|row| row.2).collect();
            df!("log" => texts, "partition" => numbers, "offset" => values).expect("three columns")
        };
        let ranged = ["offset", "log/partition/offset"];
        let first =
            frame(&[(Some("a"), 0, 9), (Some("a"), 1, 100), (Some("a"), 0, 3), (None, 0, 1), (Some("b"), 0, 7)]);
        let mut ranges = Ranges::of(&first, &ranged).expect("ranges");
        ranges.widen(Ranges::of(&frame(&[(Some("b"), 0, 2), (Some("a"), 1, 101)]), &ranged).expect("ranges"));
        let expected = [("a/0", (3, 9)), ("a/1", (100, 101)), ("b/0", (2, 7))];
        let expected: BTreeMap<String, (i64, i64)> =
            expected.into_iter().map(|(group, range)| (group.to_owned(), range)).collect();
        assert_eq!((ranges.numbers["offset"], &ranges.groups[ranged[1]]), ((1, 101), &expected));
    }
}
