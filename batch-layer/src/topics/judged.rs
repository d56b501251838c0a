//! What is wrong with a topic, by what Kafka says of it. Pure.

use std::collections::BTreeMap;
use std::fmt;

use shared_logic::catalog::{Catalog, Source};
use shared_logic::stream_topics::{
    BROKERS_TIME, CLEANUP_POLICY, MESSAGE_BYTES, TIMESTAMP_TYPE, TopicConfig, WrittenKind, WrittenTopic, keeps_time,
    message_bytes, past_us,
};
use shared_logic::time::format_duration_us;

/// A setting that brokers have since Kafka 3.7, whose transactions lanes need.
const SINCE_3_7: &str = "telemetry.max.bytes";
/// How much larger than its payload the batch of a record may be that has a short key and few headers.
const OVERHEAD_BYTES: u64 = 1_024;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of what, such as `topic views`.
    pub of: String,
    /// Whether it stops a lane, or keeps a source from being counted.
    pub stops: bool,
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; {}", self.of, self.what, self.fix)
    }
}

impl Finding {
    fn stops(of: String, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { of, stops: true, what: what.into(), fix: fix.into() }
    }

    fn warns(of: String, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { of, stops: false, what: what.into(), fix: fix.into() }
    }
}

fn topic(name: &str) -> String {
    format!("topic {name}")
}

fn kafka(brokers: &str) -> String {
    format!("Kafka at {brokers}")
}

/// The broker that lives in a process knows no transactions.
pub fn in_process(brokers: &str) -> Finding {
    Finding::stops(
        kafka(brokers),
        "is an in-process broker, which knows no transactions",
        "use a real broker for streams",
    )
}

/// What is wrong with a broker of that configuration. Lanes write to an older one all the same.
pub fn broker(brokers: &str, config: &TopicConfig) -> Option<Finding> {
    let what = format!("is older than 3.7, as far as its settings tell ({SINCE_3_7} is none of them)");
    let fix = "upgrade it: on older brokers, a transaction that breaks may leave outputs twice";
    (!config.contains_key(SINCE_3_7)).then(|| Finding::warns(kafka(brokers), what, fix))
}

/// The broker does not say how old it is.
pub fn broker_unknown(brokers: &str, reason: &str) -> Finding {
    let what = format!("does not say how old it is ({reason})");
    Finding::warns(kafka(brokers), what, "make sure that it is 3.7 or newer, or allow DescribeConfigs on the cluster")
}

/// The topic does not exist.
pub fn missing(name: &str) -> Finding {
    Finding::stops(topic(name), "does not exist", "run `batch-layer init`")
}

/// The topic may not be described.
pub fn not_described(name: &str, reason: &str) -> Finding {
    Finding::stops(topic(name), format!("cannot be described ({reason})"), "allow Describe on it")
}

/// The topic's configuration may not be read.
pub fn not_configured(name: &str, reason: &str) -> Finding {
    let what = format!("does not show its configuration ({reason}), so that is not checked");
    Finding::warns(topic(name), what, "allow DescribeConfigs on it")
}

/// What is wrong with the number of partitions of a topic that lanes write.
pub fn partitions(written: &WrittenTopic, own: i32, of_source: i32) -> Option<Finding> {
    let what = format!("has {own} partitions, and its source has {of_source}");
    let fix = "allow `speed` to Alter it, so that lanes add them, or run `batch-layer init`";
    (written.grows && own < of_source).then(|| Finding::warns(topic(&written.name), what, fix))
}

