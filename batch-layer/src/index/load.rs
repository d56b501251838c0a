//! A build is begun, and the rows of the materialised table are written to it (I4).
//!
//! The state names the build before there is an index of its name, and lets lanes go on only once all rows are there: a process that is
//! killed in between leaves a build that another one takes for dead, and never a row that comes behind the delete of its id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use platform::clock::now_us;
use platform::failpoints;
use shared_logic::contracts::index::{
    BASE_VERSION, Build, BuildStage, IndexState, Progress, REFUSED_MAX, Refused, Why,
};
use shared_logic::index::{Sizing, settings};
use shared_logic::table::RowValue;
use storage::{BulkItem, Pace, Written};
use tokio_util::sync::CancellationToken;
use tracing::info;
use uuid::Uuid;

use super::{Basis, IndexError, Keeper};
use crate::table::{SharedRow, SharedRows};

/// How often it is noted how many rows are written.
const NOTED_EVERY: Duration = Duration::from_secs(5);
/// Rows have version 0, so one that waits for the server for hours comes behind every change all the same.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A row that is to be written, and where its last change lies.
struct Item {
    item: BulkItem,
    log: String,
    partition: i32,
    offset: i64,
}

impl Keeper<'_> {
    /// Begins a build if that is still to be done, and loads it, until lanes may go on. Returns its number.
    pub(super) async fn build(
        &self,
        basis: &Basis,
        why: Why,
        is_needed: impl Fn(&IndexState) -> bool,
        stop: &CancellationToken,
    ) -> Result<u64, IndexError> {
        let loader = Uuid::new_v4().to_string();
        let build = Build {
            definition: self.unit.definition.clone(),
            stage: BuildStage::Loading,
            why,
            loader: loader.clone(),
            uuid: String::new(),
            base: basis.note.next.clone(),
            table_version: basis.table.version(),
            erasures: basis.erasures,
            rows: basis.note.rows,
            loaded: 0,
            begun_at_us: now_us(),
            equal_at_us: None,
        };
        let index = &self.unit.index;
        let begun = self
            .step(|state| if is_needed(state) { Ok(state.begin(build.clone()).0) } else { Err(IndexError::Overtaken) });
        let number = begun.await?.begun;
        counter!("braid_index_builds_total", "index" => index.clone(), "why" => why.name()).increment(1);
        info!(index, build = number, why = why.name(), rows = build.rows, "a build is begun");
        failpoints::pass("index::after_begin");
        match self.load(basis, number, &loader, stop).await {
            // Lanes would stop at once.
            Err(error @ IndexError::TooManyRefused { .. }) => {
                self.step(|state| Ok(state.end(number))).await?;
                Err(error)
            }
            loaded => loaded.map(|()| number),
        }
    }

    async fn load(&self, basis: &Basis, number: u64, loader: &str, stop: &CancellationToken) -> Result<(), IndexError> {
        let (index, name, began) = (&self.unit.index, self.build_name(number), Instant::now());
        let sizing = self.client.settings();
        let refresh_ms = u64::try_from(sizing.refresh.get().as_millis()).unwrap_or(u64::MAX);
        let sizing = Sizing { shards: sizing.shards, replicas: sizing.replicas, refresh_ms };
        // An index of that name is deleted. After the server lost its data, numbers begin anew, and it may be another process's.
        self.step(|state| Ok(state.load(number, loader, "", 0)?)).await?;
        let uuid = self.client.create_index(&name, &settings(self.index(), sizing)).await?.uuid;
        self.step(|state| Ok(state.load(number, loader, &uuid, 0)?)).await?;
        let make = self.items();
        let rows = SharedRows::of(&basis.table, &basis.note, &self.subject).await?;
        let mut pace = Pace::new(self.client.settings().max_bulk.as_usize());
        let (mut loaded, mut refused, mut noted) = (0, 0, Instant::now());
        for part in 0..rows.parts {
            let mut part = rows.part(part).await?;
            while let Some(items) = part.next(&make).await? {
                failpoints::pass("index::while_loading");
                let (items, places): (Vec<BulkItem>, Vec<_>) =
                    items.into_iter().map(|one| (one.item, (one.log, one.partition, one.offset))).unzip();
                let too_old_at = Instant::now() + NEVER;
                let written = self.client.write_all(&name, &items, &mut pace, too_old_at, stop).await?;
                let kept = of_written(&items, &places, written);
                refused += kept.len() as u64;
                self.client.keep_refused(index, number, &kept).await?;
                if let Some(Refused { id, reason, .. }) = kept.into_iter().next().filter(|_| refused > REFUSED_MAX) {
                    return Err(IndexError::TooManyRefused { number, id, reason });
                }
                loaded += items.len() as u64;
                if noted.elapsed() >= NOTED_EVERY {
                    self.step(|state| Ok(state.load(number, loader, &uuid, loaded)?)).await?;
                    noted = Instant::now();
                }
            }
        }
        self.client.refresh(&name).await?;
        self.put_progress(basis, number).await?;
        failpoints::pass("index::before_follow");
        self.step(|state| Ok(state.follow(number, loader)?)).await?;
        let took_ms = began.elapsed().as_millis();
        info!(index, build = number, rows = loaded, refused, took_ms, "the rows of the build are written");
        Ok(())
    }

    /// Where the lanes of a build begin: behind the offsets that its rows stand for.
    async fn put_progress(&self, basis: &Basis, number: u64) -> Result<(), IndexError> {
        for (id, cursor) in basis.note.next.iter() {
            let known = basis.facts.partition(id).filter(|known| known.next == cursor);
            let progress = Progress { cursor, witness: known.and_then(|known| known.witness), at_us: now_us() };
            if !self.client.put_progress(&self.unit.index, number, id, &progress).await? {
                return Err(IndexError::Overtaken);
            }
        }
        Ok(())
    }

    /// Rows → what is written.
    fn items(&self) -> Arc<dyn Fn(SharedRow) -> Item + Send + Sync> {
        let documents = self.documents();
        Arc::new(move |row| {
            let SharedRow { id, row, log, partition, offset, timestamp_us } = row;
            let value = |at: usize| -> Option<&RowValue> { row.get(at)?.as_ref() };
            let document = documents.document(&id, &value, timestamp_us);
            Item { item: BulkItem { id, version: BASE_VERSION, document: Some(document) }, log, partition, offset }
        })
    }
}

