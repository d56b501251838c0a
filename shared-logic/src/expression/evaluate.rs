//! The value of a `derived` expression over merged measures.
//!
//! Measures span the whole 64 bits, so that their calculations cannot be bounded when the catalog is read. They are done in
//! 128 bits and judged at the end; what has overflowed stays overflowed, so that it never passes for a number.

use super::functions::Function;
use super::{Expression, Literal, Node, Operator};
use crate::measure::Value;

/// A value on the way; measures are numbers, and conditions about them are known, unknown or overflowed.
#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Bool(bool),
    Number(Value),
}

const NULL: Scalar = Scalar::Number(Value::Null);
const OVERFLOW: Scalar = Scalar::Number(Value::Overflow);

/// See [`Expression::evaluate`].
pub(super) fn derived(expression: &Expression, value_of: &dyn Fn(&str) -> Value) -> Value {
    match scalar(expression, value_of) {
        Scalar::Number(value) => value.finalized(),
        Scalar::Bool(_) => Value::Null,
    }
}

fn scalar(expression: &Expression, value_of: &dyn Fn(&str) -> Value) -> Scalar {
    let of = |operand: &Expression| scalar(operand, value_of);
    match &expression.node {
        Node::Column(name) => Scalar::Number(value_of(name).finalized()),
        Node::Literal(literal) => constant(literal),
        Node::Not(operand) => match of(operand) {
            Scalar::Bool(x) => Scalar::Bool(!x),
            unknown => unknown,
        },
        Node::Minus(operand) => binary(Operator::Subtract, Scalar::Number(Value::Int(0)), of(operand)),
        Node::Binary(operator, left, right) => binary(*operator, of(left), of(right)),
        Node::IsNull(operand) => match of(operand) {
            OVERFLOW => OVERFLOW,
            value => Scalar::Bool(value == NULL),
        },
        Node::In(operand, list) => {
            let value = of(operand);
            let equal = list.iter().map(|literal| binary(Operator::Equal, value.clone(), constant(literal)));
            equal.fold(Scalar::Bool(false), |any, one| binary(Operator::Or, any, one))
        }
        Node::Between(value, low, high) => {
            let value = of(value);
            let above = binary(Operator::GreaterOrEqual, value.clone(), of(low));
            binary(Operator::And, above, binary(Operator::LessOrEqual, value, of(high)))
        }
        Node::Case(branches, otherwise) => {
            for (condition, result) in branches {
                match of(condition) {
                    Scalar::Bool(true) => return of(result),
                    OVERFLOW => return OVERFLOW,
                    _ => {}
                }
            }
            of(otherwise)
        }
        Node::ToFloat(operand) => match of(operand) {
            Scalar::Number(Value::Int(x)) => float(x as f64),
            other => other,
        },
        Node::Call(Function::Coalesce, arguments) => {
            arguments.iter().map(of).find(|value| *value != NULL).unwrap_or(NULL)
        }
        Node::Call(function, arguments) => match (function, arguments.first().map(of)) {
            (Function::Abs, Some(Scalar::Number(Value::Int(x)))) => int(x.checked_abs()),
            (Function::Abs, Some(Scalar::Number(Value::Float(x)))) => float(x.abs()),
            (Function::Ceil, Some(Scalar::Number(Value::Float(x)))) => float(x.ceil()),
            (Function::Floor, Some(Scalar::Number(Value::Float(x)))) => float(x.floor()),
            // Whole numbers are their own floor and ceiling; the other functions are not offered over measures.
            (_, value) => value.unwrap_or(NULL),
        },
    }
}

fn constant(literal: &Literal) -> Scalar {
    match literal {
        Literal::Bool(x) => Scalar::Bool(*x),
        Literal::Int(x) => Scalar::Number(Value::Int(i128::from(*x))),
        Literal::Float(x) => float(*x),
        // Texts and timestamps do not occur over measures.
        Literal::Null | Literal::String(_) | Literal::Timestamp(_) => NULL,
    }
}

fn binary(operator: Operator, left: Scalar, right: Scalar) -> Scalar {
    use Scalar::{Bool, Number};
    match (operator, left, right) {
        (_, OVERFLOW, _) | (_, _, OVERFLOW) => OVERFLOW,
        (Operator::And, Bool(false), _) | (Operator::And, _, Bool(false)) => Bool(false),
        (Operator::Or, Bool(true), _) | (Operator::Or, _, Bool(true)) => Bool(true),
        (_, NULL, _) | (_, _, NULL) => NULL,
        // Neither decides: both are true for AND, both false for OR.
        (Operator::And | Operator::Or, decided, _) => decided,
        (Operator::Equal, a, b) => Bool(a == b),
        (Operator::NotEqual, a, b) => Bool(a != b),
        (_, Number(Value::Int(a)), Number(Value::Int(b))) => of_ints(operator, a, b),
        (_, Number(Value::Int(a)), Number(Value::Float(b))) => of_floats(operator, a as f64, b),
        (_, Number(Value::Float(a)), Number(Value::Int(b))) => of_floats(operator, a, b as f64),
        (_, Number(Value::Float(a)), Number(Value::Float(b))) => of_floats(operator, a, b),
        // Conditions have no order and no arithmetic; typing refuses both.
        _ => NULL,
    }
}

fn of_ints(operator: Operator, a: i128, b: i128) -> Scalar {
    match operator {
        Operator::Less => Scalar::Bool(a < b),
        Operator::LessOrEqual => Scalar::Bool(a <= b),
        Operator::Greater => Scalar::Bool(a > b),
        Operator::GreaterOrEqual => Scalar::Bool(a >= b),
        Operator::Add => int(a.checked_add(b)),
        Operator::Subtract => int(a.checked_sub(b)),
        Operator::Multiply => int(a.checked_mul(b)),
        Operator::Remainder if b == 0 => NULL,
        Operator::Remainder => int(Some(a.wrapping_rem(b))),
        _ => of_floats(operator, a as f64, b as f64),
    }
}

fn of_floats(operator: Operator, a: f64, b: f64) -> Scalar {
    match operator {
        Operator::Less => Scalar::Bool(a < b),
        Operator::LessOrEqual => Scalar::Bool(a <= b),
        Operator::Greater => Scalar::Bool(a > b),
        Operator::GreaterOrEqual => Scalar::Bool(a >= b),
        Operator::Add => float(a + b),
        Operator::Subtract => float(a - b),
        Operator::Multiply => float(a * b),
        Operator::Divide => float(a / b),
        Operator::Remainder => float(a % b),
        _ => NULL,
    }
}

fn int(x: Option<i128>) -> Scalar {
    x.map_or(OVERFLOW, |x| Scalar::Number(Value::Int(x)))
}

/// A result that is not finite is null; negative zero is zero.
fn float(x: f64) -> Scalar {
    if x.is_finite() { Scalar::Number(Value::Float(x + 0.0)) } else { NULL }
}
