//! A guess → the text of a catalog, as a person would write it: with comments that say why, and what else there is.
//!
//! - `toml`: values as TOML writes them;
//! - `block`: lines whose comments begin in one column.

mod block;
mod toml;

use shared_logic::time::{day_of, format_day};

use self::block::Block;
use self::toml::{list, text};
use super::guess::{EventTime, Field, Guess, Kind, LeftOut, Why};
use super::layout::Layout;
use crate::number::integer;

/// So many names are listed of what is left out.
const LISTED: usize = 12;
/// Longer examples are cut.
const EXAMPLE_LETTERS: usize = 30;

/// What the catalog is about.
pub(super) struct About<'a> {
    /// What the sample is of, in words: `the first 5,000 lines of events.ndjson`.
    pub(super) sample: &'a str,
    /// The name of the source and of the metric.
    pub(super) name: &'a str,
    /// The source's topic.
    pub(super) topic: &'a str,
    /// How its records are written.
    pub(super) layout: Layout,
}

/// The text of a catalog.
pub(super) fn catalog_text(about: &About<'_>, guess: &Guess) -> String {
    let name = about.name;
    let mut text = format!(
        "# What `braid init` made of {}. It is a guess: read it, and\n\
         # correct what is wrong. `braid catalog check` finds mistakes and says how to mend them.\n\n\
         [pipeline]\nname = {}\n\n[sources.{name}]\n",
        toml::comment(about.sample),
        toml::text(name),
    );
    text.push_str(&source(about, guess));
    text.push_str(&format!(
        "\n# Types: string, int, float, bool or timestamp. With \"?\" a field may be absent; a record that lacks another one, or has a\n\
         # value of another type, is rejected and counted by reason.{}\n[sources.{name}.fields]\n",
        if about.layout.is_table() { " The order is that of the columns." } else { "" },
    ));
    text.push_str(&fields(about, guess));
    text.push_str(&left_out(&guess.left_out));
    text.push_str(&format!("\n[metrics.{name}]\n{}\n[metrics.{name}.measures]\n", metric(name, guess)));
    text.push_str(&measures(guess));
    text
}

fn source(about: &About<'_>, guess: &Guess) -> String {
    let mut block = Block::default();
    block.line(format!("topic = {}", text(about.topic)), "");
    if about.layout != Layout::Json {
        block.line(format!("format = {}", text(about.layout.name())), "");
    }
    match guess.event_id.as_slice() {
        [] => {
            block.note("no event_id: nothing is called like one and identifies the events, so nothing is a duplicate")
        }
        [id] => block.line(
            format!("event_id = {}", text(id)),
            "events with the same id and time are duplicates; only one counts",
        ),
        ids => block.line(
            format!("event_id = {}", list(ids)),
            "these together identify an event; of duplicates, only one counts",
        ),
    }
    let when = "when the event happened; decides the bucket, however late the record arrives";
    block.line(event_time(&guess.event_time), when);
    if guess.needs_zone {
        block.line(
            "time_zone = \"UTC\"",
            "some times name no zone: write that of their clocks, such as \"Europe/Berlin\"",
        );
    }
    if let Some(key) = &guess.key {
        block.line(format!("key = {}", text(key)), "the record key; only `braid send` and `braid produce` use it");
    }
    if let Some((days, oldest_us)) = guess.ages.max_age {
        let why = format!("default: 400d; the sample has events of {}", format_day(day_of(oldest_us)));
        block.line(format!("max_age = \"{days}d\""), &why);
    }
    if let Some((days, newest_us)) = guess.ages.max_ahead {
        let why = format!("default: 1h; the sample has events of {}", format_day(day_of(newest_us)));
        block.line(format!("max_ahead = \"{days}d\""), &why);
    }
    if !guess.null.is_empty() {
        block.line(format!("null = {}", list(&guess.null)), "texts that stand for an absent value");
    }
    block.text()
}

fn event_time(event_time: &EventTime) -> String {
    match event_time {
        EventTime::Field(name) => format!("event_time = {}", text(name)),
        EventTime::Joined(parts, None) => format!("event_time = {}", list(parts)),
        EventTime::Joined(parts, Some(format)) => {
            format!("event_time = {{ fields = {}, format = {} }}", list(parts), text(format))
        }
    }
}

fn fields(about: &About<'_>, guess: &Guess) -> String {
    let mut block = Block::default();
    for field in &guess.fields {
        block.line(format!("{} = {}", field.name, declaration(about.layout, field)), &remark(field, guess.events));
    }
    block.text()
}

