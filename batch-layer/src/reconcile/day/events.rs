//! Events of a day, with what tells copies apart.

use std::sync::Arc;

use platform::store::StoreError;
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::dedup::{FirstCopies, Place};
use shared_logic::identity::Identity;
use shared_logic::log::OffsetRange;

use super::Day;
use super::pieces::Part;
use crate::archive_rows::scan::{Scan, Wanted, places};
use crate::reconcile::error::DayError;
use crate::rows::{self, RowsError};

/// What tells copies of an event apart, and in which order they stand.
pub(super) struct Key {
    event_id: Vec<String>,
    event_time: String,
    logs: Vec<String>,
}

/// Events in memory.
pub(super) struct Events {
    /// The fields that are kept of them. Without any column if there are no events.
    pub(super) rows: DataFrame,
    /// The identity of each; none if the source has no event id.
    pub(super) identities: Vec<Identity>,
    pub(super) places: Vec<Place>,
}

impl Key {
    pub(super) fn new(source: &Source, logs: &[String]) -> Key {
        Key { event_id: source.event_id.clone(), event_time: source.event_time.clone(), logs: logs.to_vec() }
    }
}

impl Events {
    fn none() -> Events {
        Events { rows: DataFrame::empty(), identities: Vec::new(), places: Vec::new() }
    }

    /// Those of rows that were read, as far as they belong to the part, with these of their fields.
    pub(super) fn of(rows: &DataFrame, kept: &[String], key: &Key, (number, of): (u64, u64)) -> PolarsResult<Events> {
        let places = places(rows, &key.logs)?;
        let identities = match key.event_id.as_slice() {
            [] => Vec::new(),
            event_id => Identity::of_columns(rows, event_id, &key.event_time)?,
        };
        let rows = rows.select(kept)?;
        if of == 1 {
            return Ok(Events { rows, identities, places });
        }
        // Copies have one identity, so they are in one part.
        let is_in = |row: usize| {
            let hash = identities.get(row).map_or(places[row].offset.unsigned_abs(), |identity| identity.0);
            hash % of == number
        };
        let mask: Vec<bool> = (0..rows.height()).map(is_in).collect();
        let is_kept = |row: &usize| mask[*row];
        Ok(Events {
            identities: (0..identities.len()).filter(is_kept).map(|row| identities[row]).collect(),
            places: (0..places.len()).filter(is_kept).map(|row| places[row]).collect(),
            rows: rows.filter(&mask.iter().copied().collect())?,
        })
    }

    fn append(&mut self, others: Events) -> PolarsResult<()> {
        let Events { rows, identities, places } = others;
        if self.rows.width() == 0 {
            self.rows = rows;
        } else {
            self.rows.vstack_mut(&rows)?;
        }
        self.identities.extend(identities);
        self.places.extend(places);
        Ok(())
    }

    /// The events, and which of them are first copies.
    pub(super) async fn first_copies(self, table: &str) -> Result<(DataFrame, FirstCopies), RowsError> {
        let Events { rows, identities, places } = self;
        let firsts = rows::compute("sort identities", table, move || Ok(FirstCopies::of(&identities, &places))).await?;
        Ok((rows, firsts))
    }
}

impl Day<'_> {
    /// Reads the events of a part whose records lie in those ranges, with the fields that the plan reads; and how many rows were read.
    pub(super) async fn read(&self, ranges: &[OffsetRange], part: Part<'_>) -> Result<(Events, u64), DayError> {
        let wanted = Wanted { fields: self.fields.clone(), ranges, times: part.times };
        let (key, plan, part) = (Arc::clone(&self.key), Arc::clone(&self.plan), (part.number, part.of));
        let of_part = move |rows: DataFrame| Events::of(&rows, plan.columns(), &key, part);
        let mut scan = Scan::new(self.archive, self.source, &self.task.events, wanted, of_part)?;
        let mut events = Events::none();
        while let Some(more) = scan.next().await? {
            events.append(more).map_err(|source| {
                RowsError::from(StoreError::Frame {
                    operation: "put rows together",
                    table: self.archive.path().to_owned(),
                    source,
                })
            })?;
        }
        Ok((events, scan.rows_read))
    }
}
