//! A naive interpreter, as far from Polars as can be: a tree of its own, written as SQL for the one side and walked row by
//! row for the other. `generate` makes trees and rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use polars::prelude::Column;

use crate::expression::{Scalar, functions};
use crate::schema::FieldType;
use crate::time::format_rfc3339;

/// A value, or null.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    Bool(bool),
    /// Microseconds since 1970.
    Instant(i64),
}

impl Answer {
    pub(super) fn int(&self) -> Option<i64> {
        if let Answer::Int(x) = self { Some(*x) } else { None }
    }

    /// The number, an int as well.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Answer::Int(x) => Some(*x as f64),
            Answer::Float(x) => Some(*x),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Answer::Text(x) = self { Some(x) } else { None }
    }

    pub(super) fn bool(&self) -> Option<bool> {
        if let Answer::Bool(x) = self { Some(*x) } else { None }
    }

    pub(super) fn instant(&self) -> Option<i64> {
        if let Answer::Instant(us) = self { Some(*us) } else { None }
    }

    /// What the row evaluator takes for it.
    fn scalar(&self) -> Scalar<'_> {
        match self {
            Answer::Null => Scalar::Null,
            Answer::Int(x) => Scalar::Int((*x).into()),
            Answer::Float(x) => Scalar::Float(*x),
            Answer::Text(x) => Scalar::String(Cow::Borrowed(x)),
            Answer::Bool(x) => Scalar::Bool(*x),
            Answer::Instant(us) => Scalar::Timestamp(*us),
        }
    }

    /// Whether two answers are the same; the zeros are.
    pub(super) fn is_like(&self, other: &Answer) -> bool {
        match (self, other) {
            (Answer::Int(a), Answer::Int(b)) => a == b,
            _ => match (self.float(), other.float()) {
                (Some(a), Some(b)) => a == b,
                _ => self == other,
            },
        }
    }
}

impl From<Scalar<'_>> for Answer {
    fn from(value: Scalar<'_>) -> Answer {
        match value {
            Scalar::Null => Answer::Null,
            Scalar::Int(x) => Answer::Int(i64::try_from(x).expect("rows keep within 64 bits")),
            Scalar::Float(x) => Answer::Float(x),
            Scalar::String(x) => Answer::Text(x.into_owned()),
            Scalar::Bool(x) => Answer::Bool(x),
            Scalar::Timestamp(us) => Answer::Instant(us),
            Scalar::Overflow => panic!("rows have no overflow"),
        }
    }
}

/// The fields of one event.
#[derive(Debug, Clone)]
pub(super) struct Row(pub(super) BTreeMap<&'static str, Answer>);

impl Row {
    pub(super) fn scalar(&self, name: &str) -> Scalar<'_> {
        self.0.get(name).map_or(Scalar::Null, Answer::scalar)
    }

    pub(super) fn get(&self, name: &str) -> Answer {
        self.0.get(name).cloned().unwrap_or(Answer::Null)
    }
}

/// An expression of the test.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Column(&'static str),
    Literal(Answer),
    Not(Box<Tree>),
    Minus(Box<Tree>),
    IsNull(Box<Tree>, bool),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    In(Box<Tree>, Vec<Tree>, bool),
    Between(Box<Tree>, Box<Tree>, Box<Tree>, bool),
    Case(Vec<(Tree, Tree)>, Option<Box<Tree>>),
    Cast(Box<Tree>),
    Call(&'static str, Vec<Tree>),
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Tree]| items.iter().map(Tree::to_string).collect::<Vec<_>>().join(", ");
        let negated = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Tree::Column(name) => f.write_str(name),
            Tree::Literal(Answer::Null) => f.write_str("NULL"),
            Tree::Literal(Answer::Int(x)) => write!(f, "{x}"),
            Tree::Literal(Answer::Float(x)) => write!(f, "{x:?}"),
            Tree::Literal(Answer::Text(x)) => write!(f, "'{}'", x.replace('\'', "''")),
            Tree::Literal(Answer::Bool(x)) => write!(f, "{x}"),
            Tree::Literal(Answer::Instant(us)) => write!(f, "TIMESTAMP '{}'", format_rfc3339(*us)),
            Tree::Not(of) => write!(f, "(NOT {of})"),
            Tree::Minus(of) => write!(f, "(- {of})"),
            Tree::IsNull(of, not) => write!(f, "({of} IS {}NULL)", negated(not)),
            Tree::Binary(operator, a, b) => write!(f, "({a} {operator} {b})"),
            Tree::In(of, items, not) => write!(f, "({of} {}IN ({}))", negated(not), list(items)),
            Tree::Between(of, low, high, not) => write!(f, "({of} {}BETWEEN {low} AND {high})", negated(not)),
            Tree::Case(branches, otherwise) => {
                f.write_str("CASE")?;
                for (condition, result) in branches {
                    write!(f, " WHEN {condition} THEN {result}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            Tree::Cast(of) => write!(f, "CAST({of} AS DOUBLE)"),
            Tree::Call(name, arguments) => write!(f, "{name}({})", list(arguments)),
        }
    }
}

