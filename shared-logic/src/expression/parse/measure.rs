//! `count()`, `sum(…)`, `avg(…)`, `min(…)`, `max(…)`: an aggregation around a row-wise expression.

use sqlparser::ast::Expr as Sql;

use super::{Refused, Scope, call, sql, typed};
use crate::expression::{Aggregation, Expression, Literal, Node};
use crate::measure::MeasureKind;
use crate::schema::FieldType;

const OFFERED: &str = "write count(), count(…), or sum(…), avg(…), min(…) or max(…) of an int or float expression";
/// What no [`MeasureKind`] is.
const MEAN: &str = "avg";

/// Reads a measure.
pub(in crate::expression) fn measure(text: &str, scope: &Scope) -> Result<Aggregation, Refused> {
    let sql = sql(text, scope)?;
    let Sql::Function(call) = &sql else {
        return Err(Refused::new(format!("`{sql}` aggregates nothing"), OFFERED));
    };
    let name = call.name.to_string().to_lowercase();
    if name != MEAN && !MeasureKind::ALL.iter().any(|kind| kind.name() == name) {
        return Err(Refused::new(format!("`{name}` is not an aggregation"), OFFERED));
    }
    if call.over.is_some() {
        return Err(Refused::new(format!("`{sql}` is a window function"), OFFERED));
    }
    let counts = name == MeasureKind::Count.name();
    // `count(*)` is the usual spelling of `count()`.
    if counts && matches!(call.to_string().to_lowercase().as_str(), "count()" | "count(*)") {
        return Ok(Aggregation::Measure(MeasureKind::Count, None));
    }
    let arguments = call::arguments(call)?;
    let [argument] = arguments.as_slice() else {
        return Err(Refused::new(format!("`{name}` takes one argument, not {}", arguments.len()), OFFERED));
    };
    let of = typed(argument, scope)?;
    if counts {
        return Ok(Aggregation::Measure(MeasureKind::SumInt, Some(present(of))));
    }
    let summed = if name == MEAN { "sum" } else { name.as_str() };
    let Some(kind) = MeasureKind::named(summed, Some(of.kind())) else {
        let fix = if of.kind() == FieldType::Bool {
            format!("write {name}(CASE WHEN {argument} THEN 1 ELSE 0 END)")
        } else {
            OFFERED.to_owned()
        };
        return Err(Refused::mistyped(format_args!("`{name}` wants int or float"), argument, of.kind(), &fix));
    };
    if name == MEAN {
        let count = (MeasureKind::SumInt, present(of.clone()));
        return Ok(Aggregation::Mean { sum: (kind, of), count });
    }
    Ok(Aggregation::Measure(kind, Some(of)))
}

/// 1 where there is a value, and 0 where it is null. Its sum counts values of any type, and is merged as every sum is.
fn present(of: Expression) -> Expression {
    let int = |x| Expression { kind: FieldType::Int, node: Node::Literal(Literal::Int(x)) };
    let is_null = Expression { kind: FieldType::Bool, node: Node::IsNull(Box::new(of)) };
    Expression { kind: FieldType::Int, node: Node::Case(vec![(is_null, int(0))], Box::new(int(1))) }
}
