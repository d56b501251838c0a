//! A day of one metric, recomputed: the partials of the touched hours, from all rows below the cut.

use std::collections::BTreeSet;

use platform::store::DataFile;
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::archive::{ERROR, OFFSET, PARTITION};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::dedup;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::partial;
use shared_logic::plan::Plan;
use shared_logic::schema::Field;
use storage::{Archive, BatchView};

use super::error::DayError;
use super::view;
use crate::archive_rows::{self, log_order, within};
use crate::rows;

/// The order in which the archive first saw a row's log, as a column.
const LOG_ORDER: &str = "_log_order";

/// A day of one metric to be recomputed into one file.
///
/// It names all that the file follows from, so any process with the same catalog and tables can do it. It does not say what
/// becomes of the file: whether it replaces others or is added to them is up to the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DayTask {
    /// The metric's name.
    pub(super) metric: String,
    /// The definition by which the day is counted.
    pub(super) definition: DefinitionHash,
    /// The day, `YYYY-MM-DD`.
    pub(super) day: String,
    /// Per partition, the first offset that is not counted.
    pub(super) cut: Offsets,
    /// The logs in the order in which the archive first saw them. Of several copies of an event, the first counts.
    pub(super) logs: Vec<String>,
    /// The starts of the units of event time that are recomputed, microseconds since 1970.
    pub(super) units: BTreeSet<i64>,
    /// How long a unit is.
    pub(super) unit_us: i64,
    /// The archive's files of the day, decoded under the source's rules.
    pub(super) events: Vec<DataFile>,
    /// The view's files of the day, whose other units are carried over into the new file.
    pub(super) carried: Vec<DataFile>,
}

impl DayTask {
    /// Writes the day's new file; `None` if no rows are left of the day. The file belongs to the view once it is committed.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the catalog defines the metric otherwise.
    pub(super) async fn recompute(
        &self,
        catalog: &Catalog,
        archive: &Archive,
        view: &BatchView,
    ) -> Result<Option<DataFile>, DayError> {
        let metric = catalog.metrics.get(&self.metric).filter(|metric| catalog.definition(metric) == self.definition);
        let metric = metric.ok_or_else(|| DayError::OtherDefinition {
            metric: self.metric.clone(),
            definition: self.definition.clone(),
        })?;
        let source = &catalog.sources[&metric.source];
        let schema = view::columns(source, metric);
        let plan = Plan::new(source, metric);
        let events = archive_rows::read(archive, &self.events, event_fields(source, &plan)).await?;
        let below = within(&OffsetRange::between(None, &self.cut));
        let events = self
            .distinct(source, events.filter(col(ERROR).is_null().and(below).and(self.is_touched(&source.event_time))));
        let carried = view.read(&self.carried, &schema).await?.filter(self.is_touched(BUCKET).not());
        let rows = rows::compute("recompute rows", view.path(), move || {
            let partials = plan.partials(events)?.lazy().rename([partial::BUCKET], [BUCKET], true);
            let columns: Vec<Expr> = schema.iter().map(|(name, dtype)| col(name.clone()).cast(dtype.clone())).collect();
            let by_key = SortMultipleOptions::default();
            let rows = concat([carried.select(columns.clone()), partials.select(columns)], UnionArgs::default())?;
            rows.sort([BUCKET], by_key).collect()
        })
        .await?;
        if rows.height() == 0 {
            return Ok(None);
        }
        Ok(Some(view.write(&self.day, rows, &[BUCKET]).await?))
    }

    /// Keeps the first copy of every event, if the source has an event id.
    fn distinct(&self, source: &Source, events: LazyFrame) -> LazyFrame {
        if source.event_id.is_empty() {
            return events;
        }
        let order = log_order(&self.logs);
        let events = events.with_column(order.alias(LOG_ORDER));
        dedup::exact(events, &source.event_id, &source.event_time, &[LOG_ORDER, PARTITION, OFFSET])
    }

    /// Whether the instant in that column lies in a unit that is recomputed.
    fn is_touched(&self, column: &str) -> Expr {
        let time = col(column).cast(DataType::Int64);
        let start = time.clone() - time % lit(self.unit_us);
        let units: Vec<i64> = self.units.iter().copied().collect();
        start.is_in(lit(Series::new("units".into(), units)).implode(true), false)
    }
}

/// The fields that the plan reads, and those that tell copies apart.
fn event_fields<'a>(source: &'a Source, plan: &Plan) -> impl Iterator<Item = &'a Field> {
    let identity = source.event_id.iter().chain([&source.event_time]).cloned();
    let names: BTreeSet<String> = plan.columns().iter().cloned().chain(identity).collect();
    source.fields.iter().filter(move |field| names.contains(&field.name))
}
