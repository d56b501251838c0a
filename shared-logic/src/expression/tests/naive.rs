//! A naive interpreter, as far from Polars as can be: a tree of its own, written as SQL for the one side and walked row by
//! row for the other.

use std::collections::BTreeMap;
use std::fmt;

use polars::prelude::Column;
use proptest::prelude::*;

use crate::schema::FieldType;

/// A value, or null.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    Bool(bool),
}

impl Answer {
    pub(super) fn int(&self) -> Option<i64> {
        if let Answer::Int(x) = self { Some(*x) } else { None }
    }

    /// The number, an int as well.
    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Answer::Int(x) => Some(*x as f64),
            Answer::Float(x) => Some(*x),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Answer::Text(x) = self { Some(x) } else { None }
    }

    pub(super) fn bool(&self) -> Option<bool> {
        if let Answer::Bool(x) = self { Some(*x) } else { None }
    }

    /// Whether two answers are the same; numbers are compared as numbers.
    pub(super) fn is_like(&self, other: &Answer) -> bool {
        match (self.float(), other.float()) {
            (Some(a), Some(b)) => a == b,
            _ => self == other,
        }
    }
}

/// The fields of one event.
#[derive(Debug, Clone)]
pub(super) struct Row(BTreeMap<&'static str, Answer>);

impl Row {
    pub(super) fn get(&self, name: &str) -> Answer {
        self.0.get(name).cloned().unwrap_or(Answer::Null)
    }
}

/// An expression of the test.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Column(&'static str),
    Literal(Answer),
    Not(Box<Tree>),
    Minus(Box<Tree>),
    IsNull(Box<Tree>, bool),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    In(Box<Tree>, Vec<Tree>, bool),
    Between(Box<Tree>, Box<Tree>, Box<Tree>, bool),
    Case(Vec<(Tree, Tree)>, Option<Box<Tree>>),
    Cast(Box<Tree>),
    Call(&'static str, Vec<Tree>),
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Tree]| items.iter().map(Tree::to_string).collect::<Vec<_>>().join(", ");
        let negated = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Tree::Column(name) => f.write_str(name),
            Tree::Literal(Answer::Null) => f.write_str("NULL"),
            Tree::Literal(Answer::Int(x)) => write!(f, "{x}"),
            Tree::Literal(Answer::Float(x)) => write!(f, "{x:?}"),
            Tree::Literal(Answer::Text(x)) => write!(f, "'{}'", x.replace('\'', "''")),
            Tree::Literal(Answer::Bool(x)) => write!(f, "{x}"),
            Tree::Not(of) => write!(f, "(NOT {of})"),
            Tree::Minus(of) => write!(f, "(- {of})"),
            Tree::IsNull(of, not) => write!(f, "({of} IS {}NULL)", negated(not)),
            Tree::Binary(operator, a, b) => write!(f, "({a} {operator} {b})"),
            Tree::In(of, items, not) => write!(f, "({of} {}IN ({}))", negated(not), list(items)),
            Tree::Between(of, low, high, not) => write!(f, "({of} {}BETWEEN {low} AND {high})", negated(not)),
            Tree::Case(branches, otherwise) => {
                f.write_str("CASE")?;
                for (condition, result) in branches {
                    write!(f, " WHEN {condition} THEN {result}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            Tree::Cast(of) => write!(f, "CAST({of} AS DOUBLE)"),
            Tree::Call(name, arguments) => write!(f, "{name}({})", list(arguments)),
        }
    }
}

impl Tree {
    /// The value for one row.
    pub(super) fn answer(&self, row: &Row) -> Answer {
        match self {
            Tree::Column(name) => row.get(name),
            Tree::Literal(value) => value.clone(),
            Tree::Not(of) => of.answer(row).bool().map_or(Answer::Null, |x| Answer::Bool(!x)),
            Tree::Minus(of) => match of.answer(row) {
                Answer::Int(x) => Answer::Int(-x),
                Answer::Float(x) => Answer::Float(-x),
                _ => Answer::Null,
            },
            Tree::IsNull(of, not) => Answer::Bool((of.answer(row) == Answer::Null) != *not),
            Tree::Binary(operator, a, b) => binary(operator, &a.answer(row), &b.answer(row)),
            Tree::In(of, items, not) => {
                let value = of.answer(row);
                if value == Answer::Null {
                    return Answer::Null;
                }
                Answer::Bool(items.iter().any(|item| item.answer(row).is_like(&value)) != *not)
            }
            Tree::Between(of, low, high, not) => {
                let value = of.answer(row);
                let above = binary(">=", &value, &low.answer(row));
                let inside = binary("AND", &above, &binary("<=", &value, &high.answer(row)));
                inside.bool().map_or(Answer::Null, |x| Answer::Bool(x != *not))
            }
            Tree::Case(branches, otherwise) => {
                let chosen = branches.iter().find(|(condition, _)| condition.answer(row).bool() == Some(true));
                let result = chosen.map(|(_, result)| result).or(otherwise.as_deref());
                result.map_or(Answer::Null, |result| result.answer(row))
            }
            Tree::Cast(of) => of.answer(row).float().map_or(Answer::Null, Answer::Float),
            Tree::Call(name, arguments) => {
                let arguments: Vec<Answer> = arguments.iter().map(|argument| argument.answer(row)).collect();
                call(name, &arguments)
            }
        }
    }
}

fn binary(operator: &str, a: &Answer, b: &Answer) -> Answer {
    if operator == "AND" || operator == "OR" {
        // What decides on its own: false for AND, true for OR.
        let decisive = operator == "OR";
        return match (a.bool(), b.bool()) {
            (Some(x), _) | (_, Some(x)) if x == decisive => Answer::Bool(decisive),
            (_, Some(x)) if x == decisive => Answer::Bool(decisive),
            (Some(_), Some(_)) => Answer::Bool(!decisive),
            _ => Answer::Null,
        };
    }
    if *a == Answer::Null || *b == Answer::Null {
        return Answer::Null;
    }
    if let ("+" | "-" | "*" | "%", Answer::Int(a), Answer::Int(b)) = (operator, a, b) {
        return match operator {
            "+" => Answer::Int(a + b),
            "-" => Answer::Int(a - b),
            "*" => Answer::Int(a * b),
            _ if *b == 0 => Answer::Null,
            _ => Answer::Int(a % b),
        };
    }
    if let (Some(x), Some(y)) = (a.float(), b.float()) {
        let result = match operator {
            "+" => x + y,
            "-" => x - y,
            "*" => x * y,
            "/" => x / y,
            "%" => x % y,
            _ => return ordered(operator, x.partial_cmp(&y)),
        };
        return if result.is_finite() { Answer::Float(result) } else { Answer::Null };
    }
    match (a, b) {
        (Answer::Text(x), Answer::Text(y)) => ordered(operator, Some(x.as_bytes().cmp(y.as_bytes()))),
        (Answer::Bool(x), Answer::Bool(y)) => ordered(operator, Some(x.cmp(y))),
        _ => panic!("{a:?} {operator} {b:?}"),
    }
}

fn ordered(operator: &str, order: Option<std::cmp::Ordering>) -> Answer {
    let order = order.expect("no value is NaN");
    Answer::Bool(match operator {
        "=" => order.is_eq(),
        "<>" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn call(name: &str, arguments: &[Answer]) -> Answer {
    if name == "coalesce" {
        return arguments.iter().find(|argument| **argument != Answer::Null).cloned().unwrap_or(Answer::Null);
    }
    if arguments.contains(&Answer::Null) {
        return Answer::Null;
    }
    match (name, arguments) {
        ("abs", [Answer::Int(x)]) => Answer::Int(x.abs()),
        ("abs", [Answer::Float(x)]) => Answer::Float(x.abs()),
        ("floor" | "ceil", [Answer::Int(x)]) => Answer::Int(*x),
        ("floor", [Answer::Float(x)]) => Answer::Float(x.floor()),
        ("ceil", [Answer::Float(x)]) => Answer::Float(x.ceil()),
        ("length", [Answer::Text(x)]) => Answer::Int(x.chars().count() as i64),
        ("lower", [Answer::Text(x)]) => Answer::Text(x.to_lowercase()),
        ("upper", [Answer::Text(x)]) => Answer::Text(x.to_uppercase()),
        ("starts_with", [Answer::Text(x), Answer::Text(y)]) => Answer::Bool(x.starts_with(y.as_str())),
        ("ends_with", [Answer::Text(x), Answer::Text(y)]) => Answer::Bool(x.ends_with(y.as_str())),
        ("contains", [Answer::Text(x), Answer::Text(y)]) => Answer::Bool(x.contains(y.as_str())),
        _ => panic!("{name}{arguments:?}"),
    }
}

/// A column of Polars' answers.
pub(super) fn answers(column: &Column, kind: FieldType) -> Vec<Answer> {
    let series = column.as_materialized_series();
    let of = |value: Option<Answer>| value.unwrap_or(Answer::Null);
    match kind {
        FieldType::Int | FieldType::Timestamp => {
            series.i64().expect("an int is Int64").iter().map(|x| of(x.map(Answer::Int))).collect()
        }
        FieldType::Float => {
            series.f64().expect("a float is Float64").iter().map(|x| of(x.map(Answer::Float))).collect()
        }
        FieldType::Bool => series.bool().expect("a bool is Boolean").iter().map(|x| of(x.map(Answer::Bool))).collect(),
        FieldType::String => {
            let texts = series.str().expect("a string is String");
            texts.iter().map(|x| of(x.map(|x| Answer::Text(x.to_owned())))).collect()
        }
    }
}

/// Rows in which a quarter of all values is null, and values meet often.
pub(super) fn row() -> impl Strategy<Value = Row> {
    let or_null = |value: BoxedStrategy<Answer>| prop_oneof![3 => value, 1 => Just(Answer::Null)];
    let columns = [("a", int()), ("b", int()), ("x", float()), ("y", float()), ("s", text()), ("url", text())];
    let more = [("p", bool()), ("q", bool())];
    let all: Vec<_> = columns.into_iter().chain(more).map(|(name, value)| (Just(name), or_null(value))).collect();
    all.prop_map(|values| Row(values.into_iter().collect()))
}

fn int() -> BoxedStrategy<Answer> {
    (-5_i64..6).prop_map(Answer::Int).boxed()
}

fn float() -> BoxedStrategy<Answer> {
    prop::sample::select(vec![0.0, 0.5, -1.5, 2.0, 1e308, -1e308]).prop_map(Answer::Float).boxed()
}

fn text() -> BoxedStrategy<Answer> {
    prop::sample::select(vec!["", "a", "ab", "Äb", "it's", "%"]).prop_map(|x| Answer::Text(x.to_owned())).boxed()
}

fn bool() -> BoxedStrategy<Answer> {
    any::<bool>().prop_map(Answer::Bool).boxed()
}

/// Expressions of any type.
pub(super) fn tree() -> impl Strategy<Value = Tree> {
    prop_oneof![4 => conditions(3), 3 => numbers(3), 1 => texts(3)]
}

fn literal(value: BoxedStrategy<Answer>) -> BoxedStrategy<Tree> {
    value.prop_map(Tree::Literal).boxed()
}

fn columns(names: &[&'static str]) -> BoxedStrategy<Tree> {
    prop::sample::select(names.to_vec()).prop_map(Tree::Column).boxed()
}

fn boxed(tree: Tree) -> Box<Tree> {
    Box::new(tree)
}

/// What can be made of any type: CASE and coalesce, with a NULL among the values.
fn chosen(depth: u32, of: &BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
    let branches = (conditions(depth), of.clone());
    let null = Just(Tree::Literal(Answer::Null)).boxed();
    let case = (branches, prop::collection::vec((conditions(depth), prop_oneof![3 => of.clone(), 1 => null]), 0..2));
    let case = (case, prop::option::of(of.clone())).prop_map(|((first, more), otherwise)| {
        Tree::Case([first].into_iter().chain(more).collect(), otherwise.map(Box::new))
    });
    let coalesce = prop::collection::vec(of.clone(), 1..3).prop_map(|of| Tree::Call("coalesce", of));
    prop_oneof![case, coalesce].boxed()
}

fn numbers(depth: u32) -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![4 => columns(&["a", "b", "x", "y"]), 1 => literal(int()), 1 => literal(float())].boxed();
    let Some(below) = depth.checked_sub(1) else { return leaf };
    let of = numbers(below);
    let arithmetic = (prop::sample::select(vec!["+", "-", "*", "/", "%"]), of.clone(), of.clone())
        .prop_map(|(operator, a, b)| Tree::Binary(operator, boxed(a), boxed(b)));
    let unary =
        (prop::sample::select(vec!["abs", "floor", "ceil"]), of.clone()).prop_map(|(f, x)| Tree::Call(f, vec![x]));
    prop_oneof![
        3 => leaf,
        4 => arithmetic,
        1 => unary,
        1 => of.clone().prop_map(|x| Tree::Minus(boxed(x))),
        1 => of.clone().prop_map(|x| Tree::Cast(boxed(x))),
        1 => texts(below).prop_map(|x| Tree::Call("length", vec![x])),
        1 => chosen(below, &of),
    ]
    .boxed()
}

fn texts(depth: u32) -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![3 => columns(&["s", "url"]), 1 => literal(text())].boxed();
    let Some(below) = depth.checked_sub(1) else { return leaf };
    let of = texts(below);
    let unary = (prop::sample::select(vec!["lower", "upper"]), of.clone()).prop_map(|(f, x)| Tree::Call(f, vec![x]));
    prop_oneof![3 => leaf, 1 => unary, 1 => chosen(below, &of)].boxed()
}

fn conditions(depth: u32) -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![4 => columns(&["p", "q"]), 1 => literal(bool())].boxed();
    let Some(below) = depth.checked_sub(1) else { return leaf };
    let order = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let pair = |of: BoxedStrategy<Tree>| {
        (order.clone(), of.clone(), of).prop_map(|(operator, a, b)| Tree::Binary(operator, boxed(a), boxed(b)))
    };
    let logic = (prop::sample::select(vec!["AND", "OR", "=", "<>"]), conditions(below), conditions(below))
        .prop_map(|(operator, a, b)| Tree::Binary(operator, boxed(a), boxed(b)));
    let value = prop_oneof![numbers(below), texts(below), conditions(below)];
    let listed = |of: BoxedStrategy<Tree>, items: BoxedStrategy<Answer>| {
        (of, prop::collection::vec(literal(items), 1..4), any::<bool>())
            .prop_map(|(of, items, not)| Tree::In(boxed(of), items, not))
    };
    let between = (numbers(below), numbers(below), numbers(below), any::<bool>())
        .prop_map(|(of, low, high, not)| Tree::Between(boxed(of), boxed(low), boxed(high), not));
    let part = (prop::sample::select(vec!["starts_with", "ends_with", "contains"]), texts(below), texts(below))
        .prop_map(|(f, a, b)| Tree::Call(f, vec![a, b]));
    prop_oneof![
        2 => leaf,
        3 => pair(numbers(below)),
        1 => pair(texts(below)),
        3 => logic,
        1 => conditions(below).prop_map(|x| Tree::Not(boxed(x))),
        1 => (value, any::<bool>()).prop_map(|(x, not)| Tree::IsNull(boxed(x), not)),
        1 => listed(numbers(below), prop_oneof![int(), float()].boxed()),
        1 => listed(texts(below), text()),
        1 => listed(conditions(below), bool()),
        1 => between,
        1 => part,
        1 => chosen(below, &conditions(below)),
    ]
    .boxed()
}
