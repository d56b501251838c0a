//! Maps: one output for each event.

use super::encoding;
use super::lookup::{Looking, LookupPlan};
use super::output::Outputs;
use super::rows::{RowPlan, Rows};
use crate::catalog::{Map, Source};

/// A map, compiled.
#[derive(Debug)]
pub(super) struct MapPlan {
    /// The fields of an output, with their columns in [`Rows`].
    fields: Vec<(String, usize)>,
    /// The column that outputs are keyed by anew; `None`: they keep the keys of their records.
    key: Option<usize>,
    /// What outputs take from tables.
    lookups: Vec<Looking>,
}

impl MapPlan {
    /// Compiles a map of a checked catalog. `tables` are its tables; what is looked up in them is added to `lookups`.
    pub(super) fn new<'t>(
        rows: &mut RowPlan,
        map: &Map,
        tables: &dyn Fn(&str) -> Option<&'t Source>,
        lookups: &mut Vec<LookupPlan>,
    ) -> MapPlan {
        let fields = map.fields.iter().map(|(name, of)| (name.clone(), rows.column(of.clone())));
        let fields: Vec<(String, usize)> = fields.collect();
        let key = map.key.as_ref().and_then(|key| fields.iter().find(|(name, _)| name == key));
        let looking = map.lookups.iter().map(|lookup| Looking::new(lookup, tables(&lookup.table), lookups));
        MapPlan { key: key.map(|(_, column)| *column), lookups: looking.collect(), fields }
    }

    /// Whether it writes something of the original bytes: outputs keep the keys of their records, or events may go to the side output.
    pub(super) fn keeps_originals(&self) -> bool {
        self.key.is_none() || self.lookups.iter().any(|lookup| lookup.require)
    }

    /// Writes the output of the event in a row; or hands the event on, if it has no row in a table where it must have one.
    pub(super) fn event(&self, rows: &Rows, row: usize, outputs: &mut Outputs<'_>) {
        let lacks = |lookup: &&Looking| {
            lookup.require && rows.found(lookup.lookup, row).is_none_or(|found| found.row.is_none())
        };
        if let Some(lookup) = self.lookups.iter().find(lacks) {
            let seen = rows.found(lookup.lookup, row).map(|found| found.seen.as_str());
            let (key, payload) = (rows.originals.key(row), rows.originals.payload(row));
            return outputs.no_row(&lookup.table, seen, key, payload, rows.times_us[row]);
        }
        let key = match self.key {
            Some(key) => encoding::record_key(&rows.column(key).get(row)),
            None => rows.originals.key(row).map(<[u8]>::to_vec),
        };
        outputs.output(rows.times_us[row], key, |object| {
            for (name, column) in &self.fields {
                object.field(name, &rows.column(*column).get(row));
            }
            for lookup in &self.lookups {
                lookup.write(rows.found(lookup.lookup, row), object);
            }
        });
    }
}
