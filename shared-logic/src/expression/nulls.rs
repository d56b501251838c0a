//! Whether a value can be null.

use super::functions::Function;
use super::{Expression, Literal, Node, Operator};
use crate::schema::FieldType;

impl Expression {
    /// Whether its value can be null for a row in which only the columns that `optional` names are absent. It may say so of an
    /// expression whose value never is: arithmetic is taken to have no result now and then.
    pub fn may_be_null(&self, optional: &dyn Fn(&str) -> bool) -> bool {
        let of = |operand: &Expression| operand.may_be_null(optional);
        match &self.node {
            Node::Column(name) => optional(name),
            Node::Quantile(..) => true,
            Node::Literal(literal) => *literal == Literal::Null,
            Node::IsNull(_) => false,
            Node::Minus(operand) => self.kind == FieldType::Int || of(operand),
            Node::Binary(
                Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder,
                ..,
            ) => true,
            Node::Case(branches, otherwise) => branches.iter().any(|(_, result)| of(result)) || of(otherwise),
            Node::Call(Function::Coalesce, arguments) => arguments.iter().all(of),
            Node::Call(Function::Abs, arguments) => self.kind == FieldType::Int || arguments.iter().any(of),
            Node::Call(Function::Registered(function), arguments) => !function.is_total || arguments.iter().any(of),
            Node::Not(_) | Node::Binary(..) | Node::In(..) | Node::Between(..) | Node::ToFloat(_) | Node::Call(..) => {
                self.operands().into_iter().any(of)
            }
        }
    }
}
