//! What the SQL form of an expression calls where SQL means something else, or is not certain to mean the same once it is optimised.

use std::borrow::Cow;

use super::PureFunction;
use crate::expression::Scalar;
use crate::expression::lower_case;
use crate::group_key;
use crate::schema::FieldType;

/// The functions that only the SQL form calls. Who runs it registers them beside [`REGISTRY`](super::REGISTRY); an instant is an integer
/// of microseconds to both.
pub const IN_SQL: &[PureFunction] = &[
    of_ints("braid_add", TWO_INTS, "the sum of two integers", add),
    of_ints("braid_subtract", TWO_INTS, "the difference of two integers", subtract),
    of_ints("braid_multiply", TWO_INTS, "the product of two integers", multiply),
    of_ints("braid_remainder", TWO_INTS, "what a division of two integers leaves", remainder),
    of_ints("braid_abs", &[FieldType::Int], "an integer without its sign", abs),
    PureFunction {
        name: "braid_finite",
        takes: &[FieldType::Float],
        gives: FieldType::Float,
        is_total: false,
        about: "the float, its zero without a sign, or null if it is not finite",
        apply: finite,
    },
    of_truths("braid_and", TWO_TRUTHS, "whether both are true", and),
    of_truths("braid_or", TWO_TRUTHS, "whether one of both is true", or),
    of_truths("braid_not", &[FieldType::Bool], "whether it is false", not),
    of_truths("braid_equal", TWO_TRUTHS, "whether both are the same", equal),
    of_truths("braid_unequal", TWO_TRUTHS, "whether both are not the same", unequal),
    of_text("braid_lower", "the text in lower case", lower),
    of_text("braid_key_text", "the text as it stands in a group key", key_text),
];

const TWO_INTS: &[FieldType] = &[FieldType::Int, FieldType::Int];
const TWO_TRUTHS: &[FieldType] = &[FieldType::Bool, FieldType::Bool];

type Apply = for<'a> fn(&[Scalar<'a>]) -> Scalar<'a>;

/// Integers → an integer, or null where 64 bits do not hold it.
const fn of_ints(name: &'static str, takes: &'static [FieldType], about: &'static str, apply: Apply) -> PureFunction {
    PureFunction { name, takes, gives: FieldType::Int, is_total: false, about, apply }
}

/// Truth values, null where it is not known → another one.
const fn of_truths(name: &'static str, takes: &'static [FieldType], about: &'static str, apply: Apply) -> PureFunction {
    PureFunction { name, takes, gives: FieldType::Bool, is_total: true, about, apply }
}

const fn of_text(name: &'static str, about: &'static str, apply: Apply) -> PureFunction {
    PureFunction { name, takes: &[FieldType::String], gives: FieldType::String, is_total: true, about, apply }
}

fn add<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    of_two(arguments, i128::checked_add)
}

fn subtract<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    of_two(arguments, i128::checked_sub)
}

fn multiply<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    of_two(arguments, i128::checked_mul)
}

/// With the sign of the dividend; nothing is left of a division by zero.
fn remainder<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    of_two(arguments, i128::checked_rem)
}

fn abs<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::Int(x)] => in_64_bits(x.checked_abs()),
        _ => Scalar::Null,
    }
}

fn and<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::Bool(false), _] | [_, Scalar::Bool(false)] => Scalar::Bool(false),
        [Scalar::Bool(true), Scalar::Bool(true)] => Scalar::Bool(true),
        _ => Scalar::Null,
    }
}

fn or<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::Bool(true), _] | [_, Scalar::Bool(true)] => Scalar::Bool(true),
        [Scalar::Bool(false), Scalar::Bool(false)] => Scalar::Bool(false),
        _ => Scalar::Null,
    }
}

fn not<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::Bool(x)] => Scalar::Bool(!*x),
        _ => Scalar::Null,
    }
}

fn equal<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::Bool(a), Scalar::Bool(b)] => Scalar::Bool(a == b),
        _ => Scalar::Null,
    }
}

fn unequal<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    not(&[equal(arguments)])
}

fn of_two<'a>(arguments: &[Scalar<'a>], calculate: fn(i128, i128) -> Option<i128>) -> Scalar<'a> {
    match arguments {
        [Scalar::Int(a), Scalar::Int(b)] => in_64_bits(calculate(*a, *b)),
        _ => Scalar::Null,
    }
}

fn in_64_bits(x: Option<i128>) -> Scalar<'static> {
    x.filter(|x| i64::try_from(*x).is_ok()).map_or(Scalar::Null, Scalar::Int)
}

fn finite<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::Float(x)] => Scalar::float(*x),
        _ => Scalar::Null,
    }
}

fn lower<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::String(text)] => Scalar::String(lower_case::lower(text).into()),
        _ => Scalar::Null,
    }
}

