//! Reads `[streams.…]`, and checks each against what it reads.
//!
//! A stream may read another one, wherever that stands in the file, so they are read in the order in which they feed each other. Each is
//! added to the sources that the next streams, and metrics, can name.
//!
//! - `order`: who reads whom;
//! - `kind`: which kind of stream a table is, and which keys it has then;
//! - `map`, `window`, `session`, `detect`: the kinds;
//! - `lookup`: what maps look up in tables;
//! - `open`: how many windows or sessions of a key can be open;
//! - `own`: the fields that outputs have themselves;
//! - `keyed`: whether the events of a key lie in one partition.

mod detect;
mod keyed;
mod kind;
mod lookup;
mod map;
mod open;
mod order;
mod own;
mod session;
mod window;

use std::collections::BTreeMap;

use super::condition::filter;
use super::document::{Mistakes, Table};
use super::duration::duration;
use super::name;
use super::source::Draft;
use super::table::way_out;
use crate::catalog::{Source, Stream, StreamKind, stream_source};
use crate::suggest;
use crate::time::SECOND_US;
use kind::Kind;
use order::Entry;

/// Longer names of topics leave no room for that of a side output.
const TOPIC_MAX: usize = 244;
/// How long windows and sessions wait for events that are out of order, unless the catalog says so.
const LATENESS_US: i64 = 10 * SECOND_US;
/// How long detectors do.
const LATENESS_OF_DETECTORS_US: i64 = 300 * SECOND_US;

/// Reads all streams. `drafts` holds the sources, and besides those that the streams are afterwards.
pub(super) fn streams(table: Option<Table<'_>>, drafts: &mut BTreeMap<String, Draft>) -> BTreeMap<String, Stream> {
    let mut streams = BTreeMap::new();
    let Some(mut table) = table else { return streams };
    let entries = entries(&mut table, drafts);
    let names = entries.iter().map(|entry| entry.name.value.to_owned());
    let known: Vec<String> = drafts.keys().cloned().chain(names).collect();
    let mut topics = Topics::of_sources(drafts);
    for entry in order::in_order(entries) {
        let (mistakes, name) = (entry.table.mistakes, entry.name);
        check_from(&entry, &known, drafts);
        let before = mistakes.count();
        let from = entry.from.and_then(|from| drafts.get(from.value));
        let (stream, topic_at) = stream(entry, from, drafts);
        let is_another = drafts.contains_key(name.value);
        if !is_another {
            topics.add(mistakes, &stream, topic_at);
        }
        // Where it is not known what the stream reads, a source without fields stands for that, and nothing is said of the fields.
        let doubtful = from.is_none_or(|from| from.doubtful) || mistakes.count() > before;
        let any = || Some(Source { fields: Vec::new(), ..drafts.values().next()?.source.clone() });
        if let Some(from) = from.map(|from| from.source.clone()).or_else(any)
            && !is_another
        {
            let source = stream_source::source(&stream, &from, &|table| drafts.get(table).map(|draft| &draft.source));
            drafts.insert(name.value.to_owned(), Draft { source, topic_at, doubtful });
        }
        streams.insert(name.value.to_owned(), stream);
    }
    streams
}

/// The tables of the streams, and what each reads.
fn entries<'t>(table: &mut Table<'t>, sources: &BTreeMap<String, Draft>) -> Vec<Entry<'t>> {
    let mut entries = Vec::new();
    for name in table.keys_in_order() {
        name::check(table.mistakes, name, "stream");
        if sources.contains_key(name.value) {
            let what = format!("stream `{}` is called like a source", name.value);
            table.mistakes.report(name.at, what, "a stream is a source, too: call one of them otherwise");
        }
        let Some(mut table) = table.table(name.value) else { continue };
        let from = table.required_text("from", sources.keys().next().map_or("views", String::as_str));
        entries.push(Entry { name, from, table });
    }
    entries
}