/// What is wrong with the topic of a source. `cut_age_ms`: how old a cut may be.
pub fn source(catalog: &Catalog, source: &Source, config: &TopicConfig, cut_age_ms: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of = || topic(&source.topic);
    // Of a table, nothing is counted from a cut on.
    if !source.is_table
        && let Some(why) = refused_compaction(config, cut_age_ms)
    {
        findings.push(Finding::stops(of(), "cannot be counted", why));
    }
    if keeps_time(catalog, &source.name) && config.get(TIMESTAMP_TYPE).is_some_and(|kind| kind != BROKERS_TIME) {
        findings.push(Finding::warns(
            of(),
            "has the timestamps of its producers: one whose clock is ahead makes the events of all others late",
            format!("set its {TIMESTAMP_TYPE} to {BROKERS_TIME} if that matters"),
        ));
    }
    let past_ms = u64::try_from(past_us(catalog, source) / 1_000).unwrap_or(0);
    let counted_ms = if catalog.metrics_of(&source.name).next().is_some() { cut_age_ms } else { 0 };
    for (needs_ms, who) in [
        (past_ms, "what its streams remember: a lane that loses its snapshots then writes `incomplete` outputs"),
        (counted_ms, "the age of a cut (reconcile.max_cut_age): counters that are lost then cannot be counted again"),
    ] {
        if let Some(kept_ms) = retention_ms(config)
            && kept_ms < needs_ms
        {
            let (kept, needs) = (duration(kept_ms), duration(needs_ms));
            findings.push(Finding::warns(
                of(),
                format!("keeps records for {kept}, less than {needs}, {who}"),
                format!("set its retention.ms to {needs_ms} or more"),
            ));
        }
    }
    let taken = config.get(MESSAGE_BYTES).and_then(|bytes| bytes.parse::<u64>().ok());
    if let Some(taken) = taken.filter(|taken| !source.is_stream && *taken > source.max_record + OVERHEAD_BYTES) {
        findings.push(Finding::warns(
            of(),
            format!(
                "takes records of {taken} bytes, and those of more than max_record, {} bytes, are rejected",
                source.max_record
            ),
            format!("raise max_record of the source, or lower the topic's {MESSAGE_BYTES}"),
        ));
    }
    findings
}

/// What is wrong with a topic of that configuration that lanes write, for the streams over `source` whose topic has the configuration
/// `from`.
pub fn written(written: &WrittenTopic, own: &TopicConfig, source: &Source, from: &TopicConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of = || topic(&written.name);
    let taken = own.get(MESSAGE_BYTES).and_then(|bytes| bytes.parse::<u64>().ok());
    if let (Some(taken), Some(needs)) = (taken, message_bytes(source, from))
        && taken < needs
    {
        findings.push(Finding::warns(
            of(),
            format!("takes batches of {taken} bytes, and a record of it may have {needs}: one that is refused stops its lane"),
            format!("set its {MESSAGE_BYTES} to {needs}"),
        ));
    }
    let policy = own.get(CLEANUP_POLICY).map(String::as_str);
    if written.kind == WrittenKind::Progress && policy.is_some_and(|policy| policy.trim() != "compact") {
        findings.push(Finding::stops(
            of(),
            format!(
                "loses what was published, by its {CLEANUP_POLICY}={}; its lanes stop then",
                policy.unwrap_or_default()
            ),
            format!("set its {CLEANUP_POLICY} to compact"),
        ));
    }
    findings
}

/// What is wrong with the number of offsets that the partitions hold which have lost their beginning.
pub fn dedup_window(source: &Source, held: &BTreeMap<i32, i64>) -> Option<Finding> {
    let window = i64::try_from(source.dedup_window).unwrap_or(i64::MAX);
    let (partition, least) = held.iter().min_by_key(|(_, held)| **held)?;
    let is_short = !source.event_id.is_empty() && *least < window;
    let what = format!(
        "holds {least} offsets of partition {partition}, less than the dedup_window of {window}: a lane that starts takes some copies for events"
    );
    is_short
        .then(|| Finding::warns(topic(&source.topic), what, "let it keep records for longer, or lower dedup_window"))
}

/// Why a topic with that configuration cannot be counted; `None` if it can.
///
/// Compaction removes records. A shard that is rebuilt from the cut on would then count fewer than the first time, unless
/// every record stays for longer than a cut can be old.
pub fn refused_compaction(config: &TopicConfig, cut_age_max_ms: u64) -> Option<String> {
    let policy = config.get(CLEANUP_POLICY).map(String::as_str).unwrap_or_default();
    if !policy.split(',').any(|word| word.trim() == "compact") {
        return None;
    }
    let lag_ms = config.get("min.compaction.lag.ms").and_then(|lag| lag.parse().ok()).unwrap_or(0_u64);
    (lag_ms <= cut_age_max_ms).then(|| {
        format!(
            "it is compacted (cleanup.policy={policy}) and keeps records for {lag_ms} ms only: set the topic's \
             min.compaction.lag.ms above reconcile.max_cut_age ({cut_age_max_ms} ms), or its cleanup.policy to delete"
        )
    })
}

/// For how long a topic keeps records, if time limits that.
fn retention_ms(config: &TopicConfig) -> Option<u64> {
    let policy = config.get(CLEANUP_POLICY)?;
    let deletes = policy.split(',').any(|word| word.trim() == "delete");
    // A negative number stands for ever.
    config.get("retention.ms")?.parse::<u64>().ok().filter(|_| deletes)
}

fn duration(ms: u64) -> String {
    format_duration_us(i64::try_from(ms).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000))
}

#[cfg(test)]
mod tests;
