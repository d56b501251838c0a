//! Rows → what was seen in their columns.

use super::{Profile, Seen, Value, null};

/// What was seen in rows, each with the moment at which it was sent, in columns of these names. Rows with another number of
/// columns are left out.
pub(in crate::commands::init) fn of_rows(names: &[String], rows: &[(Vec<String>, i64)]) -> Profile {
    let whole: Vec<&(Vec<String>, i64)> = rows.iter().filter(|(row, _)| row.len() == names.len()).collect();
    let column = |at: usize| whole.iter().filter_map(|(row, _)| row.get(at).map(String::as_str)).collect();
    let columns: Vec<Vec<&str>> = (0..names.len()).map(column).collect();
    let null = null::texts(&columns);
    let seen = |(name, column): (&String, &Vec<&str>)| {
        let mut seen = Seen::at(vec![name.clone()]);
        let values = column.iter().enumerate().filter(|(_, text)| !null.iter().any(|null| null == *text));
        seen.values.extend(values.map(|(record, text)| (record, Value::Text((*text).to_owned()))));
        seen
    };
    let places = names.iter().zip(&columns).map(seen).collect();
    Profile { sent_us: whole.iter().map(|(_, sent_us)| *sent_us).collect(), places, null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_the_texts_that_are_no_null() {
        let names = ["at", "amount"].map(str::to_owned);
        let rows = [("1|7", 1), ("2|NA", 2), ("broken", 3), ("3|", 4)];
        let rows: [(Vec<String>, i64); 4] =
            rows.map(|(row, sent_us)| (row.split('|').map(str::to_owned).collect(), sent_us));
        let profile = of_rows(&names, &rows);
        assert_eq!((profile.sent_us.as_slice(), profile.null.len()), ([1, 2, 4].as_slice(), 2));
        let amounts = profile.places.get(1).expect("two columns");
        assert_eq!(amounts.steps, ["amount"]);
        assert_eq!(amounts.values, [(0, Value::Text("7".to_owned()))]);
        assert_eq!(profile.places.first().map(|seen| seen.values.len()), Some(3));
    }
}
