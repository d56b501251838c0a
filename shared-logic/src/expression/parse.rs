//! SQL text → typed expression.
//!
//! `sqlparser` reads the text; what it accepts is far more than we mean, so everything is refused that is not listed here,
//! by name and with what to write instead. Types are checked on the way up, and operands are brought to one type.
//!
//! - `words`: which words of the text are names;
//! - `typing`: one SQL node after the other, with its type;
//! - `call`: functions, and why some are refused;
//! - `look`: looks at the past, in the conditions of rules;
//! - `literal`: constants;
//! - `measure`: `count()`, `sum(…)`, `distinct(…)` and their like, which stand only at the top of a measure.

mod call;
mod literal;
mod look;
mod measure;
mod typing;
mod words;

use std::fmt;

use sqlparser::ast::Expr as Sql;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::{Expression, Look, functions};
use crate::measure::MeasureKind;
use crate::schema::{Field, FieldType};
use crate::suggest;
use typing::Typing;

pub(super) use measure::measure;

/// Longer expressions are refused.
const TEXT_MAX_BYTES: usize = 16 * 1024;

/// The columns that an expression may name.
#[derive(Debug, Clone)]
pub struct Scope {
    over: Over,
    columns: Vec<(String, FieldType)>,
    /// Measures that are no numbers by themselves.
    sketches: Vec<(String, MeasureKind)>,
}

/// What the columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Fields of one event.
    Rows,
    /// Fields of one event, and the past of its key, as far back as that. Microseconds.
    Past { history_us: i64 },
    /// Merged measures of a metric, which are numbers.
    Measures,
    /// Columns of a report's row.
    Report,
}

impl Scope {
    /// The fields of a source.
    pub fn of_fields(fields: &[Field]) -> Scope {
        let columns = fields.iter().map(|field| (field.name.clone(), field.kind)).collect();
        Scope { over: Over::Rows, columns, sketches: Vec::new() }
    }

    /// The fields of a source, and the events of a key before one, as far back as `history_us` microseconds: for the condition of
    /// a rule.
    pub fn of_past(fields: &[Field], history_us: i64) -> Scope {
        Scope { over: Over::Past { history_us }, ..Scope::of_fields(fields) }
    }

    /// The measures of a metric that are numbers: their names and the types of their merged values.
    pub fn of_measures(measures: impl IntoIterator<Item = (String, FieldType)>) -> Scope {
        Scope { over: Over::Measures, columns: measures.into_iter().collect(), sketches: Vec::new() }
    }

    /// The same with measures that are no numbers by themselves: of those that are distributions, quantiles may be asked.
    pub fn with_sketches(self, sketches: impl IntoIterator<Item = (String, MeasureKind)>) -> Scope {
        Scope { sketches: sketches.into_iter().collect(), ..self }
    }

    fn sketch(&self, name: &str) -> Option<MeasureKind> {
        self.sketches.iter().find(|(sketch, _)| sketch == name).map(|(_, kind)| *kind)
    }

    /// The columns that a report's row has before anything is calculated of it: their names and types.
    pub fn of_report(columns: impl IntoIterator<Item = (String, FieldType)>) -> Scope {
        Scope { over: Over::Report, columns: columns.into_iter().collect(), sketches: Vec::new() }
    }

