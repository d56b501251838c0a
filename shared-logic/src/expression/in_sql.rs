//! The meaning of an expression for rows, as SQL that DataFusion 55 answers as Polars does.
//!
//! It goes by the types of columns in memory: instants are integers of microseconds. Floats are finite, and no zero among them has a
//! sign, because DataFusion compares floats by their bits where these differ. Each operand is written once, so that the text stays
//! about as long as that of the catalog.
//!
//! Integers are calculated by functions of our own (`functions::IN_SQL`). DataFusion's `+` wraps, and what goes through its
//! decimals is not safe either: it compares `TRY_CAST(d AS BIGINT) > 5` as `d > 5`, so a sum that 64 bits do not hold is greater, and
//! not unknown. It looks into no function that it does not know. So is logic, unless null is as good as false there: DataFusion takes
//! `s IN ('a') AND s IN ('b')` for false where `s` is null, and `NOT s IN ('a') OR NOT s IN ('b')` for true.

use std::fmt::{self, Display, Formatter};

use super::functions::Function;
use super::sql::quoted;
use super::{Expression, Literal, Node, Operator};
use crate::schema::FieldType;

/// For how many levels a `coalesce` counts: it is planned as conditions that hold each argument twice.
const LEVELS_OF_COALESCE: usize = 6;

impl Expression {
    /// The expression in SQL for DataFusion 55, with the meaning of [`Expression::to_polars`]. Columns are named as the fields are,
    /// and instants are integers of microseconds.
    pub fn to_sql(&self) -> String {
        value(self).to_string()
    }

    /// The same of a condition, of which null is as good as false.
    pub fn to_sql_condition(&self) -> String {
        condition(self).to_string()
    }

    /// How deeply its text nests. Plans are sent from machine to machine, and what is nested too deeply is not read.
    pub(crate) fn levels_in_sql(&self) -> usize {
        let own = match &self.node {
            Node::Column(_) => 0,
            Node::Call(Function::Coalesce, _) => LEVELS_OF_COALESCE,
            Node::Case(..) | Node::Between(..) | Node::In(..) | Node::Call(Function::Length, _) => 2,
            Node::Minus(_) | Node::Binary(..) | Node::Call(..) if self.kind == FieldType::Float => 2,
            _ => 1,
        };
        own + self.operands().into_iter().map(Expression::levels_in_sql).max().unwrap_or(0)
    }
}

/// An expression that is written for DataFusion.
struct Sql<'a> {
    of: &'a Expression,
    /// Whether null is as good as false.
    decides: bool,
}

fn value(of: &Expression) -> Sql<'_> {
    Sql { of, decides: false }
}

fn condition(of: &Expression) -> Sql<'_> {
    Sql { of, decides: true }
}

impl Display for Sql<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Expression { kind, node } = self.of;
        match node {
            Node::Column(name) => f.write_str(&quoted(name)),
            // Rows have no measures.
            Node::Quantile(..) => f.write_str(&literal(&Literal::Null, *kind)),
            Node::Literal(constant) => f.write_str(&literal(constant, *kind)),
            Node::Not(of) => write!(f, "braid_not({})", value(of)),
            Node::Minus(of) => match kind {
                FieldType::Float => write!(f, "braid_finite({} - {})", float(0.0), value(of)),
                _ => write!(f, "braid_subtract({}, {})", int(0), value(of)),
            },
            Node::Binary(operator @ (Operator::And | Operator::Or), left, right) if self.decides => {
                write!(f, "({} {} {})", condition(left), operator.symbol(), condition(right))
            }
            Node::Binary(operator, left, right) => binary(f, *operator, *kind, left, right),
            Node::IsNull(of) => write!(f, "({} IS NULL)", value(of)),
            Node::In(of, list) => {
                let list: Vec<String> = list.iter().map(|item| literal(item, of.kind)).collect();
                write!(f, "({} IN ({}))", value(of), list.join(", "))
            }
            Node::Between(of, low, high) => {
                write!(f, "({} BETWEEN {} AND {})", value(of), value(low), value(high))
            }
            Node::Case(branches, otherwise) => {
                f.write_str("CASE")?;
                for (when, result) in branches {
                    write!(f, " WHEN {} THEN {}", condition(when), value(result))?;
                }
                write!(f, " ELSE {} END", value(otherwise))
            }
            Node::ToFloat(of) => write!(f, "CAST({} AS DOUBLE)", value(of)),
            Node::Call(function, arguments) => call(f, *function, *kind, arguments),
        }
    }
}

