//! Kafka and Redis: those that the settings name, or embedded ones.
//!
//! - `kafka`: which Kafka.

mod kafka;

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use platform::settings::{Secret, Settings};
use reqwest::Url;
use shared_logic::catalog::Catalog;
use tracing::info;

use crate::embedded::kafka::{ARCHIVE_BYTES_MAX, EmbeddedKafka};
use crate::embedded::redis::EmbeddedRedis;

/// The embedded Kafka and Redis, where the settings name none.
pub(super) struct Dependencies {
    kafka: Option<EmbeddedKafka>,
    redis: Option<EmbeddedRedis>,
}

impl Dependencies {
    /// Starts a Kafka and a Redis that the settings do not name, and writes their addresses into the settings.
    pub(super) async fn start(settings: &mut Settings, catalog: &Catalog) -> Result<Dependencies> {
        let (kafka, redis) = tokio::try_join!(kafka::start(settings, catalog), start_redis(settings))?;
        if let Some(kafka) = &kafka {
            settings.kafka.brokers = kafka.brokers();
            if kafka.is_forgetful() && !settings.is_named("archive.max_bytes") {
                settings.archive.max_bytes = ARCHIVE_BYTES_MAX;
            }
        }
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

    /// Whether Kafka forgets records, archived or not, so that producers have to know what is archived.
    pub(super) fn kafka_is_forgetful(&self) -> bool {
        self.kafka.as_ref().is_some_and(EmbeddedKafka::is_forgetful)
    }

    /// The line with all addresses.
    pub(super) fn ready_line(&self, address: SocketAddr, settings: &Settings) -> String {
        let redis = without_password(settings.redis.url.reveal());
        format!("ready http={address} kafka={} redis={redis}", settings.kafka.brokers)
    }

    /// Resolves when an embedded server has ended by itself.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        let Dependencies { kafka, redis } = self;
        let kafka = async {
            match kafka {
                Some(kafka) => kafka.ended().await,
                None => pending().await,
            }
        };
        let redis = async {
            match redis {
                Some(redis) => match redis.ended().await {
                    Ok(status) => anyhow!("redis-server ended by itself ({status})"),
                    Err(error) => anyhow!(error).context("cannot tell whether redis-server runs"),
                },
                None => pending().await,
            }
        };
        tokio::select! {
            ended = kafka => ended,
            ended = redis => ended,
        }
    }

    /// Stops the embedded servers.
    pub(super) async fn stop(self) {
        let Dependencies { kafka, redis } = self;
        let kafka = async {
            if let Some(kafka) = kafka {
                kafka.stop().await;
            }
        };
        let redis = async {
            if let Some(redis) = redis {
                redis.stop().await;
            }
        };
        tokio::join!(kafka, redis);
    }
}

async fn start_redis(settings: &Settings) -> Result<Option<EmbeddedRedis>> {
    if settings.is_named("redis.url") {
        return Ok(None);
    }
    let Some(data) = data_folder(settings) else {
        bail!(
            "the embedded redis keeps its files in the data folder, and {} is not a folder: name a Redis with --redis URL",
            settings.store.url
        );
    };
    Ok(Some(EmbeddedRedis::start(&data.join("redis")).await?))
}

/// The data folder, if the store is one.
fn data_folder(settings: &Settings) -> Option<PathBuf> {
    let url = &settings.store.url;
    let path = url.strip_prefix("file://").unwrap_or(url);
    (!path.contains("://")).then(|| PathBuf::from(path))
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
    fn the_data_folder_is_the_stores_if_that_is_one() {
        let mut settings = Settings::default();
        assert_eq!(data_folder(&settings), Some(PathBuf::from("./data")));
        settings.store.url = "file:///srv/braid".to_owned();
        assert_eq!(data_folder(&settings), Some(PathBuf::from("/srv/braid")));
        settings.store.url = "s3://bucket/prefix".to_owned();
        assert_eq!(data_folder(&settings), None);
    }
}