    fn kind_of(&self, name: &str) -> Option<FieldType> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, kind)| *kind)
    }

    /// Whether columns have names of several parts, such as `before.views`.
    fn has_parts(&self) -> bool {
        self.columns.iter().any(|(name, _)| name.contains('.'))
    }

    /// Whether a column is called so, or differs in case only.
    fn has_alike(&self, name: &str) -> bool {
        let sketches = self.sketches.iter().map(|(name, _)| name);
        self.columns.iter().map(|(name, _)| name).chain(sketches).any(|column| column.eq_ignore_ascii_case(name))
    }

    /// The user's word for a column.
    fn noun(&self) -> &'static str {
        match self.over {
            Over::Rows | Over::Past { .. } => "field",
            Over::Measures => "measure",
            Over::Report => "column",
        }
    }

    fn unknown(&self, name: &str) -> Refused {
        match self.sketch(name) {
            Some(MeasureKind::Quantile) => {
                let fix = format!("ask it for a quantile: quantile({name}, 0.5)");
                return Refused::new(format!("measure `{name}` is a distribution, not a number"), fix);
            }
            Some(_) => {
                let fix = "answers show it as it is; derived values calculate with numbers";
                return Refused::new(format!("measure `{name}` is a list of values, not a number"), fix);
            }
            None => {}
        }
        let names = self.columns.iter().map(|(column, _)| column.as_str());
        let fix = suggest::fix(name, &format!("{}s", self.noun()), names);
        Refused::new(format!("unknown {} `{name}`", self.noun()), fix)
    }
}

/// Why a text is no expression, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {fix}")]
pub struct Refused {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl Refused {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Refused {
        Refused { what: what.into(), fix: fix.into() }
    }

    /// A type that does not belong here; names what stands there, its type, and what was wanted.
    fn mistyped(place: impl fmt::Display, expression: &impl fmt::Display, kind: FieldType, fix: &str) -> Refused {
        Refused::new(format!("{place}, but `{expression}` is {}", kind.name()), fix)
    }
}

/// Reads an expression; it must name a column, since a constant says nothing about an event.
pub(super) fn expression(text: &str, scope: &Scope) -> Result<Expression, Refused> {
    typed(&sql(text, scope)?, scope)
}

/// Reads the condition of a rule, which may look at the past; each look is a column of it.
pub(super) fn rule(text: &str, scope: &Scope) -> Result<(Expression, Vec<Look>), Refused> {
    let sql = sql(text, scope)?;
    let mut typing = Typing::new(scope);
    let expression = with_columns(typing.expression(&sql)?, &sql, scope)?;
    Ok((expression, typing.looks))
}

fn typed(sql: &Sql, scope: &Scope) -> Result<Expression, Refused> {
    with_columns(Typing::new(scope).expression(sql)?, sql, scope)
}

fn with_columns(expression: Expression, sql: &Sql, scope: &Scope) -> Result<Expression, Refused> {
    if expression.columns().is_empty() {
        let fix = "leave a constant condition out; for a number of events write count()";
        return Err(Refused::new(format!("`{sql}` names no {}", scope.noun()), fix));
    }
    Ok(expression)
}

fn sql(text: &str, scope: &Scope) -> Result<Sql, Refused> {
    const EXAMPLE: &str = "write SQL such as `status = 200 AND dwell_ms > 0`";
    if text.trim().is_empty() {
        return Err(Refused::new("the expression is empty", EXAMPLE));
    }
    if text.len() > TEXT_MAX_BYTES {
        let what = format!("the expression has {} bytes", text.len());
        return Err(Refused::new(what, format!("at most {TEXT_MAX_BYTES} are read; split the metric")));
    }
    let mistake = |error: ParserError| match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::TokenizerError(what) | ParserError::ParserError(what) => {
            Refused::new(format!("`{text}` is not an expression: {what}"), EXAMPLE)
        }
    };
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| mistake(error.into()))?;
    words::find_names(&mut tokens, scope)?;
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(tokens);
    let parsed = parser.parse_expr().map_err(mistake)?;
    match parser.peek_token().token {
        Token::EOF => Ok(parsed),
        more => Err(Refused::new(format!("`{more}` follows the end of the expression `{parsed}`"), EXAMPLE)),
    }
}

fn too_deep() -> Refused {
    Refused::new(
        "the expression is nested too deeply",
        "write a long chain of comparisons with IN, or split the metric",
    )
}

/// Everything that may be written, to tell the author of something else.
fn offered() -> String {
    format!(
        "expressions hold names, literals, comparisons, AND, OR, NOT, IS NULL, IN, BETWEEN, + - * / %, CASE WHEN, \
         CAST(… AS DOUBLE) and the functions {}",
        functions::names().join(", ")
    )
}
