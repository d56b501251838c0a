//! The functions that an expression may call.
//!
//! Built-in ones are given to Polars in `compile`. What neither SQL nor Polars can say is written once as a
//! [`PureFunction`] (values of a row → value), entered in [`REGISTRY`], and then used by name in every layer:
//!
//! 1. write it as a file of `functions/`, without a clock, chance, I/O or memory between calls;
//! 2. enter it below;
//! 3. raise [`PLAN_VERSION`](crate::catalog::PLAN_VERSION) with every change of what an entered function answers.
//!
//! [`IN_SQL`] are further ones, which no catalog may call: the SQL form of an expression does where SQL means something else. Steps 2 and 3 are
//! theirs, too: a cluster finds both by name and [`PLAN_VERSION`](crate::catalog::PLAN_VERSION).

mod distance_km;
mod in_sql;
mod seconds_between;
mod url_path;

use std::fmt;

use super::Scalar;
use crate::schema::FieldType;

pub use in_sql::IN_SQL;

/// The registered functions.
pub const REGISTRY: &[PureFunction] = &[distance_km::DISTANCE_KM, seconds_between::SECONDS_BETWEEN, url_path::URL_PATH];

/// A row-wise, deterministic function written in Rust.
#[derive(Clone, Copy)]
pub struct PureFunction {
    /// The name in expressions: `[a-z][a-z0-9_]*`, and not that of a built-in function.
    pub name: &'static str,
    /// The types of its arguments, at least one. An int is taken for a float, and a text literal for an instant.
    pub takes: &'static [FieldType],
    /// The type of its values.
    pub gives: FieldType,
    /// Whether its value is null only where an argument is.
    pub is_total: bool,
    /// What it answers, in half a sentence.
    pub about: &'static str,
    /// The values of its arguments, any of which may be null → its value, of type `gives` or null. An int given back stays
    /// within 64 bits, and a float is finite. Columns go through it row by row.
    pub apply: for<'a> fn(&[Scalar<'a>]) -> Scalar<'a>,
}

/// Two functions are the same if they have one name; the registry holds no name twice.
impl PartialEq for PureFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for PureFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A function that can be called.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Function {
    Abs,
    Ceil,
    /// The first argument that is not null.
    Coalesce,
    /// Whether the first text holds the second.
    Contains,
    EndsWith,
    Floor,
    /// The number of characters.
    Length,
    Lower,
    StartsWith,
    Upper,
    Registered(&'static PureFunction),
}

const BUILT_IN: [Function; 10] = [
    Function::Abs,
    Function::Ceil,
    Function::Coalesce,
    Function::Contains,
    Function::EndsWith,
    Function::Floor,
    Function::Length,
    Function::Lower,
    Function::StartsWith,
    Function::Upper,
];

const NUMBER: &[FieldType] = &[FieldType::Int, FieldType::Float];
const TEXT: &[FieldType] = &[FieldType::String];

/// The names of all functions.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|function| function.name()).chain(REGISTRY.iter().map(|function| function.name)).collect()
}

impl Function {
    /// The function of that lower-case name.
    pub(super) fn named(name: &str) -> Option<Function> {
        let built_in = BUILT_IN.iter().copied().find(|function| function.name() == name);
        built_in.or_else(|| REGISTRY.iter().find(|function| function.name == name).map(Function::Registered))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Function::Abs => "abs",
            Function::Ceil => "ceil",
            Function::Coalesce => "coalesce",
            Function::Contains => "contains",
            Function::EndsWith => "ends_with",
            Function::Floor => "floor",
            Function::Length => "length",
            Function::Lower => "lower",
            Function::StartsWith => "starts_with",
            Function::Upper => "upper",
            Function::Registered(function) => function.name,
        }
    }

    /// The types that each argument may have. `coalesce` takes any number of any one type and is typed by its caller.
    pub(super) fn takes(self) -> Vec<&'static [FieldType]> {
        match self {
            Function::Abs | Function::Ceil | Function::Floor => vec![NUMBER],
            Function::Length | Function::Lower | Function::Upper => vec![TEXT],
            Function::Contains | Function::EndsWith | Function::StartsWith => vec![TEXT, TEXT],
            Function::Coalesce => Vec::new(),
            Function::Registered(function) => function.takes.chunks(1).collect(),
        }
    }

    /// The type of its values, for a first argument of type `first`.
    pub(super) fn gives(self, first: FieldType) -> FieldType {
        match self {
            Function::Abs | Function::Ceil | Function::Floor | Function::Coalesce => first,
            Function::Contains | Function::EndsWith | Function::StartsWith => FieldType::Bool,
            Function::Length => FieldType::Int,
            Function::Lower | Function::Upper => FieldType::String,
            Function::Registered(function) => function.gives,
        }
    }

    /// How it is called, for example `starts_with(string, string)`.
    pub(super) fn usage(self) -> String {
        if self == Function::Coalesce {
            return "coalesce(a, b, …) of one type".to_owned();
        }
        let argument = |kinds: &[FieldType]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join("|");
        let arguments: Vec<String> = self.takes().into_iter().map(argument).collect();
        format!("{}({})", self.name(), arguments.join(", "))
    }
}
