//! What an erasure has done, what follows from it by itself, and what it cannot reach.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::contracts::archive::{ErasedIn, Facts};
use shared_logic::cut::Behind;
use shared_logic::time::{format_day, format_rfc3339};

use super::condition::Condition;
use super::downstream::Streams;
use super::further;
use super::indexes::ErasedIndex;
use super::reports::ErasedReport;
use crate::reconcile::Changed;

/// What was taken out of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TakenOut {
    /// How many records were selected: events, of which copies are records of their own, and invalid records.
    pub events: u64,
    /// How many files were replaced.
    pub files: u64,
    /// How many hours of event time are counted anew.
    pub hours: u64,
    /// How many invalid records stay, with their bytes. They have no fields, so the condition says nothing of them.
    pub invalid: u64,
    /// How many records the source's rules cannot decode, because their bytes were not kept. They stay as they are.
    pub without_bytes: u64,
    #[serde(skip)]
    starts: BTreeSet<i64>,
}

/// What became of the view of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasedView {
    /// Its newest version.
    pub version: u64,
    /// How many pieces of event time were counted anew: hours, unless the metric's buckets need longer ones.
    pub recomputed: u64,
}

/// What an erasure has done, as an operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EraseReport {
    /// The source's name.
    pub source: String,
    /// What stands for the condition in the archive's facts.
    pub id: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// What left the archive, or would leave it.
    #[serde(flatten)]
    pub taken_out: TakenOut,
    /// The first day, `YYYY-MM-DD`, of which the archive holds every row; `None`: it holds those of all days. Events of earlier days
    /// cannot be found, and views go on counting them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_before: Option<String>,
    /// The partitions that the archive did not hold whole in time. Events in what was not archived are not erased.
    pub behind: Vec<String>,
    /// The views of the source's metrics.
    pub views: BTreeMap<String, ErasedView>,
    /// The reports that count the source, or join the table that it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reports: BTreeMap<String, ErasedReport>,
    /// The tables of backtests that were emptied, since they were made of the events. The same backtest can be made again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backtests: Vec<String>,
    /// The search indexes whose documents may still hold the events, as the search server could not be reached, or did not delete them. No search
    /// is answered from these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_indexes: Vec<ErasedIndex>,
    /// Since when no answer counts the events, RFC 3339; `None`: some still do, and a later reconcile changes that.
    pub uncounted_since: Option<String>,
    /// The other versions of the deployment whose answers still count some of the events when the time was over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counted_in: Vec<String>,
    /// From when on live counters with the events are dropped from Redis.
    pub counters_dropped_from: Option<String>,
    /// From when on a reconcile deletes the last files of older versions.
    pub files_deleted_from: Option<String>,
    /// What is left to be done in streams that were made of the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<String>,
    /// What else may hold the events.
    pub out_of_reach: Vec<String>,
}

impl TakenOut {
    /// Adds a file.
    pub(super) fn add(&mut self, hours: &BTreeMap<String, BTreeSet<i64>>, events: u64) {
        self.files += 1;
        self.events += events;
        self.starts.extend(hours.values().flatten());
        self.hours = self.starts.len() as u64;
    }
}

impl EraseReport {
    /// `facts` are those of the archive, and `topic` is the configuration of the source's topic, as far as Kafka says it.
    pub(super) fn new(
        source: &Source,
        condition: &Condition,
        taken_out: TakenOut,
        behind: Vec<Behind>,
        facts: &Facts,
        topic: BTreeMap<String, String>,
    ) -> EraseReport {
        let retired_before = facts.retired_before.map(format_day);
        let mut out_of_reach = out_of_reach(source, &topic, &taken_out);
        out_of_reach.extend(retired_before.as_deref().map(of_retired_days));
        EraseReport {
            source: source.name.clone(),
            id: condition.id().to_owned(),
            dry_run: false,
            out_of_reach,
            taken_out,
            retired_before,
            behind: behind.iter().map(ToString::to_string).collect(),
            views: BTreeMap::new(),
            reports: BTreeMap::new(),
            backtests: Vec::new(),
            in_indexes: Vec::new(),
            uncounted_since: None,
            counted_in: Vec::new(),
            counters_dropped_from: None,
            files_deleted_from: None,
            further: Vec::new(),
        }
    }

