//! What differs between the active version and a new one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared_logic::catalog::{Catalog, DefinitionHash};

use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint};

/// What differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    version: String,
    /// The version that it is compared with.
    active: String,
    metrics: BTreeMap<String, Difference>,
    tables: BTreeMap<String, Difference>,
    streams: Vec<StreamOf>,
}

/// How a definition differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Difference {
    Equal,
    Changed,
    New,
    Gone,
}

/// Where a stream of the new version is written.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct StreamOf {
    stream: String,
    topic: String,
    /// The version in which it changed last.
    generation: String,
    /// Whether another version has it, too.
    shared: bool,
}

impl Changes {
    /// What differs between two versions.
    pub(super) fn between(active: &Catalog, new: &Catalog) -> Changes {
        let metrics = |catalog: &Catalog| -> BTreeMap<String, DefinitionHash> {
            catalog.metrics.values().map(|metric| (metric.name.clone(), catalog.definition(metric))).collect()
        };
        let tables = |catalog: &Catalog| -> BTreeMap<String, DefinitionHash> {
            catalog.tables.values().map(|table| (table.name.clone(), catalog.table_definition(table))).collect()
        };
        let version = &new.deployment.version;
        let streams = new.streams.values().map(|stream| {
            let generation = new.deployment.generation(&stream.name).to_owned();
            let (stream, topic, shared) = (stream.name.clone(), stream.topic.clone(), generation != *version);
            StreamOf { stream, topic, generation, shared }
        });
        Changes {
            version: version.clone(),
            active: active.deployment.version.clone(),
            metrics: differences(&metrics(active), &metrics(new)),
            tables: differences(&tables(active), &tables(new)),
            streams: streams.collect(),
        }
    }
}

fn differences(
    old: &BTreeMap<String, DefinitionHash>,
    new: &BTreeMap<String, DefinitionHash>,
) -> BTreeMap<String, Difference> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let difference = |name: &String| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) if old == new => Difference::Equal,
        (Some(_), Some(_)) => Difference::Changed,
        (None, _) => Difference::New,
        (_, None) => Difference::Gone,
    };
    names.into_iter().map(|name| (name.clone(), difference(name))).collect()
}

impl Difference {
    fn cell(self) -> Cell {
        match self {
            Difference::Equal => Cell::new("counts the same"),
            Difference::Changed => Cell::tinted("changed", Tint::Bad),
            Difference::New => Cell::tinted("new", Tint::Good),
            Difference::Gone => Cell::tinted("gone", Tint::Bad),
        }
    }
}

/// The differences as a person reads them.
pub(super) fn page(changes: &Changes, screen: Screen) -> String {
    let Changes { version, active, metrics, tables, streams } = changes;
    let mut page = format!("version {version} is created; beside {active}:\n\n");
    for (kind, all) in [("metric", metrics), ("table", tables)] {
        if all.is_empty() {
            continue;
        }
        let mut table = Table::new(vec![Column::left(kind), Column::left("definition")]);
        for (name, difference) in all {
            table.push(vec![Cell::new(name), difference.cell()]);
        }
        page.push_str(&table.text(screen));
        page.push('\n');
    }
    if !streams.is_empty() {
        let mut table = Table::new(["stream", "topic", "written by the lanes of"].map(Column::left).into());
        for StreamOf { stream, topic, generation, shared } in streams {
            let shared = if *shared { ", shared" } else { "" };
            table.push(vec![Cell::new(stream), Cell::new(topic), Cell::new(&format!("{generation}{shared}"))]);
        }
        page.push_str(&table.text(screen));
        page.push('\n');
    }
    page.push_str(&format!("nothing is counted yet: braid version replay {version}\n"));
    page
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Changed;

    use super::*;

    const OLD: &str = r#"
[sources.s]
event_time = "at"
key = "id"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int"
[streams.few]
from = "s"
where = "n < 5"
[streams.many]
from = "s"
where = "n > 5"
[metrics.all]
source = "s"
[metrics.all.measures]
n = "count()"
[metrics.sum]
source = "s"
[metrics.sum.measures]
n = "sum(n)"
"#;

    #[test]
    fn what_differs_is_named() {
        let new = OLD.replace("n > 5", "n > 6").replace("[metrics.sum", "[metrics.total").replace("count()", "max(n)");
        let changed = [("many".to_owned(), "v2".to_owned())].into();
        let changed = Changed { streams: changed, tables: BTreeMap::new() };
        let new = Catalog::parse(&new).expect("a catalog").as_version("v2", "v1", &changed);
        let changes = Changes::between(&Catalog::parse(OLD).expect("a catalog"), &new);
        let named = |name: &str| changes.metrics.get(name).copied();
        assert_eq!(
            (named("all"), named("sum"), named("total")),
            (Some(Difference::Changed), Some(Difference::Gone), Some(Difference::New))
        );
        let streams: Vec<(&str, &str, bool)> =
            changes.streams.iter().map(|of| (of.stream.as_str(), of.topic.as_str(), of.shared)).collect();
        assert_eq!(streams, [("few", "few", true), ("many", "many.v2", false)]);
        let page = page(&changes, Screen::NONE);
        assert!(page.contains("version v2 is created; beside v1:") && page.contains("many.v2"), "{page}");
        assert!(page.ends_with("braid version replay v2\n"), "{page}");
    }
}
