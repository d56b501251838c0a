//! The key of a table's record, as text.

use serde_json::Value;

use crate::catalog::Source;
use crate::format::Format;
use crate::schema::FieldType;

/// How the records of a table are keyed.
///
/// The key of a record is plain text, or a string or number of JSON. Debezium's is an object that holds the key field alone, with or
/// without the block that describes its schema.
#[derive(Debug, Clone)]
pub struct RecordKey {
    /// The key field's place among the source's fields.
    field: usize,
    /// What the object of a key calls it; `None` where keys are no objects.
    member: Option<String>,
    is_int: bool,
}

impl RecordKey {
    /// The keys of a table's records; `None` of what is no table.
    pub fn of(source: &Source) -> Option<RecordKey> {
        let name = source.key.as_ref().filter(|_| source.is_table)?;
        let at = source.fields.iter().position(|field| field.name == *name)?;
        let field = &source.fields[at];
        let member = (source.format == Format::Debezium).then(|| field.column().to_owned());
        Some(RecordKey { field: at, member, is_int: field.kind == FieldType::Int })
    }

    /// The key field's place among the source's fields.
    pub(super) fn field(&self) -> usize {
        self.field
    }

    /// The text of a key: an integer's digits, or the characters of a text, which is not empty. `None`, if the bytes say no such thing.
    pub fn text(&self, key: Option<&[u8]>) -> Option<String> {
        let written = std::str::from_utf8(key?).ok()?;
        let text = match (written.trim_start().as_bytes().first()?, &self.member) {
            (b'"', _) => serde_json::from_str::<String>(written).ok()?,
            (b'{', Some(member)) => of_object(serde_json::from_str(written).ok()?, member)?,
            _ => written.to_owned(),
        };
        if self.is_int {
            return text.parse::<i64>().ok().map(|number| number.to_string());
        }
        (!text.is_empty()).then_some(text)
    }
}

/// The text of the only column in the key of a record of Debezium.
fn of_object(key: Value, member: &str) -> Option<String> {
    let Value::Object(mut key) = key else { return None };
    if key.len() == 2 && key.contains_key("schema") {
        match key.remove("payload")? {
            Value::Object(described) => key = described,
            plain => return of_value(plain),
        }
    }
    // A row that several columns identify is none of a table with one key.
    if key.len() == 1 { of_value(key.remove(member)?) } else { None }
}

fn of_value(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
