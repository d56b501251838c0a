//! All streams over one source, compiled.

use std::sync::Arc;

use super::detect::DetectPlan;
use super::lookup::LookupPlan;
use super::map::MapPlan;
use super::operator::OperatorPlan;
use super::rows::RowPlan;
use super::session::SessionPlan;
use super::window::WindowPlan;
use super::{Fronts, Horizon};
use crate::catalog::{Catalog, DefinitionHash, Source, StreamKind};
use crate::schema::FieldType;

/// All streams over one source, in the order of their names.
#[derive(Debug)]
pub struct LanePlan {
    columns: Vec<String>,
    streams: Vec<StreamPlan>,
    lookups: Vec<LookupPlan>,
    /// The same streams.
    pub(super) compiled: Vec<Compiled>,
    pub(super) rows: RowPlan,
    pub(super) dedup_window: u64,
    /// Whether a re-keying map writes the source.
    pub(super) rekeyed: bool,
}

/// What is known of a stream without its state.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// The stream's name.
    pub name: String,
    /// The hash of everything that can change its outputs.
    pub definition: DefinitionHash,
    /// The topic of its outputs.
    pub topic: String,
    /// The topic of its side output.
    pub late_topic: String,
    /// Whether it has one.
    pub has_side_output: bool,
    /// Whether its outputs are partitioned by their keys, instead of by the lane's partition.
    pub rekeys: bool,
    /// T8: whether it remembers whatever has happened since it began: sessions without `longest`.
    pub remembers_all: bool,
    /// The columns whose values have a state each; none of a map.
    pub grouped_by: Vec<String>,
    /// T12: whether the events of a group lie in one partition, however many the topic has.
    pub groups_meet: bool,
}

/// A stream, compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Which events it takes; all if there is none.
    pub(super) condition: Option<usize>,
    pub(super) operator: OperatorPlan,
    lateness_us: i64,
}

impl LanePlan {
    /// Compiles the streams over a source of a checked catalog.
    pub fn new(catalog: &Catalog, source: &Source) -> LanePlan {
        let mut rows = RowPlan::new(&source.event_time);
        let (mut streams, mut compiled, mut lookups) = (Vec::new(), Vec::new(), Vec::new());
        for stream in catalog.streams_of(&source.name) {
            let key = catalog.sources.get(&stream.name).and_then(|output| output.key.as_deref());
            let condition = stream.filter.as_ref().map(|filter| rows.condition(filter));
            let operator = match &stream.kind {
                StreamKind::Map(map) => {
                    let tables = |table: &str| catalog.sources.get(table);
                    OperatorPlan::Map(Arc::new(MapPlan::new(&mut rows, map, &tables, &mut lookups)))
                }
                StreamKind::Window(window) => {
                    let by = typed(source, &window.by);
                    OperatorPlan::Window(Arc::new(WindowPlan::new(&mut rows, window, by, key)))
                }
                StreamKind::Session(session) => {
                    let by = typed(source, &session.by);
                    OperatorPlan::Session(Arc::new(SessionPlan::new(&mut rows, session, by, key)))
                }
                StreamKind::Detect(detect) => {
                    OperatorPlan::Detect(Arc::new(DetectPlan::new(&mut rows, detect, source, key, stream.lateness_us)))
                }
            };
            compiled.push(Compiled { condition, operator, lateness_us: stream.lateness_us });
            streams.push(StreamPlan {
                name: stream.name.clone(),
                definition: catalog.stream_definition(stream),
                topic: stream.topic.clone(),
                late_topic: stream.late_topic(),
                has_side_output: stream.has_side_output(),
                rekeys: stream.rekeys(),
                remembers_all: matches!(&stream.kind, StreamKind::Session(session) if session.longest_us.is_none()),
                grouped_by: stream.grouped_by().to_vec(),
                groups_meet: stream.groups_meet(source),
            });
        }
        let mut columns = rows.fields();
        columns.extend(lookups.iter().map(|lookup| lookup.on.clone()));
        columns.sort_unstable();
        columns.dedup();
        let (dedup_window, rekeyed) = (source.dedup_window, source.rekeyed);
        LanePlan { columns, streams, lookups, compiled, rows, dedup_window, rekeyed }
    }

    /// The fields of the source that are read, sorted.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The streams, in the order of their names. Elsewhere a stream is named by its place here.
    pub fn streams(&self) -> &[StreamPlan] {
        &self.streams
    }

    /// What the streams look up in tables, each once however many streams need it.
    pub fn lookups(&self) -> &[LookupPlan] {
        &self.lookups
    }

    /// Whether some stream writes original bytes: events in the side output, or the keys of records.
    pub fn keeps_originals(&self) -> bool {
        self.compiled.iter().any(|stream| stream.operator.keeps_originals())
    }

    /// T8, *need*: how far back each stream may remember where the fronts are these.
    pub fn horizons(&self, fronts: &Fronts) -> Vec<Horizon> {
        let horizon = |stream: &Compiled| stream.horizon(fronts, |watermark_us| stream.operator.horizon(watermark_us));
        self.compiled.iter().map(horizon).collect()
    }
}

impl Compiled {
    /// The watermark at a front. Without one nothing is late, and nothing closes.
    pub(super) fn watermark_us(&self, front_us: Option<i64>) -> i64 {
        front_us.map_or(i64::MIN, |front_us| front_us.saturating_sub(self.lateness_us))
    }

    /// How far back it remembers where the fronts are these: before the first front nothing is late, and nothing closes.
    pub(super) fn horizon(&self, fronts: &Fronts, at: impl FnOnce(i64) -> Horizon) -> Horizon {
        match (&self.operator, fronts.front_us()) {
            (OperatorPlan::Map(_), _) => Horizon::Nothing,
            (_, None) => Horizon::All,
            (_, front_us) => at(self.watermark_us(front_us)),
        }
    }
}

/// Columns to group by, with their types.
fn typed(source: &Source, by: &[String]) -> Vec<(String, FieldType)> {
    by.iter().filter_map(|name| source.field(name)).map(|field| (field.name.clone(), field.kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: &str = r#"
[sources.s]
partitions = 1
event_time = "at"
key = "user"
[sources.s.fields]
at = "timestamp"
user = "string"
country = "string"
[streams.a_by_user]
from = "s"
by = ["country", "user"]
session = "5m"
[streams.a_by_user.measures]
n = "count()"
[streams.b_by_country]
from = "s"
by = ["country"]
window = "5m"
[streams.b_by_country.measures]
n = "count()"
[streams.c_alerts]
from = "s"
key = "country"
history = "1h"
[streams.c_alerts.detect]
often = "history_count() > 3"
[streams.d_map]
from = "s"
where = "country <> ''"
"#;

    /// The catalog says how many partitions a topic gets when it is created. A lane knows how many it has.
    #[test]
    fn a_plan_says_which_streams_need_a_topic_of_one_partition() {
        let catalog = Catalog::parse(CATALOG).expect("with one partition it is as it should be");
        let plan = LanePlan::new(&catalog, catalog.source("s").expect("declared"));
        let of = |stream: &StreamPlan| (stream.grouped_by.join(" "), stream.groups_meet, stream.remembers_all);
        let each =
            [("country user", true, true), ("country", false, false), ("country", false, false), ("", true, false)];
        let each = each.map(|(by, meets, remembers_all)| (by.to_owned(), meets, remembers_all));
        assert_eq!(plan.streams().iter().map(of).collect::<Vec<_>>(), each);
    }
}
