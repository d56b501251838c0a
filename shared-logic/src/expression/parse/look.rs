//! Calls of functions that look at the past: `history_count('1m')`, `history_avg(amount)`, `previous(at)`.
//!
//! A call becomes a column, named by its canonical text, and a [`Look`], which says what the column holds.

use sqlparser::ast::{Expr as Sql, Value};

use super::typing::Typing;
use super::{Over, Refused};
use crate::expression::{Expression, Look, LookKind, Node};
use crate::schema::FieldType;
use crate::time::{format_duration_us, parse_duration_us};

/// Functions of the events before one.
pub(super) const NAMES: [&str; 6] =
    ["history_avg", "history_count", "history_max", "history_min", "history_sum", "previous"];

/// A call as the column that stands for it.
pub(super) fn look(typing: &mut Typing<'_>, name: &str, arguments: &[&Sql]) -> Result<Expression, Refused> {
    let Over::Past { history_us } = typing.scope.over else {
        let what = format!("`{name}` looks at earlier events, which only the rules of a detector do");
        return Err(Refused::new(what, "calculate from one event here, or write a rule in [streams.….detect]"));
    };
    let (of, span) = match (name, arguments) {
        ("history_count", []) => (None, None),
        ("history_count", [span]) => (None, Some(*span)),
        ("previous", [of]) | ("history_avg" | "history_max" | "history_min" | "history_sum", [of]) => (Some(*of), None),
        ("history_avg" | "history_max" | "history_min" | "history_sum", [of, span]) => (Some(*of), Some(*span)),
        _ => {
            let what = format!("`{name}` with {} arguments", arguments.len());
            return Err(Refused::new(what, format!("write {}", usage(name))));
        }
    };
    let of = of.map(|of| argument(typing, name, of)).transpose()?;
    let span_us = span.map(|span| span_us(name, span, history_us)).transpose()?;
    let column = text(name, of.as_ref(), span_us);
    let (kind, value) = kind(name, of);
    if !typing.looks.iter().any(|known| known.column == column) {
        typing.looks.push(Look { column: column.clone(), kind, span_us, of: value });
    }
    Ok(Expression { kind: value, node: Node::Column(column) })
}

/// What is looked at in each of the earlier events: a value of its fields, and a number unless it is only named.
fn argument(typing: &mut Typing<'_>, name: &str, sql: &Sql) -> Result<Expression, Refused> {
    let of = typing.expression(sql)?;
    let is_look = |column: &&str| typing.looks.iter().any(|look| look.column == *column);
    if of.columns().iter().any(is_look) {
        let fix = "look at fields of the earlier events only";
        return Err(Refused::new(format!("`{name}({sql})` looks at the past of the past"), fix));
    }
    if of.columns().is_empty() {
        return Err(Refused::new(
            format!("`{name}({sql})` names no field"),
            "for a number of events write history_count()",
        ));
    }
    if name != "previous" && !matches!(of.kind, FieldType::Int | FieldType::Float) {
        let place = format!("`{name}` wants int or float");
        return Err(Refused::mistyped(place, sql, of.kind, &format!("write {}", usage(name))));
    }
    Ok(of)
}

/// How far back a call looks.
fn span_us(name: &str, sql: &Sql, history_us: i64) -> Result<i64, Refused> {
    let text = match sql {
        Sql::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.as_str()),
            _ => None,
        },
        _ => None,
    };
    let Some(us) = text.and_then(parse_duration_us).filter(|us| *us > 0) else {
        return Err(Refused::new(
            format!("`{name}` looks back for {sql}"),
            "write a duration in quotes, such as '10m'",
        ));
    };
    if us > history_us {
        let history = format_duration_us(history_us);
        let what = format!("`{name}` looks back for {sql}, and a key remembers {history}");
        return Err(Refused::new(what, format!("write at most '{history}', or raise `history`")));
    }
    Ok(us)
}

/// What the column holds, and the type of that.
fn kind(name: &str, of: Option<Expression>) -> (LookKind, FieldType) {
    let Some(of) = of else { return (LookKind::Count, FieldType::Int) };
    let value = of.kind;
    match name {
        "history_avg" => (LookKind::Avg(of), FieldType::Float),
        "history_max" => (LookKind::Max(of), value),
        "history_min" => (LookKind::Min(of), value),
        "history_sum" => (LookKind::Sum(of), value),
        _ => (LookKind::Previous(of), value),
    }
}

/// The canonical text of a call, in which a field that stands alone needs no quotes.
fn text(name: &str, of: Option<&Expression>, span_us: Option<i64>) -> String {
    let of = of.map(|of| match &of.node {
        Node::Column(field) => field.clone(),
        _ => of.to_string(),
    });
    let span = span_us.map(|us| format!("'{}'", format_duration_us(us)));
    let arguments: Vec<String> = of.into_iter().chain(span).collect();
    format!("{name}({})", arguments.join(", "))
}

/// How a function is called.
fn usage(name: &str) -> String {
    match name {
        "history_count" => "history_count() or, for a shorter time, history_count('1m')".to_owned(),
        "previous" => "previous(…) of one value of the event before".to_owned(),
        _ => format!("{name}(…) of an int or float or, for a shorter time, {name}(…, '10m')"),
    }
}
