//! Columns and fields: as parameters, and in answers.

use serde_json::{Value, json};
use shared_logic::schema::{Field, FieldType};

/// A value of a field, and for an optional one that it is absent.
pub(super) fn once(field: &Field, of_what: &str) -> Vec<Value> {
    let name = &field.name;
    let value = parameter(name, &format!("The {of_what} with this value of `{name}`."), of_type(field.kind));
    let absent = field.optional.then(|| missing(field, of_what));
    [with_example(value, example(field.kind))].into_iter().chain(absent).collect()
}

/// Values of a column, each of which asks for a key of its own.
pub(super) fn several(field: &Field, of_what: &str) -> Vec<Value> {
    let name = &field.name;
    let text = format!(
        "The {of_what} with this value of `{name}`. Repeated: an answer for each value, and for each combination of the columns' values."
    );
    let values = json!({"type": "array", "items": of_type(field.kind), "uniqueItems": true});
    let mut values = parameter(name, &text, values);
    values["style"] = "form".into();
    values["explode"] = true.into();
    let absent = field.optional.then(|| missing(field, of_what));
    [with_example(values, json!([example(field.kind)]))].into_iter().chain(absent).collect()
}

/// A value of a column that has to be given.
pub(super) fn required(field: &Field) -> Value {
    let name = &field.name;
    let instead = match field.optional {
        true => format!(" `{name}.missing=true` instead asks for the events without one."),
        false => String::new(),
    };
    let text = format!("The value of `{name}`.{instead}");
    let mut value = with_example(parameter(name, &text, of_type(field.kind)), example(field.kind));
    value["required"] = true.into();
    value
}

fn missing(field: &Field, of_what: &str) -> Value {
    let (name, missing) = (&field.name, format!("{}.missing", field.name));
    let text = format!("The {of_what} without `{name}`.");
    with_example(parameter(&missing, &text, json!({"type": "string", "enum": ["true"]})), "true".into())
}

fn parameter(name: &str, description: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "description": description, "required": false, "schema": schema})
}

fn with_example(mut parameter: Value, example: Value) -> Value {
    parameter["example"] = example;
    parameter
}

/// The schema of a value as a parameter has it.
pub(super) fn of_type(kind: FieldType) -> Value {
    match kind {
        FieldType::String => json!({"type": "string"}),
        FieldType::Int => json!({"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX}),
        FieldType::Float => json!({"type": "number", "format": "double"}),
        FieldType::Bool => json!({"type": "boolean"}),
        FieldType::Timestamp => json!({"type": "string", "format": "date-time"}),
    }
}

/// A value of a type.
pub(super) fn example(kind: FieldType) -> Value {
    match kind {
        FieldType::String => "a".into(),
        FieldType::Int => 1.into(),
        FieldType::Float => 0.5.into(),
        FieldType::Bool => true.into(),
        FieldType::Timestamp => "2026-04-24T09:30:00Z".into(),
    }
}

/// The schema of a value as an answer has it.
pub(super) fn in_answer(kind: FieldType, or_null: bool) -> Value {
    let (name, format) = match kind {
        FieldType::String => ("string", None),
        FieldType::Int => ("integer", Some("int64")),
        FieldType::Float => ("number", Some("double")),
        FieldType::Bool => ("boolean", None),
        FieldType::Timestamp => ("string", Some("date-time")),
    };
    let mut schema = if or_null { json!({"type": [name, "null"]}) } else { json!({"type": name}) };
    if let Some(format) = format {
        schema["format"] = format.into();
    }
    schema
}

/// The schema of an object whose members are fields. Those that are optional may be null, and `sparse`: any may be left out.
pub(super) fn object<'a>(fields: impl Iterator<Item = &'a Field> + Clone, sparse: bool) -> Value {
    let required = fields.clone().filter(|field| !sparse && !field.optional).map(|field| field.name.as_str());
    let properties = fields.clone().map(|field| (field.name.clone(), in_answer(field.kind, field.optional)));
    let properties: serde_json::Map<String, Value> = properties.collect();
    json!({"type": "object", "required": required.collect::<Vec<&str>>(), "properties": properties})
}