fn binary(
    f: &mut Formatter<'_>,
    operator: Operator,
    kind: FieldType,
    left: &Expression,
    right: &Expression,
) -> fmt::Result {
    let of_truths = match operator {
        Operator::And => Some("braid_and"),
        Operator::Or => Some("braid_or"),
        Operator::Equal if left.kind == FieldType::Bool => Some("braid_equal"),
        Operator::NotEqual if left.kind == FieldType::Bool => Some("braid_unequal"),
        _ => None,
    };
    let (left, right) = (value(left), value(right));
    if let Some(of_truths) = of_truths {
        return write!(f, "{of_truths}({left}, {right})");
    }
    let of_ints = match operator {
        Operator::Add => "braid_add",
        Operator::Subtract => "braid_subtract",
        Operator::Multiply => "braid_multiply",
        // Typing makes an integer of nothing else.
        _ => "braid_remainder",
    };
    match kind {
        FieldType::Int => write!(f, "{of_ints}({left}, {right})"),
        FieldType::Float => write!(f, "braid_finite({left} {} {right})", operator.symbol()),
        _ => write!(f, "({left} {} {right})", operator.symbol()),
    }
}

fn call(f: &mut Formatter<'_>, function: Function, kind: FieldType, arguments: &[Expression]) -> fmt::Result {
    let arguments: Vec<String> = arguments.iter().map(Expression::to_sql).collect();
    let arguments = arguments.join(", ");
    match (function, kind) {
        (Function::Abs, FieldType::Int) => write!(f, "braid_abs({arguments})"),
        // A whole number is its own floor and ceiling.
        (Function::Ceil | Function::Floor, FieldType::Int) => f.write_str(&arguments),
        // The ceiling of minus one half is a zero with a sign.
        (Function::Ceil | Function::Floor, _) => write!(f, "braid_finite({}({arguments}))", function.name()),
        (Function::Length, _) => write!(f, "CAST(character_length({arguments}) AS BIGINT)"),
        // Polars lowers some letters in its own way.
        (Function::Lower, _) => write!(f, "braid_lower({arguments})"),
        _ => write!(f, "{}({arguments})", function.name()),
    }
}

fn literal(literal: &Literal, kind: FieldType) -> String {
    match literal {
        Literal::Null => format!("CAST(NULL AS {})", type_name(kind)),
        Literal::Bool(true) => "TRUE".to_owned(),
        Literal::Bool(false) => "FALSE".to_owned(),
        Literal::Int(x) | Literal::Timestamp(x) => int(*x),
        Literal::Float(x) => float(*x),
        Literal::String(x) => text(x),
    }
}

fn type_name(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Bool => "BOOLEAN",
        FieldType::Int | FieldType::Timestamp => "BIGINT",
        FieldType::Float => "DOUBLE",
        FieldType::String => "VARCHAR",
    }
}

/// An integer. As a number alone, the smallest one would be too large by its sign.
pub(crate) fn int(x: i64) -> String {
    format!("CAST('{x}' AS BIGINT)")
}

fn float(x: f64) -> String {
    // A zero without a sign, and the shortest text that reads back as the same number.
    format!("CAST('{:?}' AS DOUBLE)", x + 0.0)
}

