//! K6: is what a replay has counted what the archive gives, every key and bucket?
//!
//! The version's shards are rotated, so that slices end at one offset vector, and the archive is waited for. Then both sides are read, metric
//! by metric: the rows of the view, if there is one, and the counters of the slices; and the archive, counted again below the same offsets
//! under the same rule for copies. Nothing is changed but the positions of slices. A process that is killed leaves nothing, and nothing is noted: it
//! is begun again.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::settings::Settings;
use platform::store::DataFile;
use platform::task::blocking;
use serde_json::Value as Json;
use shared_logic::catalog::{Catalog, Measure, Metric};
use shared_logic::contracts::reconciliation::Reconciliation;
use shared_logic::drift::{self, Found, Said};
use shared_logic::log::OffsetRange;
use shared_logic::measure::MeasureKind;
use shared_logic::time::{format_day, parse_day};
use shared_logic::version::{DeployedVersions, Stage, Verified, code};
use storage::{Storage, VersionStore, VersionsError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::compare::{self, Compared, largest};
use super::error::VerifyError;
use super::places::places;
use super::recount::Recount;
use super::report::{MetricReport, OldVersion, StreamReport, Verdict, VerifyReport};
use super::side::{Counted, Side, upto};
use super::spill::Spill;
use crate::archive_rows;
use crate::progress::Progress;
use crate::reconcile::Reconciler;

/// How often a metric is read again, as slices were dropped while it was.
const ATTEMPTS: u32 = 3;
/// About how many bytes a row takes while a piece of a day is compared, both sides.
const CELL_BYTES: u64 = 512;
/// Of how many buckets the drift is told.
const DRIFT_BUCKETS_MAX: usize = 200_000;

/// Verifies a version. How far it has come is said to `progress`.
///
/// # Errors
/// [`VerifyError`]. What cannot be compared is no error, but said in the report.
pub async fn verify(
    settings: &Settings,
    versions: &Arc<DeployedVersions>,
    name: &str,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<VerifyReport, VerifyError> {
    let stage = versions.stage(name).ok_or_else(|| VerifyError::NoVersion(name.to_owned()))?;
    if stage != Stage::Following {
        return Err(VerifyError::NotReplayed { version: name.to_owned(), stage: stage.word() });
    }
    let catalog = versions.version(name).ok_or_else(|| VerifyError::NoVersion(name.to_owned()))?;
    let began = Instant::now();
    let mut report = VerifyReport::begun(name, platform::clock::now_us());
    if catalog.deployment.keeps_archive {
        Verifier { settings, versions, catalog, progress, stop }.run(&mut report).await?;
    } else {
        report.why.push("nothing is archived ([pipeline] archive = false), so nothing can be recounted".to_owned());
    }
    report.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.judge();
    Ok(report)
}

/// Keeps a report in the store and, if everything is equal, notes the verification in the pointer (K7). `by` says who did it. Returns where
/// the report lies, without its ending.
///
/// # Errors
/// [`VersionsError`].
pub async fn keep(
    store: &VersionStore,
    versions: &DeployedVersions,
    report: &VerifyReport,
    by: &str,
) -> Result<String, VersionsError> {
    let json: Json = serde_json::to_value(report).unwrap_or_default();
    let path = store.put_report(&report.version, report.at_us, &json, &report.to_string()).await?;
    let Some(catalog) = versions.version(&report.version).filter(|_| report.verdict == Verdict::Equal) else {
        return Ok(path);
    };
    let definitions = catalog.metrics.values().map(|metric| (metric.name.clone(), catalog.definition(metric)));
    let verified = Verified {
        at_us: report.at_us,
        offsets: report.offsets.clone(),
        definitions: definitions.collect(),
        code: code(),
        report: path.clone(),
    };
    let what = format!("verify {}", report.version);
    let first = &versions.pointer.first;
    store.step(first, by, &what, |pointer, change| pointer.verified(&report.version, verified.clone(), change)).await?;
    Ok(path)
}

struct Verifier<'a> {
    settings: &'a Settings,
    versions: &'a Arc<DeployedVersions>,
    catalog: &'a Arc<Catalog>,
    progress: &'a Progress,
    stop: &'a CancellationToken,
}

impl Verifier<'_> {
    async fn run(&self, report: &mut VerifyReport) -> Result<(), VerifyError> {
        let storage = Storage::new(&self.settings.store, &self.catalog.deployment)?;
        let reconciler = Reconciler::new(self.settings, &storage, self.catalog).among(Arc::clone(self.versions));
        let mut asked = BTreeMap::new();
        for source in self.catalog.sources.values() {
            let lanes = self.versions.proves_lanes(&self.catalog.deployment.version, &source.name);
            asked.insert(source.name.clone(), reconciler.ask_lanes(source, lanes).await);
        }
        for source in self.catalog.sources.keys() {
            let metrics: Vec<&Metric> = self.catalog.metrics_of(source).collect();
            if !metrics.is_empty() {
                self.source(source, &metrics, reconciler.rows_at_once(), report).await?;
            }
        }
        for source in self.catalog.sources.values() {
            let asked = asked.remove(&source.name).unwrap_or_default();
            if !asked.is_empty() {
                self.progress.say(format_args!("checking the streams over {}", source.name));
                let rows = reconciler.check_streams(source, asked, self.stop).await;
                // Their host may have more streams.
                report.streams.extend(rows.iter().filter(|row| self.has(row)).map(stream));
            }
        }
        if self.stop.is_cancelled() { Err(VerifyError::Stopped) } else { Ok(()) }
    }

    /// Whether a check was one of a stream that the version has.
    fn has(&self, check: &Reconciliation) -> bool {
        let stream = self.catalog.streams.get(&check.metric);
        stream.is_some_and(|stream| self.catalog.stream_definition(stream) == check.definition)
    }

    async fn source(
        &self,
        source: &str,
        metrics: &[&Metric],
        rows_max: usize,
        report: &mut VerifyReport,
    ) -> Result<(), VerifyError> {
        self.progress.say(format_args!("{source}: waiting for the archive"));
        let Some(mut side) = Side::open(self.settings, self.catalog, source).await? else {
            report.why.push(format!("source {source}: nothing is archived"));
            return Ok(());
        };
        if !self.is_archived(&mut side, report).await? {
            return Ok(());
        }
        let mut old = self.old_side(source).await?;
        for metric in metrics {
            self.attempts(&mut side, metric, old.as_mut(), rows_max, report).await?;
        }
        Ok(())
    }

    /// Waits for the archive; returns whether it holds everything that is to be compared, and reports what it does not.
    async fn is_archived(&self, side: &mut Side, report: &mut VerifyReport) -> Result<bool, VerifyError> {
        let behind = side.wait_for_archive(self.settings, self.stop).await?;
        if !behind.is_empty() {
            let (source, why) = (&side.source.name, behind.join(", "));
            report.why.push(format!("source {source}: {why}; is `batch-layer archive` running?"));
        }
        Ok(behind.is_empty())
    }

    /// Compares a metric. Where slices were dropped while it was read, as a reconcile was under way, it is begun anew at newer positions.
    async fn attempts(
        &self,
        side: &mut Side,
        metric: &Metric,
        mut old: Option<&mut Side>,
        rows_max: usize,
        report: &mut VerifyReport,
    ) -> Result<(), VerifyError> {
        for _ in 0..ATTEMPTS {
            let counted = match side.counted(metric).await? {
                Ok(counted) => counted,
                Err(why) => {
                    report.why.extend(why.into_iter().map(|why| format!("metric {}: {why}", metric.name)));
                    return Ok(());
                }
            };
            let compared = self.metric(side, metric, &counted, old.as_deref_mut(), rows_max).await?;
            if let Some(compared) = compared {
                let of_source = report.offsets.entry(metric.source.clone()).or_default();
                // Below the least of them, all metrics of the source are compared.
                for (id, to) in upto(&counted.stretches).iter() {
                    let least = of_source.get(id).map_or(to, |known| known.min(to));
                    of_source.set(id.clone(), least);
                }
                report.metrics.push(compared);
                return Ok(());
            }
            side.rotate(self.settings.speed.max_slices).await?;
            if !self.is_archived(side, report).await? {
                return Ok(());
            }
        }
        report.why.push(format!("metric {}: slices were dropped while it was read", metric.name));
        Ok(())
    }

    /// The active version's side of a source, if that is another version and has it.
    async fn old_side(&self, source: &str) -> Result<Option<Side>, VerifyError> {
        let active = self.versions.active();
        if active.deployment.version == self.catalog.deployment.version || !active.sources.contains_key(source) {
            return Ok(None);
        }
        Side::open(self.settings, active, source).await
    }

    /// Compares a metric; `None` if its slices did not last.
    async fn metric(
        &self,
        side: &mut Side,
        metric: &Metric,
        counted: &Counted,
        old: Option<&mut Side>,
        rows_max: usize,
    ) -> Result<Option<MetricReport>, VerifyError> {
        let Some(replayed) = self.replayed(side, metric, counted).await? else { return Ok(None) };
        let files = archive_rows::files(&side.archive, &side.source, &side.schemas).await?;
        let mut report = MetricReport {
            metric: metric.name.clone(),
            definition: Some(counted.definition.clone()),
            compared_from: (counted.from_day > i64::MIN).then(|| format_day(counted.from_day)),
            ..MetricReport::default()
        };
        let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
        let rows_max = (rows_max / metric.weight()).max(1);
        let recount = Recount::new(&side.archive, &side.source, metric, &counted.stretches, rows_max);
        let ranges = OffsetRange::between(None, &upto(&counted.stretches));
        let mut by_day: BTreeMap<i64, Vec<DataFile>> = BTreeMap::new();
        for file in files.iter().filter(|file| archive_rows::may_hold(file, &ranges)) {
            by_day.entry(parse_day(&file.partition).unwrap_or_default()).or_default().push(file.clone());
        }
        // What was counted and is not archived is a day as well.
        for day in replayed.days() {
            by_day.entry(day).or_default();
        }
        by_day.retain(|day, _| *day >= counted.from_day);
        let (mut said, mut found, days) = (Said::new(), Found::default(), by_day.len());
        let mut is_told = true;
        for (number, (day, files)) in by_day.into_iter().enumerate() {
            if self.stop.is_cancelled() {
                return Err(VerifyError::Stopped);
            }
            self.progress.say(format_args!("{}: {number} of {days} days compared", metric.name));
            let mut recounted =
                Spill::new(&kinds, kinds.iter().filter(|kind| **kind == MeasureKind::SumFloat).count())?;
            let of_day = recount.day(&files, counted.from_day, &mut recounted).await?;
            recounted.flush().await?;
            for day in recounted.days().filter(|other| *other != day).collect::<Vec<_>>() {
                warn!(
                    metric = metric.name,
                    day = format_day(day),
                    "the archive holds an event in another day than its own"
                );
            }
            let mut compared = self.compared(metric, &replayed, &recounted, day).await?;
            is_told &= said.len() + compared.said.len() <= DRIFT_BUCKETS_MAX
                && found.buckets() + of_day.buckets() <= DRIFT_BUCKETS_MAX;
            if is_told {
                said.append(&mut compared.said);
                found.add(&kinds, of_day);
            }
            compared.add_to(&mut report);
        }
        report.drift = is_told.then(|| drift::compare(metric, &said, &found));
        largest(&mut report.differences, |difference| difference.distance);
        let looked_at = (files.as_slice(), ranges.as_slice());
        report.places = places(&side.archive, &side.source, metric, looked_at, &report.differences).await?;
        if let Some(old) = old {
            report.old = self.old(old, metric, counted, &replayed).await?;
        }
        Ok(Some(report))
    }

    /// What a version has counted of a metric; `None` if slices were dropped while it was read.
    async fn replayed(
        &self,
        side: &mut Side,
        metric: &Metric,
        counted: &Counted,
    ) -> Result<Option<Spill>, VerifyError> {
        let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
        self.progress.say(format_args!("{}: reading what is counted", metric.name));
        let mut spill = Spill::new(&kinds, 0)?;
        Ok(side.read(metric, counted, &mut spill).await?.then_some(spill))
    }

    /// Compares a day, a piece of its keys at a time.
    async fn compared(
        &self,
        metric: &Metric,
        replayed: &Spill,
        recounted: &Spill,
        day: i64,
    ) -> Result<MergedPieces, VerifyError> {
        let rows = replayed.rows(day) + recounted.rows(day);
        let mut merged = MergedPieces::default();
        let pieces = self.pieces(metric, rows);
        for piece in 0..pieces {
            let (metric, replayed, recounted) = (metric.clone(), replayed.day(day), recounted.day(day));
            let work = move || compare::compare(&metric, &replayed, &recounted, (piece, pieces));
            let mut compared = blocking(work).await?;
            merged.said.append(&mut compared.said);
            merged.pieces.push(compared);
        }
        Ok(merged)
    }

    /// In how many pieces so many rows of a metric are compared.
    fn pieces(&self, metric: &Metric, rows: u64) -> u64 {
        let weight = metric.weight().max(1) as u64;
        let at_once = (self.settings.reconcile.memory.bytes() / CELL_BYTES / weight).max(1);
        rows.div_ceil(at_once).max(1)
    }

    /// The largest changes from the active version, if it has a metric of that name.
    async fn old(
        &self,
        side: &mut Side,
        metric: &Metric,
        counted: &Counted,
        replayed: &Spill,
    ) -> Result<Option<OldVersion>, VerifyError> {
        let (version, active) = (self.versions.active_name(), self.versions.active());
        let Some(old) = active.metrics.get(&metric.name) else { return Ok(None) };
        let same_definition = active.definition(old) == counted.definition;
        let mut told = OldVersion { version: version.to_owned(), same_definition, changes: Vec::new(), why_not: None };
        let measures = metric.measures.iter().enumerate();
        let same = |(at, measure): (usize, &Measure)| {
            let before = old.measures.iter().position(|old| old.name == measure.name && old.kind == measure.kind);
            before.map(|before| (before, at))
        };
        let pairs: Vec<(usize, usize)> = measures.filter_map(same).collect();
        if old.by != metric.by || old.source != metric.source || pairs.is_empty() {
            told.why_not = Some("it has other keys, or no measure in common".to_owned());
            return Ok(Some(told));
        }
        let mut of_old = match side.counted(old).await? {
            Ok(of_old) => of_old,
            Err(why) => {
                told.why_not = Some(why.join("; "));
                return Ok(Some(told));
            }
        };
        of_old.from_day = of_old.from_day.max(counted.from_day);
        let from_day = of_old.from_day;
        let Some(before) = self.replayed(side, old, &of_old).await? else {
            told.why_not = Some("its slices were dropped while they were read".to_owned());
            return Ok(Some(told));
        };
        let mut days: Vec<i64> = before.days().chain(replayed.days()).filter(|day| *day >= from_day).collect();
        days.sort_unstable();
        days.dedup();
        for day in days {
            let pieces = self.pieces(metric, before.rows(day) + replayed.rows(day));
            for piece in 0..pieces {
                let (metric, before, after) = (metric.clone(), before.day(day), replayed.day(day));
                let (pairs, day) = (pairs.clone(), format_day(day));
                let work = move || compare::changes(&metric, (day.as_str(), &before, &after), &pairs, (piece, pieces));
                told.changes.extend(blocking(work).await?);
                largest(&mut told.changes, |change| change.distance);
            }
        }
        Ok(Some(told))
    }
}

/// The pieces of a day.
#[derive(Default)]
struct MergedPieces {
    said: Said,
    pieces: Vec<Compared>,
}

impl MergedPieces {
    fn add_to(self, report: &mut MetricReport) {
        self.pieces.into_iter().for_each(|piece| piece.add_to(report));
    }
}

/// What a check of a stream has found.
fn stream(row: &Reconciliation) -> StreamReport {
    let check = row.stream_check.clone().unwrap_or_default();
    StreamReport {
        stream: row.metric.clone(),
        missing: check.missing,
        extra: check.extra,
        different: check.different,
        why_not: (!row.comparable).then(|| row.detail.clone().unwrap_or_else(|| "it is not possible".to_owned())),
    }
}
