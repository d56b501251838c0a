//! A guess → the text of a catalog, as a person would write it: with comments that say why, and what else there is.
//!
//! - `fields`: what each field is and where it stands;
//! - `left_out`: what no field takes;
//! - `block`: lines whose comments begin in one column;
//! - `toml`: values as TOML writes them.

mod block;
mod fields;
mod left_out;
mod toml;

use shared_logic::time::{day_of, format_day};

use self::block::Block;
use self::toml::{list, text};
use super::guess::{EventTime, Guess};
use super::layout::Layout;

/// So many columns are proposed.
const PROPOSED: usize = 12;

/// What the catalog is about.
pub(super) struct About<'a> {
    /// What the sample is of, in words: `the first 5,000 records of events.ndjson`.
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
    text.push_str(&fields::declared(about.layout, &guess.fields, guess.events));
    text.push_str(&left_out::comment(&guess.left_out));
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
        [] => block.note("no event_id: no field looks like one, so no event counts as a duplicate"),
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

fn metric(name: &str, guess: &Guess) -> String {
    let mut block = Block::default();
    block.line(format!("source = {}", text(name)), "");
    let others: Vec<String> =
        guess.groups.others.iter().map(|(name, values)| format!("{name} ({values} values)")).collect();
    let others = match (others.is_empty(), guess.groups.by.is_empty()) {
        (true, true) => "no field has few enough values to propose it".to_owned(),
        (true, false) => "a query gives values of any of them, or of none".to_owned(),
        (false, _) => format!("others: {}", others.into_iter().take(PROPOSED).collect::<Vec<_>>().join(", ")),
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
