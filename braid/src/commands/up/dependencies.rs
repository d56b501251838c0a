//! Kafka, Redis and the search server: those that the settings name, or embedded ones.
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
use crate::embedded::search::EmbeddedSearch;

/// The embedded Kafka and Redis, where the settings name none, and the embedded search server.
pub(super) struct Dependencies {
    kafka: Option<EmbeddedKafka>,
    redis: Option<EmbeddedRedis>,
    search: Option<EmbeddedSearch>,
}

impl Dependencies {
    /// Starts a Kafka and a Redis that the settings do not name, and a search server if that is wanted, and writes their addresses into
    /// the settings.
    pub(super) async fn start(
        settings: &mut Settings,
        catalog: &Catalog,
        search_is_wanted: bool,
    ) -> Result<Dependencies> {
        let search = start_search(settings, search_is_wanted);
        let (kafka, redis, search) = tokio::try_join!(kafka::start(settings, catalog), start_redis(settings), search)?;
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
        if let Some(search) = &search {
            settings.search.url = search.url();
            info!(url = search.url(), "opensearch is a child of this process");
        }
        Ok(Dependencies { kafka, redis, search })
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
        let search =
            if settings.search.is_named() { format!(" search={}", settings.search.url) } else { String::new() };
        format!("ready http={address} kafka={} redis={redis}{search}", settings.kafka.brokers)
    }

    /// Resolves when an embedded server has ended by itself.
    pub(super) async fn failure(&mut self) -> anyhow::Error {
        let Dependencies { kafka, redis, search } = self;
        let search = async {
            match search {
                Some(search) => search.ended().await,
                None => pending().await,
            }
        };
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
            ended = search => ended,
        }
    }

    /// Stops the embedded servers.
    pub(super) async fn stop(self) {
        let Dependencies { kafka, redis, search } = self;
        let search = async {
            if let Some(search) = search {
                search.stop().await;
            }
        };
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
        tokio::join!(kafka, redis, search);
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

/// A search server, if one is wanted.
async fn start_search(settings: &Settings, is_wanted: bool) -> Result<Option<EmbeddedSearch>> {
    if !is_wanted {
        return Ok(None);
    }
    if settings.search.is_named() {
        bail!("search.url names the search server {}: leave one of it and --search out", settings.search.url);
    }
    let Some(data) = data_folder(settings) else {
        bail!(
            "the embedded opensearch keeps its files in the data folder, and {} is not a folder: name a search server by search.url",
            settings.store.url
        );
    };
    Ok(Some(EmbeddedSearch::start(&data.join("search")).await?))
}

/// The data folder, if the store is one.
fn data_folder(settings: &Settings) -> Option<PathBuf> {
    let url = &settings.store.url;
    let path = url.strip_prefix("file://").unwrap_or(url);
    (!path.contains("://")).then(|| PathBuf::from(path))
}

/// The URL with its password replaced and without parameters, of which one may be a password; for printing.
fn without_password(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(set)".to_owned() };
    if url.password().is_some() {
        // This fails only for a URL without a host, which has no password either.
        let _ = url.set_password(Some("***"));
    }
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        assert_eq!(without_password("redis://127.0.0.1:6379"), "redis://127.0.0.1:6379");
        assert_eq!(without_password("redis://me:secret@cache:6379/1"), "redis://me:***@cache:6379/1");
        assert_eq!(without_password("redis+sentinel://s1/main?sentinel_password=secret"), "redis+sentinel://s1/main");
        assert!(!without_password("redis-cluster://me:secret@a:1,b:2").contains("secret"));
    }

    #[tokio::test]
    async fn a_search_server_is_started_only_where_none_is_named() {
        let mut settings = Settings::default();
        assert!(start_search(&settings, false).await.expect("nothing is wanted").is_none());
        settings.search.url = "http://search:9200".to_owned();
        assert!(start_search(&settings, false).await.expect("one is named").is_none());
        let refused = start_search(&settings, true).await.err().expect("one is named").to_string();
        assert!(refused.contains("http://search:9200") && refused.contains("--search"), "{refused}");
        settings.search.url = String::new();
        settings.store.url = "s3://bucket/prefix".to_owned();
        let refused = start_search(&settings, true).await.err().expect("there is no folder").to_string();
        assert!(refused.contains("search.url"), "{refused}");
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
