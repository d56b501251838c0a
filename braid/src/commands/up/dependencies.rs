//! Kafka and Redis: those that the settings name, or embedded ones.

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

/// The embedded Kafka and Redis, where the settings name none.
pub(super) struct Dependencies {
    kafka: Option<EmbeddedKafka>,
    redis: Option<EmbeddedRedis>,
}

impl Dependencies {
    /// Starts a Kafka and a Redis that the settings do not name, and writes their addresses into the settings.
    pub(super) async fn start(settings: &mut Settings, catalog: &Catalog) -> Result<Dependencies> {
        let kafka = if settings.is_named("kafka.brokers") { None } else { Some(EmbeddedKafka::start()?) };
        if let Some(kafka) = &kafka {
            kafka.create_topics(catalog)?;
            settings.kafka.brokers = kafka.brokers()?;
            info!(brokers = settings.kafka.brokers, "kafka is inside this process: its records are lost on exit");
        }
        let redis =
            if settings.is_named("redis.url") { None } else { Some(EmbeddedRedis::start(&folder(settings)?).await?) };
        if let Some(redis) = &redis {
            settings.redis.url = Secret::from(redis.url());
            info!(url = redis.url(), "redis is a child of this process");
        }
        Ok(Dependencies { kafka, redis })
    }

    /// Whether Kafka is embedded, so that sample traffic does no harm.
    pub(super) fn kafka_is_embedded(&self) -> bool {
        self.kafka.is_some()
    }

    /// The line with all addresses.
    pub(super) fn ready_line(&self, address: SocketAddr, settings: &Settings) -> String {
        let redis = without_password(settings.redis.url.reveal());
        format!("ready http={address} kafka={} redis={redis}", settings.kafka.brokers)
    }

    /// Resolves when the embedded Redis has ended by itself.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        match &mut self.redis {
            Some(redis) => match redis.ended().await {
                Ok(status) => anyhow!("redis-server ended by itself ({status})"),
                Err(error) => anyhow!(error).context("cannot tell whether redis-server runs"),
            },
            None => pending().await,
        }
    }

    /// Stops the embedded servers.
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
            "the embedded redis keeps its files in the data folder, and {url} is not a folder: name a Redis with --redis URL"
        );
    }
    Ok(PathBuf::from(path).join("redis"))
}

/// The URL with its password replaced, for printing.
fn without_password(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(set)".to_owned() };
    if url.password().is_some() {
        // This fails only for a URL without a host, which has no password either.
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
