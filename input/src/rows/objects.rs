//! Rows of a table as JSON objects: a member for each column that the header names.

use std::borrow::Cow;

use shared_logic::catalog::Source;
use shared_logic::schema::{Field, FieldType, Place, Step};

use super::table::{Table, without_return};
use crate::InputError;
use crate::json::write_text;

/// How the rows of one input become objects.
#[derive(Debug)]
pub(super) struct Objects(Vec<Column>);

/// A column of the input.
#[derive(Debug)]
struct Column {
    /// Its name as the name of a member, with the colon behind it.
    member: Vec<u8>,
    /// The type of the field that stands there, if one does.
    kind: Option<FieldType>,
}

impl Objects {
    /// Objects with members of these names, each of which is there once. `name` is that of the input in errors.
    ///
    /// # Errors
    /// If a required field stands in none of the columns.
    pub(super) fn of_header(names: &[Cow<'_, str>], source: &Source, name: &str) -> Result<Objects, InputError> {
        let required = source.fields.iter().filter(|field| !field.optional && field.has_column());
        for field in required {
            let Some(member) = member(field) else {
                return Err(InputError::NotInAColumn { name: name.to_owned(), field: field.name.clone() });
            };
            if !names.iter().any(|name| name == member) {
                let (name, column, names) = (name.to_owned(), member.to_owned(), names.join(", "));
                return Err(InputError::HeaderLacks { name, column, names });
            }
        }
        let kind = |name: &str| source.fields.iter().find(|field| member(field) == Some(name)).map(|field| field.kind);
        let column = |name: &str| {
            let mut member = Vec::new();
            write_text(&mut member, name);
            member.push(b':');
            Column { member, kind: kind(name) }
        };
        Ok(Objects(names.iter().map(|name| column(name)).collect()))
    }

    /// The object of a row. A column that is empty and not in quotes is absent.
    ///
    /// A row with more or fewer columns than the header, with a quote in the wrong place, or that is not UTF-8, is no object. It
    /// stays as it is, and invalid.
    pub(super) fn row(&self, table: &Table, row: Vec<u8>) -> Vec<u8> {
        let columns = table.split(without_return(&row));
        let Ok(texts) = columns.iter().map(|column| std::str::from_utf8(column)).collect::<Result<Vec<&str>, _>>()
        else {
            return row;
        };
        if texts.len() != self.0.len() || !texts.iter().all(|text| table.is_well_quoted(text)) {
            return row;
        }
        let mut object = vec![b'{'];
        for (column, written) in self.0.iter().zip(texts) {
            if written.is_empty() {
                continue;
            }
            if object.len() > 1 {
                object.push(b',');
            }
            object.extend_from_slice(&column.member);
            let text = table.text(written);
            if column.kind.is_some_and(|kind| is_literal(kind, &text)) {
                object.extend_from_slice(text.as_bytes());
            } else {
                write_text(&mut object, &text);
            }
        }
        object.push(b'}');
        object
    }
}

/// The member of an object in which a field stands; `None` if it stands deeper.
pub(crate) fn member(field: &Field) -> Option<&str> {
    match &field.place {
        Place::Own => Some(&field.name),
        Place::Path(steps) => match steps.as_slice() {
            [Step::Member(name)] => Some(name),
            _ => None,
        },
        Place::Joined(_) | Place::Record => None,
    }
}

/// Whether a value of that type is written in JSON as its text is. Instants may stand in quotes, even as numbers.
fn is_literal(kind: FieldType, text: &str) -> bool {
    match kind {
        FieldType::Int | FieldType::Float => serde_json::from_str::<serde_json::Number>(text).is_ok(),
        FieldType::Bool => matches!(text, "true" | "false"),
        FieldType::String | FieldType::Timestamp => false,
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Catalog;
    use shared_logic::decode::Decoder;

    use super::super::{RowArgs, Rows, Separated};
    use super::*;

    fn source(fields: &str) -> Source {
        let text = format!("[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n{fields}");
        let mut catalog = Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        catalog.sources.remove("s").expect("its source")
    }

    fn objects(source: &Source, separated: Separated, text: &str) -> Result<Vec<String>, InputError> {
        let mut rows = Rows::as_objects(source, separated, &RowArgs::default());
        let (mut input, mut all) = (text.as_bytes(), Vec::new());
        while let Some(line) = rows.next(&mut input, "a test")? {
            all.push(String::from_utf8(line.text).expect("UTF-8"));
        }
        Ok(all)
    }

    const FIELDS: &str =
        "n = \"int?\"\nx = \"float?\"\nis = \"bool?\"\nnote = { type = \"string?\", path = \"A note\" }";

    #[test]
    fn columns_become_members_and_numbers_only_where_a_field_says_so() {
        let source = source(FIELDS);
        let text = "at,n,x,is,A note,zip\n1000,7,-1.5e3,true,\"a \"\"b\"\",\nc\",01234\r\n1000,007,x,yes,,\"\"\n";
        let expected = [
            r#"{"at":"1000","n":7,"x":-1.5e3,"is":true,"A note":"a \"b\",\nc","zip":"01234"}"#,
            r#"{"at":"1000","n":"007","x":"x","is":"yes","zip":""}"#,
        ];
        assert_eq!(objects(&source, Separated::ByCommas, text).expect("read"), expected);
        let tabs = "at\tn\tA note\n1000\t7\t\"a\"\n";
        let expected = [r#"{"at":"1000","n":7,"A note":"\"a\""}"#];
        assert_eq!(objects(&source, Separated::ByTabs, tabs).expect("read"), expected);
        let mut decoder = Decoder::new(&source);
        assert!(decoder.decode(Some(expected[0].as_bytes()), None).is_ok());
    }

    #[test]
    fn rows_that_do_not_fit_the_header_stay_invalid() {
        let source = source(FIELDS);
        let rows = objects(&source, Separated::ByCommas, "at,n\n1000\n1000,1,2\n1000,1\n").expect("read");
        assert_eq!(rows, ["1000", "1000,1,2", r#"{"at":"1000","n":1}"#]);
        let mut decoder = Decoder::new(&source);
        let mut is_valid = |row: &str| decoder.decode(Some(row.as_bytes()), None).is_ok();
        assert_eq!(rows.iter().map(|row| is_valid(row)).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn rows_with_a_quote_in_the_wrong_place_stay_invalid_as_they_are_for_a_source_of_csv() {
        let source = source(FIELDS);
        let good = r#"1000,"a ""b"" c""#;
        // The last one is cut off within its text.
        for bad in [r#"1000,5" wide"#, r#"1000,"a" b"#, r#"1000,"a"b""#, r#"1000,"a"#, r#"1000,""#] {
            let rows = objects(&source, Separated::ByCommas, &format!("at,A note\n{good}\n{bad}")).expect("read");
            assert_eq!(rows, [r#"{"at":"1000","A note":"a \"b\" c"}"#, bad]);
            assert!(Decoder::new(&source).decode(Some(bad.as_bytes()), None).is_err(), "{bad}");
        }
        let rows = objects(&source, Separated::ByTabs, "at\tA note\n1000\t5\" wide\n").expect("read");
        assert_eq!(rows, [r#"{"at":"1000","A note":"5\" wide"}"#], "TSV knows no quotes");
    }

    #[test]
    fn a_header_that_names_a_column_twice_is_refused() {
        let refused =
            |separated, text: &str| objects(&source(FIELDS), separated, text).expect_err("a guess").to_string();
        let error = refused(Separated::ByCommas, "at,n,\"n\"\n1000,1,2\n");
        let expected = "a test has two columns `n`, and which of them is meant would be a guess: give each column a name of its own";
        assert!(error.starts_with(expected), "{error}");
        // Both would be members of the object, whether or not the source declares them.
        assert!(refused(Separated::ByTabs, "zip\tat\tzip\n").contains("two columns `zip`"));
        let unlike = objects(&source(FIELDS), Separated::ByCommas, "at,zip,Zip\n1000,a,b\n").expect("two columns");
        assert_eq!(unlike, [r#"{"at":"1000","zip":"a","Zip":"b"}"#]);
    }

    #[test]
    fn a_header_must_name_what_is_required() {
        let error = |fields: &str, header: &str| {
            objects(&source(fields), Separated::ByCommas, header).expect_err("refused").to_string()
        };
        let lacks = error(FIELDS, "n,x\n");
        assert!(lacks.starts_with("the header of a test lacks the column `at`"), "{lacks}");
        let deep = error("u = { type = \"string\", path = \"user.id\" }", "at,user.id\n");
        assert!(deep.contains("`u`") && deep.contains("deeper"), "{deep}");
    }
}
