//! How a note is written: entries that have come to rest are written apart, and not again with every commit.
//!
//! The facts of an archive name every log that there ever was, and so does the cut of a view. Those of logs that are over change
//! no more. So a note with many entries is written in two parts, each in a metadata domain of its own: the *rest*, which only
//! some commits write, and beside it the entries that differ from it. A commit that would leave too many beside the rest
//! writes a new rest, of all that its predecessor had not changed. So what a commit writes stays small, and what is read is the
//! whole note of one version.
//!
//! ```json
//! {"rest": 42, "note": {"cut": {"<log>": {"0": 1041}}, …}}
//! ```
//!
//! Here 42 is the version whose commit wrote the rest. Of an array, the entries beside the rest are written with their places:
//! `[[7, {…}]]`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// With more entries beside the rest, a commit writes a new one.
const BESIDE_MAX: usize = 16;

/// The entries that a commit has written apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Rest {
    /// The version of that commit.
    pub(super) at: u64,
    /// By name, or by place in an array.
    entries: Map<String, Value>,
}

/// The entries of a note: the members of an object, or the elements of an array by their places.
struct Entries {
    all: Map<String, Value>,
    is_array: bool,
}

/// Divides a note that is committed as `version`. `entries` points to its entries; `before` gives the note of the version
/// before, and `rest` is the newest. Returns what is written as the note and, if it changes, the new rest.
pub(super) fn divide(
    mut note: Value,
    entries: &str,
    before: impl FnOnce() -> Option<Value>,
    rest: Option<&Rest>,
    version: u64,
) -> (Value, Option<Rest>) {
    let Some(now) = take(&mut note, entries) else { return (note, None) };
    if rest.is_none() && now.all.len() <= BESIDE_MAX {
        return (put(note, entries, now), None);
    }
    if let Some(rest) = rest {
        let beside = now.all.iter().filter(|(name, value)| rest.entries.get(*name) != Some(*value));
        if beside.count() <= BESIDE_MAX && rest.entries.keys().all(|name| now.all.contains_key(name)) {
            return (put_beside(note, entries, now, rest), None);
        }
    }
    let before =
        before().and_then(|mut before| take(&mut before, entries)).map(|before| before.all).unwrap_or_default();
    let unchanged = now.all.iter().filter(|(name, value)| before.get(*name) == Some(*value));
    let unchanged: Map<String, Value> = unchanged.map(|(name, value)| (name.clone(), value.clone())).collect();
    if unchanged.is_empty() {
        return (put(note, entries, now), None);
    }
    let rest = Rest { at: version, entries: unchanged };
    (put_beside(note, entries, now, &rest), Some(rest))
}

/// The version whose commit wrote the rest of a note; `None` if the note is whole as it is written.
pub(super) fn rest_at(written: &Value) -> Option<u64> {
    written.get("note").and(written.get("rest"))?.as_u64()
}

/// The whole note; `None` if that is not what was written with this rest.
pub(super) fn join(mut written: Value, entries: &str, rest: &Rest) -> Option<Value> {
    if rest_at(&written)? != rest.at {
        return None;
    }
    let mut note = written.get_mut("note")?.take();
    let mut all = rest.entries.clone();
    let is_array = match note.pointer_mut(entries)?.take() {
        Value::Object(beside) => {
            all.extend(beside);
            false
        }
        Value::Array(beside) => {
            for entry in beside {
                let [place, element] = <[Value; 2]>::try_from(entry.as_array()?.clone()).ok()?;
                all.insert(place.as_u64()?.to_string(), element);
            }
            true
        }
        _ => return None,
    };
    Some(put(note, entries, Entries { all, is_array }))
}

/// Takes the entries out of a note, if it has any.
fn take(note: &mut Value, entries: &str) -> Option<Entries> {
    match note.pointer_mut(entries)? {
        Value::Object(members) => Some(Entries { all: std::mem::take(members), is_array: false }),
        Value::Array(elements) => {
            let elements = std::mem::take(elements).into_iter().enumerate();
            let all = elements.map(|(place, element)| (place.to_string(), element)).collect();
            Some(Entries { all, is_array: true })
        }
        _ => None,
    }
}

/// Puts all entries back.
fn put(mut note: Value, entries: &str, Entries { all, is_array }: Entries) -> Value {
    if let Some(there) = note.pointer_mut(entries) {
        *there = if is_array {
            let mut elements: Vec<(String, Value)> = all.into_iter().collect();
            elements.sort_by_key(|(name, _)| place(name));
            Value::Array(elements.into_iter().map(|(_, element)| element).collect())
        } else {
            Value::Object(all)
        };
    }
    note
}

