//! Rows → documents.

use std::io::Write;

use super::slice_of;
use crate::catalog::{Index, SLICE, Source};
use crate::table::RowValue;
use crate::time::push_rfc3339;

const FITS: &str = "a vector takes every byte";

/// Makes the documents of an index. A document is one JSON object without blanks: the fields of the index in its order, without those that
/// are absent, and then the id's slice. So equal rows have documents of equal bytes.
#[derive(Debug, Clone)]
pub struct Documents {
    fields: Vec<Placed>,
}

/// A field of documents.
#[derive(Debug, Clone)]
struct Placed {
    /// `"name":`.
    member: String,
    /// Where its value stands in a row; `None`: it is the timestamp of the change.
    at: Option<usize>,
}

impl Documents {
    /// Those of an index, of rows of that source ([`Catalog::indexed_source`](crate::catalog::Catalog::indexed_source)).
    ///
    /// # Panics
    /// If the source has no such field.
    pub fn new(index: &Index, source: &Source) -> Documents {
        let fields = index.fields.iter().map(|field| {
            let at = source.fields.iter().position(|declared| declared.name == field.name);
            let at = at.expect("a checked catalog indexes declared fields");
            let is_of_change = at + 1 == source.fields.len();
            let member = format!("{}:", serde_json::Value::from(field.name.as_str()));
            Placed { member, at: (!is_of_change).then_some(at) }
        });
        Documents { fields: fields.collect() }
    }

    /// The document of a row, as it is written, compared and hashed. `row` are the values of the fields of the source but the last one, which is the timestamp of
    /// the change, in microseconds since 1970.
    pub fn document<'r>(&self, id: &str, row: &dyn Fn(usize) -> Option<&'r RowValue>, timestamp_us: i64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 32 * self.fields.len());
        bytes.push(b'{');
        for field in &self.fields {
            let Some(at) = field.at else {
                bytes.extend_from_slice(field.member.as_bytes());
                push_instant(&mut bytes, timestamp_us);
                bytes.push(b',');
                continue;
            };
            let Some(value) = row(at) else { continue };
            bytes.extend_from_slice(field.member.as_bytes());
            push(&mut bytes, value);
            bytes.push(b',');
        }
        write!(bytes, "\"{SLICE}\":{}}}", slice_of(id)).expect(FITS);
        bytes
    }
}

fn push(bytes: &mut Vec<u8>, value: &RowValue) {
    let written = match value {
        RowValue::Text(text) => serde_json::to_writer(bytes, &**text),
        RowValue::Int(number) => serde_json::to_writer(bytes, number),
        RowValue::Float(number) => serde_json::to_writer(bytes, number),
        RowValue::Bool(value) => serde_json::to_writer(bytes, value),
        RowValue::Instant(us) => {
            push_instant(bytes, *us);
            Ok(())
        }
    };
    written.expect(FITS);
}

fn push_instant(bytes: &mut Vec<u8>, us: i64) {
    bytes.push(b'"');
    push_rfc3339(bytes, us);
    bytes.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn a_document_has_the_fields_of_the_index_in_its_order() {
        let catalog = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n[tables.users]\nkey = \"id\"\n\
                       [tables.users.fields]\nid = \"string\"\nname = \"string?\"\nage = \"int?\"\nborn = \"timestamp?\"\n\
                       [indexes.users]\nfrom = \"tables.users\"\n[indexes.users.fields]\nage = \"integer\"\nname = \"text\"\n\
                       born = \"time\"\nchanged_at = \"time\"\n";
        let catalog = Catalog::parse(catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let index = &catalog.indexes["users"];
        let documents = Documents::new(index, &catalog.indexed_source(index));
        let row = [
            Some(RowValue::Text("u-7".into())),
            Some(RowValue::Text("A \"da\"".into())),
            Some(RowValue::Int(36)),
            None,
        ];
        let document = documents.document("u-7", &|at| row[at].as_ref(), 1_777_023_012_345_678);
        let text = String::from_utf8(document).expect("UTF-8");
        let slice = slice_of("u-7");
        assert_eq!(
            text,
            format!(
                r#"{{"age":36,"name":"A \"da\"","changed_at":"2026-04-24T09:30:12.345678Z","braid_slice":{slice}}}"#
            )
        );
        let again: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(again.to_string(), text, "what a server returns is compared as text");
    }
}
