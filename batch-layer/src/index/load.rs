//! A build is begun, and the rows of the materialised table are written to it (I4).
//!
//! The state names the build before there is an index of its name, and lets lanes go on only once all rows are there: a process that is
//! killed in between leaves a build that another one takes for dead, and never a row that comes behind the delete of its id. As long as it lives,
//! it says so in the state every few seconds, also while the server takes no documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::counter;
use platform::clock::now_us;
use platform::failpoints;
use platform::task::Backoff;
use platform::telemetry::error_text;
use shared_logic::contracts::index::{
    BASE_VERSION, Build, BuildStage, IndexState, Progress, REFUSED_MAX, Refused, Why,
};
use shared_logic::index::{Sizing, settings};
use shared_logic::table::RowValue;
use storage::{BulkItem, NotWritten, Pace, SearchError, Written};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Basis, IndexError, Keeper};
use crate::table::{SharedRow, SharedRows};

/// How often it is noted that the loader lives, and how many rows are written.
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
            beats: 0,
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
        let loaded = AtomicU64::new(0);
        let refused = tokio::select! {
            written = self.write_rows(basis, number, &loaded, stop) => written?,
            ended = self.say_that_it_lives(number, loader, &uuid, &loaded) => return Err(ended),
        };
        failpoints::pass("index::before_follow");
        self.patiently(stop, || self.step(move |state| Ok(state.follow(number, loader)?))).await?;
        let (rows, took_ms) = (loaded.into_inner(), began.elapsed().as_millis());
        info!(index, build = number, rows, refused, took_ms, "the rows of the build are written");
        Ok(())
    }

    /// Writes the rows of a build, and where its lanes begin. Returns how many rows the server has refused.
    async fn write_rows(
        &self,
        basis: &Basis,
        number: u64,
        loaded: &AtomicU64,
        stop: &CancellationToken,
    ) -> Result<u64, IndexError> {
        let (name, make) = (self.build_name(number), self.items());
        let rows = SharedRows::of(&basis.table, &basis.note, &self.subject).await?;
        let (mut pace, mut refused) = (Pace::new(self.client.settings().max_bulk.as_usize()), 0);
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
                self.patiently(stop, || self.keep_refused(number, &kept)).await?;
                if let Some(Refused { id, reason, .. }) = kept.into_iter().next().filter(|_| refused > REFUSED_MAX) {
                    return Err(IndexError::TooManyRefused { number, id, reason });
                }
                loaded.fetch_add(items.len() as u64, Ordering::Relaxed);
            }
        }
        self.patiently(stop, || self.refresh(&name)).await?;
        self.patiently(stop, || self.put_progress(basis, number)).await?;
        Ok(refused)
    }

    /// Notes every few seconds that the loader of a build lives, until that is another's or has ended: then it says so. While the server takes
    /// nothing, it is tried again.
    async fn say_that_it_lives(&self, number: u64, loader: &str, uuid: &str, loaded: &AtomicU64) -> IndexError {
        loop {
            tokio::time::sleep(NOTED_EVERY).await;
            let noted = self.step(|state| Ok(state.load(number, loader, uuid, loaded.load(Ordering::Relaxed))?)).await;
            match noted {
                Ok(_) | Err(IndexError::Search(SearchError::NotAllowed { .. })) => {}
                Err(error) if error.is_back_pressure() => {}
                Err(error) => return error,
            }
        }
    }

    /// Asks until the server can do it: what was loaded is not given up for a busy moment.
    async fn patiently<T, F>(&self, stop: &CancellationToken, ask: impl Fn() -> F) -> Result<T, IndexError>
    where
        F: Future<Output = Result<T, IndexError>>,
    {
        let (mut backoff, mut is_told) = (Backoff::new(self.client.settings().retry_backoff.get()), false);
        loop {
            match ask().await {
                Err(error) if error.is_back_pressure() => {
                    if !is_told {
                        warn!(
                            index = self.unit.index,
                            error = error_text(&error),
                            "a load waits for the search server"
                        );
                        is_told = true;
                    }
                }
                answered => return answered,
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.wait()) => {}
                () = stop.cancelled() => return Err(NotWritten::Stopped.into()),
            }
        }
    }

    async fn keep_refused(&self, number: u64, refused: &[Refused]) -> Result<(), IndexError> {
        Ok(self.client.keep_refused(&self.unit.index, number, refused).await?)
    }

    async fn refresh(&self, name: &str) -> Result<(), IndexError> {
        Ok(self.client.refresh(name).await?)
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
mod tests;