impl Tree {
    /// The value for one row. An integer whose neighbours are floats is one.
    pub(super) fn answer(&self, row: &Row) -> Answer {
        match self.value(row) {
            Answer::Int(x) if self.is_float() => Answer::Float(x as f64),
            value => value,
        }
    }

    fn is_float(&self) -> bool {
        match self {
            Tree::Column(name) => matches!(*name, "x" | "y"),
            Tree::Literal(value) => matches!(value, Answer::Float(_)),
            Tree::Minus(of) => of.is_float(),
            Tree::Binary("/", ..) | Tree::Cast(_) => true,
            Tree::Binary("+" | "-" | "*" | "%", a, b) => a.is_float() || b.is_float(),
            Tree::Case(branches, otherwise) => {
                branches.iter().map(|(_, result)| result).chain(otherwise.as_deref()).any(Tree::is_float)
            }
            Tree::Call("abs" | "ceil" | "coalesce" | "floor", arguments) => arguments.iter().any(Tree::is_float),
            Tree::Call("distance_km" | "seconds_between", _) => true,
            _ => false,
        }
    }

    fn value(&self, row: &Row) -> Answer {
        match self {
            Tree::Column(name) => row.get(name),
            Tree::Literal(value) => value.clone(),
            Tree::Not(of) => of.answer(row).bool().map_or(Answer::Null, |x| Answer::Bool(!x)),
            Tree::Minus(of) => match of.answer(row) {
                Answer::Int(x) => int(x.checked_neg()),
                Answer::Float(x) => Answer::Float(-x),
                _ => Answer::Null,
            },
            Tree::IsNull(of, not) => Answer::Bool((of.answer(row) == Answer::Null) != *not),
            Tree::Binary(operator, a, b) => binary(operator, &a.answer(row), &b.answer(row)),
            Tree::In(of, items, not) => {
                let answers = alike([&**of].into_iter().chain(items), row);
                if answers[0] == Answer::Null {
                    return Answer::Null;
                }
                Answer::Bool(answers[1..].iter().any(|item| item.is_like(&answers[0])) != *not)
            }
            Tree::Between(of, low, high, not) => {
                let answers = alike([of, low, high].map(|tree| &**tree), row);
                let above = binary(">=", &answers[0], &answers[1]);
                let inside = binary("AND", &above, &binary("<=", &answers[0], &answers[2]));
                inside.bool().map_or(Answer::Null, |x| Answer::Bool(x != *not))
            }
            Tree::Case(branches, otherwise) => {
                let chosen = branches.iter().find(|(condition, _)| condition.answer(row).bool() == Some(true));
                let result = chosen.map(|(_, result)| result).or(otherwise.as_deref());
                result.map_or(Answer::Null, |result| result.answer(row))
            }
            Tree::Cast(of) => of.answer(row).float().map_or(Answer::Null, Answer::Float),
            Tree::Call(name, arguments) => {
                let arguments: Vec<Answer> = arguments.iter().map(|argument| argument.answer(row)).collect();
                call(name, &arguments)
            }
        }
    }
}

/// The values of trees that are compared with each other: all of them floats if one is.
fn alike<'a>(trees: impl IntoIterator<Item = &'a Tree>, row: &Row) -> Vec<Answer> {
    let trees: Vec<&Tree> = trees.into_iter().collect();
    let floats = trees.iter().any(|tree| tree.is_float());
    let alike = |answer: Answer| match answer {
        Answer::Int(x) if floats => Answer::Float(x as f64),
        other => other,
    };
    trees.iter().map(|tree| alike(tree.answer(row))).collect()
}

/// Null where 64 bits do not hold it.
fn int(value: Option<i64>) -> Answer {
    value.map_or(Answer::Null, Answer::Int)
}

