//! The meaning of an expression for rows, as a Polars expression.
//!
//! Everything is elementwise. Where Polars means something else than SQL or would need another of its features, the
//! operation is a plain Rust function over columns.

use polars::prelude::arity::{binary_elementwise, unary_elementwise};
use polars::prelude::{
    BooleanChunked, ChunkApply, Column, DataType, Expr, Field, Float64Chunked, Int64Chunked, IntoColumn, NULL,
    NamedFrom, PlSmallStr, PolarsResult, Scalar, Series, coalesce, col, lit, when,
};

use super::functions::{Function, PureFunction};
use super::{Expression, Literal, Node, Operator, scalar};
use crate::schema::FieldType;

/// The Polars form; see [`Expression::to_polars`].
///
/// The optimiser may find that an expression such as `p AND FALSE` is a constant, which then has one row wherever it
/// stands. A last look at a column gives it as many rows as there are events.
pub(super) fn polars(expression: &Expression) -> Expr {
    match expression.columns().first() {
        Some(column) if may_be_constant(expression) => {
            over_columns(vec![node(expression, true), col(*column)], expression.kind, |columns| Ok(columns[0].clone()))
        }
        _ => node(expression, true),
    }
}

/// Whether something decides by a constant, so that what it decides may not look at an event.
fn may_be_constant(expression: &Expression) -> bool {
    let decides = match &expression.node {
        Node::Binary(operator, ..) => matches!(operator, Operator::And | Operator::Or),
        Node::Call(function, _) => *function == Function::Coalesce,
        Node::Not(_) | Node::IsNull(_) | Node::Case(..) => true,
        _ => false,
    };
    let operands = expression.operands();
    decides && operands.iter().any(|operand| operand.columns().is_empty()) || operands.into_iter().any(may_be_constant)
}

/// One node. `decides` tells that it stands where null is as good as false: at the top, or below only AND and OR of it.
///
/// Elsewhere AND is hidden from the optimiser, which in a filter takes `p AND NOT p` and `a > 1 AND a <= 1` for false where
/// they are null (Polars 0.55, `simplify_expr/arity.rs`); below a NOT that would let a row pass.
fn node(expression: &Expression, decides: bool) -> Expr {
    let part = |operand: &Expression| node(operand, false);
    match &expression.node {
        Node::Column(name) => col(name.as_str()),
        // Rows have no measures.
        Node::Quantile(..) => constant(&Literal::Null, expression.kind),
        Node::Literal(literal) => constant(literal, expression.kind),
        Node::Not(of) => part(of).not(),
        Node::Minus(of) => match of.kind {
            FieldType::Float => typed(0.0_f64) - part(of),
            kind => binary(Operator::Subtract, kind, typed(0_i64), part(of)),
        },
        Node::Binary(Operator::And, left, right) => and(node(left, decides), node(right, decides), decides),
        Node::Binary(Operator::Or, left, right) => node(left, decides).or(node(right, decides)),
        Node::Binary(operator, left, right) => binary(*operator, expression.kind, part(left), part(right)),
        Node::IsNull(of) => part(of).is_null(),
        Node::In(of, list) => part(of).is_in(lit(one_list(list, of.kind)), false),
        Node::Between(value, low, high) => {
            let above = part(value).gt_eq(part(low));
            and(above, part(value).lt_eq(part(high)), decides)
        }
        Node::Case(branches, otherwise) => {
            let cases = branches.iter().rev();
            cases.fold(part(otherwise), |rest, (condition, result)| {
                when(part(condition)).then(part(result)).otherwise(rest)
            })
        }
        Node::ToFloat(of) => part(of).cast(DataType::Float64),
        Node::Call(function, arguments) => call(*function, expression.kind, arguments.iter().map(part).collect()),
    }
}

fn and(left: Expr, right: Expr, decides: bool) -> Expr {
    if decides {
        return left.and(right);
    }
    over_columns(vec![left, right], FieldType::Bool, |columns| {
        let (left, right) = (columns[0].as_materialized_series(), columns[1].as_materialized_series());
        Ok((left.bool()? & right.bool()?).into_column())
    })
}

