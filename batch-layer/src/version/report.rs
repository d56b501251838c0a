//! What a verification has found, for programs and for a person.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::reconciliation::Drift;
use shared_logic::log::Offsets;
use shared_logic::measure::Value;
use shared_logic::time::format_rfc3339;

/// A verification of a version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyReport {
    /// The version.
    pub version: String,
    /// When it was done, RFC 3339.
    pub at: String,
    /// The same in microseconds since 1970.
    #[serde(skip)]
    pub at_us: i64,
    /// By source, the offsets below which everything was compared.
    pub offsets: BTreeMap<String, Offsets>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// One for each metric.
    pub metrics: Vec<MetricReport>,
    /// The checks of the streams that the version hosts.
    pub streams: Vec<StreamReport>,
    /// What it comes to.
    pub verdict: Verdict,
    /// Why it is not `equal`, each with its place.
    pub why: Vec<String>,
}

/// What a verification comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was replayed is what the archive gives, every key and bucket.
    Equal,
    /// It is not.
    Differs,
    /// Not everything could be compared.
    NotPossible,
}

/// A metric, compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricReport {
    /// The metric.
    pub metric: String,
    /// Its definition.
    pub definition: Option<DefinitionHash>,
    /// How many group keys were compared, each once a day, those of sums over columns too.
    pub keys: u64,
    /// How many buckets of keys.
    pub buckets: u64,
    /// How many values: one for each measure of each of these.
    pub compared: u64,
    /// How many of them are equal.
    pub equal: u64,
    /// How many say nothing, as a sum left its 64 bits where slices keep it.
    pub overflowed: u64,
    /// The first day that was compared, if rows of earlier ones are retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared_from: Option<String>,
    /// The largest differences.
    pub differences: Vec<Difference>,
    /// The records that lie in the keys and buckets of these.
    pub places: Vec<Place>,
    /// What was counted, compared with the exact count: by how many copies the replay is ahead of the next reconcile. `None`: there are too
    /// many buckets to be told.
    pub drift: Option<Drift>,
    /// The same metric of the active version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<OldVersion>,
}

/// A value that is not equal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The group key.
    pub key: Json,
    /// The bucket's start, RFC 3339.
    pub bucket: String,
    /// The measure.
    pub measure: String,
    /// What the replay has counted.
    pub replayed: Json,
    /// What the archive gives.
    pub recounted: Json,
    #[serde(skip)]
    pub(super) bucket_us: i64,
    #[serde(skip)]
    pub(super) distance: f64,
}

/// Where records lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The log.
    pub log: String,
    /// The partition.
    pub partition: i32,
    /// The first offset, and the one behind the last.
    pub offsets: (i64, i64),
}

/// The same metric of the active version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OldVersion {
    /// The version.
    pub version: String,
    /// Whether it counts the same definition. Then changes are what arrived between the moments at which both were read.
    pub same_definition: bool,
    /// The largest changes of what a key adds up to in a day.
    pub changes: Vec<Change>,
    /// Why there are none to be told, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// A value of the active version, and of the one that was verified.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The group key.
    pub key: Json,
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// The measure.
    pub measure: String,
    /// What the active version says.
    pub old: Json,
    /// What the other one says.
    pub new: Json,
    #[serde(skip)]
    pub(super) distance: f64,
}

/// The check of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// The stream.
    pub stream: String,
    /// How many outputs are missing.
    pub missing: u64,
    /// How many should not be there.
    pub extra: u64,
    /// How many are others than they should be.
    pub different: u64,
    /// Why it was not checked, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

impl Difference {
    pub(super) fn new(key: &str, bucket_us: i64, measure: String, (a, b): (&Value, &Value)) -> Difference {
        let (replayed, recounted) = (a.clone().finalized().to_json(), b.clone().finalized().to_json());
        let (key, bucket, distance) = (key_json(key), format_rfc3339(bucket_us), distance(a, b));
        Difference { key, bucket, measure, replayed, recounted, bucket_us, distance }
    }
}