    /// Adds what is to be said of streams that were made of the source, and of the table that it is. `streams`: which of them are erased as
    /// well. What is to be said of a stream that is one of them was said with the source.
    pub(super) fn with_streams(
        mut self,
        catalog: &Catalog,
        source: &Source,
        condition: &Condition,
        streams: Streams,
    ) -> EraseReport {
        if !condition.is_of_outputs() {
            self.further = further::steps(catalog, source, condition, streams);
        }
        self.out_of_reach.extend(further::lanes(catalog, source));
        self.out_of_reach.extend(further::rows(source));
        self
    }

    /// Whether something is left that Braid itself does later, without anybody who calls this again.
    pub(super) fn is_waiting(&self) -> bool {
        !self.in_indexes.is_empty()
    }

    /// Adds what a reconcile did to the view of a metric.
    pub(super) fn add_view(&mut self, metric: String, changed: &Changed) {
        let view = self.views.entry(metric).or_insert(ErasedView { version: 0, recomputed: 0 });
        view.version = changed.version;
        view.recomputed += changed.work.recomputed;
    }

    /// Adds what became of reports, and what stays in them.
    pub(super) fn add_reports(&mut self, reports: BTreeMap<String, ErasedReport>) {
        self.out_of_reach.extend(reports.values().flat_map(|report| report.stays.iter().cloned()));
        self.reports = reports;
    }

    /// Notes that the view of a metric is paused, so that reconciles leave it as it is.
    pub(super) fn add_paused(&mut self, metric: &str) {
        let paused = format!(
            "the view of {metric}, which was rolled back and is paused: it counts the events until `batch-layer resume {metric}` and \
             the reconcile after that"
        );
        if !self.out_of_reach.contains(&paused) {
            self.out_of_reach.push(paused);
        }
    }

    /// Notes that no answer counts the events, and when the rest follows.
    pub(super) fn answered(&mut self, known: &ErasedIn, deleted_from_us: i64, drop_grace: Duration) {
        let since_us = known.uncounted_at_us;
        let grace_us = i64::try_from(drop_grace.as_micros()).unwrap_or(i64::MAX);
        self.uncounted_since = Some(format_rfc3339(since_us));
        self.counters_dropped_from = Some(format_rfc3339(since_us.saturating_add(grace_us)));
        self.files_deleted_from = Some(format_rfc3339(deleted_from_us));
    }
}

/// What no erasure of this deployment reaches.
fn out_of_reach(source: &Source, topic: &BTreeMap<String, String>, taken_out: &TakenOut) -> Vec<String> {
    let kept: Vec<String> = ["retention.ms", "retention.bytes", "cleanup.policy"]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", topic.get(name)?)))
        .collect();
    let kept = if kept.is_empty() { "its retention is not known here".to_owned() } else { kept.join(", ") };
    let mut others = vec![
        format!("the topic {} in Kafka: {kept}", source.topic),
        "other consumers of the topic, and other deployments that archive it".to_owned(),
        "views of retired versions of this deployment, which stay in the store and answer nothing".to_owned(),
        "backups and snapshots of the store, of Redis and of Kafka".to_owned(),
    ];
    if taken_out.invalid > 0 {
        let invalid = taken_out.invalid;
        others.push(format!(
            "{invalid} {} in the archive, which have bytes but no fields: see --invalid-with",
            if source.is_table { "deletes and invalid records" } else { "invalid records" }
        ));
    }
    if taken_out.without_bytes > 0 {
        let records = taken_out.without_bytes;
        others.push(format!(
            "{records} records that were archived without bytes under other rules; restore these in the catalog and erase again"
        ));
    }
    others
}

/// What stays of events of retired days.
fn of_retired_days(before: &str) -> String {
    format!(
        "events of days before {before}, whose rows are retired (`retain`): they cannot be found, and hours of these days cannot be \
         counted anew; views go on counting them, and name a person only if a metric groups by such a field: let it give these days \
         up by its own `retain`"
    )
}

