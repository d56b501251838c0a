//! The integers that an expression can become.
//!
//! Every int field lies within ±(2^53−1), because decoding rejects anything else. From there interval arithmetic bounds
//! each integer expression, so that one which could leave 64 bits is refused when the catalog is read instead of wrapping
//! when a row is counted.

use std::ops::RangeInclusive;

use super::functions::Function;
use super::{Expression, Literal, Node, Operator};
use crate::schema::FieldType;

/// The largest magnitude of an int field.
const FIELD_MAX: i128 = (1 << 53) - 1;

/// More characters than any record can hold (Kafka's sizes are 32-bit).
const LENGTH_MAX: i128 = 1 << 32;

/// The smallest and the largest value, both of them possible as far as the analysis can tell.
pub(super) type Bounds = (i128, i128);

/// The bounds of an integer expression as the public type; `None` for other types.
pub(super) fn int_range(expression: &Expression) -> Option<RangeInclusive<i64>> {
    let (low, high) = of(expression)?;
    Some(i64::try_from(low).unwrap_or(i64::MIN)..=i64::try_from(high).unwrap_or(i64::MAX))
}

/// Whether a value within these bounds can lie outside 64 bits.
pub(super) fn leaves_64_bits((low, high): Bounds) -> bool {
    low < i128::from(i64::MIN) || high > i128::from(i64::MAX)
}

/// The bounds of an integer expression whose operands stay within 64 bits; `None` for other types.
pub(super) fn of(expression: &Expression) -> Option<Bounds> {
    if expression.kind != FieldType::Int {
        return None;
    }
    match &expression.node {
        Node::Column(_) => Some((-FIELD_MAX, FIELD_MAX)),
        Node::Literal(Literal::Int(x)) => Some((i128::from(*x), i128::from(*x))),
        Node::Minus(x) => of(x).map(|(low, high)| (-high, -low)),
        Node::Binary(operator, a, b) => binary(*operator, of(a)?, of(b)?),
        Node::Case(branches, otherwise) => {
            let results = branches.iter().map(|(_, result)| result).chain([otherwise.as_ref()]);
            Some(hull(results.filter_map(of)))
        }
        Node::Call(Function::Coalesce, arguments) => Some(hull(arguments.iter().filter_map(of))),
        Node::Call(Function::Abs, arguments) => {
            let (low, high) = of(arguments.first()?)?;
            let least = if low <= 0 && high >= 0 { 0 } else { low.abs().min(high.abs()) };
            Some((least, low.abs().max(high.abs())))
        }
        Node::Call(Function::Floor | Function::Ceil, arguments) => of(arguments.first()?),
        Node::Call(Function::Length, _) => Some((0, LENGTH_MAX)),
        Node::Call(..) => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
        // A null restricts nothing.
        _ => None,
    }
}

fn binary(operator: Operator, a: Bounds, b: Bounds) -> Option<Bounds> {
    match operator {
        Operator::Add => Some((a.0 + b.0, a.1 + b.1)),
        Operator::Subtract => Some((a.0 - b.1, a.1 - b.0)),
        Operator::Multiply => {
            // Operands have at most 64 bits, so that no product leaves 128.
            let corners = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
            Some(hull(corners.map(|corner| (corner, corner))))
        }
        Operator::Remainder => {
            let below_divisor = (b.0.abs().max(b.1.abs()) - 1).max(0);
            Some((a.0.min(0).max(-below_divisor), a.1.max(0).min(below_divisor)))
        }
        _ => None,
    }
}

/// The bounds that hold all of them; those of nothing are those of zero.
fn hull(all: impl IntoIterator<Item = Bounds>) -> Bounds {
    all.into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0))
}
