//! Sound records made unsound, or sound in another way: bits flipped, ends cut off, two records spliced, bytes inserted and
//! removed, fields repeated, numbers made huge.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::naive::Format;

/// Bytes that mean something to one of the formats, or are hardly ever seen.
const MEANING: &[u8] = b"{}[]\":,\\/u0129eE+-.tfn \t\r\n\x00\x1f\x7f\xff\xc3\xed";
/// Integers that no float holds, the largest and the smallest of 64 bits, the first beyond, and numbers in other spellings.
const HUGE: [&str; 14] = [
    "9007199254740993",
    "-9007199254740993.0",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "3.0",
    "1.25e2",
    "30e-1",
    "00000000000000000000000000000007",
    "123456789012345678901234567890123456789012345678901234567890",
    "1e308",
    "1e400",
    "-0",
];
/// Members that repeat a declared one, sound and unsound.
const MEMBERS: [&str; 17] = [
    r#""amount":7"#,
    r#""amount":null"#,
    r#""amount":"7""#,
    r#""amount":0.1e-400"#,
    r#""place":{"site":"south"}"#,
    r#""place":{"site":"south","site":"north"}"#,
    r#""place":{"note":"\ud83d\u0041"}"#,
    r#""place":null"#,
    r#""pl\u0061ce":{"s\u0069te":"east","note":1.50}"#,
    r#""site":"nowhere""#,
    r#""scales":[{"weight":1},{"weight":-2.5e-3}]"#,
    r#""scales":[[{"weight":1}]]"#,
    r#""scales":{"1":{"weight":1}}"#,
    r#""ok":1"#,
    r#""place":{"site":"inner","note":{"site":"no"}}"#,
    r#""more":["\ude00",[[[[{"place":{}}]]]]]"#,
    r#""at":"2026-02-30T00:00:00Z""#,
];

/// A mutant of `payload`, changed once or more often; `other` is a record to splice with.
pub fn mutant(rng: &mut StdRng, format: Format, payload: &[u8], other: &[u8]) -> Vec<u8> {
    let mut mutant = payload.to_vec();
    loop {
        mutate(rng, format, &mut mutant, other);
        if rng.random_bool(0.7) {
            return mutant;
        }
    }
}

fn mutate(rng: &mut StdRng, format: Format, payload: &mut Vec<u8>, other: &[u8]) {
    let at = rng.random_range(0..=payload.len());
    match rng.random_range(0..16) {
        0..4 if at < payload.len() => payload[at] ^= 1 << rng.random_range(0..8),
        4 => payload.truncate(at),
        5 => {
            payload.truncate(at);
            // Often the same place in the other record, so that what comes out may be sound.
            let from = if rng.random() { at } else { rng.random_range(0..=other.len()) };
            payload.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        6..8 => payload.insert(at, *MEANING.choose(rng).expect("not empty")),
        8 => payload.insert(at, rng.random()),
        9 if at < payload.len() => drop(payload.remove(at)),
        10 | 11 => replace_number(rng, payload, at),
        12 | 13 => repeat_field(rng, format, payload),
        // Longer than a record may be, and not.
        14 => drop(payload.splice(at..at, vec![b'x'; rng.random_range(1..1_400)])),
        _ => {
            if let Some(digit) = payload[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                *digit = rng.random_range(b'0'..=b'9');
            }
        }
    }
}

/// Puts another number in the place of the first digits behind `at`.
fn replace_number(rng: &mut StdRng, payload: &mut Vec<u8>, at: usize) {
    let Some(start) = payload[at..].iter().position(u8::is_ascii_digit).map(|step| at + step) else { return };
    let length = payload[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = HUGE.choose(rng).expect("not empty");
    payload.splice(start..start + length, number.bytes());
}

/// Adds a member before the last brace, or repeats a column.
fn repeat_field(rng: &mut StdRng, format: Format, payload: &mut Vec<u8>) {
    match format {
        Format::Json => {
            let Some(end) = payload.iter().rposition(|byte| *byte == b'}') else { return };
            let member = MEMBERS.choose(rng).expect("not empty");
            payload.splice(end..end, format!(",{member}").into_bytes());
        }
        Format::Tsv | Format::Csv => {
            let delimiter = if format == Format::Tsv { b'\t' } else { b',' };
            let mut columns: Vec<Vec<u8>> = payload.split(|byte| *byte == delimiter).map(<[u8]>::to_vec).collect();
            let (from, to) = (rng.random_range(0..columns.len()), rng.random_range(0..columns.len()));
            columns[to] = columns[from].clone();
            *payload = columns.join(&delimiter);
        }
    }
}
