//! Which names are allowed.
//!
//! Names of sources, streams, metrics, measures and rules become parts of Redis keys, paths, columns and URLs, so only plain ones are
//! allowed. Producers choose field names, so a field may also be called `videoId`; and whatever they call it otherwise, a
//! `path` names it.

use super::document::{Mistakes, Text};
use crate::catalog::Deployment;

/// Longer names are refused.
const LENGTH_MAX: usize = 64;

/// Refuses a name of a source, stream, metric, measure, derived value or rule that is not `[a-z][a-z0-9_]*`.
pub(super) fn check(mistakes: &Mistakes, name: Text<'_>, noun: &str) {
    let plain = name.value.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !(plain && name.value.starts_with(|c: char| c.is_ascii_lowercase()) && name.value.len() <= LENGTH_MAX) {
        let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        let what = format!("`{}` is no name for {article} {noun}", name.value);
        let fix = format!("use a-z, 0-9 and _, beginning with a letter, at most {LENGTH_MAX} characters");
        mistakes.report(name.at, what, fix);
    }
}

/// Refuses a field name that is not `[A-Za-z][A-Za-z0-9_]*`. `columns`: whether fields are told by their position.
pub(super) fn check_field(mistakes: &Mistakes, name: Text<'_>, columns: bool) {
    let plain = name.value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let what = if name.value.len() > LENGTH_MAX {
        format!("the name of field `{}` is longer than {LENGTH_MAX} characters", name.value)
    } else if name.value.starts_with('_') {
        format!("field `{}` begins with _, as the platform's own names do", name.value)
    } else if !plain || !name.value.starts_with(|c: char| c.is_ascii_alphabetic()) {
        format!("`{}` is no name for a field", name.value)
    } else {
        return;
    };
    mistakes.report(name.at, what, fix_of_field(name.value, columns));
}

/// Refuses a field of a stream that has no plain name.
pub(super) fn check_output(mistakes: &Mistakes, name: Text<'_>) {
    let plain = name.value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if !(plain && name.value.starts_with(|c: char| c.is_ascii_alphabetic()) && name.value.len() <= LENGTH_MAX) {
        let fix = format!("use letters, digits and _, beginning with a letter, at most {LENGTH_MAX} characters");
        mistakes.report(name.at, format!("`{}` is no name for a field", name.value), fix);
    }
}

/// What to write for a field whose producers call it so: a plain name, and theirs as its path. `columns`: whether fields are told
/// by their position; then a path is what a header calls the column.
pub(super) fn fix_of_field(name: &str, columns: bool) -> String {
    let rule = format!("use letters, digits and _, beginning with a letter, at most {LENGTH_MAX} characters");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let plain = name.chars().map(plain).skip_while(|c| !c.is_ascii_alphabetic()).take(LENGTH_MAX);
    let plain: String = plain.collect();
    let plain = if plain.is_empty() { "name" } else { plain.trim_end_matches('_') };
    // In a list, dots and brackets belong to the name.
    let path = if name.contains(['.', '[']) { format!("[{name:?}]") } else { format!("{name:?}") };
    let renamed = format!("{plain} = {{ type = \"…\", path = {path} }}");
    if columns {
        return format!(
            "{rule}; columns are told by their order, so any name will do: {renamed} if a header has this one"
        );
    }
    let nested = if name.contains('.') { format!(", or path = {name:?} inside of an object") } else { String::new() };
    format!("{rule}, and say where it stands: {renamed}{nested}")
}

/// Refuses a deployment's name or version that is not `[a-z0-9_-]+`.
pub(super) fn check_deployment(mistakes: &Mistakes, name: Text<'_>, key: &str) {
    if !Deployment::is_name(name.value) {
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
