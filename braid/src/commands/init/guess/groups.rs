//! Which fields events are counted by.

use std::collections::HashMap;

use super::super::profile::{Profile, Value};
use super::super::words::words;
use super::fields::Field;
use super::kind::Kind;
use super::sums::quantity;

/// What people ask by, the likeliest word first.
const WORDS: [&str; 24] = [
    "type", "country", "status", "method", "event", "action", "kind", "category", "state", "level", "severity",
    "channel", "platform", "region", "city", "plan", "currency", "language", "browser", "device", "service", "host",
    "page", "name",
];
/// Every subset of these columns is counted, so a guess names few.
const BY_MAX: usize = 2;
/// A field with more values is not proposed.
const DISTINCT_MAX: usize = 1_000;
/// In a small sample, a field may have so many values.
const DISTINCT_MIN: usize = 10;
/// Longer texts are no names of groups.
const BYTES_MAX: usize = 100;

/// The columns to count by.
#[derive(Debug, Default)]
pub(in crate::commands::init) struct Groups {
    /// Those of the metric.
    pub(in crate::commands::init) by: Vec<String>,
    /// Others that could be, with the number of values that were seen.
    pub(in crate::commands::init) others: Vec<(String, usize)>,
    /// The most frequent value of the first one.
    pub(in crate::commands::init) example: Option<String>,
}

/// Finds fields with few values, the likeliest first. `taken` are the positions of places that have another role.
pub(super) fn find(fields: &[Field], profile: &Profile, taken: &[usize]) -> Groups {
    let mut candidates: Vec<&Field> =
        fields.iter().filter(|field| !taken.contains(&field.at) && can_group(field, profile)).collect();
    candidates.sort_by_key(|field| rank(field));
    let others = candidates.split_off(candidates.len().min(BY_MAX));
    Groups {
        by: candidates.iter().map(|field| field.name.clone()).collect(),
        others: others.into_iter().map(|field| (field.name.clone(), field.distinct)).collect(),
        example: candidates.first().and_then(|field| most_frequent(profile, field.at)),
    }
}

fn can_group(field: &Field, profile: &Profile) -> bool {
    let Some(seen) = profile.places.get(field.at) else { return false };
    let is_group = matches!(field.kind, Kind::Text { .. } | Kind::Int | Kind::Bool) && quantity(field).is_none();
    let is_short = seen.written().all(|(_, text)| text.len() <= BYTES_MAX);
    let most = (profile.records() / 10).clamp(DISTINCT_MIN, DISTINCT_MAX);
    let is_repeated = (2..=most).contains(&field.distinct) && field.distinct * 2 <= seen.values.len();
    is_group && is_short && is_repeated && field.absent * 2 <= profile.records()
}

/// Smaller is likelier; of equal ones, the first stands.
fn rank(field: &Field) -> (usize, bool, bool) {
    let words = field.steps.last().map(|name| words(name)).unwrap_or_default();
    let named = WORDS.iter().position(|known| words.iter().any(|word| word == known));
    (named.unwrap_or(WORDS.len()), field.kind == Kind::Bool, field.kind == Kind::Int)
}

fn most_frequent(profile: &Profile, at: usize) -> Option<String> {
    let mut times: HashMap<&Value, usize> = HashMap::new();
    for (_, value) in &profile.places.get(at)?.values {
        *times.entry(value).or_default() += 1;
    }
    let texts = times.into_iter().map(|(value, times)| (times, value.to_string()));
    texts.max().map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::super::super::instants::Instants;
    use super::super::super::profile::of_documents;
    use super::super::fields;
    use super::*;

    fn groups(document: impl Fn(usize) -> String) -> Groups {
        let documents: Vec<String> = (0..200).map(document).collect();
        let profile = of_documents(documents.iter().map(|document| (document.as_bytes(), 0)));
        let (fields, _) = fields::of(&profile, false, &[], &mut Instants::new());
        find(&fields, &profile, &[])
    }

    #[test]
    fn fields_with_few_values_are_counted_by() {
        let groups = groups(|n| {
            format!(
                r#"{{"id": {n}, "one": 1, "amount": {}, "os": "{}", "ok": {}, "country": "{}", "agent": "{}"}}"#,
                n % 3,
                ["mac", "linux"][n % 2],
                n % 2 == 0,
                ["DE", "FR", "DE"][n % 3],
                "x".repeat(BYTES_MAX + 1 + n % 2),
            )
        });
        assert_eq!(groups.by, ["country", "os"]);
        assert_eq!(groups.others, [("ok".to_owned(), 2)]);
        assert_eq!(groups.example.as_deref(), Some("DE"));
    }

    #[test]
    fn a_field_that_is_mostly_absent_or_nearly_unique_is_not() {
        let groups = groups(|n| match n % 4 {
            0 => format!(r#"{{"coupon": "c{}", "user": "u{}"}}"#, n % 8, n % 50),
            _ => format!(r#"{{"user": "u{}"}}"#, n % 50),
        });
        assert_eq!(groups.by, Vec::<String>::new());
    }
}
