//! What is wrong with the topics of a catalog, as Kafka describes them: of sources, of streams, and those that lanes write besides.
//!
//! - `judged`: what follows from a topic's configuration.

pub mod judged;

use std::collections::BTreeMap;
use std::time::Duration;

use platform::kafka::{Bound, KafkaError, Topic, Topics, cluster};
use platform::settings::Settings;
use platform::telemetry::error_text;
use shared_logic::catalog::{Catalog, Source};
use shared_logic::stream_topics::{TopicConfig, written_topics};

use self::judged::Finding;

/// How long the brokers may take to say who they are.
const CLUSTER_WITHIN: Duration = Duration::from_secs(10);

/// Why topics could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum NotChecked {
    /// No broker has answered.
    #[error("no Kafka answers at {brokers}")]
    NoAnswer {
        /// Where one was looked for.
        brokers: String,
    },
    /// Kafka did not answer a question.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// Asks Kafka for the topics of a catalog, and changes nothing.
///
/// # Errors
/// [`NotChecked`]. What a client may not ask is a finding.
pub async fn check(settings: &Settings, catalog: &Catalog) -> Result<Vec<Finding>, NotChecked> {
    let no_answer = || NotChecked::NoAnswer { brokers: settings.kafka.brokers.clone() };
    let known = cluster(&settings.kafka, CLUSTER_WITHIN).await?.ok_or_else(no_answer)?;
    let check =
        Check { catalog, topics: Topics::new(&settings.kafka)?, cut_age_ms: settings.reconcile.max_cut_age.millis() };
    let mut findings = Vec::new();
    if !catalog.streams.is_empty() {
        let brokers = &settings.kafka.brokers;
        match known.broker {
            _ if known.is_in_process() => findings.push(judged::in_process(brokers)),
            Some(broker) => findings.extend(check.broker(brokers, broker).await?),
            None => {}
        }
    }
    for source in catalog.sources.values() {
        check.source(source, &mut findings).await?;
    }
    Ok(findings)
}

struct Check<'a> {
    catalog: &'a Catalog,
    topics: Topics,
    /// How old a cut may be, in milliseconds.
    cut_age_ms: u64,
}

/// What was asked of Kafka.
enum Answer<T> {
    Known(T),
    /// There is no such topic.
    Missing,
    /// The broker refuses to say it.
    Refused(KafkaError),
}

/// Tells what is known from what may be asked again.
fn answer<T>(asked: Result<T, KafkaError>) -> Result<Answer<T>, KafkaError> {
    match asked {
        Ok(known) => Ok(Answer::Known(known)),
        Err(error) if error.is_unknown_topic() => Ok(Answer::Missing),
        Err(error) if error.is_transient() => Err(error),
        Err(error) => Ok(Answer::Refused(error)),
    }
}

impl Check<'_> {
    /// Whether a broker is new enough for lanes.
    async fn broker(&self, brokers: &str, broker: i32) -> Result<Option<Finding>, KafkaError> {
        Ok(match answer(self.topics.broker_config(broker).await)? {
            Answer::Known(config) => judged::broker(brokers, &config),
            Answer::Missing => None,
            Answer::Refused(error) => Some(judged::broker_unknown(brokers, &error_text(&error))),
        })
    }

    /// The topic of a source, and those that are written for the streams over it.
    async fn source(&self, source: &Source, findings: &mut Vec<Finding>) -> Result<(), KafkaError> {
        let Some(topic) = self.described(&source.topic, findings).await? else { return Ok(()) };
        let config = self.config(&source.topic, findings).await?;
        if let Some(config) = &config {
            findings.extend(judged::source(self.catalog, source, config, self.cut_age_ms));
        }
        let written = written_topics(self.catalog, &source.name);
        if !written.is_empty() {
            self.dedup_window(source, topic.partitions, findings).await?;
        }
        for written in &written {
            let Some(own) = self.described(&written.name, findings).await? else { continue };
            findings.extend(judged::partitions(written, own.partitions, topic.partitions));
            if let Some(config) = &config
                && let Some(own) = self.config(&written.name, findings).await?
            {
                findings.extend(judged::written(written, &own, source, config));
            }
        }
        Ok(())
    }

    /// The topic, if there is one that may be described. Streams' topics are described twice, but said to be missing once.
    async fn described(&self, topic: &str, findings: &mut Vec<Finding>) -> Result<Option<Topic>, KafkaError> {
        let finding = match answer(self.topics.describe(topic).await)? {
            Answer::Known(Some(known)) => return Ok(Some(known)),
            Answer::Known(None) | Answer::Missing => judged::missing(topic),
            Answer::Refused(error) => judged::not_described(topic, &error_text(&error)),
        };
        add(findings, finding);
        Ok(None)
    }

    /// The topic's configuration, if it may be asked for.
    async fn config(&self, topic: &str, findings: &mut Vec<Finding>) -> Result<Option<TopicConfig>, KafkaError> {
        match answer(self.topics.config(topic).await)? {
            Answer::Known(config) => return Ok(Some(config)),
            // The in-process broker cannot be asked, and a topic that goes away meanwhile was described.
            Answer::Missing | Answer::Refused(KafkaError::Unsupported { .. }) => {}
            Answer::Refused(error) => add(findings, judged::not_configured(topic, &error_text(&error))),
        }
        Ok(None)
    }

    /// Whether a log that has lost its beginning still holds the window in which copies are looked for.
    async fn dedup_window(
        &self,
        source: &Source,
        partitions: i32,
        findings: &mut Vec<Finding>,
    ) -> Result<(), KafkaError> {
        let partitions: Vec<i32> = (0..partitions).collect();
        let asked = async {
            let starts = self.topics.offsets(&source.topic, &partitions, Bound::Start).await?;
            let ends = self.topics.offsets(&source.topic, &partitions, Bound::End).await?;
            Ok::<_, KafkaError>((starts, ends))
        };
        match answer(asked.await)? {
            Answer::Known((starts, ends)) => findings.extend(judged::dedup_window(source, &held(&starts, &ends))),
            Answer::Missing => {}
            Answer::Refused(error) => add(findings, judged::not_described(&source.topic, &error_text(&error))),
        }
        Ok(())
    }
}

/// How many offsets each partition holds that has lost its beginning.
fn held(starts: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) -> BTreeMap<i32, i64> {
    let held = starts.iter().filter(|(_, start)| **start > 0).filter_map(|(partition, start)| {
        let end = ends.get(partition)?;
        Some((*partition, (end - start).max(0)))
    });
    held.collect()
}

/// Adds what was not found before.
fn add(findings: &mut Vec<Finding>, finding: Finding) {
    if !findings.contains(&finding) {
        findings.push(finding);
    }
}
