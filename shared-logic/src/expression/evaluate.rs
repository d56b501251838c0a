//! The value of an expression for one row: of fields, or of merged measures.
//!
//! It is what `compile` gives for that row in columns. Integers are calculated in 128 bits. Of a row, each result is judged by
//! itself: one that leaves 64 bits is null, as it is in a column of 64 bits. Of measures, the value is judged at the end, and
//! what has overflowed stays overflowed, so that it never passes for a number.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::functions::Function;
use super::lower_case::lower;
use super::{Expression, Literal, Node, Operator, Scalar};
use crate::measure::Value;

/// What an expression names.
#[derive(Clone, Copy)]
enum Named<'n> {
    Column(&'n str),
    /// A quantile of a measure.
    Quantile(&'n str, f64),
}

/// What becomes of each result on the way.
type Judge = for<'a> fn(Scalar<'a>) -> Scalar<'a>;

/// See [`Expression::evaluate_row`].
pub(super) fn row<'a>(expression: &'a Expression, value_of: &dyn Fn(&str) -> Scalar<'a>) -> Scalar<'a> {
    let value_of = |named: Named<'_>| match named {
        Named::Column(name) => value_of(name),
        // Rows have no measures.
        Named::Quantile(..) => Scalar::Null,
    };
    judged(expression, &value_of, |result| match result {
        Scalar::Int(x) if i64::try_from(x).is_err() => Scalar::Null,
        other => other,
    })
}

/// See [`Expression::evaluate`].
pub(super) fn measures<'a>(expression: &'a Expression, value_of: &dyn Fn(&str) -> Value) -> Scalar<'a> {
    let value_of = |named: Named<'_>| match named {
        Named::Column(name) => Scalar::from(value_of(name).finalized()),
        Named::Quantile(name, q) => Scalar::from(value_of(name).quantile(q)),
    };
    judged(expression, &value_of, |result| result)
}

fn judged<'a>(expression: &'a Expression, value_of: &dyn Fn(Named<'_>) -> Scalar<'a>, judge: Judge) -> Scalar<'a> {
    judge(value(expression, value_of, judge))
}

fn value<'a>(expression: &'a Expression, value_of: &dyn Fn(Named<'_>) -> Scalar<'a>, judge: Judge) -> Scalar<'a> {
    let of = |operand: &'a Expression| judged(operand, value_of, judge);
    match &expression.node {
        Node::Column(name) => value_of(Named::Column(name)),
        Node::Quantile(name, q) => value_of(Named::Quantile(name, *q)),
        Node::Literal(literal) => constant(literal),
        Node::Not(operand) => match of(operand) {
            Scalar::Bool(x) => Scalar::Bool(!x),
            unknown => unknown,
        },
        Node::Minus(operand) => binary(Operator::Subtract, &Scalar::Int(0), &of(operand)),
        Node::Binary(operator, left, right) => binary(*operator, &of(left), &of(right)),
        Node::IsNull(operand) => match of(operand) {
            Scalar::Overflow => Scalar::Overflow,
            value => Scalar::Bool(value == Scalar::Null),
        },
        Node::In(operand, list) => match of(operand) {
            unknown @ (Scalar::Null | Scalar::Overflow) => unknown,
            value => Scalar::Bool(list.iter().any(|literal| constant(literal) == value)),
        },
        Node::Between(value, low, high) => {
            let value = of(value);
            let above = binary(Operator::GreaterOrEqual, &value, &of(low));
            binary(Operator::And, &above, &binary(Operator::LessOrEqual, &value, &of(high)))
        }
        Node::Case(branches, otherwise) => {
            for (condition, result) in branches {
                match of(condition) {
                    Scalar::Bool(true) => return of(result),
                    Scalar::Overflow => return Scalar::Overflow,
                    _ => {}
                }
            }
            of(otherwise)
        }
        Node::ToFloat(operand) => match of(operand) {
            Scalar::Int(x) => Scalar::float(x as f64),
            other => other,
        },
        Node::Call(function, arguments) => call(*function, arguments.iter().map(of)),
    }
}

fn constant(literal: &Literal) -> Scalar<'_> {
    match literal {
        Literal::Null => Scalar::Null,
        Literal::Bool(x) => Scalar::Bool(*x),
        Literal::Int(x) => Scalar::Int((*x).into()),
        Literal::Float(x) => Scalar::float(*x),
        Literal::String(text) => Scalar::String(Cow::Borrowed(text)),
        Literal::Timestamp(us) => Scalar::Timestamp(*us),
    }
}

