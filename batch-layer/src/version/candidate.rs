//! What the batch layer knows of a version that is to become the active one (K7).

use std::collections::BTreeMap;

use platform::settings::Settings;
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, DefinitionHash};
use shared_logic::contracts::reconciliation::Reconciliation;
use shared_logic::version::DeployedVersions;
use storage::{ROWS_KEPT, ReconciliationsError, RowsOf, Storage};

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

/// By metric the definition that a version has now, and the streams of its own whose checks have not found them to be right, each with what
/// was found.
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
    let table = storage.reconciliations().await?;
    let mut unproven = Vec::new();
    for stream in own_streams(catalog) {
        let rows = match &table {
            Some(table) => table.newest(RowsOf::Stream(&stream), ROWS_KEPT).await?,
            None => Vec::new(),
        };
        let definition = catalog.stream_definition(&catalog.streams[&stream]);
        let of_definition: Vec<Reconciliation> = rows.into_iter().filter(|row| row.definition == definition).collect();
        unproven.extend(doubt(&of_definition).map(|doubt| format!("{stream}: {doubt}")));
    }
    Ok((definitions, unproven))
}

/// The streams that a version has changed: nobody else writes them.
fn own_streams(catalog: &Catalog) -> Vec<String> {
    let deployment = &catalog.deployment;
    let is_own = |name: &&String| deployment.generation(name) == deployment.version;
    catalog.streams.keys().filter(is_own).cloned().collect()
}

/// What speaks against a stream, by its checks: whatever one of them has found stays written.
fn doubt(checks: &[Reconciliation]) -> Option<String> {
    let found: Vec<_> =
        checks.iter().filter(|row| row.comparable).filter_map(|row| row.stream_check.as_ref()).collect();
    let sum = |of: fn(&shared_logic::contracts::reconciliation::StreamCheck) -> u64| {
        found.iter().map(|check| of(check)).sum::<u64>()
    };
    let (missing, extra, different) =
        (sum(|check| check.missing), sum(|check| check.extra), sum(|check| check.different));
    if missing + extra + different > 0 {
        return Some(format!("{missing} outputs missing, {extra} extra, {different} different"));
    }
    checks.iter().all(|row| !row.comparable).then(|| match checks.first().and_then(|row| row.detail.as_ref()) {
        Some(why) => format!("not checked: {why}"),
        None => "not checked yet".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A check that was possible, and has found so many outputs missing; or was not, for that reason.
    fn check(found: Result<u64, &str>) -> Reconciliation {
        let check = json!({"outputs": 9, "late": 0, "missing": found.unwrap_or_default(), "extra": 0, "different": 0, "first": [], "not_compared": [], "split_keys": 0, "split_record": null});
        let row = json!({
            "metric": "alerts", "definition": "00000000000000aa", "view_version": 1, "reconciled_at": "2026-01-01T00:00:00Z",
            "took_ms": 0, "offsets": 0, "partitions": 0, "ranges": [], "rows_read": 0, "rows_added": 0, "hours_recomputed": 0,
            "comparable": found.is_ok(), "reason": null, "detail": found.err(), "drift": null,
            "stream_check": if found.is_ok() { check } else { json!(null) },
        });
        serde_json::from_value(row).expect("a row")
    }

    #[test]
    fn a_stream_is_right_if_it_was_checked_and_no_check_has_found_anything() {
        assert_eq!(doubt(&[]), Some("not checked yet".to_owned()));
        assert_eq!(doubt(&[check(Err("behind"))]), Some("not checked: behind".to_owned()));
        assert_eq!(doubt(&[check(Ok(0))]), None);
        assert_eq!(doubt(&[check(Err("behind")), check(Ok(0))]), None, "everything up to the check before is right");
        let found = doubt(&[check(Ok(0)), check(Ok(2))]);
        assert_eq!(found, Some("2 outputs missing, 0 extra, 0 different".to_owned()), "a later check begins behind it");
    }
}
