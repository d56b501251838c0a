//! Maps: one output for each event.

use super::encoding;
use super::output::Outputs;
use super::rows::{RowPlan, Rows};
use crate::catalog::Map;

/// A map, compiled.
#[derive(Debug)]
pub(super) struct MapPlan {
    /// The fields of an output, with their columns in [`Rows`].
    fields: Vec<(String, usize)>,
    /// The column that outputs are keyed by anew; `None`: they keep the keys of their records.
    key: Option<usize>,
}

impl MapPlan {
    /// Compiles a map of a checked catalog.
    pub(super) fn new(rows: &mut RowPlan, map: &Map) -> MapPlan {
        let fields = map.fields.iter().map(|(name, of)| (name.clone(), rows.column(of.clone())));
        let fields: Vec<(String, usize)> = fields.collect();
        let key = map.key.as_ref().and_then(|key| fields.iter().find(|(name, _)| name == key));
        MapPlan { key: key.map(|(_, column)| *column), fields }
    }

    /// Whether outputs keep the keys of their records.
    pub(super) fn keeps_keys(&self) -> bool {
        self.key.is_none()
    }

    /// Writes the output of the event in a row.
    pub(super) fn event(&self, rows: &Rows, row: usize, outputs: &mut Outputs<'_>) {
        let key = match self.key {
            Some(key) => encoding::record_key(&rows.column(key).get(row)),
            None => rows.originals.key(row).map(<[u8]>::to_vec),
        };
        outputs.output(rows.times_us[row], key, |object| {
            for (name, column) in &self.fields {
                object.field(name, &rows.column(*column).get(row));
            }
        });
    }
}
