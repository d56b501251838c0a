//! Which fields are summed.

use std::collections::BTreeSet;

use super::super::words::{small_name, words};
use super::fields::Field;
use super::kind::Kind;

/// A number whose name has one of these words is a quantity. Of several, the one whose word stands first here is meant most.
const WORDS: [&str; 28] = [
    "revenue", "total", "amount", "price", "cost", "fare", "bytes", "size", "length", "duration", "dwell", "elapsed",
    "latency", "took", "distance", "quantity", "qty", "weight", "value", "tip", "ms", "millis", "seconds", "hours",
    "count", "betrag", "preis", "menge",
];
/// More are not worth a guess.
const SUMS_MAX: usize = 2;

/// A measure that adds up a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands::init) struct Sum {
    /// The measure's name.
    pub(in crate::commands::init) name: String,
    /// The field.
    pub(in crate::commands::init) of: String,
}

/// The name of the measure that counts the events of that source, and the sums of the fields that are called most like
/// quantities. None is called like a column of the view: those in `by`, and the bucket's start.
pub(super) fn find(fields: &[Field], source: &str, by: &[String]) -> (String, Vec<Sum>) {
    let mut taken: BTreeSet<String> = by.iter().map(|name| name.to_lowercase()).chain(["bucket".to_owned()]).collect();
    let mut free = |name: &str, otherwise: &str| {
        let name = if taken.contains(name) { format!("{otherwise}_{name}") } else { name.to_owned() };
        taken.insert(name.clone());
        name
    };
    let count = free(source, "number_of");
    let mut quantities: Vec<(usize, &Field)> =
        fields.iter().filter_map(|field| Some((quantity(field)?, field))).collect();
    quantities.sort_by_key(|(rank, _)| *rank);
    let sums = quantities
        .into_iter()
        .take(SUMS_MAX)
        .map(|(_, field)| Sum { name: free(&small_name(&field.name, "sum"), "sum_of"), of: field.name.clone() });
    let sums = sums.collect();
    (count, sums)
}

/// How much a field is called like a quantity; less is more. `None` if it is none.
pub(super) fn quantity(field: &Field) -> Option<usize> {
    let is_number = matches!(field.kind, Kind::Int | Kind::Float);
    let words = words(field.steps.last().filter(|_| is_number)?);
    WORDS.iter().position(|known| words.iter().any(|word| word == known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: Kind) -> Field {
        let (steps, optional) = (vec![name.to_owned()], false);
        Field { name: name.to_owned(), steps, kind, optional, absent: 0, distinct: 9, at: 0 }
    }

    #[test]
    fn quantities_are_summed_those_first_that_are_meant_most() {
        let text = Kind::Text { numbers: false };
        let fields = [
            field("id", Kind::Int),
            field("tip_amount", Kind::Float),
            field("size", text),
            field("totalAmount", Kind::Float),
            field("duration_ms", Kind::Int),
        ];
        let (count, sums) = find(&fields, "rides", &[]);
        let sum = |name: &str, of: &str| Sum { name: name.to_owned(), of: of.to_owned() };
        assert_eq!(count, "rides");
        assert_eq!(sums, [sum("total_amount", "totalAmount"), sum("tip_amount", "tip_amount")]);
    }

    #[test]
    fn no_measure_is_called_like_another_column() {
        let fields = [field("bucket", Kind::Int), field("Count", Kind::Int), field("count", Kind::Int)];
        let (count, sums) = find(&fields, "event", &["Event".to_owned()]);
        assert_eq!(count, "number_of_event");
        let names: Vec<&str> = sums.iter().map(|sum| sum.name.as_str()).collect();
        assert_eq!(names, ["count", "sum_of_count"]);
    }
}
