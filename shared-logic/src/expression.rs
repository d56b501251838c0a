//! Row-wise expressions: what `where`, the argument of a measure and `derived` may say.
//!
//! An expression holds columns, literals and a listed set of deterministic functions. It is parsed from SQL, typed, and
//! checked so that it cannot fail at run time; whatever looks at another row, a clock or chance is refused by name. One
//! expression has one meaning, wherever it runs:
//!
//! - logic is three-valued, as in SQL; a null operand makes arithmetic and comparisons null;
//! - an integer beside a float becomes a float, and `/` is always a division of floats;
//! - arithmetic without a result is null: a float that is not finite (a division by zero above all), an integer that 64
//!   bits do not hold, and `%` by zero, whose result otherwise has the sign of the dividend;
//! - strings compare by their UTF-8 bytes, and a name is written as the catalog writes it, case included.
//!
//! The files follow one expression on its way:
//!
//! - `parse`: SQL text → typed [`Expression`], or what is wrong and how to mend it;
//! - `functions`: the functions that may be called, and the registry of pure Rust ones;
//! - `look`: what the conditions of rules say of earlier events;
//! - `nulls`: whether a value can be null;
//! - `substitute`: other expressions in place of columns;
//! - `sql`: the canonical text, which definitions are hashed over;
//! - `compile`: [`Expression`] → `polars::prelude::Expr`, for columns of rows;
//! - `in_sql`: [`Expression`] → SQL that means the same to DataFusion, for rows on other machines;
//! - `evaluate`: the [`Scalar`] of one row, or of merged measures; for rows the same as `compile` gives;
//! - `lower_case`: what that and SQL's functions call to lower a text;
//! - `scalar`: [`Scalar`] and columns of them.

mod compile;
mod evaluate;
pub mod functions;
pub(crate) mod in_sql;
mod look;
mod lower_case;
mod nulls;
mod parse;
mod scalar;
mod sql;
mod substitute;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use polars::prelude::Expr;

use crate::measure::{MeasureKind, Value};
use crate::schema::FieldType;
use functions::Function;

pub use look::{Look, LookKind};
pub use parse::{Refused, Scope};
pub use scalar::{Scalar, of_column, to_column};
pub(crate) use sql::quoted;

/// A typed expression. Its [`Display`](std::fmt::Display) is canonical SQL: equal expressions print alike, and the text
/// parses back to the same expression (unless a column is called like one of its words, in capitals).
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    kind: FieldType,
    node: Node,
}

/// What stands at one place of the tree. Operands have been brought to one type: an integer beside a float is wrapped in
/// [`Node::ToFloat`].
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Column(String),
    /// A quantile of a measure, from 0 to 1. Only of measures.
    Quantile(String, f64),
    Literal(Literal),
    /// Logical NOT.
    Not(Box<Expression>),
    /// Unary minus.
    Minus(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    IsNull(Box<Expression>),
    /// The value is one of the literals; none of them is null.
    In(Box<Expression>, Vec<Literal>),
    /// Value, low and high; both ends belong to it.
    Between(Box<Expression>, Box<Expression>, Box<Expression>),
    /// The result of the first branch whose condition is true, else the last expression.
    Case(Vec<(Expression, Expression)>, Box<Expression>),
    /// `CAST(… AS DOUBLE)` of an integer.
    ToFloat(Box<Expression>),
    Call(Function, Vec<Expression>),
}

/// What the text of a measure asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregation {
    /// A measure, and what it aggregates: a value of a type that it takes, and nothing where it counts events.
    Measure(MeasureKind, Option<Expression>),
    /// `avg(…)`. Means cannot be merged, so it is the quotient of two measures.
    Mean {
        /// The sum of the values that are not null.
        sum: (MeasureKind, Expression),
        /// How many they are.
        count: (MeasureKind, Expression),
    },
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
enum Literal {
    /// The type of a null is the type of the expression that holds it.
    Null,
    Bool(bool),
    Int(i64),
    /// Always finite.
    Float(f64),
    String(String),
    /// Microseconds since 1970, UTC.
    Timestamp(i64),
}

/// An operator with two operands of the same type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Add,
    Subtract,
    Multiply,
    /// Of floats only.
    Divide,
    Remainder,
}

impl Expression {
    /// Reads an expression over the columns of `scope`.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write instead. The first mistake only.
    pub fn parse(text: &str, scope: &Scope) -> Result<Expression, Refused> {
        parse::expression(text, scope)
    }