fn constant(literal: &Literal, kind: FieldType) -> Expr {
    match literal {
        Literal::Null => lit(NULL).cast(kind.column_type()),
        Literal::Bool(x) => lit(*x),
        Literal::Int(x) | Literal::Timestamp(x) => typed(*x),
        Literal::Float(x) => typed(*x),
        Literal::String(text) => lit(text.as_str()),
    }
}

/// A number of just that type; one of `lit` has none until it meets a column, which an argument of a function never does.
fn typed(number: impl Into<Scalar>) -> Expr {
    Expr::Literal(number.into().into())
}

/// A series whose only row is the list of all literals, as `is_in` wants it.
fn one_list<'a>(list: &'a [Literal], kind: FieldType) -> Series {
    let name = PlSmallStr::EMPTY;
    let items = match kind {
        FieldType::Int | FieldType::Timestamp => {
            let int = |item: &Literal| match item {
                Literal::Int(x) | Literal::Timestamp(x) => Some(*x),
                _ => None,
            };
            Series::new(name.clone(), list.iter().map(int).collect::<Vec<_>>())
        }
        FieldType::Float => {
            let float = |item: &Literal| if let Literal::Float(x) = item { Some(*x) } else { None };
            Series::new(name.clone(), list.iter().map(float).collect::<Vec<_>>())
        }
        FieldType::Bool => {
            let bool = |item: &Literal| if let Literal::Bool(x) = item { Some(*x) } else { None };
            Series::new(name.clone(), list.iter().map(bool).collect::<Vec<_>>())
        }
        FieldType::String => {
            let text = |item: &'a Literal| if let Literal::String(x) = item { Some(x.as_str()) } else { None };
            Series::new(name.clone(), list.iter().map(text).collect::<Vec<Option<&str>>>())
        }
    };
    Series::new(name, [items])
}

fn binary(operator: Operator, kind: FieldType, left: Expr, right: Expr) -> Expr {
    if kind == FieldType::Int {
        return over_columns(vec![left, right], kind, move |columns| ints(operator, columns));
    }
    let result = match operator {
        // Logic is compiled where it stands.
        Operator::And => and(left, right, false),
        Operator::Or => left.or(right),
        Operator::Equal => left.eq(right),
        Operator::NotEqual => left.neq(right),
        Operator::Less => left.lt(right),
        Operator::LessOrEqual => left.lt_eq(right),
        Operator::Greater => left.gt(right),
        Operator::GreaterOrEqual => left.gt_eq(right),
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        // Polars multiplies by the reciprocal of a literal, which is not the nearest float.
        Operator::Divide => return over_columns(vec![left, right], kind, quotient),
        // Polars gives the sign of the divisor, SQL that of the dividend.
        Operator::Remainder => return over_columns(vec![left, right], kind, remainder),
    };
    if kind == FieldType::Float { over_columns(vec![result], kind, finite) } else { result }
}

fn call(function: Function, kind: FieldType, mut arguments: Vec<Expr>) -> Expr {
    match function {
        Function::Coalesce => coalesce(&arguments),
        Function::Abs => over_columns(arguments, kind, |columns| numbers(&columns[0], i64::checked_abs, f64::abs)),
        Function::Ceil => over_columns(arguments, kind, |columns| numbers(&columns[0], Some, f64::ceil)),
        Function::Floor => over_columns(arguments, kind, |columns| numbers(&columns[0], Some, f64::floor)),
        Function::Contains => {
            over_columns(arguments, kind, |columns| texts(&columns[0], &columns[1], |text, part| text.contains(part)))
        }
        Function::EndsWith => {
            over_columns(arguments, kind, |columns| texts(&columns[0], &columns[1], |text, end| text.ends_with(end)))
        }
        Function::StartsWith => over_columns(arguments, kind, |columns| {
            texts(&columns[0], &columns[1], |text, start| text.starts_with(start))
        }),
        Function::Length => arguments.remove(0).str().len_chars().cast(DataType::Int64),
        Function::Lower => arguments.remove(0).str().to_lowercase(),
        Function::Upper => arguments.remove(0).str().to_uppercase(),
        Function::Registered(function) => over_columns(arguments, kind, |columns| by_row(function, columns)),
    }
}

