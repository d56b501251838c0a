//! One SQL node after the other, with its type.

use sqlparser::ast::{BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, Expr as Sql, UnaryOperator, Value};

use super::{Refused, Scope, call, literal, offered, too_deep};
use crate::expression::{Expression, Literal, Look, Node, Operator};
use crate::schema::FieldType;

/// Deeper trees are refused, because trees are walked recursively.
const DEPTH_MAX: usize = 100;

/// Reads the nodes of one expression.
pub(super) struct Typing<'a> {
    pub(super) scope: &'a Scope,
    /// The looks at the past so far, each once.
    pub(super) looks: Vec<Look>,
    depth: usize,
}

impl<'a> Typing<'a> {
    pub(super) fn new(scope: &'a Scope) -> Typing<'a> {
        Typing { scope, looks: Vec::new(), depth: 0 }
    }

    /// The typed form of a node. A bare NULL has no type and is refused; see [`Typing::alike`] for where it may stand.
    pub(super) fn expression(&mut self, sql: &Sql) -> Result<Expression, Refused> {
        if self.depth == DEPTH_MAX {
            return Err(too_deep());
        }
        self.depth += 1;
        let expression = self.node(sql);
        self.depth -= 1;
        expression
    }

    fn node(&mut self, sql: &Sql) -> Result<Expression, Refused> {
        match sql {
            Sql::Nested(inner) => self.expression(inner),
            Sql::Identifier(name) => match self.scope.kind_of(&name.value) {
                Some(kind) => Ok(Expression { kind, node: Node::Column(name.value.clone()) }),
                None => Err(self.scope.unknown(&name.value)),
            },
            Sql::CompoundIdentifier(parts) if self.scope.has_parts() => {
                let name = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
                match self.scope.kind_of(&name) {
                    Some(kind) => Ok(Expression { kind, node: Node::Column(name) }),
                    None => Err(self.scope.unknown(&name)),
                }
            }
            Sql::Value(value) => literal::value(&value.value),
            Sql::TypedString(typed) => literal::typed(&typed.data_type, &typed.value.value),
            Sql::UnaryOp { op, expr } => self.unary(*op, expr),
            Sql::BinaryOp { left, op, right } => self.binary(sql, left, op, right),
            Sql::IsNull(of) => self.is_null(of),
            Sql::IsNotNull(of) => Ok(not(self.is_null(of)?)),
            Sql::InList { expr, list, negated } => Ok(maybe_not(*negated, self.in_list(expr, list)?)),
            Sql::Between { expr, negated, low, high } => Ok(maybe_not(*negated, self.between(expr, low, high)?)),
            Sql::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Sql::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
                self.cast(expr, data_type)
            }
            Sql::Floor { expr, field: CeilFloorKind::DateTimeField(_) } => call::named(self, "floor", &[expr]),
            Sql::Ceil { expr, field: CeilFloorKind::DateTimeField(_) } => call::named(self, "ceil", &[expr]),
            Sql::Function(function) => call::function(self, function),
            other => Err(refusal(other)),
        }
    }

    fn unary(&mut self, op: UnaryOperator, operand: &Sql) -> Result<Expression, Refused> {
        match op {
            UnaryOperator::Not => {
                let operand = self.bool("NOT wants a condition", operand)?;
                Ok(not(operand))
            }
            UnaryOperator::Plus => self.number("+ wants a number", operand),
            UnaryOperator::Minus => {
                // Directly before a number the sign belongs to it: 64 bits hold one more negative number.
                if let Sql::Value(value) = operand
                    && let Value::Number(digits, false) = &value.value
                {
                    return literal::number(&format!("-{digits}"));
                }
                let operand = self.number("- wants a number", operand)?;
                if let Node::Literal(number) = &operand.node
                    && let Some(negated) = number.negated()
                {
                    return Ok(Expression { kind: operand.kind, node: Node::Literal(negated) });
                }
                Ok(Expression { kind: operand.kind, node: Node::Minus(Box::new(operand)) })
            }
            other => Err(Refused::new(format!("the operator `{other}` is not offered"), offered())),
        }
    }