    /// Reads a measure: `count()`, `count` of a row-wise expression of any type, `sum`, `avg`, `min`, `max` or `quantile` of one of type
    /// int or float, or `distinct` or `top` of one of another type than float.
    ///
    /// # Errors
    /// As [`Expression::parse`].
    pub fn parse_measure(text: &str, scope: &Scope) -> Result<Aggregation, Refused> {
        parse::measure(text, scope)
    }

    /// Reads the condition of a rule over the columns of [`Scope::of_past`], and what it says of the past. Each of these looks is a
    /// column of the condition.
    ///
    /// # Errors
    /// As [`Expression::parse`].
    pub fn parse_rule(text: &str, scope: &Scope) -> Result<(Expression, Vec<Look>), Refused> {
        parse::rule(text, scope)
    }

    /// The value of a column.
    pub fn column(name: &str, kind: FieldType) -> Expression {
        Expression { kind, node: Node::Column(name.to_owned()) }
    }

    /// The column that it is, if it is nothing else.
    pub fn as_column(&self) -> Option<&str> {
        if let Node::Column(name) = &self.node { Some(name) } else { None }
    }

    /// The measure that it is a quantile of, if it is nothing else.
    pub fn as_quantile(&self) -> Option<&str> {
        if let Node::Quantile(name, _) = &self.node { Some(name) } else { None }
    }

    /// The type of its values. Values may be null whatever the type.
    pub fn kind(&self) -> FieldType {
        self.kind
    }

    /// The columns that it reads; at least one.
    pub fn columns(&self) -> BTreeSet<&str> {
        match &self.node {
            Node::Column(name) | Node::Quantile(name, _) => BTreeSet::from([name.as_str()]),
            _ => self.operands().into_iter().flat_map(Expression::columns).collect(),
        }
    }

    /// The expression for Polars.
    ///
    /// Columns are named as the fields are. Strings are `String`, ints `Int64`, floats `Float64`, bools `Boolean`, and
    /// timestamps `Int64` microseconds since 1970. The result has the type of [`Expression::kind`] in the same terms;
    /// floats are finite or null if those of the columns are. It is elementwise, for `filter`, `select` and `with_columns`:
    /// what is aggregated in groups is made a column first, because Polars loses count of rows where a group meets a
    /// condition that is constant.
    pub fn to_polars(&self) -> Expr {
        compile::polars(self)
    }

    /// The value for one row, where `value_of` gives the value of a field: the same as [`Expression::to_polars`] gives for
    /// that row, but that a zero never has a sign.
    ///
    /// A condition keeps the row if it is `Scalar::Bool(true)`. The argument of a measure goes through [`Argument::from`] to
    /// [`MeasureKind::of_event`].
    ///
    /// [`Argument::from`]: crate::measure::Argument
    pub fn evaluate_row<'a>(&'a self, value_of: &dyn Fn(&str) -> Scalar<'a>) -> Scalar<'a> {
        evaluate::row(self, value_of)
    }

    /// The value of a `derived` expression, where `value_of` gives the merged value of a measure.
    ///
    /// Integers are calculated in 128 bits and judged at the end: outside 64 bits the value is [`Value::Overflow`], as it
    /// is if a needed measure overflowed. A null operand, a division by zero and a result that is not finite give
    /// [`Value::Null`].
    pub fn evaluate(&self, value_of: &dyn Fn(&str) -> Value) -> Value {
        let value = evaluate::measures(self, value_of);
        Value::from(value).finalized()
    }

    /// The value of a condition on merged measures, where `value_of` gives them: true, false, null where the condition says nothing, or
    /// [`Scalar::Overflow`] if it needs a measure that has left its 64 bits.
    pub fn judge(&self, value_of: &dyn Fn(&str) -> Value) -> Scalar<'_> {
        evaluate::measures(self, value_of)
    }

    /// The expressions directly below this one, in the order of its text.
    fn operands(&self) -> Vec<&Expression> {
        match &self.node {
            Node::Column(_) | Node::Quantile(..) | Node::Literal(_) => Vec::new(),
            Node::Not(of) | Node::Minus(of) | Node::IsNull(of) | Node::ToFloat(of) | Node::In(of, _) => vec![of],
            Node::Binary(_, left, right) => vec![left, right],
            Node::Between(value, low, high) => vec![value, low, high],
            Node::Case(branches, otherwise) => {
                let branches = branches.iter().flat_map(|(condition, result)| [condition, result]);
                branches.chain([otherwise.as_ref()]).collect()
            }
            Node::Call(_, arguments) => arguments.iter().collect(),
        }
    }
}