/// `"int?"`, or a table that also says where the value stands and how it is written.
fn declaration(layout: Layout, field: &Field) -> String {
    let (kind, more) = match &field.kind {
        Kind::Int => ("int", None),
        Kind::Float => ("float", None),
        Kind::Bool => ("bool", None),
        Kind::Instant(written) => {
            ("timestamp", written.format.as_ref().map(|format| format!("format = {}", text(format))))
        }
        Kind::Text { numbers } => ("string", numbers.then(|| "numbers = true".to_owned())),
        Kind::Lists | Kind::Objects | Kind::Mixed => ("string", None),
    };
    let kind = text(&format!("{kind}{}", if field.optional { "?" } else { "" }));
    let path = (field.steps != [field.name.as_str()]).then(|| format!("path = {}", path(layout, &field.steps)));
    let table: Vec<String> = path.into_iter().chain(more).collect();
    if table.is_empty() { kind } else { format!("{{ type = {kind}, {} }}", table.join(", ")) }
}

/// Names with dots between them, or a list of them where that would say something else: with dots in a name, or for a column.
fn path(layout: Layout, steps: &[String]) -> String {
    let is_plain = |step: &String| !step.is_empty() && !step.contains(['.', '[', ']']);
    if !layout.has_columns() && steps.iter().all(is_plain) { text(&steps.join(".")) } else { list(steps) }
}

fn remark(field: &Field, events: usize) -> String {
    let mut remarks = Vec::new();
    match field.absent {
        0 => {}
        absent if absent == events => remarks.push("absent in all of the sample".to_owned()),
        absent => remarks.push(format!("absent in {} of {}", integer(absent), integer(events))),
    }
    if let Kind::Instant(written) = &field.kind
        && let Some(or) = &written.or
    {
        remarks.push(format!("or {}: no day of the sample tells which", text(or)));
    }
    remarks.join("; ")
}

/// A comment on the places that no field takes.
fn left_out(left_out: &[LeftOut]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let place = |left_out: &LeftOut| left_out.steps.join(".");
    let mut lines = vec![
        "Left out. The archive keeps whole records, so what is declared later has its values in old ones too."
            .to_owned(),
    ];
    let lists: Vec<&LeftOut> = left_out.iter().filter(|left_out| left_out.why == Why::Lists).collect();
    if let Some(first) = lists.first() {
        let example = format!("first_of_it = {{ type = \"string?\", path = \"{}[0]\" }}", place(first));
        lines.push(format!(
            "- arrays, of which a field can take an element ({example}): {}",
            names(lists.into_iter().map(place))
        ));
    }
    for left_out in left_out {
        if let Why::Mixed(examples) = &left_out.why {
            let examples: Vec<String> = examples.iter().map(|example| short(example)).collect();
            lines.push(format!(
                "- {}: no type takes all of its values, such as {}",
                place(left_out),
                examples.join(" and ")
            ));
        }
    }
    let rare: Vec<&LeftOut> = left_out.iter().filter(|left_out| matches!(left_out.why, Why::Rare(_))).collect();
    if !rare.is_empty() {
        lines.push(format!("- found in fewer records than the fields above: {}", names(rare.into_iter().map(place))));
    }
    lines.iter().map(|line| format!("# {}\n", toml::comment(line))).collect()
}

/// Some of the names, and how many more there are.
fn names(names: impl ExactSizeIterator<Item = String>) -> String {
    let others = names.len().saturating_sub(LISTED);
    let listed = names.take(LISTED).collect::<Vec<_>>().join(", ");
    if others == 0 { listed } else { format!("{listed} and {} more", integer(others)) }
}

fn short(example: &str) -> String {
    match example.char_indices().nth(EXAMPLE_LETTERS) {
        Some((end, _)) => format!("`{}…`", &example[..end]),
        None => format!("`{example}`"),
    }
}

fn metric(name: &str, guess: &Guess) -> String {
    let mut block = Block::default();
    block.line(format!("source = {}", text(name)), "");
    let others: Vec<String> =
        guess.groups.others.iter().map(|(name, values)| format!("{name} ({values} values)")).collect();
    let others = match (others.is_empty(), guess.groups.by.is_empty()) {
        (true, true) => "no field has few enough values to propose it".to_owned(),
        (true, false) => "a query gives values of any of them, or of none".to_owned(),
        (false, _) => format!("others: {}", others.into_iter().take(LISTED).collect::<Vec<_>>().join(", ")),
    };
    block.line(format!("by = {}", list(&guess.groups.by)), &others);
    block.line(format!("grain = \"{}\"", guess.grain), "the finest time bucket; divides 24 hours");
    block.text()
}

fn measures(guess: &Guess) -> String {
    let mut block = Block::default();
    block.line(format!("{} = \"count()\"", guess.count), "");
    for sum in &guess.sums {
        block.line(format!("{} = \"sum({})\"", sum.name, sum.of), "");
    }
    block.text()
}
