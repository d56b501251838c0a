//! `count()`, `sum(…)`, `avg(…)`, `min(…)`, `max(…)`, `distinct(…)`, `quantile(…)`, `top(…, n)`: an aggregation around a row-wise
//! expression.

use std::ops::RangeInclusive;

use sqlparser::ast::Expr as Sql;

use super::{Refused, Scope, call, literal, sql, typed};
use crate::expression::{Aggregation, Expression, Literal, Node};
use crate::measure::{DISTINCT_K, DISTINCT_K_RANGE, MeasureKind, TOP_N_RANGE};
use crate::schema::FieldType;

const OFFERED: &str = "write count(), count(…), sum(…), avg(…), min(…), max(…) or quantile(…) of an int or float expression, or \
                       distinct(…) or top(…, 10) of another one";
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
    let (argument, size) = match (arguments.as_slice(), Size::of(&name)) {
        ([argument], Some(Size { usual: Some(usual), .. })) => (*argument, Some(usual)),
        ([argument, number], Some(size)) => (*argument, Some(size.read(number)?)),
        (_, Some(size)) => {
            let what = format!("`{name}` takes a value and {}, not {} arguments", size.what, arguments.len());
            return Err(Refused::new(what, size.fix));
        }
        ([argument], None) => (*argument, None),
        (_, None) => {
            return Err(Refused::new(format!("`{name}` takes one argument, not {}", arguments.len()), OFFERED));
        }
    };
    let of = typed(argument, scope)?;
    if counts {
        return Ok(Aggregation::Measure(MeasureKind::SumInt, Some(present(of))));
    }
    let summed = if name == MEAN { "sum" } else { name.as_str() };
    let Some(kind) = MeasureKind::named(summed, Some(of.kind())) else {
        if size.is_some() {
            let place = format!("`{name}` wants values that are equal or not");
            return Err(Refused::mistyped(place, argument, of.kind(), "floats are rounded; use a text or an int"));
        }
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
    let sized = match (kind, size) {
        (MeasureKind::Distinct { .. }, Some(k)) => MeasureKind::Distinct { k },
        (MeasureKind::Top { .. }, Some(n)) => MeasureKind::Top { n },
        (kind, _) => kind,
    };
    Ok(Aggregation::Measure(sized, Some(of)))
}

/// The number that some measures take besides a value.
struct Size {
    what: &'static str,
    range: RangeInclusive<u32>,
    /// What it is unless given.
    usual: Option<u32>,
    fix: &'static str,
}

impl Size {
    fn of(name: &str) -> Option<Size> {
        match name {
            "distinct" => Some(Size {
                what: "up to how many values it is exact",
                range: DISTINCT_K_RANGE,
                usual: Some(DISTINCT_K),
                fix: "write distinct(page), or distinct(page, 16384) to be exact up to so many: from 128 to 65536",
            }),
            "top" => Some(Size {
                what: "how many to show",
                range: TOP_N_RANGE,
                usual: None,
                fix: "write top(page, 10): from 1 to 100 values",
            }),
            _ => None,
        }
    }

    fn read(&self, number: &Sql) -> Result<u32, Refused> {
        let read = match number {
            Sql::Value(number) => literal::value(&number.value)?.node,
            _ => return Err(Refused::new(format!("`{number}` is not a whole number"), self.fix)),
        };
        let size = if let Node::Literal(Literal::Int(size)) = read { u32::try_from(size).ok() } else { None };
        size.filter(|size| self.range.contains(size))
            .ok_or_else(|| Refused::new(format!("`{number}` is not {} here", self.what), self.fix))
    }
}

/// 1 where there is a value, and 0 where it is null. Its sum counts values of any type, and is merged as every sum is.
fn present(of: Expression) -> Expression {
    let int = |x| Expression { kind: FieldType::Int, node: Node::Literal(Literal::Int(x)) };
    let is_null = Expression { kind: FieldType::Bool, node: Node::IsNull(Box::new(of)) };
    Expression { kind: FieldType::Int, node: Node::Case(vec![(is_null, int(0))], Box::new(int(1))) }
}
