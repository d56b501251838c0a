//! Random rows and expressions of every type.

use proptest::prelude::*;

use super::naive::{Answer, Row, Tree};
use crate::expression::functions;
use crate::schema::FieldType;

/// Rows in which a quarter of all values is null, and values meet often.
pub(super) fn row() -> impl Strategy<Value = Row> {
    let or_null = |value: BoxedStrategy<Answer>| prop_oneof![3 => value, 1 => Just(Answer::Null)];
    let columns = [("a", int()), ("b", int()), ("x", float()), ("y", float()), ("s", text()), ("url", text())];
    let more = [("p", bool()), ("q", bool()), ("at", instant())];
    let all: Vec<_> = columns.into_iter().chain(more).map(|(name, value)| (Just(name), or_null(value))).collect();
    all.prop_map(|values| Row(values.into_iter().collect()))
}

/// Small ones, and now and then one at an edge: of 64 bits, of their root, and of what a float holds exactly.
fn int() -> BoxedStrategy<Answer> {
    let root = 3_037_000_500;
    let edges = vec![i64::MIN, i64::MIN + 1, -root, -(1 << 53) - 1, (1 << 53) + 1, root, i64::MAX - 1, i64::MAX];
    prop_oneof![6 => -5_i64..6, 1 => prop::sample::select(edges)].prop_map(Answer::Int).boxed()
}

fn float() -> BoxedStrategy<Answer> {
    prop::sample::select(vec![0.0, 0.5, -1.5, 2.0, 1e308, -1e308]).prop_map(Answer::Float).boxed()
}

fn text() -> BoxedStrategy<Answer> {
    prop::sample::select(vec!["", "a", "ab", "Äb", "ΑΣ", "it's", "%", "https://h/a?b", "//h#x"])
        .prop_map(|x| Answer::Text(x.to_owned()))
        .boxed()
}

fn instant() -> BoxedStrategy<Answer> {
    prop::sample::select(vec![-1, 0, 1, 1_769_817_600_000_000]).prop_map(Answer::Instant).boxed()
}

fn bool() -> BoxedStrategy<Answer> {
    any::<bool>().prop_map(Answer::Bool).boxed()
}

/// Expressions of any type.
pub(super) fn tree() -> impl Strategy<Value = Tree> {
    prop_oneof![4 => conditions(3), 3 => number(), 1 => texts(3), 1 => instants(3)]
}

/// Expressions of type int and float.
pub(super) fn number() -> BoxedStrategy<Tree> {
    numbers(3)
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
        1 => prop::collection::vec(of.clone(), 4).prop_map(|of| Tree::Call("distance_km", of)),
        1 => prop::collection::vec(instants(below), 2).prop_map(|of| Tree::Call("seconds_between", of)),
        1 => chosen(below, &of),
    ]
    .boxed()
}

fn texts(depth: u32) -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![3 => columns(&["s", "url"]), 1 => literal(text())].boxed();
    let Some(below) = depth.checked_sub(1) else { return leaf };
    let of = texts(below);
    let registered = functions::REGISTRY
        .iter()
        .filter(|function| function.takes == [FieldType::String].as_slice() && function.gives == FieldType::String);
    let names = ["lower", "upper"].into_iter().chain(registered.map(|function| function.name)).collect::<Vec<_>>();
    let unary = (prop::sample::select(names), of.clone()).prop_map(|(f, x)| Tree::Call(f, vec![x]));
    prop_oneof![3 => leaf, 1 => unary, 1 => chosen(below, &of)].boxed()
}

fn instants(depth: u32) -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![3 => columns(&["at"]), 1 => literal(instant())].boxed();
    let Some(below) = depth.checked_sub(1) else { return leaf };
    let of = instants(below);
    prop_oneof![3 => leaf, 1 => chosen(below, &of)].boxed()
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
    let value = prop_oneof![numbers(below), texts(below), conditions(below), instants(below)];
    let listed = |of: BoxedStrategy<Tree>, items: BoxedStrategy<Answer>| {
        (of, prop::collection::vec(literal(items), 1..4), any::<bool>())
            .prop_map(|(of, items, not)| Tree::In(boxed(of), items, not))
    };
    let between = |of: BoxedStrategy<Tree>| {
        (of.clone(), of.clone(), of, any::<bool>())
            .prop_map(|(of, low, high, not)| Tree::Between(boxed(of), boxed(low), boxed(high), not))
    };
    let part = (prop::sample::select(vec!["starts_with", "ends_with", "contains"]), texts(below), texts(below))
        .prop_map(|(f, a, b)| Tree::Call(f, vec![a, b]));
    prop_oneof![
        2 => leaf,
        3 => pair(numbers(below)),
        1 => pair(texts(below)),
        1 => pair(instants(below)),
        3 => logic,
        1 => conditions(below).prop_map(|x| Tree::Not(boxed(x))),
        1 => (value, any::<bool>()).prop_map(|(x, not)| Tree::IsNull(boxed(x), not)),
        1 => listed(numbers(below), prop_oneof![int(), float()].boxed()),
        1 => listed(texts(below), text()),
        1 => listed(conditions(below), bool()),
        1 => listed(instants(below), instant()),
        1 => prop_oneof![2 => between(numbers(below)), 1 => between(texts(below)), 1 => between(instants(below))],
        1 => part,
        1 => chosen(below, &conditions(below)),
    ]
    .boxed()
}
