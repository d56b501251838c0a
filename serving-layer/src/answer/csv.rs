//! Tables as CSV (RFC 4180), as spreadsheets and databases read them: texts stand in quotes, and what is null is nothing, without
//! quotes. So the empty text and nothing are told apart.

use serde_json::Value as Json;

use crate::written::{Form, Written};

/// A table with a header.
pub(crate) struct Csv {
    body: Vec<u8>,
}

impl Csv {
    /// No rows yet.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Csv {
        let mut csv = Csv { body: Vec::new() };
        // Names are words, so they need no quotes.
        csv.line(names, |body, name| body.extend_from_slice(name.as_bytes()));
        csv
    }

    /// Adds a row, with as many cells as there are names. A list is its JSON, in quotes.
    ///
    /// Nothing, as the only cell, would be an empty line, which readers leave out: then it is written as the empty text.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Json>) {
        let mut cells = cells.into_iter().peekable();
        let first = cells.next();
        let is_alone = cells.peek().is_none();
        self.line(first.into_iter().chain(cells), |body, cell| match cell {
            Json::Null if is_alone => quote(body, ""),
            Json::Null => {}
            Json::Bool(_) | Json::Number(_) => body.extend_from_slice(cell.to_string().as_bytes()),
            Json::String(text) => quote(body, &text),
            Json::Array(_) | Json::Object(_) => quote(body, &cell.to_string()),
        });
    }

    /// The table as an answer, with what may be missing in it.
    pub(crate) fn written(self, gaps: Vec<Json>, as_of_us: Option<i64>) -> Written {
        let undated = self.body.clone();
        Written::new(Form::Csv, self.body, &[b"csv", &undated], gaps, as_of_us)
    }

    fn line<T>(&mut self, cells: impl IntoIterator<Item = T>, mut push: impl FnMut(&mut Vec<u8>, T)) {
        for (at, cell) in cells.into_iter().enumerate() {
            if at > 0 {
                self.body.push(b',');
            }
            push(&mut self.body, cell);
        }
        self.body.extend_from_slice(b"\r\n");
    }
}

fn quote(body: &mut Vec<u8>, text: &str) {
    body.push(b'"');
    body.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    body.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_quoted_and_nothing_is_nothing() {
        let mut csv = Csv::new(["name", "n", "of"]);
        csv.row([json!("a \"b\",\nc"), json!(-7), json!([{"value": "x"}])]);
        csv.row([json!(""), Json::Null, json!(0.5)]);
        csv.row([Json::Null, json!(9_223_372_036_854_775_807_i64), json!(true)]);
        let written = csv.written(Vec::new(), None);
        let expected = "name,n,of\r\n\"a \"\"b\"\",\nc\",-7,\"[{\"\"value\"\":\"\"x\"\"}]\"\r\n\"\",,0.5\r\n,9223372036854775807,true\r\n";
        assert_eq!(std::str::from_utf8(&written.body).expect("text"), expected);
    }

    #[test]
    fn a_row_of_nothing_is_a_row() {
        let mut csv = Csv::new(["page"]);
        csv.row([json!("a")]);
        csv.row([Json::Null]);
        assert_eq!(&csv.written(Vec::new(), None).body[..], b"page\r\n\"a\"\r\n\"\"\r\n");
    }

    #[test]
    fn what_may_be_missing_makes_another_answer() {
        let tag = |gaps| Csv::new(["n"]).written(gaps, None).tag;
        assert_eq!(tag(Vec::new()), tag(Vec::new()));
        assert_ne!(tag(Vec::new()), tag(vec![json!({"reason": "no_shard"})]));
    }
}