fn check_from(entry: &Entry<'_>, known: &[String], drafts: &BTreeMap<String, Draft>) {
    let Some(from) = entry.from else { return };
    if drafts.get(from.value).is_some_and(|draft| draft.source.is_table) {
        let what =
            format!("stream `{}` reads the table `{}`, whose records are no events", entry.name.value, from.value);
        entry.table.mistakes.report(from.at, what, way_out(from.value));
    }
    if known.iter().any(|known| known == from.value) {
        return;
    }
    let fix = suggest::fix(from.value, "sources and streams", known.iter().map(String::as_str));
    let what = format!("stream `{}` reads the unknown source `{}`", entry.name.value, from.value);
    entry.table.mistakes.report(from.at, what, fix);
}

/// The topics that are taken, and by whom.
struct Topics(Vec<(String, String)>);

impl Topics {
    fn of_sources(sources: &BTreeMap<String, Draft>) -> Topics {
        let of = |draft: &Draft| (draft.source.topic.clone(), format!("the source `{}`", draft.source.name));
        Topics(sources.values().map(of).collect())
    }

    /// Adds those that a stream writes.
    fn add(&mut self, mistakes: &Mistakes, stream: &Stream, topic_at: usize) {
        let name = &stream.name;
        let late = stream.has_side_output().then(|| stream.late_topic());
        let late = late.map(|topic| (topic, format!("the side output of the stream `{name}`")));
        for (topic, of) in [(stream.topic.clone(), format!("the stream `{name}`"))].into_iter().chain(late) {
            if let Some((_, other)) = self.0.iter().find(|(taken, _)| *taken == topic) {
                let what = format!("{of} and {other} share the topic `{topic}`");
                mistakes.report(topic_at, what, format!("give the stream another topic: topic = \"other_{name}\""));
            }
            self.0.push((topic, of));
        }
    }
}

/// Reads one stream, and where its topic is named.
fn stream(entry: Entry<'_>, from: Option<&Draft>, drafts: &BTreeMap<String, Draft>) -> (Stream, usize) {
    let Entry { name, from: from_text, mut table } = entry;
    let kind = kind::kind(&mut table);
    let topic = table.text("topic");
    if let Some(topic) = topic {
        name::check_topic(table.mistakes, topic);
    }
    let topic = topic.unwrap_or(name);
    if topic.value.len() > TOPIC_MAX {
        let what = format!("`topic` has {} letters, and that of late events has `.late` besides", topic.value.len());
        table.mistakes.report(topic.at, what, format!("use at most {TOPIC_MAX}"));
    }
    let lookups = if kind == Kind::Map { lookup::lookups(&mut table, from, drafts) } else { Vec::new() };
    let is_refused = lookup::is_refused(&mut table, "where", from, &lookups, drafts);
    let filter = if is_refused { None } else { filter(&mut table, from) };
    let (kind, lateness_us) = match kind {
        Kind::Map => (StreamKind::Map(map::map(&mut table, from, lookups, drafts)), 0),
        Kind::Window => {
            let lateness_us = lateness(&mut table, LATENESS_US);
            (StreamKind::Window(window::window(&mut table, from)), lateness_us)
        }
        Kind::Session => {
            let lateness_us = lateness(&mut table, LATENESS_US);
            (StreamKind::Session(session::session(&mut table, from)), lateness_us)
        }
        Kind::Detect => {
            let lateness_us = lateness(&mut table, LATENESS_OF_DETECTORS_US);
            (StreamKind::Detect(detect::detect(&mut table, from)), lateness_us)
        }
    };
    let (name, topic, topic_at) = (name.value.to_owned(), topic.value.to_owned(), topic.at);
    let reads = from_text.map(|from| from.value.to_owned()).unwrap_or_default();
    let stream = Stream { name, from: reads, topic, filter, kind, lateness_us };
    open::check(&mut table, from, &stream);
    table.refuse_unknown_keys();
    (stream, topic_at)
}

fn lateness(table: &mut Table<'_>, usual_us: i64) -> i64 {
    duration(table, "lateness", 0).unwrap_or(usual_us)
}
