//! Calls of functions, and why some are refused.

use sqlparser::ast::{
    Expr as Sql, Function as SqlFunction, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
};

use super::typing::{Typing, fitting};
use super::{Over, Refused, Scope, literal, look};
use crate::expression::functions::{self, Function};
use crate::expression::{Expression, Literal, Node};
use crate::measure::MeasureKind;
use crate::schema::FieldType;
use crate::suggest;

/// Functions of many rows.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_count_distinct",
    "approx_distinct",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "distinct",
    "every",
    "first",
    "first_value",
    "group_concat",
    "last",
    "last_value",
    "listagg",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "quantile",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "top",
    "var_pop",
    "var_samp",
    "variance",
];

/// Functions of the rows around one.
const WINDOWS: &[&str] =
    &["cume_dist", "dense_rank", "lag", "lead", "nth_value", "ntile", "percent_rank", "rank", "row_number"];

/// Functions that answer differently each time.
const IMPURE: &[&str] = &[
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "gen_random_uuid",
    "getdate",
    "localtime",
    "localtimestamp",
    "newid",
    "now",
    "rand",
    "random",
    "session_user",
    "statement_timestamp",
    "sysdate",
    "today",
    "transaction_timestamp",
    "unix_timestamp",
    "user",
    "uuid",
];

/// A call as SQL writes it.
pub(super) fn function(typing: &mut Typing<'_>, call: &SqlFunction) -> Result<Expression, Refused> {
    let name = call.name.to_string().to_lowercase();
    if call.over.is_some() || WINDOWS.contains(&name.as_str()) {
        return Err(Refused::new(
            format!("`{name}` with OVER is a window function, which looks at other rows"),
            "calculate from the fields of one event only",
        ));
    }
    if IMPURE.contains(&name.as_str()) {
        return Err(Refused::new(
            format!("`{name}` looks at a clock, chance or the session, so that a recount would count otherwise"),
            "use a field of the event, such as its event time",
        ));
    }
    if name == MeasureKind::Quantile.name() && typing.scope.over == Over::Measures {
        return quantile(typing.scope, &arguments(call)?);
    }
    if AGGREGATES.contains(&name.as_str()) {
        let fix = match typing.scope.over {
            Over::Rows => {
                "aggregations stand only at the top of a measure: count(), sum(…), distinct(…) and their like"
            }
            Over::Past { .. } => "history_count(), history_sum(…) and their like look at the past of the event's key",
            Over::Measures => "declare it as a measure and name that measure here",
            Over::Report => "declare it as a measure of the metric and name that measure here",
        };
        return Err(Refused::new(format!("`{name}` is an aggregate, which looks at other rows"), fix));
    }
    let arguments = arguments(call)?;
    if look::NAMES.contains(&name.as_str()) {
        return look::look(typing, &name, &arguments);
    }
    named(typing, &name, &arguments)
}

/// A quantile of a measure.
fn quantile(scope: &Scope, arguments: &[&Sql]) -> Result<Expression, Refused> {
    const USAGE: &str =
        "write quantile(latency, 0.5), where latency = \"quantile(…)\" is a measure and 0.5 is the median";
    let [Sql::Identifier(name), Sql::Value(q)] = arguments else {
        return Err(Refused::new("a quantile is asked of a measure, with a number", USAGE));
    };
    if scope.sketch(&name.value) != Some(MeasureKind::Quantile) {
        return Err(match scope.kind_of(&name.value) {
            Some(_) => Refused::new(format!("measure `{}` is no distribution", name.value), USAGE),
            None => scope.unknown(&name.value),
        });
    }
    let q = match literal::value(&q.value)?.node {
        Node::Literal(Literal::Float(q)) => q,
        Node::Literal(Literal::Int(q)) => q as f64,
        _ => return Err(Refused::new("the second argument of `quantile` is not a number", USAGE)),
    };
    if !(0.0..=1.0).contains(&q) {
        return Err(Refused::new(format!("the quantile {q} is not from 0 to 1"), USAGE));
    }
    Ok(Expression { kind: FieldType::Float, node: Node::Quantile(name.value.clone(), q) })
}

/// A call of a listed function.
pub(super) fn named(typing: &mut Typing<'_>, name: &str, arguments: &[&Sql]) -> Result<Expression, Refused> {
    let over = typing.scope.over;
    let looks: &[&str] = if matches!(over, Over::Past { .. }) { &look::NAMES } else { &[] };
    let known = functions::names().into_iter().chain(looks.iter().copied());
    let offered: Vec<&str> = known.filter(|known| over != Over::Measures || of_measures(known)).collect();
    let Some(function) = Function::named(name).filter(|_| offered.contains(&name)) else {
        let fix = suggest::fix(name, "functions", offered.iter().copied());
        return Err(Refused::new(format!("unknown function `{name}`"), fix));
    };
    let usage = || format!("write {}", function.usage());
    if function == Function::Coalesce {
        if arguments.is_empty() {
            return Err(Refused::new("coalesce without arguments", usage()));
        }
        let arguments = typing.alike(arguments, "coalesce")?;
        return Ok(Expression { kind: arguments[0].kind, node: Node::Call(function, arguments) });
    }
    let takes = function.takes();
    if arguments.len() != takes.len() {
        let what = format!("`{name}` with {} arguments, it takes {}", arguments.len(), takes.len());
        return Err(Refused::new(what, usage()));
    }
    let mut typed = Vec::with_capacity(arguments.len());
    for (sql, takes) in arguments.iter().zip(takes) {
        let argument = fitting(typing.expression(sql)?, takes, name)?;
        if !takes.contains(&argument.kind) {
            let wanted: Vec<&str> = takes.iter().map(|kind| kind.name()).collect();
            let place = format!("`{name}` wants {}", wanted.join(" or "));
            return Err(Refused::mistyped(place, sql, argument.kind, &usage()));
        }
        typed.push(argument);
    }
    let kind = function.gives(typed.first().map_or(FieldType::Bool, |first| first.kind));
    Ok(Expression { kind, node: Node::Call(function, typed) })
}

/// Whether `derived`, which knows only numbers, offers a function.
fn of_measures(name: &str) -> bool {
    matches!(name, "abs" | "ceil" | "coalesce" | "floor")
}

/// The plain arguments of a call; modifiers such as DISTINCT or FILTER are refused.
pub(super) fn arguments(call: &SqlFunction) -> Result<Vec<&Sql>, Refused> {
    let modified = || {
        let fix = "write plain arguments, without DISTINCT, FILTER, ORDER BY, names or a star";
        Refused::new(format!("`{call}` is not offered"), fix)
    };
    let plain = matches!(call.parameters, FunctionArguments::None)
        && call.filter.is_none()
        && call.null_treatment.is_none()
        && call.within_group.is_empty();
    match &call.args {
        FunctionArguments::None if plain => Ok(Vec::new()),
        FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses })
            if plain && clauses.is_empty() =>
        {
            let mut plain = Vec::with_capacity(args.len());
            for argument in args {
                let FunctionArg::Unnamed(FunctionArgExpr::Expr(sql)) = argument else { return Err(modified()) };
                plain.push(sql);
            }
            Ok(plain)
        }
        _ => Err(modified()),
    }
}
