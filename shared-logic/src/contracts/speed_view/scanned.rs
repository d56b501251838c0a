//! What each field of the counters of a slice says, whoever finds it (K6).

use super::chunks::own_field;
use super::counters::{self, Counters};
use super::script::UnknownReply;
use crate::measure::MeasureKind;

/// The group key's text and the values that a field of counters holds, by its name and content.
///
/// # Errors
/// If they are not of the form that workers write.
pub fn scanned<'a>(name: &'a str, field: &[u8], kinds: &[MeasureKind]) -> Result<(&'a str, Counters), UnknownReply> {
    let mut values = Counters::new();
    // A key begins with a bracket, and a chunk with a digit or a sign.
    if name.starts_with('[') {
        let (chunks, own) = own_field(field)?;
        counters::read_chunk(chunks.own, own, kinds, &mut values)?;
        return Ok((name, values));
    }
    let strange = || UnknownReply { what: format!("a field {name:?}") };
    let (chunk, key) = name.split_once(':').ok_or_else(strange)?;
    let chunk: i64 = chunk.parse().map_err(|_| strange())?;
    counters::read_chunk(chunk, field, kinds, &mut values)?;
    Ok((key, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Value;

    const KINDS: [MeasureKind; 1] = [MeasureKind::Count];

    fn values(place: u8, count: i64) -> Vec<u8> {
        let mut field = Vec::new();
        counters::write(&mut field, place, &KINDS, &[Value::Int(count.into())]);
        field
    }

    #[test]
    fn a_field_says_its_key_and_chunk() {
        let own = [b"2,-1+1;".to_vec(), values(3, 7)].concat();
        assert_eq!(scanned("[\"a:b\"]", &own, &KINDS), Ok(("[\"a:b\"]", vec![(2 * 64 + 3, 0, Value::Int(7))])));
        assert_eq!(scanned("-1:[\"a:b\"]", &values(0, 9), &KINDS), Ok(("[\"a:b\"]", vec![(-64, 0, Value::Int(9))])));
        for strange in ["a", "x:[]", "", "7"] {
            assert!(scanned(strange, &values(0, 1), &KINDS).is_err(), "{strange:?}");
        }
        assert!(scanned("[]", &values(0, 1), &KINDS).is_err(), "its own field lists its chunks");
    }
}