    fn binary(&mut self, sql: &Sql, left: &Sql, op: &BinaryOperator, right: &Sql) -> Result<Expression, Refused> {
        let operator = match op {
            BinaryOperator::Eq => Operator::Equal,
            BinaryOperator::NotEq => Operator::NotEqual,
            BinaryOperator::Lt => Operator::Less,
            BinaryOperator::LtEq => Operator::LessOrEqual,
            BinaryOperator::Gt => Operator::Greater,
            BinaryOperator::GtEq => Operator::GreaterOrEqual,
            BinaryOperator::And => Operator::And,
            BinaryOperator::Or => Operator::Or,
            BinaryOperator::Plus => Operator::Add,
            BinaryOperator::Minus => Operator::Subtract,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide => Operator::Divide,
            BinaryOperator::Modulo => Operator::Remainder,
            other => return Err(Refused::new(format!("the operator `{other}` is not offered"), offered())),
        };
        let symbol = operator.symbol();
        match operator {
            Operator::And | Operator::Or => {
                let left = self.bool(format_args!("{symbol} wants conditions"), left)?;
                let right = self.bool(format_args!("{symbol} wants conditions"), right)?;
                Ok(binary(FieldType::Bool, operator, left, right))
            }
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                let left = self.number(format_args!("{symbol} wants numbers"), left)?;
                let right = self.number(format_args!("{symbol} wants numbers"), right)?;
                let ints = left.kind == FieldType::Int && right.kind == FieldType::Int;
                if ints && operator != Operator::Divide {
                    return Ok(binary(FieldType::Int, operator, left, right));
                }
                Ok(binary(FieldType::Float, operator, to_float(left), to_float(right)))
            }
            _ => {
                if is_null(left) || is_null(right) {
                    let fix = "write IS NULL or IS NOT NULL";
                    return Err(Refused::new(format!("`{sql}` is never true, since NULL equals nothing"), fix));
                }
                let [left, right] = self.comparable(&[left, right], symbol)?;
                if left.kind == FieldType::Bool && !matches!(operator, Operator::Equal | Operator::NotEqual) {
                    let fix = "compare conditions with = or <>";
                    return Err(Refused::mistyped(format_args!("{symbol} wants an order"), &left, left.kind, fix));
                }
                Ok(binary(FieldType::Bool, operator, left, right))
            }
        }
    }

    fn is_null(&mut self, of: &Sql) -> Result<Expression, Refused> {
        let of = self.expression(of)?;
        Ok(Expression { kind: FieldType::Bool, node: Node::IsNull(Box::new(of)) })
    }

    fn in_list(&mut self, value: &Sql, list: &[Sql]) -> Result<Expression, Refused> {
        if list.iter().any(is_null) {
            return Err(Refused::new("NULL in the list of IN", "leave it out; write OR … IS NULL"));
        }
        let all: Vec<&Sql> = [value].into_iter().chain(list).collect();
        let mut all = self.alike(&all, "IN")?.into_iter();
        let value = all.next().ok_or_else(too_deep)?;
        let literals = all.map(|item| match item.node {
            Node::Literal(literal) => Ok(literal),
            _ => Err(Refused::new(format!("`{item}` in the list of IN"), "IN takes literals; write = … OR = …")),
        });
        let list = literals.collect::<Result<_, _>>()?;
        Ok(Expression { kind: FieldType::Bool, node: Node::In(Box::new(value), list) })
    }

    fn between(&mut self, value: &Sql, low: &Sql, high: &Sql) -> Result<Expression, Refused> {
        let [value, low, high] = self.comparable(&[value, low, high], "BETWEEN")?;
        if value.kind == FieldType::Bool {
            return Err(Refused::mistyped("BETWEEN wants an order", &value, value.kind, "compare conditions with ="));
        }
        Ok(Expression { kind: FieldType::Bool, node: Node::Between(Box::new(value), Box::new(low), Box::new(high)) })
    }

    fn case(
        &mut self,
        operand: Option<&Sql>,
        branches: &[CaseWhen],
        otherwise: Option<&Sql>,
    ) -> Result<Expression, Refused> {
        if let Some(operand) = operand {
            let fix = format!("write CASE WHEN {operand} = … THEN …");
            return Err(Refused::new(format!("CASE {operand} WHEN … is not offered"), fix));
        }
        let null = Sql::value(Value::Null);
        let results: Vec<&Sql> =
            branches.iter().map(|branch| &branch.result).chain([otherwise.unwrap_or(&null)]).collect();
        let mut results = self.alike(&results, "CASE")?;
        let otherwise = results.pop().ok_or_else(too_deep)?;
        let conditions = branches.iter().map(|branch| self.bool("WHEN wants a condition", &branch.condition));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        let branches = conditions.into_iter().zip(results).collect();
        Ok(Expression { kind: otherwise.kind, node: Node::Case(branches, Box::new(otherwise)) })
    }

    fn cast(&mut self, of: &Sql, to: &DataType) -> Result<Expression, Refused> {
        match to {
            DataType::Double(_) | DataType::DoublePrecision | DataType::Float64 | DataType::Float8 => {
                Ok(to_float(self.number("CAST(… AS DOUBLE) wants a number", of)?))
            }
            other => Err(Refused::new(format!("a cast to {other} is not offered"), "only CAST(… AS DOUBLE) is")),
        }
    }

    fn bool(&mut self, place: impl std::fmt::Display, sql: &Sql) -> Result<Expression, Refused> {
        let expression = self.expression(sql)?;
        match expression.kind {
            FieldType::Bool => Ok(expression),
            kind => Err(Refused::mistyped(place, sql, kind, "write a comparison that is true or false")),
        }
    }

    fn number(&mut self, place: impl std::fmt::Display, sql: &Sql) -> Result<Expression, Refused> {
        let expression = self.expression(sql)?;
        match expression.kind {
            FieldType::Int | FieldType::Float => Ok(expression),
            kind => Err(Refused::mistyped(place, sql, kind, "use an int or a float")),
        }
    }

    fn comparable<const N: usize>(&mut self, all: &[&Sql; N], place: &str) -> Result<[Expression; N], Refused> {
        if all.iter().any(|sql| is_null(sql)) {
            return Err(Refused::new(format!("{place} with NULL is never true"), "write IS NULL or IS NOT NULL"));
        }
        self.alike(all, place)?.try_into().map_err(|_| too_deep())
    }

    /// Brings expressions to one type: an int beside a float becomes a float, a text beside a timestamp an instant, and
    /// a NULL takes the type of the others.
    pub(super) fn alike(&mut self, all: &[&Sql], place: &str) -> Result<Vec<Expression>, Refused> {
        let mut typed = Vec::with_capacity(all.len());
        for sql in all {
            typed.push(if is_null(sql) { None } else { Some(self.expression(sql)?) });
        }
        let kinds = || typed.iter().flatten().map(|expression| expression.kind);
        let Some(first) = kinds().next() else {
            return Err(Refused::new(format!("every value of {place} is NULL"), "give at least one of them a value"));
        };
        let wider = [FieldType::Float, FieldType::Timestamp].into_iter().find(|wide| kinds().any(|kind| kind == *wide));
        let kind = wider.unwrap_or(first);
        let convert = |expression: Option<Expression>| match expression {
            Some(expression) => convert(expression, kind, place),
            None => Ok(Expression { kind, node: Node::Literal(Literal::Null) }),
        };
        typed.into_iter().map(convert).collect()
    }
}

