//! The partials of touched hours, from all rows below the cut.

use std::collections::BTreeSet;

use platform::store::{DataFile, Table};
use polars::prelude::*;
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::archive::{ERROR, Facts, LOG, OFFSET, PARTITION};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::dedup;
use shared_logic::log::OffsetRange;
use shared_logic::partial;
use shared_logic::plan::Plan;
use shared_logic::schema::INSTANT;

use super::archived_rows::{place_columns, within};

/// The order in which the archive met a row's log, as a column.
const LOG_ORDER: &str = "_log_order";

/// The columns of a metric's view but its partition column.
pub(crate) fn view_schema(source: &Source, metric: &Metric) -> Schema {
    let by = metric
        .by
        .iter()
        .filter_map(|name| source.field(name))
        .map(|field| Field::new(field.name.as_str().into(), field.kind.table_type()));
    let measures = metric
        .measures
        .iter()
        .map(|measure| Field::new(measure.name.as_str().into(), measure.kind.value_type().table_type()));
    std::iter::once(Field::new(BUCKET.into(), INSTANT)).chain(by).chain(measures).collect()
}

/// One day of one metric, to be recomputed.
pub(super) struct Day<'a> {
    pub(super) source: &'a Source,
    pub(super) metric: &'a Metric,
    pub(super) facts: &'a Facts,
    /// Every row below the cut.
    pub(super) below: &'a [OffsetRange],
    /// The starts of the touched units, and how long a unit is.
    pub(super) units: &'a BTreeSet<i64>,
    pub(super) unit_us: i64,
}

impl Day<'_> {
    /// The rows of the day's new file: recomputed units, and the other units as they were in `old`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) async fn rows(
        &self,
        archive: &Table,
        events: &[DataFile],
        view: &Table,
        old: &[DataFile],
    ) -> anyhow::Result<DataFrame> {
        let schema = view_schema(self.source, self.metric);
        let plan = Plan::new(self.source, self.metric);
        let events = archive.read(events, &self.event_columns(&plan)).await?;
        let events = self.distinct(
            events.filter(col(ERROR).is_null().and(within(self.below)).and(self.is_touched(&self.source.event_time))),
        );
        let carried = view.read(old, &schema).await?.filter(self.is_touched(BUCKET).not());
        let work = move || {
            let partials = plan.partials(events)?.lazy().rename([partial::BUCKET], [BUCKET], true);
            let columns: Vec<Expr> = schema.iter().map(|(name, dtype)| col(name.clone()).cast(dtype.clone())).collect();
            let by_key = SortMultipleOptions::default();
            let rows = concat([carried.select(columns.clone()), partials.select(columns)], UnionArgs::default())?;
            rows.sort([BUCKET], by_key).collect()
        };
        Ok(tokio::task::spawn_blocking(work).await??)
    }

    /// What the plan reads, and what tells copies apart.
    fn event_columns(&self, plan: &Plan) -> Schema {
        let mut columns = place_columns();
        let identity = self.source.event_id.iter().chain([&self.source.event_time]);
        for name in plan.columns().iter().chain(identity) {
            let field = self.source.field(name).expect("a checked catalog reads declared fields only");
            columns.with_column(name.as_str().into(), field.kind.column_type());
        }
        columns
    }

    /// Keeps the first copy of every event, where the source has an event id.
    fn distinct(&self, events: LazyFrame) -> LazyFrame {
        let Some(event_id) = &self.source.event_id else { return events };
        let order = self.facts.logs.iter().enumerate().fold(lit(i32::MAX), |otherwise, (at, log)| {
            when(col(LOG).eq(lit(log.log.as_str()))).then(lit(at as i32)).otherwise(otherwise)
        });
        let events = events.with_column(order.alias(LOG_ORDER));
        dedup::exact(events, event_id, &self.source.event_time, &[LOG_ORDER, PARTITION, OFFSET])
    }

    /// Whether the instant in that column lies in a touched unit.
    fn is_touched(&self, column: &str) -> Expr {
        let time = col(column).cast(DataType::Int64);
        let start = time.clone() - time % lit(self.unit_us);
        let units: Vec<i64> = self.units.iter().copied().collect();
        start.is_in(lit(Series::new("units".into(), units)).implode(true), false)
    }
}
