//! The drift between the layers, played: copies that speed cannot know are counted by it, a reconcile finds out, and says how many.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::scenario::{Scenario, now_us};
use crate::stage::Stage;
use crate::views::{CatalogOptions, Event, METRIC, Mix, catalog};

/// How many records back the speed layer looks for a duplicate. All copies lie farther back.
const WINDOW: u64 = 100;
const VIDEOS: u32 = 40;
/// How many events are made at a time.
const BATCH: usize = 10_000;

/// Sends so many events and then copies of the first of them, and looks at what the layers say before and after a reconcile. `say`
/// gets each step in plain words.
pub async fn play(scenario: &Scenario, events: usize, copies: usize, say: impl Fn(&str)) -> Result<()> {
    let stage = Stage::of(scenario)
        .catalog(|topic| catalog(&CatalogOptions { dedup_window: WINDOW, ..CatalogOptions::of(topic) }))
        .without_kills()
        .start()
        .await?;
    say("Kafka, Redis and the three layers run; the metric counts views of videos");
    // So that there is a view, and the next reconcile has something to compare.
    stage.total_as_of(now_us()).await?;
    stage.archived().await?;
    stage.deployment.reconcile().await?;

    let mut views = stage.views(VIDEOS, Mix::PLAIN);
    let producer = stage.producer()?;
    let mut first: Vec<Event> = Vec::with_capacity(copies);
    for sent in 0..events {
        let view = views.about(&format!("video-{}", sent % VIDEOS as usize));
        if first.len() < copies {
            first.extend(view.event.clone());
        }
        producer.send(&view.record)?;
        if (sent + 1).is_multiple_of(BATCH) {
            producer.flush()?;
        }
    }
    for event in &first {
        producer.send(&views.copy(event).record)?;
    }
    let arrived = producer.flush()?;
    say(&format!("{} views were sent, and then the first {copies} of them again", grouped(events)));

    let before = stage.total_as_of(arrived).await?.int("views")?;
    say(&format!("speed says {}", grouped(before)));
    let expected = i64::try_from(events + copies)?;
    ensure!(
        before == expected,
        "speed says {before} instead of {expected}: the copies lie beyond its window of {WINDOW}"
    );

    stage.archived().await?;
    stage.deployment.reconcile().await?;
    let after = stage.authoritative_total().await?.int("views")?;
    say(&format!("the recount says {}, and so do answers from now on", grouped(after)));
    ensure!(after == i64::try_from(events)?, "the recount says {after} instead of {events}");

    let row = newest(&stage).await?;
    let drift = &row["drift"];
    let views = &drift["measures"][0];
    say(&format!(
        "the reconcile says: speed {}, batch {}, a drift of {}, of which {} are duplicates and {} unexplained",
        views["speed"], views["batch"], views["difference"], views["duplicates"], views["unexplained"]
    ));
    let said = ["speed", "batch", "difference", "duplicates", "unexplained"].map(|name| views[name].as_i64());
    let copies = i64::try_from(copies)?;
    ensure!(said == [Some(before), Some(after), Some(copies), Some(copies), Some(0)], "{row}");
    ensure!(row["comparable"] == true && drift["duplicates"] == copies && drift["unexplained"] == 0, "{row}");
    stage.ran_without_trouble()
}

/// What the last reconcile of the metric says.
async fn newest(stage: &Stage) -> Result<Value> {
    let parameters = [("metric", METRIC.to_owned()), ("limit", "1".to_owned())];
    let (status, body) = stage.client()?.get("/v1/reconciliations", &parameters).await?;
    ensure!(status == 200, "{status}: {body}");
    body["reconciliations"].get(0).cloned().with_context(|| format!("no row: {body}"))
}

/// A number as people write it: 1,042,387.
fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_written_in_groups_of_three() {
        assert_eq!([1, 999, 1_000, 1_042_387].map(grouped), ["1", "999", "1,000", "1,042,387"]);
    }
}