fn key_text<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        [Scalar::String(Cow::Borrowed(text))] => Scalar::String(group_key::shortened(text)),
        [Scalar::String(Cow::Owned(text))] => Scalar::String(Cow::Owned(group_key::shortened(text).into_owned())),
        _ => Scalar::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::functions;

    fn called<'a>(name: &str, arguments: &[Scalar<'a>]) -> Scalar<'a> {
        let function = IN_SQL.iter().find(|function| function.name == name).expect("it is registered");
        assert_eq!(function.takes.len(), arguments.len(), "{name}");
        (function.apply)(arguments)
    }

    fn int(x: i64) -> Scalar<'static> {
        Scalar::Int(x.into())
    }

    #[test]
    fn no_function_has_a_name_that_a_catalog_may_call() {
        for function in IN_SQL {
            assert!(!functions::names().contains(&function.name), "{function:?}");
            let same = IN_SQL.iter().filter(|other| other.name == function.name).count();
            assert_eq!(same, 1, "{function:?}");
        }
    }

    #[test]
    fn logic_has_three_values() {
        let values = [Some(true), Some(false), None];
        let scalar = |truth: Option<bool>| truth.map_or(Scalar::Null, Scalar::Bool);
        for a in values {
            assert_eq!(called("braid_not", &[scalar(a)]), scalar(a.map(|a| !a)), "{a:?}");
            for b in values {
                let both = if a == Some(false) || b == Some(false) { Some(false) } else { a.and(b) };
                let any = if a == Some(true) || b == Some(true) { Some(true) } else { a.and(b) };
                let same = a.zip(b).map(|(a, b)| a == b);
                let expected = [both, any, same, same.map(|same| !same)];
                for (name, expected) in
                    ["braid_and", "braid_or", "braid_equal", "braid_unequal"].into_iter().zip(expected)
                {
                    assert_eq!(called(name, &[scalar(a), scalar(b)]), scalar(expected), "{name}({a:?}, {b:?})");
                }
            }
        }
    }

    #[test]
    fn an_integer_that_leaves_64_bits_is_null() {
        let table = [
            ("braid_add", i64::MAX, 1, None),
            ("braid_add", i64::MAX, -1, Some(i64::MAX - 1)),
            ("braid_subtract", 0, i64::MIN, None),
            ("braid_subtract", -1, i64::MIN, Some(i64::MAX)),
            ("braid_multiply", i64::MIN, -1, None),
            ("braid_multiply", i64::MIN, i64::MIN, None),
            ("braid_multiply", 1 << 31, 1 << 31, Some(1 << 62)),
            ("braid_remainder", i64::MIN, -1, Some(0)),
            ("braid_remainder", -7, 3, Some(-1)),
            ("braid_remainder", 7, -3, Some(1)),
            ("braid_remainder", 7, 0, None),
        ];
        for (name, a, b, expected) in table {
            assert_eq!(called(name, &[int(a), int(b)]), expected.map_or(Scalar::Null, int), "{name}({a}, {b})");
            assert_eq!(called(name, &[int(a), Scalar::Null]), Scalar::Null, "{name}");
            assert_eq!(called(name, &[Scalar::Null, int(b)]), Scalar::Null, "{name}");
        }
        for (x, expected) in [(-5, Some(5)), (i64::MAX, Some(i64::MAX)), (i64::MIN, None)] {
            assert_eq!(called("braid_abs", &[int(x)]), expected.map_or(Scalar::Null, int), "{x}");
        }
    }

    #[test]
    fn a_float_is_finite_or_null_and_zero_has_no_sign() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(called("braid_finite", &[Scalar::Float(x)]), Scalar::Null, "{x}");
        }
        assert_eq!(called("braid_finite", &[Scalar::Float(-1.5)]), Scalar::Float(-1.5));
        let Scalar::Float(zero) = called("braid_finite", &[Scalar::Float(-0.0)]) else { panic!("zero is finite") };
        assert!(zero.is_sign_positive());
    }

    #[test]
    fn texts_are_those_of_keys_and_lowered_as_columns_are() {
        let long = "ü".repeat(group_key::MAX_KEY_BYTES);
        for text in ["", "a", long.as_str()] {
            let expected = Scalar::String(group_key::shortened(text));
            assert_eq!(called("braid_key_text", &[Scalar::String(Cow::Borrowed(text))]), expected);
            assert_eq!(called("braid_key_text", &[Scalar::String(Cow::Owned(text.to_owned()))]), expected);
        }
        assert_eq!(
            called("braid_lower", &[Scalar::String("ÄΣ".into())]),
            Scalar::String(lower_case::lower("ÄΣ").into())
        );
        for name in ["braid_key_text", "braid_lower", "braid_finite", "braid_abs"] {
            assert_eq!(called(name, &[Scalar::Null]), Scalar::Null, "{name}");
        }
    }
}
