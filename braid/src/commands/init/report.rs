//! What a person is told at the end: what was written, what it says of the sample, and what to type next.

use std::borrow::Cow;
use std::path::Path;

use input::rows::RowArgs;
use shared_logic::catalog::{Metric, Source};

use super::draft::Draft;
use crate::number::integer;
use crate::terminal::printable;

/// How the commands that follow are called.
pub(super) struct Next<'a> {
    /// Where the catalog was written; `None` if it was printed.
    pub(super) output: Option<&'a Path>,
    /// The file to send; `None` if its records are in a topic.
    pub(super) file: Option<&'a Path>,
    /// How its records are told apart.
    pub(super) rows: &'a RowArgs,
    /// The Kafka that the settings name.
    pub(super) brokers: Option<&'a str>,
}

/// What was guessed, in a few lines.
pub(super) fn summary(draft: &Draft) -> String {
    let fields = |source: &Source| format!("{}, {} fields", source.format.name(), source.fields.len());
    let by = |metric: &Metric| {
        if metric.by.is_empty() { "all together".to_owned() } else { format!("by {}", metric.by.join(", ")) }
    };
    let sources = draft.catalog.sources.values().map(|source| format!("source {} ({})", source.name, fields(source)));
    let metrics = draft.catalog.metrics.values().map(|metric| format!("metric {} ({})", metric.name, by(metric)));
    let all: Vec<String> = sources.chain(metrics).collect();
    let rejected = draft.verdicts.rejected();
    let accepted = integer(draft.records as u64 - rejected);
    let verdicts = if rejected == 0 { String::new() } else { format!("; {}", draft.verdicts.summary()) };
    let text = format!("{}\nit accepts {accepted} of {} records{verdicts}", all.join(", "), integer(draft.records));
    text.lines().map(|line| format!("{}\n", printable(line))).collect()
}

/// The commands to type next, one a line.
pub(super) fn next_commands(draft: &Draft, next: &Next<'_>) -> String {
    let catalog =
        next.output.map_or(Cow::Borrowed("CATALOG"), |path| shell(&path.to_string_lossy()).into_owned().into());
    let known = next.brokers.map(|brokers| format!(" --kafka {}", shell(brokers))).unwrap_or_default();
    let mut commands =
        vec![format!("braid catalog check {catalog}"), format!("braid up --no-traffic --catalog {catalog}{known}")];
    for source in draft.catalog.sources.keys().filter(|_| next.file.is_some()) {
        let kafka = if known.is_empty() { " --kafka ADDRESS" } else { known.as_str() };
        let file = next.file.filter(|file| *file != Path::new("-"));
        let file = file.map_or(Cow::Borrowed("FILE"), |file| shell(&file.to_string_lossy()).into_owned().into());
        commands
            .push(format!("braid send --source {source} --catalog {catalog}{kafka}{} {file}", row_flags(next.rows)));
        if known.is_empty() {
            commands.push("# ADDRESS is what `braid up` prints behind kafka=".to_owned());
        }
    }
    for metric in draft.catalog.metrics.keys() {
        commands.push(format!("braid query {metric}"));
        if let Some((column, value)) = &draft.example {
            commands.push(format!("braid query {metric} {}", shell(&format!("{column}={value}"))));
        }
    }
    commands.iter().map(|command| format!("  {command}\n")).collect()
}

fn row_flags(rows: &RowArgs) -> String {
    let header = if rows.header { " --header" } else { "" };
    let comment = rows.comment.as_ref().map(|comment| format!(" --comment {}", shell(comment))).unwrap_or_default();
    format!("{header}{comment}")
}

/// A word as a shell takes it. Control characters, which would end the line, are not for copying and shown as escapes.
fn shell(word: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", printable(word).replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(shell("data/events-1.ndjson.gz"), "data/events-1.ndjson.gz");
        assert_eq!(shell("my file's.csv"), "'my file'\\''s.csv'");
        assert_eq!(shell("#"), "'#'");
        assert_eq!(shell(""), "''");
        assert_eq!(shell("a\nb"), "'a\\nb'");
    }
}