fn binary(operator: Operator, left: &Scalar<'_>, right: &Scalar<'_>) -> Scalar<'static> {
    use Scalar::{Bool, Float, Int, Null, Overflow, String, Timestamp};
    match (operator, left, right) {
        (_, Overflow, _) | (_, _, Overflow) => Overflow,
        (Operator::And, Bool(false), _) | (Operator::And, _, Bool(false)) => Bool(false),
        (Operator::Or, Bool(true), _) | (Operator::Or, _, Bool(true)) => Bool(true),
        (_, Null, _) | (_, _, Null) => Null,
        // Neither decides: both are true for AND, both false for OR.
        (Operator::And | Operator::Or, Bool(decided), _) => Bool(*decided),
        (_, Int(a), Int(b)) => of_ints(operator, *a, *b),
        (_, Int(a), Float(b)) => of_floats(operator, *a as f64, *b),
        (_, Float(a), Int(b)) => of_floats(operator, *a, *b as f64),
        (_, Float(a), Float(b)) => of_floats(operator, *a, *b),
        (_, Bool(a), Bool(b)) => compared(operator, a.cmp(b)),
        (_, String(a), String(b)) => compared(operator, a.as_bytes().cmp(b.as_bytes())),
        (_, Timestamp(a), Timestamp(b)) => compared(operator, a.cmp(b)),
        // Typing brings both sides to one type.
        _ => Null,
    }
}

fn of_ints(operator: Operator, a: i128, b: i128) -> Scalar<'static> {
    match operator {
        Operator::Add => int(a.checked_add(b)),
        Operator::Subtract => int(a.checked_sub(b)),
        Operator::Multiply => int(a.checked_mul(b)),
        Operator::Divide => of_floats(operator, a as f64, b as f64),
        Operator::Remainder if b == 0 => Scalar::Null,
        Operator::Remainder => Scalar::Int(a.wrapping_rem(b)),
        _ => compared(operator, a.cmp(&b)),
    }
}

fn of_floats(operator: Operator, a: f64, b: f64) -> Scalar<'static> {
    match operator {
        Operator::Add => Scalar::float(a + b),
        Operator::Subtract => Scalar::float(a - b),
        Operator::Multiply => Scalar::float(a * b),
        Operator::Divide => Scalar::float(a / b),
        Operator::Remainder => Scalar::float(a % b),
        _ => a.partial_cmp(&b).map_or(Scalar::Null, |order| compared(operator, order)),
    }
}

fn compared(operator: Operator, order: Ordering) -> Scalar<'static> {
    Scalar::Bool(match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        // Arithmetic is of numbers, and logic is decided before; typing refuses the rest.
        _ => return Scalar::Null,
    })
}

fn int(x: Option<i128>) -> Scalar<'static> {
    x.map_or(Scalar::Overflow, Scalar::Int)
}

/// A call, whose arguments are calculated as they are needed.
fn call<'a>(function: Function, mut arguments: impl Iterator<Item = Scalar<'a>>) -> Scalar<'a> {
    use Scalar::{Bool, Float, Int, Null, Overflow, String};
    match function {
        Function::Coalesce => return arguments.find(|value| *value != Null).unwrap_or(Null),
        Function::Registered(function) => return (function.apply)(&arguments.collect::<Vec<_>>()),
        _ => {}
    }
    match (function, arguments.next().unwrap_or(Null), arguments.next().unwrap_or(Null)) {
        (_, Overflow, _) | (_, _, Overflow) => Overflow,
        (Function::Abs, Int(x), _) => int(x.checked_abs()),
        (Function::Abs, Float(x), _) => Float(x.abs()),
        // A whole number is its own floor and ceiling.
        (Function::Ceil | Function::Floor, Int(x), _) => Int(x),
        (Function::Ceil, Float(x), _) => Scalar::float(x.ceil()),
        (Function::Floor, Float(x), _) => Scalar::float(x.floor()),
        (Function::Contains, String(text), String(part)) => Bool(text.contains(part.as_ref())),
        (Function::EndsWith, String(text), String(end)) => Bool(text.ends_with(end.as_ref())),
        (Function::StartsWith, String(text), String(start)) => Bool(text.starts_with(start.as_ref())),
        (Function::Length, String(text), _) => Int(text.chars().count() as i128),
        (Function::Lower, String(text), _) => String(lower(&text).into()),
        (Function::Upper, String(text), _) => String(text.to_uppercase().into()),
        _ => Null,
    }
}