fn binary(operator: &str, a: &Answer, b: &Answer) -> Answer {
    if operator == "AND" || operator == "OR" {
        // What decides on its own: false for AND, true for OR.
        let decisive = operator == "OR";
        return match (a.bool(), b.bool()) {
            (Some(x), _) | (_, Some(x)) if x == decisive => Answer::Bool(decisive),
            (_, Some(x)) if x == decisive => Answer::Bool(decisive),
            (Some(_), Some(_)) => Answer::Bool(!decisive),
            _ => Answer::Null,
        };
    }
    if *a == Answer::Null || *b == Answer::Null {
        return Answer::Null;
    }
    if let (Answer::Int(a), Answer::Int(b)) = (a, b)
        && operator != "/"
    {
        return match operator {
            "+" => int(a.checked_add(*b)),
            "-" => int(a.checked_sub(*b)),
            "*" => int(a.checked_mul(*b)),
            "%" if *b == 0 => Answer::Null,
            "%" => Answer::Int(a.wrapping_rem(*b)),
            _ => ordered(operator, Some(a.cmp(b))),
        };
    }
    if let (Some(x), Some(y)) = (a.float(), b.float()) {
        let result = match operator {
            "+" => x + y,
            "-" => x - y,
            "*" => x * y,
            "/" => x / y,
            "%" => x % y,
            _ => return ordered(operator, x.partial_cmp(&y)),
        };
        return if result.is_finite() { Answer::Float(result) } else { Answer::Null };
    }
    match (a, b) {
        (Answer::Text(x), Answer::Text(y)) => ordered(operator, Some(x.as_bytes().cmp(y.as_bytes()))),
        (Answer::Bool(x), Answer::Bool(y)) => ordered(operator, Some(x.cmp(y))),
        (Answer::Instant(x), Answer::Instant(y)) => ordered(operator, Some(x.cmp(y))),
        _ => panic!("{a:?} {operator} {b:?}"),
    }
}

fn ordered(operator: &str, order: Option<std::cmp::Ordering>) -> Answer {
    let order = order.expect("no value is NaN");
    Answer::Bool(match operator {
        "=" => order.is_eq(),
        "<>" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn call(name: &str, arguments: &[Answer]) -> Answer {
    if name == "coalesce" {
        return arguments.iter().find(|argument| **argument != Answer::Null).cloned().unwrap_or(Answer::Null);
    }
    if arguments.contains(&Answer::Null) {
        return Answer::Null;
    }
    match (name, arguments) {
        ("abs", [Answer::Int(x)]) => int(x.checked_abs()),
        ("abs", [Answer::Float(x)]) => Answer::Float(x.abs()),
        ("floor" | "ceil", [Answer::Int(x)]) => Answer::Int(*x),
        ("floor", [Answer::Float(x)]) => Answer::Float(x.floor()),
        ("ceil", [Answer::Float(x)]) => Answer::Float(x.ceil()),
        ("length", [Answer::Text(x)]) => Answer::Int(x.chars().count() as i64),
        ("lower", [Answer::Text(x)]) => Answer::Text(x.to_lowercase()),
        ("upper", [Answer::Text(x)]) => Answer::Text(x.to_uppercase()),
        ("starts_with", [Answer::Text(x), Answer::Text(y)]) => Answer::Bool(x.starts_with(y.as_str())),
        ("ends_with", [Answer::Text(x), Answer::Text(y)]) => Answer::Bool(x.ends_with(y.as_str())),
        ("contains", [Answer::Text(x), Answer::Text(y)]) => Answer::Bool(x.contains(y.as_str())),
        _ => {
            // What it means is tested beside it; here, that it means the same in columns and in rows.
            let function = functions::REGISTRY.iter().find(|function| function.name == name);
            let function = function.unwrap_or_else(|| panic!("{name}{arguments:?}"));
            let widened = |(argument, takes): (&Answer, &FieldType)| match argument {
                Answer::Int(x) if *takes == FieldType::Float => Answer::Float(*x as f64),
                other => other.clone(),
            };
            let arguments: Vec<Answer> = arguments.iter().zip(function.takes).map(widened).collect();
            (function.apply)(&arguments.iter().map(Answer::scalar).collect::<Vec<_>>()).into()
        }
    }
}

/// A column of Polars' answers.
pub(super) fn answers(column: &Column, kind: FieldType) -> Vec<Answer> {
    let series = column.as_materialized_series();
    let of = |value: Option<Answer>| value.unwrap_or(Answer::Null);
    match kind {
        FieldType::Int => series.i64().expect("an int is Int64").iter().map(|x| of(x.map(Answer::Int))).collect(),
        FieldType::Timestamp => {
            series.i64().expect("an instant is Int64").iter().map(|x| of(x.map(Answer::Instant))).collect()
        }
        FieldType::Float => {
            series.f64().expect("a float is Float64").iter().map(|x| of(x.map(Answer::Float))).collect()
        }
        FieldType::Bool => series.bool().expect("a bool is Boolean").iter().map(|x| of(x.map(Answer::Bool))).collect(),
        FieldType::String => {
            let texts = series.str().expect("a string is String");
            texts.iter().map(|x| of(x.map(|x| Answer::Text(x.to_owned())))).collect()
        }
    }
}