/// A function of whole columns, which meet it in equal lengths: a literal comes as one row and is repeated.
fn over_columns(
    mut arguments: Vec<Expr>,
    gives: FieldType,
    apply: impl Fn(&[Column]) -> PolarsResult<Column> + Send + Sync + 'static,
) -> Expr {
    let first = arguments.remove(0);
    let aligned = move |columns: &mut [Column]| {
        let rows = columns.iter().map(Column::len).find(|len| *len != 1).unwrap_or(1);
        let columns: Vec<Column> = columns
            .iter()
            .map(|column| if column.len() == rows { column.clone() } else { column.new_from_index(0, rows) })
            .collect();
        apply(&columns)
    };
    first.map_many(aligned, &arguments, move |_, fields| Ok(Field::new(fields[0].name().clone(), gives.column_type())))
}

/// Arithmetic of integers, null where it leaves 64 bits: Polars wraps there.
fn ints(operator: Operator, columns: &[Column]) -> PolarsResult<Column> {
    let calculate: fn(i64, i64) -> Option<i64> = match operator {
        Operator::Add => i64::checked_add,
        Operator::Subtract => i64::checked_sub,
        Operator::Multiply => i64::checked_mul,
        Operator::Remainder => |a, b| (b != 0).then(|| a.wrapping_rem(b)),
        // Typing makes an integer of nothing else.
        _ => |_, _| None,
    };
    let (left, right) = (columns[0].as_materialized_series(), columns[1].as_materialized_series());
    let result: Int64Chunked =
        binary_elementwise(left.i64()?, right.i64()?, |a: Option<i64>, b: Option<i64>| calculate(a?, b?));
    Ok(result.into_column())
}

/// Arithmetic without a finite result is null.
fn finite(columns: &[Column]) -> PolarsResult<Column> {
    let floats = columns[0].as_materialized_series().f64()?;
    if floats.iter().flatten().all(f64::is_finite) {
        return Ok(columns[0].clone());
    }
    let kept: Float64Chunked = unary_elementwise(floats, |x: Option<f64>| x.filter(|x| x.is_finite()));
    Ok(kept.into_column())
}

fn quotient(columns: &[Column]) -> PolarsResult<Column> {
    let (left, right) = (columns[0].as_materialized_series(), columns[1].as_materialized_series());
    let divide = |a: Option<f64>, b: Option<f64>| Some(a? / b?).filter(|x| x.is_finite());
    let result: Float64Chunked = binary_elementwise(left.f64()?, right.f64()?, divide);
    Ok(result.into_column())
}

fn remainder(columns: &[Column]) -> PolarsResult<Column> {
    let (left, right) = (columns[0].as_materialized_series(), columns[1].as_materialized_series());
    let remainder = |a: Option<f64>, b: Option<f64>| Some(a? % b?).filter(|x| x.is_finite());
    let result: Float64Chunked = binary_elementwise(left.f64()?, right.f64()?, remainder);
    Ok(result.into_column())
}

fn numbers(column: &Column, of_int: fn(i64) -> Option<i64>, of_float: fn(f64) -> f64) -> PolarsResult<Column> {
    let series = column.as_materialized_series();
    match series.i64() {
        Ok(ints) => {
            let result: Int64Chunked = unary_elementwise(ints, |x: Option<i64>| of_int(x?));
            Ok(result.into_column())
        }
        Err(_) => Ok(series.f64()?.apply_values(of_float).into_column()),
    }
}

fn texts(text: &Column, other: &Column, holds: fn(&str, &str) -> bool) -> PolarsResult<Column> {
    let (text, other) = (text.as_materialized_series().str()?, other.as_materialized_series().str()?);
    let result: BooleanChunked =
        binary_elementwise(text, other, |a: Option<&str>, b: Option<&str>| Some(holds(a?, b?)));
    Ok(result.into_column())
}

/// A registered function, whose meaning is that of one row.
fn by_row(function: &PureFunction, columns: &[Column]) -> PolarsResult<Column> {
    let arguments = columns.iter().zip(function.takes).map(|(column, kind)| scalar::of_column(column, *kind));
    let mut arguments = arguments.collect::<PolarsResult<Vec<_>>>()?;
    let mut row = Vec::with_capacity(arguments.len());
    let values = (0..columns[0].len()).map(|_| {
        row.clear();
        row.extend(arguments.iter_mut().filter_map(Iterator::next));
        (function.apply)(&row)
    });
    Ok(scalar::to_column(columns[0].name().clone(), values, function.gives))
}
