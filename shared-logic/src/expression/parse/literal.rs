//! Constants.

use sqlparser::ast::{DataType, Value};

use super::Refused;
use crate::expression::{Expression, Literal, Node};
use crate::schema::FieldType;
use crate::time::parse_rfc3339;

impl Literal {
    /// The number with the other sign, if it is one that has it; zero has none.
    pub(super) fn negated(&self) -> Option<Literal> {
        match self {
            Literal::Int(x) => x.checked_neg().map(Literal::Int),
            Literal::Float(x) => Some(Literal::Float(0.0 - x)),
            _ => None,
        }
    }
}

/// A number, a text, TRUE or FALSE.
pub(super) fn value(value: &Value) -> Result<Expression, Refused> {
    match value {
        Value::Number(digits, false) => number(digits),
        Value::SingleQuotedString(text) => Ok(literal(FieldType::String, Literal::String(text.clone()))),
        Value::Boolean(x) => Ok(literal(FieldType::Bool, Literal::Bool(*x))),
        Value::Null => Err(Refused::new("NULL stands where a value is wanted", "write IS NULL or IS NOT NULL")),
        other => {
            Err(Refused::new(format!("the literal {other} is not offered"), "write a number, 'text', TRUE or FALSE"))
        }
    }
}

/// An integer of 64 bits, or a finite float where there is a point or an exponent.
pub(super) fn number(digits: &str) -> Result<Expression, Refused> {
    if digits.contains(['.', 'e', 'E']) {
        return match digits.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(literal(FieldType::Float, Literal::Float(x + 0.0))),
            _ => Err(Refused::new(format!("{digits} is no finite number"), "write a smaller one")),
        };
    }
    match digits.parse::<i64>() {
        Ok(x) => Ok(literal(FieldType::Int, Literal::Int(x))),
        Err(_) => Err(Refused::new(format!("{digits} does not fit into 64 bits"), format!("write {digits}.0"))),
    }
}

/// `TIMESTAMP '…'`.
pub(super) fn typed(data_type: &DataType, value: &Value) -> Result<Expression, Refused> {
    match (data_type, value) {
        (DataType::Timestamp(..), Value::SingleQuotedString(text)) => instant(text),
        _ => {
            let what = format!("the literal {data_type} {value} is not offered");
            Err(Refused::new(what, "write TIMESTAMP '2026-01-31T00:00:00Z'"))
        }
    }
}

/// An RFC 3339 text as an instant.
pub(super) fn instant(text: &str) -> Result<Expression, Refused> {
    match parse_rfc3339(text.as_bytes()) {
        Some(us) => Ok(literal(FieldType::Timestamp, Literal::Timestamp(us))),
        None => {
            let fix = "write it in RFC 3339, with its zone, such as '2026-01-31T00:00:00Z'";
            Err(Refused::new(format!("'{text}' is no timestamp"), fix))
        }
    }
}

fn literal(kind: FieldType, literal: Literal) -> Expression {
    Expression { kind, node: Node::Literal(literal) }
}
