//! `count()`, `sum(…)`, `min(…)`, `max(…)`: an aggregation around a row-wise expression.

use sqlparser::ast::Expr as Sql;

use super::{Refused, Scope, call, sql, typed};
use crate::expression::Expression;
use crate::measure::MeasureKind;
use crate::schema::FieldType;

const OFFERED: &str = "write count(), sum(…), min(…) or max(…) of an int or float expression";

/// Reads a measure.
pub(in crate::expression) fn measure(text: &str, scope: &Scope) -> Result<(MeasureKind, Option<Expression>), Refused> {
    let sql = sql(text, scope)?;
    let Sql::Function(call) = &sql else {
        return Err(Refused::new(format!("`{sql}` aggregates nothing"), OFFERED));
    };
    let name = call.name.to_string().to_lowercase();
    if !MeasureKind::ALL.iter().any(|kind| kind.name() == name) {
        return Err(Refused::new(format!("`{name}` is not an aggregation"), OFFERED));
    }
    if call.over.is_some() {
        return Err(Refused::new(format!("`{sql}` is a window function"), OFFERED));
    }
    if name == "count" {
        return count(&sql, call);
    }
    let arguments = call::arguments(call)?;
    let [argument] = arguments.as_slice() else {
        return Err(Refused::new(format!("`{name}` takes one argument, not {}", arguments.len()), OFFERED));
    };
    let of = typed(argument, scope)?;
    let Some(kind) = MeasureKind::named(&name, Some(of.kind())) else {
        let fix = if of.kind() == FieldType::Bool {
            format!("write {name}(CASE WHEN {argument} THEN 1 ELSE 0 END)")
        } else {
            OFFERED.to_owned()
        };
        return Err(Refused::mistyped(format_args!("`{name}` wants int or float"), argument, of.kind(), &fix));
    };
    Ok((kind, Some(of)))
}

/// `count()` and its usual spelling `count(*)` count events; a count of values is written out.
fn count(sql: &Sql, call: &sqlparser::ast::Function) -> Result<(MeasureKind, Option<Expression>), Refused> {
    let text = call.to_string().to_lowercase();
    if text == "count()" || text == "count(*)" {
        return Ok((MeasureKind::Count, None));
    }
    let fix = match call::arguments(call).as_deref() {
        Ok([of]) => format!("count() counts events; write sum(CASE WHEN {of} IS NOT NULL THEN 1 ELSE 0 END)"),
        _ => "count() counts events and takes no argument".to_owned(),
    };
    Err(Refused::new(format!("`{sql}` is not offered"), fix))
}