/// Puts back the entries that differ from the rest, and says which rest that is.
fn put_beside(mut note: Value, entries: &str, Entries { all, is_array }: Entries, rest: &Rest) -> Value {
    let beside = all.into_iter().filter(|(name, value)| rest.entries.get(name) != Some(value));
    if let Some(there) = note.pointer_mut(entries) {
        *there = if is_array {
            Value::Array(beside.map(|(name, element)| json!([place(&name), element])).collect())
        } else {
            Value::Object(beside.collect())
        };
    }
    json!({"rest": rest.at, "note": note})
}

/// The place in an array that a name stands for.
fn place(name: &str) -> u64 {
    name.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::*;

    /// A note with those entries, in one of the two forms.
    fn note(entries: &[Option<i64>], is_array: bool, commit: u64) -> Value {
        let of = |entry: &Option<i64>| json!({"next": entry, "witness": "w".repeat(60)});
        let entries: Value = if is_array {
            entries.iter().map(of).collect()
        } else {
            let named = entries.iter().enumerate().map(|(n, entry)| (format!("log-{n}"), of(entry)));
            Value::Object(named.collect())
        };
        json!({"commit": commit, "facts": {"logs": entries, "other": null}})
    }

    const ENTRIES: &str = "/facts/logs";

    #[test]
    fn whatever_changes_a_note_is_read_as_it_was_committed() {
        let mut rests = 0;
        for seed in 1..60 {
            let mut dice = Dice::new(seed);
            let is_array = dice.chance(50);
            let (mut entries, mut rest, mut before): (Vec<Option<i64>>, Option<Rest>, Option<Value>) =
                Default::default();
            for version in 1..200 {
                for _ in 0..dice.below(3) {
                    entries.push(Some(0));
                }
                for _ in 0..dice.below(4) {
                    if !entries.is_empty() {
                        let at = dice.below(entries.len());
                        entries[at] = dice.chance(90).then(|| dice.between(0, 9));
                    }
                }
                if dice.chance(2) {
                    entries.truncate(dice.below(entries.len() + 1));
                }
                let now = note(&entries, is_array, version);
                let (written, new) = divide(now.clone(), ENTRIES, || before.clone(), rest.as_ref(), version);
                rests += usize::from(new.is_some());
                rest = new.or(rest);
                let read = match rest_at(&written) {
                    Some(_) => join(written.clone(), ENTRIES, rest.as_ref().expect("it was written")),
                    None => Some(written.clone()),
                };
                assert_eq!(read.as_ref(), Some(&now), "seed {seed}, version {version}: {written}");
                before = Some(now);
            }
        }
        assert!(rests > 100, "only {rests} rests were written");
    }

    #[test]
    fn a_commit_stays_small_however_many_entries_rest() {
        for is_array in [true, false] {
            let (mut entries, mut rest, mut before, mut rests) = (Vec::new(), None::<Rest>, None, 0);
            let mut largest = 0;
            for version in 1..=2_000 {
                // Every fourth commit begins another log; the others move the newest one.
                if version % 4 == 1 {
                    entries.push(Some(0));
                }
                let last = entries.len() - 1;
                entries[last] = Some(i64::try_from(version).expect("small"));
                let now = note(&entries, is_array, version);
                let (written, new) = divide(now.clone(), ENTRIES, || before.clone(), rest.as_ref(), version);
                largest = largest.max(written.to_string().len());
                rests += usize::from(new.is_some());
                rest = new.or(rest);
                before = Some(now);
            }
            let of_one = json!({"next": 1_999, "witness": "w".repeat(60)}).to_string().len() + 20;
            assert!(largest < 20 * of_one, "{largest} bytes of a note with {} entries", entries.len());
            assert!((20..60).contains(&rests), "{rests} rests for {} entries", entries.len());
        }
    }

    #[test]
    fn a_rest_that_another_commit_wrote_is_refused() {
        let entries: Vec<Option<i64>> = vec![Some(1); 40];
        let now = note(&entries, true, 1);
        let (written, rest) = divide(now.clone(), ENTRIES, || Some(now.clone()), None, 7);
        let rest = rest.expect("they have not changed");
        assert_eq!((rest_at(&written), rest.at), (Some(7), 7));
        assert_eq!(join(written.clone(), ENTRIES, &rest), Some(now));
        assert_eq!(join(written, ENTRIES, &Rest { at: 6, ..rest }), None);
    }

    #[test]
    fn a_note_without_entries_is_written_as_it_is() {
        for whole in [json!({"a": 1}), json!({"facts": null}), json!({"facts": {"logs": 3}})] {
            assert_eq!(divide(whole.clone(), ENTRIES, || None, None, 1), (whole, None));
        }
    }
}