/// A text.
pub(crate) fn text(x: &str) -> String {
    format!("'{}'", x.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Scope;
    use crate::schema::Field;

    fn parse(text: &str) -> Expression {
        let field = |(name, kind): (&str, FieldType)| Field::new(name, kind, true);
        let fields = [
            ("a", FieldType::Int),
            ("b", FieldType::Int),
            ("x", FieldType::Float),
            ("s", FieldType::String),
            ("p", FieldType::Bool),
            ("at", FieldType::Timestamp),
            ("videoId", FieldType::String),
        ];
        Expression::parse(text, &Scope::of_fields(&fields.map(field)))
            .unwrap_or_else(|refused| panic!("{text}: {refused}"))
    }

    #[test]
    fn each_part_of_an_expression_is_written_for_datafusion() {
        let table = [
            ("videoId = 'it''s'", r#"("videoId" = 'it''s')"#),
            ("a + b", r#"braid_add("a", "b")"#),
            ("a - b * 2", r#"braid_subtract("a", braid_multiply("b", CAST('2' AS BIGINT)))"#),
            ("-a % b", r#"braid_remainder(braid_subtract(CAST('0' AS BIGINT), "a"), "b")"#),
            ("a + x", r#"braid_finite(CAST("a" AS DOUBLE) + "x")"#),
            ("a / b", r#"braid_finite(CAST("a" AS DOUBLE) / CAST("b" AS DOUBLE))"#),
            ("x % 0.5", r#"braid_finite("x" % CAST('0.5' AS DOUBLE))"#),
            ("-x", r#"braid_finite(CAST('0.0' AS DOUBLE) - "x")"#),
            ("x > 1e300", r#"("x" > CAST('1e300' AS DOUBLE))"#),
            ("a > 1 AND NOT p", r#"braid_and(("a" > CAST('1' AS BIGINT)), braid_not("p"))"#),
            ("p = TRUE OR s IS NULL", r#"braid_or(braid_equal("p", TRUE), ("s" IS NULL))"#),
            ("p <> FALSE", r#"braid_unequal("p", FALSE)"#),
            ("a IN (1, 2)", r#"("a" IN (CAST('1' AS BIGINT), CAST('2' AS BIGINT)))"#),
            ("s IN ('u', 'v')", r#"("s" IN ('u', 'v'))"#),
            ("a BETWEEN b AND 7", r#"("a" BETWEEN "b" AND CAST('7' AS BIGINT))"#),
            ("at < '1970-01-01T00:00:01Z'", r#"("at" < CAST('1000000' AS BIGINT))"#),
            ("CASE WHEN p THEN s ELSE NULL END", r#"CASE WHEN "p" THEN "s" ELSE CAST(NULL AS VARCHAR) END"#),
            ("coalesce(x, 0.0)", r#"coalesce("x", CAST('0.0' AS DOUBLE))"#),
            ("abs(a)", r#"braid_abs("a")"#),
            ("abs(x)", r#"abs("x")"#),
            ("ceil(a)", r#""a""#),
            ("floor(x)", r#"braid_finite(floor("x"))"#),
            ("length(s)", r#"CAST(character_length("s") AS BIGINT)"#),
            ("lower(s) = upper(s)", r#"(braid_lower("s") = upper("s"))"#),
            ("starts_with(s, 'a%')", r#"starts_with("s", 'a%')"#),
            ("url_path(s)", r#"url_path("s")"#),
            ("distance_km(x, a, x, 1)", r#"distance_km("x", CAST("a" AS DOUBLE), "x", CAST('1.0' AS DOUBLE))"#),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).to_sql(), expected, "{text}");
        }
    }

    #[test]
    fn logic_is_left_to_datafusion_where_null_is_as_good_as_false() {
        let table = [
            ("a > 1 AND (p OR s = 'u')", r#"(("a" > CAST('1' AS BIGINT)) AND ("p" OR ("s" = 'u')))"#),
            ("NOT (p AND s = 'u')", r#"braid_not(braid_and("p", ("s" = 'u')))"#),
            ("(p OR p) IS NULL", r#"(braid_or("p", "p") IS NULL)"#),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).to_sql_condition(), expected, "{text}");
        }
        let case = parse("CASE WHEN p AND s = 'u' THEN p AND p ELSE p END").to_sql();
        assert_eq!(case, r#"CASE WHEN ("p" AND ("s" = 'u')) THEN braid_and("p", "p") ELSE "p" END"#);
    }

    #[test]
    fn the_smallest_integer_and_a_zero_with_a_sign_are_literals() {
        assert_eq!(int(i64::MIN), "CAST('-9223372036854775808' AS BIGINT)");
        assert_eq!(float(-0.0), "CAST('0.0' AS DOUBLE)");
    }

    #[test]
    fn levels_are_those_of_the_deepest_operand() {
        for (text, levels) in
            [("a", 0), ("a + b", 1), ("x + x", 2), ("a + b * 2 > 3", 4), ("coalesce(a, b) = abs(a)", 7)]
        {
            assert_eq!(parse(text).levels_in_sql(), levels, "{text}");
        }
    }
}
