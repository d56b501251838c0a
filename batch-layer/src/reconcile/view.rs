//! The table of a metric's batch view.

use platform::store::StoreError;
use polars::prelude::{DataType, Field, Schema};
use shared_logic::catalog::{Catalog, Metric, Source};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::schema::INSTANT;
use storage::{BatchView, Storage};

/// Opens a metric's view, created where it is missing.
pub(crate) async fn create(storage: &Storage, catalog: &Catalog, metric: &Metric) -> Result<BatchView, StoreError> {
    storage.create_batch_view(&metric.name, &columns(&catalog.sources[&metric.source], metric)).await
}

/// How many rows of the view take about as much memory as so many rows of numbers.
pub(super) fn rows_max(of_numbers: usize, metric: &Metric) -> usize {
    (of_numbers / metric.weight()).max(1)
}

/// The columns of a metric's view as partials have them in memory, in the order of [`Plan::view_rows`]; the column of buckets
/// has the name of the view's.
///
/// [`Plan::view_rows`]: shared_logic::plan::Plan::view_rows
pub(crate) fn columns_in_memory(source: &Source, metric: &Metric) -> Schema {
    let by = metric.by.iter().filter_map(|name| source.field(name));
    let by = by.map(|field| Field::new(field.name.as_str().into(), field.kind.column_type()));
    let measures =
        metric.measures.iter().map(|measure| Field::new(measure.name.as_str().into(), measure.kind.column_type()));
    by.chain([Field::new(BUCKET.into(), DataType::Int64)]).chain(measures).collect()
}

/// The columns of a metric's view, without its partition column.
pub(crate) fn columns(source: &Source, metric: &Metric) -> Schema {
    let by = metric
        .by
        .iter()
        .filter_map(|name| source.field(name))
        .map(|field| Field::new(field.name.as_str().into(), field.kind.table_type()));
    let measures =
        metric.measures.iter().map(|measure| Field::new(measure.name.as_str().into(), measure.kind.column_type()));
    std::iter::once(Field::new(BUCKET.into(), INSTANT)).chain(by).chain(measures).collect()
}