/// What the server has refused of some items, which lie at these places.
fn of_written(items: &[BulkItem], places: &[(String, i32, i64)], written: Written) -> Vec<Refused> {
    let refused = written.refused.into_iter().map(|(at, reason)| {
        let (BulkItem { id, version, document }, (log, partition, offset)) = (&items[at], &places[at]);
        Refused {
            id: id.clone(),
            log: log.clone(),
            partition: *partition,
            offset: *offset,
            version: *version,
            document: String::from_utf8_lossy(document.as_deref().unwrap_or_default()).into_owned(),
            reason,
            at_us: now_us(),
        }
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_kept_with_its_place_and_its_version() {
        let item = |id: &str| BulkItem { id: id.to_owned(), version: BASE_VERSION, document: Some(b"{}".to_vec()) };
        let items = [item("a"), item("b")];
        let places = [("log".to_owned(), 0, 5), ("log".to_owned(), 1, 7)];
        let written = Written { newer: 0, refused: vec![(1, "no".to_owned())] };
        let kept = of_written(&items, &places, written);
        let [Refused { id, partition: 1, offset: 7, version: BASE_VERSION, document, reason, .. }] = kept.as_slice()
        else {
            panic!("{kept:?}");
        };
        assert_eq!((id.as_str(), document.as_str(), reason.as_str()), ("b", "{}", "no"));
    }
}
