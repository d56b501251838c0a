//! What the batch layer knows of a version that is to become the active one (K7).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use platform::settings::Settings;
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, DefinitionHash, Deployment};
use shared_logic::contracts::reconciliation::{NotCompared, Reconciliation, StreamCheck};
use shared_logic::stream_check::others;
use shared_logic::version::DeployedVersions;
use storage::{ROWS_KEPT, ReconciliationsError, RowsOf, Storage};

use crate::stream::STRETCHES_MAX;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// No version of that name lives.
    #[error("there is no version {0}, or its catalog cannot be used; see `braid version list`")]
    NoVersion(String),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What checks of streams have found could not be read.
    #[error(transparent)]
    Reconciliations(#[from] ReconciliationsError),
}

/// By metric the definition that a version has now, and those of its streams that the active version does not have and whose checks have not
/// found them to be right, each with what was found.
///
/// # Errors
/// [`CandidateError`].
pub async fn candidate(
    settings: &Settings,
    versions: &DeployedVersions,
    name: &str,
) -> Result<(BTreeMap<String, DefinitionHash>, Vec<String>), CandidateError> {
    let catalog = versions.version(name).ok_or_else(|| CandidateError::NoVersion(name.to_owned()))?;
    let definitions =
        catalog.metrics.values().map(|metric| (metric.name.clone(), catalog.definition(metric))).collect();
    let storage = Storage::new(&settings.store, &catalog.deployment)?;
    let mut unproven = Vec::new();
    for stream in versions.own_streams(name) {
        let checks = checks(&storage, versions, catalog, stream).await?;
        unproven.extend(doubt(&checks).map(|doubt| format!("{stream}: {doubt}")));
    }
    Ok((definitions, unproven))
}

/// The checks of a stream under its definition, the newest first: those of its host, which may be another version or have been one that
/// is retired, and those of verifications.
async fn checks(
    storage: &Storage,
    versions: &DeployedVersions,
    catalog: &Catalog,
    stream: &str,
) -> Result<Vec<Reconciliation>, CandidateError> {
    let deployment = &catalog.deployment;
    let kept_by = versions.living().map(|(version, _)| version).chain([deployment.generation(stream)]);
    let mut checks = Vec::new();
    for version in kept_by.collect::<BTreeSet<_>>() {
        let storage = storage.of(&Deployment::new(&deployment.name, version));
        let Some(table) = storage.reconciliations().await? else { continue };
        checks.extend(table.newest(RowsOf::Stream(stream), ROWS_KEPT).await?);
    }
    let definition = catalog.stream_definition(&catalog.streams[stream]);
    checks.retain(|check: &Reconciliation| check.definition == definition);
    checks.sort_by_key(|check| Reverse(check.reconciled_at_us));
    Ok(checks)
}

/// What speaks against a stream, by its checks, the newest first. A check begins where the one before has ended, so what one of them has found
/// stands, however many were right since: until newer ones have compared all of its offsets again.
fn doubt(checks: &[Reconciliation]) -> Option<String> {
    let possible = checks.iter().filter(|check| check.comparable);
    let possible: Vec<_> = possible.filter_map(|row| Some((row, row.stream_check.as_ref()?))).collect();
    if possible.is_empty() {
        return Some(match checks.first().and_then(|row| row.detail.as_ref()) {
            Some(why) => format!("not checked: {why}"),
            None => "not checked yet".to_owned(),
        });
    }
    let (mut again, mut missing, mut extra, mut different) = (Compared::default(), 0, 0, 0);
    for (row, check) in possible {
        if check.differences() > 0 && !again.holds(row) {
            (missing, extra, different) = (missing + check.missing, extra + check.extra, different + check.different);
        }
        again.add(row, check);
    }
    (missing + extra + different > 0)
        .then(|| format!("{missing} outputs missing, {extra} extra, {different} different"))
}

/// The offsets that checks have compared, by partition.
#[derive(Default)]
struct Compared(BTreeMap<(String, i32), Vec<Range<i64>>>);

impl Compared {
    /// Whether all offsets of a check are among them. A row that does not name all of its partitions cannot be told.
    fn holds(&self, row: &Reconciliation) -> bool {
        !row.ranges.is_empty()
            && row.partitions == row.ranges.len() as u64
            && row.ranges.iter().all(|range| {
                let compared = self.0.get(&(range.log.clone(), range.partition));
                others(compared.map(Vec::as_slice).unwrap_or_default(), &(range.from..range.to)).is_empty()
            })
    }