impl fmt::Display for EraseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EraseReport { source, id, taken_out, .. } = self;
        let TakenOut { events, files, hours, .. } = taken_out;
        if self.dry_run {
            writeln!(f, "{source}: {events} records in {files} files and {hours} hours would be erased (id {id})")?;
        } else {
            writeln!(f, "{source}: {events} records erased from {files} files and {hours} hours (id {id})")?;
        }
        for late in &self.behind {
            writeln!(f, "  not erased from what is not archived yet: {late}; erase again later")?;
        }
        for (metric, ErasedView { version, recomputed }) in &self.views {
            writeln!(f, "  view {metric}: version {version}, {recomputed} hours counted anew")?;
        }
        for (name, ErasedReport { revised, unchanged, waiting, .. }) in &self.reports {
            writeln!(f, "  report {name}: {revised} days written anew, {unchanged} had the same rows")?;
            if let Some(why) = waiting {
                writeln!(f, "    {why}")?;
            }
        }
        for table in &self.backtests {
            writeln!(f, "  {table}: emptied")?;
        }
        match (&self.uncounted_since, &self.counters_dropped_from, &self.files_deleted_from) {
            (Some(since), Some(counters), Some(files)) => {
                writeln!(f, "  no answer counts them since {since}")?;
                writeln!(f, "  live counters with them are dropped from {counters} on, and unlinked soon after")?;
                writeln!(f, "  local segments of older views are removed once no request uses them")?;
                writeln!(f, "  a reconcile deletes the last files with them from {files} on; see `braid erasures`")?;
            }
            _ if self.dry_run => {}
            _ if *events == 0 && self.views.is_empty() => writeln!(f, "  there was nothing to erase")?,
            _ => writeln!(
                f,
                "  answers still count some of them, as speed has not counted up to what is archived: later reconciles change \
                 that; see `braid erasures`"
            )?,
        }
        for version in &self.counted_in {
            writeln!(
                f,
                "  answers of version {version} still count some of them: call this again once it has counted up to now (`braid version list`), \
                 or retire it"
            )?;
        }
        for index in &self.in_indexes {
            writeln!(f, "  {}", index.said())?;
        }
        if !self.further.is_empty() {
            writeln!(f, "further steps:")?;
        }
        for step in &self.further {
            writeln!(f, "  {step}")?;
        }
        writeln!(f, "out of reach:")?;
        for other in &self.out_of_reach {
            writeln!(f, "  {other}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::log::Offsets;

    use super::*;

    #[test]
    fn a_report_names_the_versions_that_still_count_the_events() {
        let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
        let source = &catalog.sources["s"];
        let condition = Condition::parse(source, "k = 'a'", None).expect("a condition");
        let (taken_out, facts) = (TakenOut::default(), Facts::default());
        let mut report = EraseReport::new(source, &condition, taken_out, Vec::new(), &facts, BTreeMap::new());
        assert!(!report.to_string().contains("answers of version"));
        report.counted_in = vec!["v2".to_owned()];
        assert!(report.to_string().contains("answers of version v2 still count some of them"), "{report}");
    }

    #[test]
    fn a_report_names_the_indexes_that_may_hold_the_events_and_waits_for_them() {
        let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
        let source = &catalog.sources["s"];
        let condition = Condition::parse(source, "k = 'a'", None).expect("a condition");
        let (taken_out, facts) = (TakenOut::default(), Facts::default());
        let mut report = EraseReport::new(source, &condition, taken_out, Vec::new(), &facts, BTreeMap::new());
        assert!(!report.is_waiting() && !report.to_string().contains("documents of index"));
        report.in_indexes = vec![ErasedIndex::unknown("people".to_owned(), "away".to_owned())];
        assert!(report.is_waiting());
        assert!(report.to_string().contains("the documents of index people may still hold them (away)"), "{report}");
    }

    #[test]
    fn a_report_says_that_events_of_retired_days_cannot_be_found() {
        let catalog = Catalog::parse(test_kit::catalogs::TINY).expect("a valid catalog");
        let source = &catalog.sources["s"];
        let condition = Condition::parse(source, "k = 'a'", None).expect("a condition");
        let report = |facts: &Facts| {
            EraseReport::new(source, &condition, TakenOut::default(), Vec::new(), facts, BTreeMap::new())
        };
        let mut facts = Facts::default();
        assert!(!report(&facts).to_string().contains("whose rows are retired"));
        facts.retire(1, &Offsets::default());
        let said = report(&facts);
        assert_eq!(said.retired_before.as_deref(), Some("1970-01-02"));
        assert!(said.to_string().contains("events of days before 1970-01-02, whose rows are retired"), "{said}");
    }
}
