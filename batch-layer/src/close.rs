//! A topic that was deleted and is not created again: its log is closed by an operator, since nobody else can know that it does
//! not come back. From the next reconcile on all of it is on the batch side.

use anyhow::Context;
use platform::kafka::Topics;
use platform::settings::Settings;
use platform::store::Store;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;

use crate::archive::Archive;

/// Closes every log of a source whose topic does not exist.
///
/// # Errors
/// If the topic exists, there is no such source or archive, or Kafka or the store cannot be reached.
pub async fn run(settings: &Settings, catalog: &Catalog, source: &str) -> anyhow::Result<()> {
    let source = catalog.source(source)?;
    if let Some(topic) = Topics::new(&settings.kafka)?.describe(&source.topic).await? {
        anyhow::bail!(
            "topic {} exists, its log is {}: nothing is closed. A log ends when its topic is deleted; one whose topic was \
             created again is closed by `batch-layer archive`",
            source.topic,
            topic.log
        );
    }
    let store = Store::new(&settings.store, &catalog.deployment.name)?;
    let mut archive = Archive::open(&store, source).await?.context("nothing is archived yet")?;
    let closed = archive.change("CLOSE", close_all).await?;
    println!("{}: {} logs closed; the next reconcile takes all of them", source.name, closed.len());
    Ok(())
}

fn close_all(facts: &mut Facts) -> Vec<String> {
    let open: Vec<String> = facts.logs.iter().filter(|log| !log.closed).map(|log| log.log.clone()).collect();
    open.iter().for_each(|log| facts.close(log));
    open
}
