//! Properties against serde_json: what is JSON, what is an object, and what its fields hold.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::format::{Format, Reader};

/// Any JSON, not too deep, as a value.
fn any_json() -> impl Strategy<Value = Json> {
    let number = prop_oneof![
        any::<i64>().prop_map(Json::from),
        (-9_i64..9).prop_map(Json::from),
        any::<f64>().prop_map(|x| serde_json::Number::from_f64(x).map_or(Json::Null, Json::Number)),
        Just(Json::from(i64::MAX)),
        Just(Json::from(i64::MIN)),
        Just(Json::from(u64::MAX)),
    ];
    let text = prop_oneof!["\\PC*", any::<String>(), Just("2026-04-24T09:31:00.5Z".to_owned())];
    let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), number, text.prop_map(Json::from)];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// An object whose declared members are often, but not always, as declared.
fn any_object() -> impl Strategy<Value = Json> {
    let members = ["id", "at", "user", "note", "n", "x", "b", "w", "other"];
    let fitting = (any::<String>(), -9_i64..9, "\\PC{0,9}", any::<f64>(), any::<bool>()).prop_map(|(id, at, user, x, b)| {
        serde_json::json!({"id": id, "at": at, "user": user, "note": user, "n": at, "x": x, "b": b, "w": at})
    });
    (fitting, prop::collection::vec((prop::sample::select(members.to_vec()), any_json()), 0..3)).prop_map(
        |(mut object, other)| {
            for (name, value) in other {
                object[name] = value;
            }
            object
        },
    )
}

/// Some bytes changed, removed or inserted, most of them ones that mean something in JSON.
fn mutated(mut bytes: Vec<u8>, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    const MEANING: &[u8] = b"{}[]\":,\\u0123456789eE+-.tfn \t\n\x00\x1f\x7f\xff\xc3\xed";
    for (at, how, with) in changes {
        let with = MEANING.get(*with as usize).copied().unwrap_or(*with);
        let at = at % (bytes.len() + 1);
        match how % 3 {
            0 if at < bytes.len() => bytes[at] = with,
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, with),
        }
    }
    bytes
}

/// The document as serde_json reads it: not too deep, no number beyond a float such as `1e400`, and no half of a surrogate
/// pair.
fn serde_reads(payload: &[u8]) -> Result<Json, serde_json::Error> {
    serde_json::from_slice(payload)
}

/// Whether it is JSON after all that serde_json refuses.
fn is_strict(error: &serde_json::Error) -> bool {
    let strict = ["number out of range", "lone leading surrogate", "unexpected end of hex escape"];
    strict.iter().any(|known| error.to_string().starts_with(known))
}

fn tokenizes(payload: &[u8]) -> Result<(), Reason> {
    let fields = source("json").fields;
    match Reader::new(Format::Json, &fields, &[], None).read(payload, &mut Record::new(fields.len())) {
        Err(Rejected { reason, field: None }) => Err(reason),
        _ => Ok(()),
    }
}

/// The cells of a document by serde_json and the rules of decoding, written once more.
fn naively(source: &Source, document: &Json) -> Result<Vec<(String, String)>, (Reason, usize)> {
    let mut cells = Vec::new();
    for (at, field) in source.fields.iter().enumerate() {
        let value = match document.get(&field.name) {
            None | Some(Json::Null) if field.optional => continue,
            None | Some(Json::Null) => return Err((Reason::MissingField, at)),
            Some(value) => value,
        };
        let int = || match value.as_i64() {
            Some(int) => Ok(int),
            None if value.is_u64() => Err((Reason::OutOfRange, at)),
            None => Err((Reason::WrongType, at)),
        };
        let cell = match (field.kind, value) {
            (FieldType::String, Json::String(text)) => text.clone(),
            (FieldType::Int, _) => int()?.to_string(),
            (FieldType::Float, Json::Number(_)) => format!("{:?}", value.as_f64().unwrap_or(f64::NAN) + 0.0),
            (FieldType::Bool, Json::Bool(truth)) => truth.to_string(),
            (FieldType::Timestamp, Json::String(text)) => match crate::time::parse_rfc3339(text.as_bytes()) {
                Some(us) => us.to_string(),
                None => milliseconds(text).map_err(|reason| (reason, at))?.to_string(),
            },
            (FieldType::Timestamp, Json::Number(number)) => {
                milliseconds(&number.to_string()).map_err(|reason| (reason, at))?.to_string()
            }
            _ => return Err((Reason::WrongType, at)),
        };
        cells.push((field.name.clone(), cell));
    }
    Ok(cells)
}

