//! Which names are allowed.
//!
//! Names of sources, metrics and measures become parts of Redis keys, paths, columns and URLs, so only plain ones are
//! allowed. Producers choose field names, so a field may also be called `videoId`.

use super::document::{Mistakes, Text};

/// Longer names are refused.
const LENGTH_MAX: usize = 64;

/// Refuses a name of a source, metric, measure or derived value that is not `[a-z][a-z0-9_]*`.
pub(super) fn check(mistakes: &Mistakes, name: Text<'_>, noun: &str) {
    let plain = name.value.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !(plain && name.value.starts_with(|c: char| c.is_ascii_lowercase()) && name.value.len() <= LENGTH_MAX) {
        let what = format!("`{}` is no name for a {noun}", name.value);
        let fix = format!("use a-z, 0-9 and _, beginning with a letter, at most {LENGTH_MAX} characters");
        mistakes.report(name.at, what, fix);
    }
}

/// Refuses a field name that is not `[A-Za-z][A-Za-z0-9_]*`.
pub(super) fn check_field(mistakes: &Mistakes, name: Text<'_>) {
    if name.value.starts_with('_') {
        let what = format!("field `{}` begins with _", name.value);
        mistakes.report(name.at, what, "such names are the platform's own; call it otherwise");
        return;
    }
    let plain = name.value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if !(plain && name.value.starts_with(|c: char| c.is_ascii_alphabetic()) && name.value.len() <= LENGTH_MAX) {
        let what = format!("`{}` is no name for a field", name.value);
        let fix = format!("use letters, digits and _, beginning with a letter, at most {LENGTH_MAX} characters");
        mistakes.report(name.at, what, fix);
    }
}

/// Refuses a deployment's name or version that is not `[a-z0-9_-]+`.
pub(super) fn check_deployment(mistakes: &Mistakes, name: Text<'_>, key: &str) {
    let plain = name.value.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if name.value.is_empty() || !plain || name.value.len() > LENGTH_MAX {
        let fix = format!("use 1 to {LENGTH_MAX} of a-z, 0-9, _ and -");
        mistakes.report(name.at, format!("`{key}` is \"{}\"", name.value), fix);
    }
}

/// Refuses a topic name that Kafka does not accept.
pub(super) fn check_topic(mistakes: &Mistakes, name: Text<'_>) {
    let plain = name.value.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'));
    if !plain || !(1..=249).contains(&name.value.len()) || matches!(name.value, "." | "..") {
        let what = format!("`topic` is \"{}\", which Kafka does not take", name.value);
        mistakes.report(name.at, what, "use 1 to 249 letters, digits, dots, _ and -");
    }
}
