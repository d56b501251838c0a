//! An archiver that is started on a full topic.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::end_offsets;
use e2e_tests::views::METRIC;
use e2e_tests::{Layer, Stage};
use platform::settings::Settings;
use platform::store::{Store, Table};
use serde_json::Value;
use shared_logic::contracts::archive;
use test_kit::{DEADLINE, Progress, wait_for};

use crate::full_topic::{bare_consumer, fill};
use crate::load::{Events, Keys};
use crate::reconcile::archived::in_folder;
use crate::usage::Usage;

/// How often it is looked how far the archiver has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const DRAINED_WITHIN: Duration = Duration::from_secs(300);

/// How it went.
pub(crate) struct Drained {
    /// Rows per second that were committed, from the first commit on.
    pub(crate) rate: f64,
    /// Records per second that a bare consumer reads of the same topic.
    pub(crate) bare: f64,
    /// What the archiver has used.
    pub(crate) usage: Usage,
}

impl Drained {
    /// Fills the topic of a stage, whose archiver runs, with so many events; then starts the archiver anew and waits until all are
    /// archived.
    pub(crate) async fn of(stage: &Stage, events: u64) -> Result<Drained> {
        let (deployment, topic) = (&stage.deployment, &stage.topic);
        let mut archived = Archived::of(stage)?;
        wait_for("the archive's begin", DEADLINE, async || {
            Ok(Progress::when(archived.rows().await?.is_some(), "no commit"))
        })
        .await?;
        deployment.kill(Layer::Archive);
        let mut made = Events::new(Keys::Zipf, 3);
        fill(stage, || made.next(), events)?;
        let ends = end_offsets(&stage.brokers, topic)?;
        let bare = bare_consumer(&stage.brokers, topic, &ends)?;

        let archiver = deployment.launch(Layer::Archive, "")?;
        let end: i64 = ends.iter().sum();
        let before = archived.rows().await?.context("nothing is begun")?;
        // What the process needs to start is not part of a rate.
        let mut first = None;
        let mut reached = before;
        let launched = Instant::now();
        while reached < end {
            tokio::time::sleep(LOOK_EVERY).await;
            ensure!(launched.elapsed() < DRAINED_WITHIN, "the archiver stands at {reached} of {end}");
            reached = archived.rows().await?.unwrap_or(before);
            if reached > before && first.is_none() {
                first = Some((reached, Instant::now()));
            }
        }
        let (from, began) = first.context("nothing was archived")?;
        let rate = (end - from) as f64 / began.elapsed().as_secs_f64();
        let usage = Usage::of(archiver.id())?;
        deployment.kill(Layer::Archive);
        Ok(Drained { rate, bare, usage })
    }
}

/// How far an archive has come, by its facts.
struct Archived {
    store: Store,
    table: Option<Table>,
    rows: Option<i64>,
}

impl Archived {
    /// The archive of the stage, wherever its tables lie.
    fn of(stage: &Stage) -> Result<Archived> {
        let folder = stage.deployment.store();
        let settings = match &stage.s3 {
            None => in_folder(folder.parent().context("a store without a folder")?),
            Some(s3) => Settings::load(None, std::iter::empty(), &s3.settings())?.store,
        };
        Ok(Archived { store: Store::new(&settings, &stage.topic)?, table: None, rows: None })
    }

    /// How many rows are archived: the sum over the partitions; `None` before the first facts.
    async fn rows(&mut self) -> Result<Option<i64>> {
        let has_changed = match &mut self.table {
            Some(table) => table.refresh().await?,
            None => {
                self.table = self.store.open(&archive::path(METRIC)).await?;
                true
            }
        };
        if let Some(table) = self.table.as_ref().filter(|_| has_changed) {
            let facts = table.note::<Value>(archive::FACTS_DOMAIN).await?;
            self.rows = facts.map(|facts| rows_of(&facts)).transpose()?;
        }
        Ok(self.rows)
    }
}

/// The sum of the offsets up to which the partitions of a topic's one log are archived.
fn rows_of(facts: &Value) -> Result<i64> {
    let facts = if facts["facts"].is_object() { &facts["facts"] } else { facts };
    let partitions = facts["logs"][0]["partitions"].as_object().context("no partitions")?;
    Ok(partitions.values().filter_map(|partition| partition["next"].as_i64()).sum())
}
