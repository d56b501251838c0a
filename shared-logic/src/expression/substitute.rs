//! Other expressions in place of columns.

use super::{Expression, Node};

impl Expression {
    /// The same expression with others in place of the columns for which `of` gives one, each of its column's type.
    pub(crate) fn with_in_place(&self, of: &dyn Fn(&str) -> Option<Expression>) -> Expression {
        let part = |operand: &Expression| operand.with_in_place(of);
        let boxed = |operand: &Expression| Box::new(part(operand));
        let node = match &self.node {
            Node::Column(name) => return of(name).unwrap_or_else(|| self.clone()),
            Node::Quantile(name, q) => Node::Quantile(name.clone(), *q),
            Node::Literal(literal) => Node::Literal(literal.clone()),
            Node::Not(operand) => Node::Not(boxed(operand)),
            Node::Minus(operand) => Node::Minus(boxed(operand)),
            Node::Binary(operator, left, right) => Node::Binary(*operator, boxed(left), boxed(right)),
            Node::IsNull(operand) => Node::IsNull(boxed(operand)),
            Node::In(operand, list) => Node::In(boxed(operand), list.clone()),
            Node::Between(value, low, high) => Node::Between(boxed(value), boxed(low), boxed(high)),
            Node::Case(branches, otherwise) => {
                let branches = branches.iter().map(|(condition, result)| (part(condition), part(result)));
                Node::Case(branches.collect(), boxed(otherwise))
            }
            Node::ToFloat(operand) => Node::ToFloat(boxed(operand)),
            Node::Call(function, arguments) => Node::Call(*function, arguments.iter().map(part).collect()),
        };
        Expression { kind: self.kind, node }
    }
}