impl Change {
    pub(super) fn new(key: &str, day: &str, measure: String, (a, b): (&Value, &Value)) -> Change {
        let (old, new) = (a.number().finalized().to_json(), b.number().finalized().to_json());
        Change { key: key_json(key), day: day.to_owned(), measure, old, new, distance: distance(a, b) }
    }
}

impl StreamReport {
    /// Whether every output is what its definition decides.
    pub fn is_right(&self) -> bool {
        (self.missing, self.extra, self.different, self.why_not.is_none()) == (0, 0, 0, true)
    }
}

impl VerifyReport {
    /// A report of a verification that has not compared anything yet.
    pub(super) fn begun(version: &str, at_us: i64) -> VerifyReport {
        VerifyReport {
            version: version.to_owned(),
            at: format_rfc3339(at_us),
            at_us,
            offsets: BTreeMap::new(),
            took_ms: 0,
            metrics: Vec::new(),
            streams: Vec::new(),
            verdict: Verdict::NotPossible,
            why: Vec::new(),
        }
    }

    /// Comes to a verdict: `why` says by now what could not be compared.
    pub(super) fn judge(&mut self) {
        let is_possible = self.why.is_empty();
        for metric in &self.metrics {
            if let Some(first) = metric.differences.first() {
                let places = metric.places.iter().map(Place::to_string).collect::<Vec<_>>().join(", ");
                let lie =
                    if places.is_empty() { "no record lies there".to_owned() } else { format!("records at {places}") };
                self.why.push(format!(
                    "metric {}: {} of {} values differ; the largest: key {}, bucket {}, {}: replayed {}, recounted {}; {lie}",
                    metric.metric,
                    metric.compared - metric.equal - metric.overflowed,
                    metric.compared,
                    first.key,
                    first.bucket,
                    first.measure,
                    first.replayed,
                    first.recounted,
                ));
            }
        }
        for stream in self.streams.iter().filter(|stream| !stream.is_right()) {
            self.why.push(stream.to_string());
        }
        let differs = self.metrics.iter().any(|metric| !metric.differences.is_empty())
            || self.streams.iter().any(|stream| !stream.is_right() && stream.why_not.is_none());
        self.verdict = match (differs, is_possible && self.streams.iter().all(StreamReport::is_right)) {
            (true, _) => Verdict::Differs,
            (false, false) => Verdict::NotPossible,
            (false, true) => Verdict::Equal,
        };
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} [{}, {})", self.log, self.partition, self.offsets.0, self.offsets.1)
    }
}

impl fmt::Display for StreamReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why_not {
            Some(why) => write!(f, "stream {} was not checked: {why}", self.stream),
            None => write!(
                f,
                "stream {}: {} outputs missing, {} extra, {} different",
                self.stream, self.missing, self.extra, self.different
            ),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Equal => "equal: every key and bucket is what the archive gives",
            Verdict::Differs => "it differs from what the archive gives",
            Verdict::NotPossible => "not everything could be compared",
        })
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version {} at {}: {}", self.version, self.at, self.verdict)?;
        for metric in &self.metrics {
            let equal = if metric.compared == metric.equal {
                "all equal".to_owned()
            } else {
                format!("{} equal", metric.equal)
            };
            writeln!(
                f,
                "  {}: {} values of {} buckets of {} keys, {equal}",
                metric.metric, metric.compared, metric.buckets, metric.keys
            )?;
            if let Some(from) = &metric.compared_from {
                writeln!(f, "    from {from} on; rows of earlier days are retired")?;
            }
            for difference in &metric.differences {
                let Difference { key, bucket, measure, replayed, recounted, .. } = difference;
                writeln!(f, "    {key} {bucket} {measure}: replayed {replayed}, recounted {recounted}")?;
            }
            for place in &metric.places {
                writeln!(f, "    records at {place}")?;
            }
            if let Some(drift) = metric.drift.as_ref().filter(|drift| drift.duplicates > 0) {
                writeln!(f, "    {} copies beyond the window go with the next reconcile", drift.duplicates)?;
            }
            if let Some(old) = &metric.old {
                let counts = if old.same_definition { "counts the same" } else { "counts otherwise" };
                let why_not = old.why_not.as_ref().map(|why| format!("; changes are not told: {why}"));
                writeln!(f, "    version {} {counts}{}", old.version, why_not.unwrap_or_default())?;
                for Change { key, day, measure, old, new, .. } in &old.changes {
                    writeln!(f, "      {key} {day} {measure}: {old} there, {new} here")?;
                }
            }
        }
        for stream in &self.streams {
            writeln!(f, "  {stream}")?;
        }
        for why in &self.why {
            writeln!(f, "  {why}")?;
        }
        Ok(())
    }
}

