//! Values as bytes, of which one can be told from the next.
//!
//! Bytes of values of one type order as the values do, null first. So keys can be compared as bytes, and are closed in the order of
//! their values: texts by their UTF-8 bytes, false before true.

use std::borrow::Cow;

use crate::expression::Scalar;
use crate::schema::FieldType;
use crate::time::format_rfc3339;

const NULL: u8 = 0;
const PRESENT: u8 = 1;
const SIGN: u64 = 1 << 63;
/// Ends a text, and behind it stands what is not [`ESCAPED`].
const END: u8 = 0;
/// Behind a zero that belongs to a text.
const ESCAPED: u8 = 0xff;

/// Appends a value.
pub(crate) fn push(out: &mut Vec<u8>, value: &Scalar<'_>) {
    let number = match value {
        Scalar::Null | Scalar::Overflow => return out.push(NULL),
        Scalar::Bool(x) => return out.extend_from_slice(&[PRESENT, u8::from(*x)]),
        Scalar::String(text) => return push_text(out, text),
        Scalar::Int(x) => (*x as i64 as u64) ^ SIGN,
        Scalar::Timestamp(us) => (*us as u64) ^ SIGN,
        Scalar::Float(x) => {
            let bits = x.to_bits();
            if bits & SIGN == 0 { bits | SIGN } else { !bits }
        }
    };
    out.push(PRESENT);
    out.extend_from_slice(&number.to_be_bytes());
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(PRESENT);
    let mut rest = text.as_bytes();
    while let Some(zero) = memchr::memchr(END, rest) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(ESCAPED);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[END, END]);
}

/// Reads the next value, which is of that type; `None` if the bytes are not one.
pub(crate) fn read<'a>(from: &mut &'a [u8], kind: FieldType) -> Option<Scalar<'a>> {
    let (tag, rest) = from.split_first()?;
    *from = rest;
    match *tag {
        NULL => return Some(Scalar::Null),
        PRESENT => {}
        _ => return None,
    }
    if kind == FieldType::String {
        return read_text(from).map(Scalar::String);
    }
    if kind == FieldType::Bool {
        let (truth, rest) = from.split_first()?;
        *from = rest;
        return Some(Scalar::Bool(*truth != 0));
    }
    let (number, rest) = from.split_first_chunk()?;
    *from = rest;
    let number = u64::from_be_bytes(*number);
    Some(match kind {
        FieldType::Float => Scalar::Float(f64::from_bits(if number & SIGN == 0 { !number } else { number ^ SIGN })),
        FieldType::Timestamp => Scalar::Timestamp((number ^ SIGN) as i64),
        _ => Scalar::Int(((number ^ SIGN) as i64).into()),
    })
}

fn read_text<'a>(from: &mut &'a [u8]) -> Option<Cow<'a, str>> {
    let (mut before, mut rest) = (Vec::new(), *from);
    loop {
        let zero = memchr::memchr(END, rest)?;
        let (text, behind) = (&rest[..zero], *rest.get(zero + 1)?);
        rest = &rest[zero + 2..];
        if behind == ESCAPED {
            before.extend_from_slice(text);
            before.push(END);
            continue;
        }
        *from = rest;
        if before.is_empty() {
            return std::str::from_utf8(text).ok().map(Cow::Borrowed);
        }
        before.extend_from_slice(text);
        return String::from_utf8(before).ok().map(Cow::Owned);
    }
}

/// The key of a record that is keyed by a value: its text. A record without a value has no key.
pub(super) fn record_key(value: &Scalar<'_>) -> Option<Vec<u8>> {
    Some(match value {
        Scalar::Null | Scalar::Overflow => return None,
        Scalar::String(text) => text.as_bytes().to_vec(),
        Scalar::Int(x) => x.to_string().into_bytes(),
        Scalar::Float(x) => x.to_string().into_bytes(),
        Scalar::Bool(x) => x.to_string().into_bytes(),
        Scalar::Timestamp(us) => format_rfc3339(*us).into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(kind: FieldType) -> BoxedStrategy<Scalar<'static>> {
        let text = prop_oneof!["[a-c\\x00\\x01ÿ]{0,4}", Just(String::new())];
        match kind {
            FieldType::String => text.prop_map(|text| Scalar::String(Cow::Owned(text))).boxed(),
            FieldType::Int => prop_oneof![any::<i64>(), -2_i64..2].prop_map(|x| Scalar::Int(x.into())).boxed(),
            FieldType::Float => {
                any::<f64>().prop_filter("numbers", |x| x.is_finite()).prop_map(|x| Scalar::Float(x + 0.0)).boxed()
            }
            FieldType::Bool => any::<bool>().prop_map(Scalar::Bool).boxed(),
            FieldType::Timestamp => any::<i64>().prop_map(Scalar::Timestamp).boxed(),
        }
    }

    fn two() -> impl Strategy<Value = (FieldType, Vec<Scalar<'static>>)> {
        let kinds = [FieldType::String, FieldType::Int, FieldType::Float, FieldType::Bool, FieldType::Timestamp];
        prop::sample::select(kinds.to_vec()).prop_flat_map(|kind| {
            let value = prop_oneof![4 => values(kind), 1 => Just(Scalar::Null)];
            (Just(kind), prop::collection::vec(value, 4))
        })
    }

    /// Null first, then by value.
    fn order(a: &Scalar<'_>, b: &Scalar<'_>) -> std::cmp::Ordering {
        match (a, b) {
            (Scalar::String(a), Scalar::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Scalar::Int(a), Scalar::Int(b)) => a.cmp(b),
            (Scalar::Float(a), Scalar::Float(b)) => a.total_cmp(b),
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (Scalar::Timestamp(a), Scalar::Timestamp(b)) => a.cmp(b),
            (a, b) => (*a != Scalar::Null).cmp(&(*b != Scalar::Null)),
        }
    }

    proptest! {
        #[test]
        fn pairs_are_read_back_and_order_as_their_values_do((kind, values) in two()) {
            let encoded = |pair: &[Scalar<'_>]| {
                let mut bytes = Vec::new();
                pair.iter().for_each(|value| push(&mut bytes, value));
                bytes
            };
            let (a, b) = (encoded(&values[..2]), encoded(&values[2..]));
            let mut rest = a.as_slice();
            prop_assert_eq!(read(&mut rest, kind), Some(values[0].clone()));
            prop_assert_eq!(read(&mut rest, kind), Some(values[1].clone()));
            prop_assert_eq!(read(&mut rest, kind), None);
            let expected = order(&values[0], &values[2]).then(order(&values[1], &values[3]));
            prop_assert_eq!(a.cmp(&b), expected, "{:?}", values);
        }

        #[test]
        fn bytes_that_are_no_value_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            for kind in [FieldType::String, FieldType::Int, FieldType::Float, FieldType::Bool, FieldType::Timestamp] {
                // It reads something or nothing, and never panics.
                let _ = read(&mut bytes.as_slice(), kind);
            }
        }
    }

    #[test]
    fn a_record_is_keyed_by_the_text_of_its_value() {
        let key = |value: Scalar<'_>| record_key(&value).map(|key| String::from_utf8(key).expect("a text"));
        assert_eq!(key(Scalar::String("u-7".into())).as_deref(), Some("u-7"));
        assert_eq!(key(Scalar::Int(-3)).as_deref(), Some("-3"));
        assert_eq!(key(Scalar::Bool(true)).as_deref(), Some("true"));
        assert_eq!(key(Scalar::Timestamp(0)).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(key(Scalar::Null), None);
    }
}
