//! All streams over one source, compiled.

use std::sync::Arc;

use super::Fronts;
use super::detect::DetectPlan;
use super::lookup::LookupPlan;
use super::map::MapPlan;
use super::operator::OperatorPlan;
use super::rows::RowPlan;
use super::session::SessionPlan;
use super::window::WindowPlan;
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

    /// T8, *need*: the earliest event time that state at these fronts can hold, in microseconds; `None`: any. `i64::MAX` where no
    /// stream remembers anything.
    pub fn horizon_us(&self, fronts: &Fronts) -> Option<i64> {
        let front_us = fronts.front_us();
        let need = |stream: &Compiled| match stream.operator {
            OperatorPlan::Map(_) => Some(i64::MAX),
            // Before the first front nothing is late, and nothing closes.
            _ => stream.operator.horizon_us(stream.watermark_us(Some(front_us?))),
        };
        self.compiled.iter().map(need).try_fold(i64::MAX, |least, need| Some(least.min(need?)))
    }
}

impl Compiled {
    /// The watermark at a front. Without one nothing is late, and nothing closes.
    pub(super) fn watermark_us(&self, front_us: Option<i64>) -> i64 {
        front_us.map_or(i64::MIN, |front_us| front_us.saturating_sub(self.lateness_us))
    }
}

/// Columns to group by, with their types.
fn typed(source: &Source, by: &[String]) -> Vec<(String, FieldType)> {
    by.iter().filter_map(|name| source.field(name)).map(|field| (field.name.clone(), field.kind)).collect()
}
