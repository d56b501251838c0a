//! The canonical text of an expression.
//!
//! It is SQL with every name quoted and every operand in parentheses, so that it says the same to any SQL engine's parser
//! and does not change when a parser's list of reserved words does. Definitions are hashed over it, so a change
//! of how anything is written here must raise [`PLAN_VERSION`](crate::catalog::PLAN_VERSION).

use std::fmt::{self, Display, Formatter};

use super::{Expression, Literal, Node, Operator};
use crate::time::format_rfc3339;

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Column(name) => f.write_str(&quoted(name)),
            Node::Quantile(name, q) => write!(f, "quantile({}, {q:?})", quoted(name)),
            Node::Literal(literal) => literal.fmt(f),
            Node::Not(of) => write!(f, "(NOT {of})"),
            Node::Minus(of) => write!(f, "(- {of})"),
            Node::Binary(operator, left, right) => write!(f, "({left} {} {right})", operator.symbol()),
            Node::IsNull(of) => write!(f, "({of} IS NULL)"),
            Node::In(of, list) => {
                write!(f, "({of} IN (")?;
                separated(f, list)?;
                f.write_str("))")
            }
            Node::Between(value, low, high) => write!(f, "({value} BETWEEN {low} AND {high})"),
            Node::Case(branches, otherwise) => {
                f.write_str("CASE")?;
                for (condition, result) in branches {
                    write!(f, " WHEN {condition} THEN {result}")?;
                }
                write!(f, " ELSE {otherwise} END")
            }
            Node::ToFloat(of) => write!(f, "CAST({of} AS DOUBLE)"),
            Node::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                separated(f, arguments)?;
                f.write_str(")")
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("NULL"),
            Literal::Bool(true) => f.write_str("TRUE"),
            Literal::Bool(false) => f.write_str("FALSE"),
            Literal::Int(x) => write!(f, "{x}"),
            // The shortest text that reads back as the same number, with a point or an exponent that marks a float.
            Literal::Float(x) => write!(f, "{x:?}"),
            Literal::String(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Literal::Timestamp(us) => write!(f, "TIMESTAMP '{}'", format_rfc3339(*us)),
        }
    }
}

impl Operator {
    /// How SQL writes it.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "<>",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::And => "AND",
            Operator::Or => "OR",
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }
}

/// A name in quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn separated(f: &mut Formatter<'_>, items: &[impl Display]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}
