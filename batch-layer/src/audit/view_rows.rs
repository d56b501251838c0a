//! The view → what each bucket of a key says: row by row, whatever files they lie in.

use std::collections::BTreeMap;

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::group_key::{GroupKey, KeyPart};
use shared_logic::measure::Value;
use shared_logic::schema::FieldType;
use shared_logic::time::{TimeRange, day_of, parse_day};

use super::{AuditError, Audited};
use crate::reconcile::view;

/// By bucket, the value of each measure.
pub(super) type Held = BTreeMap<i64, Vec<Value>>;

impl Audited<'_> {
    /// What the view says of the key.
    pub(super) async fn view_rows(&self) -> Result<Held, AuditError> {
        let (source, metric, times) = (self.source, self.metric, self.times);
        let columns = view::columns_in_memory(source, metric);
        let is_wanted = |part: &DataFile| part.may_hold(BUCKET, times.from_us, times.to_us - 1);
        let days = day_of(times.from_us)..=day_of(times.to_us - 1);
        let mut held = Held::new();
        for file in self.view.files().await? {
            if parse_day(&file.partition).is_some_and(|day| !days.contains(&day)) {
                continue;
            }
            for group in self.view.row_groups(&file, &columns, is_wanted).await? {
                let (source, metric, key) = (source.clone(), metric.clone(), self.question.key.clone());
                let of_group = group.read(move |rows| of_rows(&rows, &source, &metric, &key, times)).await?;
                for (bucket, values) in of_group {
                    merge(&mut held, self.metric, bucket, values);
                }
            }
        }
        Ok(held)
    }
}

/// The rows of a key.
fn of_rows(
    rows: &DataFrame,
    source: &Source,
    metric: &Metric,
    key: &[KeyPart],
    times: TimeRange,
) -> PolarsResult<Vec<(i64, Vec<Value>)>> {
    let wanted = GroupKey::new(key);
    // A column that the key sums over is left out of the rows' keys, too.
    let named = metric.by.iter().zip(key).map(|(name, part)| match part {
        KeyPart::All => Ok(None),
        KeyPart::Missing | KeyPart::Value(_) => {
            Ok(Some((rows.column(name)?, source.field(name).map_or(FieldType::String, |field| field.kind))))
        }
    });
    let keys = GroupKey::of_columns(rows.height(), &named.collect::<PolarsResult<Vec<_>>>()?)?;
    let measures = metric.measures.iter().map(|measure| measure.kind.cells(rows.column(&measure.name)?));
    let measures: Vec<Vec<Value>> = measures.collect::<PolarsResult<_>>()?;
    let buckets = rows.column(BUCKET)?.i64()?;
    let mut found = Vec::new();
    for (row, (key, bucket)) in keys.iter().zip(buckets.iter()).enumerate() {
        if let Some(bucket) = bucket.filter(|bucket| *key == wanted && times.contains(*bucket)) {
            found.push((bucket, measures.iter().map(|cells| cells[row].clone()).collect()));
        }
    }
    Ok(found)
}

fn merge(held: &mut Held, metric: &Metric, bucket: i64, values: Vec<Value>) {
    let identities = || metric.measures.iter().map(|measure| measure.kind.identity()).collect();
    let merged = held.entry(bucket).or_insert_with(identities);
    for ((measure, merged), value) in metric.measures.iter().zip(merged.iter_mut()).zip(values) {
        *merged = measure.kind.merge(merged.clone(), value);
    }
}
