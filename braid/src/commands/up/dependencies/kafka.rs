//! Which Kafka: the one that the settings name, Apache Kafka as a child, or the broker inside this process.
//!
//! A data folder with Kafka's log is not used with the broker inside this process. There, topics have other ids: Braid would
//! take the log for deleted, and what is in it and not archived for lost.

use std::path::Path;

use anyhow::{Context, Result, bail};
use platform::settings::Settings;
use shared_logic::catalog::Catalog;
use tracing::{info, warn};

use super::data_folder;
use crate::embedded::kafka::{Broker, EmbeddedKafka, InProcess, Runtime, holds_a_log};

/// Values of `kafka.brokers` that name no address.
const CHILD: &str = "child";
const IN_PROCESS: &str = "in-process";

/// The Kafka that the settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// One that runs already.
    Named,
    /// Apache Kafka as a child, and nothing else.
    Child,
    /// The broker inside this process.
    InProcess,
    /// A child, else the broker inside this process.
    Any,
}

impl Wanted {
    fn by(settings: &Settings) -> Wanted {
        match settings.kafka.brokers.as_str() {
            _ if !settings.is_named("kafka.brokers") => Wanted::Any,
            CHILD => Wanted::Child,
            IN_PROCESS => Wanted::InProcess,
            _ => Wanted::Named,
        }
    }
}

/// Starts the Kafka that the settings ask for; nothing if they name one.
pub(super) async fn start(settings: &Settings, catalog: &Catalog) -> Result<Option<EmbeddedKafka>> {
    let wanted = Wanted::by(settings);
    let folder = data_folder(settings).map(|data| data.join("kafka"));
    let kept = folder.as_deref().filter(|folder| holds_a_log(folder));
    match wanted {
        Wanted::Named => Ok(None),
        Wanted::InProcess => {
            may_forget(kept)?;
            info!("kafka is inside this process: it keeps little, and forgets all records on exit");
            in_process(catalog).map(Some)
        }
        Wanted::Child | Wanted::Any => match (Runtime::find().await, &folder) {
            (Ok(runtime), Some(folder)) => child(folder, &runtime).await.map(Some),
            (Ok(_), None) => bail!(
                "the embedded kafka keeps its log in the data folder, and {} is not a folder: name a Kafka with --kafka",
                settings.store.url
            ),
            (Err(missing), _) if wanted == Wanted::Child => Err(missing.context("kafka cannot be run here")),
            (Err(missing), _) => {
                may_forget(kept).with_context(|| format!("kafka cannot be run here ({missing:#})"))?;
                warn!(
                    reason = format!("{missing:#}"),
                    "kafka cannot be run here, so a broker inside this process replaces it: it keeps only the newest 5 MiB of \
                     each partition, and forgets all records on exit"
                );
                in_process(catalog).map(Some)
            }
        },
    }
}

/// Whether the broker inside this process may be used; `kept` is the folder of a Kafka that has kept a log.
fn may_forget(kept: Option<&Path>) -> Result<()> {
    if let Some(kept) = kept {
        bail!(
            "{} holds the log of a Kafka, which the broker inside this process cannot read: name another folder with --data, or \
             remove this one to give up what it holds and the archive does not",
            kept.display()
        );
    }
    Ok(())
}

async fn child(folder: &Path, runtime: &Runtime) -> Result<EmbeddedKafka> {
    let broker = Broker::start(folder, runtime).await?;
    info!(brokers = broker.brokers(), folder = %folder.display(), "kafka is a child of this process");
    Ok(EmbeddedKafka::Broker(Box::new(broker)))
}

fn in_process(catalog: &Catalog) -> Result<EmbeddedKafka> {
    let broker = InProcess::start()?;
    broker.create_topics(catalog)?;
    Ok(EmbeddedKafka::InProcess(broker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_addresses_or_a_kind_of_kafka() {
        let wanted = |flags: &[(&str, &str)]| {
            let flags: Vec<(String, String)> =
                flags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            Wanted::by(&Settings::load(None, std::iter::empty(), &flags).expect("valid"))
        };
        assert_eq!(wanted(&[]), Wanted::Any);
        assert_eq!(wanted(&[("kafka.request_timeout", "5s")]), Wanted::Any);
        assert_eq!(wanted(&[("kafka.brokers", "127.0.0.1:9092")]), Wanted::Named);
        assert_eq!(wanted(&[("kafka.brokers", "child")]), Wanted::Child);
        assert_eq!(wanted(&[("kafka.brokers", "in-process")]), Wanted::InProcess);
    }

    #[test]
    fn a_broker_that_forgets_is_not_used_beside_a_log_that_is_kept() {
        may_forget(None).expect("nothing is given up");
        let refused = may_forget(Some(Path::new("data/kafka"))).expect_err("its log would be given up").to_string();
        assert!(refused.starts_with("data/kafka holds the log of a Kafka"), "{refused}");
    }
}