/// An argument as one of the types that a function takes, as far as it can be made one.
pub(super) fn fitting(argument: Expression, takes: &[FieldType], function: &str) -> Result<Expression, Refused> {
    let wanted = match (argument.kind, &argument.node) {
        (has, _) if takes.contains(&has) => return Ok(argument),
        (FieldType::Int, _) => FieldType::Float,
        (FieldType::String, Node::Literal(_)) => FieldType::Timestamp,
        _ => return Ok(argument),
    };
    if takes.contains(&wanted) { convert(argument, wanted, function) } else { Ok(argument) }
}

/// One expression as the type that its neighbours have.
fn convert(expression: Expression, kind: FieldType, place: &str) -> Result<Expression, Refused> {
    match (expression.kind, kind, &expression.node) {
        (has, wanted, _) if has == wanted => Ok(expression),
        (FieldType::Int, FieldType::Float, _) => Ok(to_float(expression)),
        (FieldType::String, FieldType::Timestamp, Node::Literal(Literal::String(text))) => literal::instant(text),
        (has, wanted, _) => {
            let what = format!("{place} of {} and {}: `{expression}` is {}", wanted.name(), has.name(), has.name());
            let fix = if wanted == FieldType::Timestamp || has == FieldType::Timestamp {
                "timestamps compare with each other and with text such as '2026-01-31T00:00:00Z'".to_owned()
            } else {
                format!("write both sides as {}", wanted.name())
            };
            Err(Refused::new(what, fix))
        }
    }
}

/// A number as a float; a literal becomes the nearest one.
fn to_float(expression: Expression) -> Expression {
    let node = match expression {
        Expression { kind: FieldType::Int, node: Node::Literal(Literal::Int(x)) } => {
            Node::Literal(Literal::Float(x as f64))
        }
        Expression { kind: FieldType::Int, .. } => Node::ToFloat(Box::new(expression)),
        float => return float,
    };
    Expression { kind: FieldType::Float, node }
}

fn binary(kind: FieldType, operator: Operator, left: Expression, right: Expression) -> Expression {
    Expression { kind, node: Node::Binary(operator, Box::new(left), Box::new(right)) }
}

fn not(of: Expression) -> Expression {
    Expression { kind: FieldType::Bool, node: Node::Not(Box::new(of)) }
}

fn maybe_not(negated: bool, of: Expression) -> Expression {
    if negated { not(of) } else { of }
}

fn is_null(sql: &Sql) -> bool {
    match sql {
        Sql::Nested(inner) => is_null(inner),
        Sql::Value(value) => value.value == Value::Null,
        _ => false,
    }
}

/// Why a kind of node is refused.
fn refusal(sql: &Sql) -> Refused {
    match sql {
        Sql::Subquery(_) | Sql::Exists { .. } | Sql::InSubquery { .. } => Refused::new(
            format!("`{sql}` is a subquery, which looks at other rows"),
            "compare fields of one event only",
        ),
        Sql::Like { .. } | Sql::ILike { .. } | Sql::SimilarTo { .. } | Sql::RLike { .. } => {
            Refused::new(format!("patterns are not offered: `{sql}`"), "use starts_with, ends_with or contains")
        }
        Sql::CompoundIdentifier(parts) => {
            let last = parts.last().map_or("", |part| part.value.as_str());
            Refused::new(format!("`{sql}` names a table"), format!("there is one source; write `{last}`"))
        }
        Sql::Cast { .. } => Refused::new(format!("`{sql}` is not offered"), "only CAST(… AS DOUBLE) is"),
        other => Refused::new(format!("`{other}` is not offered"), offered()),
    }
}