    /// Adds what a check has compared: its offsets without those that it has passed over.
    fn add(&mut self, row: &Reconciliation, check: &StreamCheck) {
        if check.not_compared.len() >= STRETCHES_MAX {
            return;
        }
        for range in &row.ranges {
            let is_of = |passed: &&NotCompared| passed.log == range.log && passed.partition == range.partition;
            let passed = check.not_compared.iter().filter(is_of).map(|passed| passed.from..passed.to);
            let passed = in_order(passed.collect());
            let of_partition = self.0.entry((range.log.clone(), range.partition)).or_default();
            of_partition.extend(others(&passed, &(range.from..range.to)));
            *of_partition = in_order(std::mem::take(of_partition));
        }
    }
}

fn in_order(mut ranges: Vec<Range<i64>>) -> Vec<Range<i64>> {
    ranges.sort_by_key(|range| range.start);
    ranges
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A check of so many offsets that was possible, and has found so many outputs missing; or was not, for that reason.
    fn check((from, to): (i64, i64), found: Result<u64, &str>, passed: Option<(i64, i64)>) -> Reconciliation {
        let place =
            |(from, to): (i64, i64)| json!({"log": "log", "partition": 0, "from": from, "to": to, "reason": "erased"});
        let passed: Vec<_> = passed.into_iter().map(place).collect();
        let check = json!({
            "outputs": 9, "late": 0, "missing": found.unwrap_or_default(), "extra": 0, "different": 0, "first": [],
            "not_compared": passed, "split_keys": 0, "split_record": null,
        });
        let ranges = if from < to { vec![place((from, to))] } else { Vec::new() };
        let row = json!({
            "metric": "alerts", "definition": "00000000000000aa", "view_version": 1, "reconciled_at": "2026-01-01T00:00:00Z",
            "took_ms": 0, "offsets": 0, "partitions": ranges.len(), "ranges": ranges, "rows_read": 0, "rows_added": 0,
            "hours_recomputed": 0, "comparable": found.is_ok(), "reason": null, "detail": found.err(), "drift": null,
            "stream_check": if found.is_ok() { check } else { json!(null) },
        });
        serde_json::from_value(row).expect("a row")
    }

    fn of(from: i64, to: i64, missing: u64) -> Reconciliation {
        check((from, to), Ok(missing), None)
    }

    #[test]
    fn a_stream_is_right_if_it_was_checked_and_no_check_has_found_anything() {
        let behind = || check((0, 0), Err("behind"), None);
        assert_eq!(doubt(&[]), Some("not checked yet".to_owned()));
        assert_eq!(doubt(&[behind()]), Some("not checked: behind".to_owned()));
        assert_eq!(doubt(&[of(0, 5, 0)]), None);
        assert_eq!(doubt(&[behind(), of(0, 5, 0)]), None, "everything up to the check before is right");
        let found = Some("2 outputs missing, 0 extra, 0 different".to_owned());
        assert_eq!(doubt(&[of(5, 9, 0), of(0, 5, 2)]), found, "a later check begins behind it");
        assert_eq!(doubt(&[of(9, 9, 0), of(5, 9, 0), of(0, 5, 2)]), found, "nor is there anything new");
        assert_eq!(doubt(&[of(5, 9, 2), of(0, 5, 0)]), found);
    }

    #[test]
    fn what_a_check_has_found_stands_until_newer_ones_have_compared_all_of_it() {
        let found = Some("2 outputs missing, 0 extra, 0 different".to_owned());
        assert_eq!(doubt(&[of(0, 9, 0), of(3, 5, 2)]), None);
        assert_eq!(doubt(&[of(4, 9, 0), of(0, 4, 0), of(3, 5, 2)]), None, "two of them together");
        assert_eq!(doubt(&[of(4, 9, 0), of(3, 5, 2)]), found, "one offset is missing");
        assert_eq!(doubt(&[check((0, 9), Ok(0), Some((4, 6))), of(3, 5, 2)]), found, "it was passed over");
        assert_eq!(doubt(&[check((0, 9), Ok(0), Some((5, 6))), of(3, 5, 2)]), None);
        assert_eq!(doubt(&[of(0, 9, 2), of(3, 5, 7)]), found, "and counts once");
        let unnamed = Reconciliation { partitions: 2, ..of(3, 5, 2) };
        assert_eq!(doubt(&[of(0, 9, 0), unnamed]), found, "which partitions those were is not known");
    }
}