/// A decimal number of milliseconds in microseconds, by moving its point as on paper.
fn milliseconds(text: &str) -> Result<i64, Reason> {
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (sign, number) = text.strip_prefix('-').map_or(("", text), |number| ("-", number));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    if ![whole, fraction, exponent.trim_start_matches(['+', '-'])].into_iter().all(all_digits) {
        return Err(Reason::WrongType);
    }
    let exponent: i64 = exponent.parse().map_err(|_| Reason::WrongType)?;
    let digits = format!("{whole}{fraction}");
    if digits.bytes().all(|digit| digit == b'0') {
        return Ok(0);
    }
    let before_point = whole.len() as i64 + exponent + 3;
    // No float has more than 400 digits before its point.
    let kept = usize::try_from(before_point.clamp(0, 400)).expect("not negative");
    let padded = format!("{digits:0<400}");
    let us = format!("{sign}0{}", &padded[..kept]).parse::<i128>().map_err(|_| Reason::OutOfRange)?;
    let us = i64::try_from(us).map_err(|_| Reason::OutOfRange)?;
    if (MIN_INSTANT_US..MAX_INSTANT_US).contains(&us) { Ok(us) } else { Err(Reason::OutOfRange) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn any_bytes_are_judged_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..64), record_us in any::<Option<i64>>()) {
        for format in ["json", "tsv", "csv"] {
            let _ = Decoder::new(&source(format)).decode(Some(&payload), record_us);
        }
    }

    #[test]
    fn json_is_what_serde_json_takes_for_json(
        document in prop_oneof![any_json(), any_object()],
        pretty in any::<bool>(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..4),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let payload = mutated(text.expect("a document").into_bytes(), &changes);
        if std::str::from_utf8(&payload).is_err() {
            return Ok(());
        }
        let ours = tokenizes(&payload);
        match serde_reads(&payload) {
            Ok(document) if document.is_object() => prop_assert_eq!(ours, Ok(())),
            Ok(_) => prop_assert_eq!(ours, Err(Reason::NotObject)),
            Err(error) if is_strict(&error) => {}
            Err(error) => prop_assert_eq!(ours, Err(Reason::NotJson), "{}", error),
        }
    }

    #[test]
    fn cells_are_those_of_a_naive_decoder(
        document in any_object(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..2),
    ) {
        let source = source("json");
        let payload = mutated(serde_json::to_vec(&document).expect("a document"), &changes);
        let Ok(document) = serde_reads(&payload) else { return Ok(()) };
        let text = String::from_utf8_lossy(&payload).into_owned();
        // What serde_json reads as a float may be an integer here: that is tested beside `int`.
        if !document.is_object() || ["at", "n", "w"].iter().any(|name| document[*name].is_f64()) {
            return Ok(());
        }
        let naive = naively(&source, &document).map_err(|(reason, at)| Rejected::at(reason, at).text(&source.fields));
        let ours = decoded(&source, &payload);
        prop_assert_eq!(ours, naive, "{}", text);
    }

    #[test]
    fn a_line_gives_the_cells_that_the_object_gives(
        id in "[a-z]{1,5}", at in -9_i64..9, user in "[^\t\n\r\"\\\\\\x00-\\x1f]{1,9}", n in any::<Option<i32>>(), b in any::<Option<bool>>(),
    ) {
        let object = serde_json::json!({"id": id, "at": at, "user": user, "n": n, "b": b});
        let shown = |value: Option<String>| value.unwrap_or_default();
        let line = format!("{id}\t{at}\t{user}\t\t{}\t\t{}\t", shown(n.map(|n| n.to_string())), shown(b.map(|b| b.to_string())));
        let from_json = decoded(&source("json"), object.to_string().as_bytes());
        prop_assert_eq!(decoded(&source("tsv"), line.as_bytes()), from_json);
    }
}