/// How far two values are apart; infinitely, if they are no numbers.
fn distance(a: &Value, b: &Value) -> f64 {
    match (a.number(), b.number()) {
        (Value::Int(a), Value::Int(b)) => a.abs_diff(b) as f64,
        (Value::Float(a), Value::Float(b)) => (a - b).abs(),
        _ => f64::INFINITY,
    }
}

/// A key as JSON.
fn key_json(key: &str) -> Json {
    serde_json::from_str(key).unwrap_or_else(|_| key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(difference: Option<(i64, i64)>) -> MetricReport {
        let values = |(a, b): (i64, i64)| (Value::Int(a.into()), Value::Int(b.into()));
        let difference =
            difference.map(values).map(|(a, b)| Difference::new("[\"a\"]", 60_000_000, "events".to_owned(), (&a, &b)));
        MetricReport {
            metric: "m".to_owned(),
            compared: 5,
            equal: 5 - u64::from(difference.is_some()),
            differences: difference.into_iter().collect(),
            places: vec![Place { log: "log".to_owned(), partition: 3, offsets: (7, 9) }],
            ..MetricReport::default()
        }
    }

    fn verdict(alter: impl FnOnce(&mut VerifyReport)) -> (Verdict, Vec<String>) {
        let mut report = VerifyReport::begun("v2", 0);
        alter(&mut report);
        report.judge();
        assert!(report.to_string().contains(&report.verdict.to_string()));
        (report.verdict, report.why)
    }

    #[test]
    fn a_difference_is_named_with_its_place_and_is_worse_than_what_could_not_be_compared() {
        assert_eq!(verdict(|report| report.metrics = vec![metric(None)]), (Verdict::Equal, vec![]));
        let (differs, why) = verdict(|report| {
            report.metrics = vec![metric(Some((1, 3)))];
            report.why.push("metric n: no shard".to_owned());
        });
        assert_eq!(differs, Verdict::Differs);
        let said = "metric m: 1 of 5 values differ; the largest: key [\"a\"], bucket 1970-01-01T00:01:00Z, events: replayed 1, recounted 3; records at log/3 [7, 9)";
        assert_eq!(why, ["metric n: no shard", said]);
        assert_eq!(verdict(|report| report.why.push("no shard".to_owned())).0, Verdict::NotPossible);
    }

    #[test]
    fn a_stream_has_to_be_right_and_checked() {
        let stream = |missing, why_not: Option<&str>| StreamReport {
            stream: "alerts".to_owned(),
            missing,
            extra: 0,
            different: 0,
            why_not: why_not.map(str::to_owned),
        };
        let of = |stream| verdict(|report| report.streams.push(stream));
        assert_eq!(of(stream(0, None)), (Verdict::Equal, vec![]));
        assert_eq!(of(stream(2, None)).0, Verdict::Differs);
        assert_eq!(of(stream(0, Some("the archive is behind"))).0, Verdict::NotPossible);
    }
}
