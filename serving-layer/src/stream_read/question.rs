//! What is asked of a stream.

use platform::store::DataFile;
use polars::prelude::{Expr, Literal, col, lit};
use shared_logic::decode::Event;
use shared_logic::format::FieldValue;
use shared_logic::schema::FieldType;
use shared_logic::time::{TimeRange, parse_rfc3339};

/// Which outputs are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// What their fields have to be.
    pub(crate) filter: Filter,
    /// Their `output_time`.
    pub(crate) times: TimeRange,
    /// How many at most, the newest ones.
    pub(crate) limit: usize,
}

/// What the fields of an output have to be: each of those that are named has one value, or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter(Vec<Wanted>);

/// What one field has to be.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    /// Its place among the stream's fields.
    field: usize,
    value: WantedValue,
}

/// A value that a field has to have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WantedValue {
    /// None.
    Missing,
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Microseconds since 1970.
    Instant(i64),
}

impl Filter {
    /// Also demands that of the field at that place among the stream's fields.
    pub(crate) fn add(&mut self, field: usize, value: WantedValue) {
        self.0.push(Wanted { field, value });
    }

    /// Whether it accepts everything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it accepts an output.
    pub(super) fn accepts(&self, output: &Event<'_>) -> bool {
        self.0.iter().all(|wanted| wanted.value.is(output.value(wanted.field)))
    }

    /// The places of the fields that it looks at.
    pub(super) fn fields(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|wanted| wanted.field)
    }

    /// Accepts the rows whose columns say what [`Filter::accepts`] asks for. `name_of` gives the column of a field; instants are
    /// integers.
    pub(super) fn conditions(&self, name_of: impl Fn(usize) -> String) -> impl Iterator<Item = Expr> {
        self.0.iter().map(move |wanted| wanted.value.condition(&name_of(wanted.field)))
    }

    /// Whether a file, or a part of one, may hold such rows, by what is noted of its columns.
    pub(super) fn may_be_held(&self, file: &DataFile, name_of: impl Fn(usize) -> String) -> bool {
        self.0.iter().all(|wanted| match wanted.value {
            WantedValue::Int(value) | WantedValue::Instant(value) => {
                file.may_hold(&name_of(wanted.field), value, value)
            }
            _ => true,
        })
    }
}

impl WantedValue {
    /// Reads a value of that type; `None` if the text is not one.
    pub(crate) fn parse(kind: FieldType, text: &str) -> Option<WantedValue> {
        match kind {
            FieldType::String => Some(WantedValue::Text(text.to_owned())),
            FieldType::Int => text.parse().ok().map(WantedValue::Int),
            // No event holds a negative zero.
            FieldType::Float => {
                text.parse().ok().filter(|value: &f64| value.is_finite()).map(|value| WantedValue::Float(value + 0.0))
            }
            FieldType::Bool => text.parse().ok().map(WantedValue::Bool),
            FieldType::Timestamp => parse_rfc3339(text.as_bytes()).map(WantedValue::Instant),
        }
    }

    fn is(&self, value: Option<FieldValue<'_>>) -> bool {
        match (self, value) {
            (WantedValue::Missing, None) => true,
            (WantedValue::Text(wanted), Some(FieldValue::Text(value))) => wanted == value,
            (WantedValue::Int(wanted), Some(FieldValue::Int(value)))
            | (WantedValue::Instant(wanted), Some(FieldValue::Instant(value))) => *wanted == value,
            (WantedValue::Float(wanted), Some(FieldValue::Float(value))) => *wanted == value,
            (WantedValue::Bool(wanted), Some(FieldValue::Bool(value))) => *wanted == value,
            _ => false,
        }
    }

    fn condition(&self, column: &str) -> Expr {
        fn equal(column: &str, value: impl Literal) -> Expr {
            col(column).eq(lit(value))
        }
        match self {
            WantedValue::Missing => col(column).is_null(),
            WantedValue::Text(value) => equal(column, value.clone()),
            WantedValue::Int(value) | WantedValue::Instant(value) => equal(column, *value),
            WantedValue::Float(value) => equal(column, *value),
            WantedValue::Bool(value) => equal(column, *value),
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column, DataFrame, IntoLazy};
    use shared_logic::catalog::{Catalog, Source};
    use shared_logic::decode::{Columns, Decoder};

    use super::*;

    const FIELDS: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
t = "string?"
n = "int?"
x = "float?"
b = "bool?"
w = "timestamp?"
"#;

    fn source() -> Source {
        let text = format!("{FIELDS}[metrics.m]\nsource = \"s\"\n[metrics.m.measures]\nc = \"count()\"\n");
        Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).sources["s"].clone()
    }

    #[test]
    fn a_record_and_its_row_are_judged_alike() {
        let source = source();
        let payloads = [
            r#"{"at":0}"#,
            r#"{"at":1,"t":"","n":0,"x":0.0,"b":false,"w":0}"#,
            r#"{"at":2,"t":"a","n":-7,"x":-0.0,"b":true,"w":"1970-01-01T00:00:01Z"}"#,
            r#"{"at":3,"t":"null","n":7,"x":7,"b":null,"w":1}"#,
        ];
        let wanted = [
            (1, "a", [2].as_slice()),
            (1, "", &[1]),
            (1, "null", &[3]),
            (2, "-7", &[2]),
            (2, "7", &[3]),
            (3, "7", &[3]),
            (3, "-0", &[1, 2]),
            (4, "true", &[2]),
            (4, "false", &[1]),
            (5, "1970-01-01T00:00:01Z", &[2]),
            (0, "1970-01-01T00:00:00.003Z", &[3]),
        ];
        let wanted = wanted.map(|(field, text, found)| {
            (field, WantedValue::parse(source.fields[field].kind, text).expect(text), found)
        });
        let missing = [(1, WantedValue::Missing, [0].as_slice()), (4, WantedValue::Missing, &[0, 3])];
        for (field, value, found) in wanted.into_iter().chain(missing) {
            let mut filter = Filter::default();
            filter.add(field, value);
            let (mut accepted, mut columns) = (Vec::new(), Columns::new(&source, |_| true, 4));
            let mut decoder = Decoder::new(&source);
            for (row, payload) in payloads.iter().enumerate() {
                let event = decoder.decode(Some(payload.as_bytes()), None).expect("an event");
                columns.push(&event);
                accepted.extend(filter.accepts(&event).then_some(row));
            }
            assert_eq!(accepted, found, "{filter:?}");
            assert_eq!(rows(&source, &filter, columns.finish().expect("columns")), found, "{filter:?}");
        }
    }

    fn rows(source: &Source, filter: &Filter, mut rows: DataFrame) -> Vec<usize> {
        let numbers: Vec<i64> = (0..rows.height() as i64).collect();
        rows.with_column(Column::new("row".into(), numbers)).expect("a column");
        let conditions = filter.conditions(|field| source.fields[field].name.clone());
        let found = conditions.fold(rows.lazy(), |rows, condition| rows.filter(condition)).collect().expect("filtered");
        found.column("row").expect("there").i64().expect("numbers").iter().flatten().map(|row| row as usize).collect()
    }

    #[test]
    fn a_text_that_is_no_value_of_the_type_is_none() {
        for (kind, text) in [
            (FieldType::Int, "1.5"),
            (FieldType::Float, "NaN"),
            (FieldType::Float, "inf"),
            (FieldType::Bool, "yes"),
            (FieldType::Timestamp, "1970-01-01"),
        ] {
            assert_eq!(WantedValue::parse(kind, text), None, "{text}");
        }
    }
}
