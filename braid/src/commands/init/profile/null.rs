//! The texts that stand for absent values in rows.

/// Databases and spreadsheets write these, and hardly anything else is called so.
const ALWAYS: [&str; 7] = ["", "\\N", "NULL", "null", "-", "N/A", "n/a"];
/// These may be values: NA is a country. They are absent values in a column that holds numbers or dates otherwise.
const AMONG_NUMBERS: [&str; 10] = ["NA", "NaN", "nan", "None", "none", "nil", "--", "?", "#N/A", "(null)"];

/// The texts that stand for absent values in these columns; first the empty one, which does so in every format with columns.
pub(super) fn texts(columns: &[Vec<&str>]) -> Vec<String> {
    let always = ALWAYS.iter().filter(|text| text.is_empty() || columns.iter().any(|column| column.contains(text)));
    let among_numbers = AMONG_NUMBERS.iter().filter(|text| columns.iter().any(|column| is_among_numbers(column, text)));
    always.chain(among_numbers).map(|text| (*text).to_owned()).collect()
}

/// Whether the column holds the text, and besides such texts nothing but what begins like a number or a date.
fn is_among_numbers(column: &[&str], text: &&str) -> bool {
    let is_value = |value: &&&str| !ALWAYS.contains(value) && !AMONG_NUMBERS.contains(value);
    let begins_like_a_number =
        |value: &&str| value.trim_start_matches(['-', '+', '.']).starts_with(|first: char| first.is_ascii_digit());
    let mut values = column.iter().filter(is_value).peekable();
    column.contains(text) && values.peek().is_some() && values.all(begins_like_a_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_among_numbers_is_no_country() {
        let countries = vec!["DE", "NA", "", "-"];
        assert_eq!(texts(std::slice::from_ref(&countries)), ["", "-"]);
        assert_eq!(texts(&[countries, vec!["1", "-2.5", "NA", "NaN"]]), ["", "-", "NA", "NaN"]);
        assert_eq!(texts(&[vec!["2026-11-25", "\\N", "None"]]), ["", "\\N", "None"]);
        assert_eq!(texts(&[vec!["NA", "NA"]]), [""], "nothing says what the column holds otherwise");
        assert_eq!(texts(&[]), [""]);
    }
}
