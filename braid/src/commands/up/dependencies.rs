//! Kafka and Redis: those that the settings name, or embedded ones in their place.

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use platform::settings::{Secret, Settings};
use reqwest::Url;
use shared_logic::catalog::Catalog;
use tracing::info;

use crate::embedded::kafka::EmbeddedKafka;
use crate::embedded::redis::EmbeddedRedis;

/// What stands in for what was not named.
pub(super) struct Dependencies {
    kafka: Option<EmbeddedKafka>,
    redis: Option<EmbeddedRedis>,
}

impl Dependencies {
    /// Starts what the settings do not name, and writes into them where it is.
    pub(super) async fn start(settings: &mut Settings, catalog: &Catalog) -> Result<Dependencies> {
        let kafka = if settings.is_named("kafka.brokers") { None } else { Some(EmbeddedKafka::start()?) };
        if let Some(kafka) = &kafka {
            kafka.create_topics(catalog)?;
            settings.kafka.brokers = kafka.brokers()?;
            info!(brokers = settings.kafka.brokers, "kafka is inside this process: it forgets on exit");
        }
        let redis =
            if settings.is_named("redis.url") { None } else { Some(EmbeddedRedis::start(&folder(settings)?).await?) };
        if let Some(redis) = &redis {
            settings.redis.url = Secret::from(redis.url());
            info!(url = redis.url(), "redis is a child of this process");
        }
        Ok(Dependencies { kafka, redis })
    }

    /// Whether Kafka is a stand-in, in which made-up events do no harm.
    pub(super) fn kafka_is_ours(&self) -> bool {
        self.kafka.is_some()
    }

    /// The line that tells where everything is.
    pub(super) fn ready_line(&self, address: SocketAddr, settings: &Settings) -> String {
        let redis = without_password(settings.redis.url.reveal());
        format!("ready http={address} kafka={} redis={redis}", settings.kafka.brokers)
    }

    /// Resolves when an embedded one has ended by itself.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        match &mut self.redis {
            Some(redis) => match redis.ended().await {
                Ok(status) => anyhow!("redis-server ended by itself ({status})"),
                Err(error) => anyhow!(error).context("cannot tell whether redis-server runs"),
            },
            None => pending().await,
        }
    }

    /// Stops the embedded ones.
    pub(super) async fn stop(self) {
        if let Some(redis) = self.redis {
            redis.stop().await;
        }
        drop(self.kafka);
    }
}

/// Where the embedded Redis keeps its files.
fn folder(settings: &Settings) -> Result<PathBuf> {
    let url = &settings.store.url;
    let path = url.strip_prefix("file://").unwrap_or(url);
    if path.contains("://") {
        bail!(
            "the embedded redis keeps its files in the data folder, and {url} is none: name a Redis with --redis URL"
        );
    }
    Ok(PathBuf::from(path).join("redis"))
}

/// The URL as it may be printed.
fn without_password(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(set)".to_owned() };
    if url.password().is_some() {
        // Only a URL without a host refuses, and then it has no password either.
        let _ = url.set_password(Some("***"));
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(without_password("redis://127.0.0.1:6379"), "redis://127.0.0.1:6379");
        assert_eq!(without_password("redis://me:secret@cache:6379/1"), "redis://me:***@cache:6379/1");
    }

    #[test]
    fn the_folder_lies_in_the_data_folder() {
        let mut settings = Settings::default();
        assert_eq!(folder(&settings).expect("a folder"), PathBuf::from("./data/redis"));
        settings.store.url = "file:///srv/braid".to_owned();
        assert_eq!(folder(&settings).expect("a folder"), PathBuf::from("/srv/braid/redis"));
        settings.store.url = "s3://bucket/prefix".to_owned();
        assert!(folder(&settings).is_err());
    }
}
