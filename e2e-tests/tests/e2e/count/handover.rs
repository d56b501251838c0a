//! One key is asked for without pause while events flow and reconciles run every 2 s with the grace at its minimum: no
//! answer goes down, none exceeds what was sent, and the last is exact. The tables lie in a folder; or on S3, where two archivers write.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::exactness::total_is_exact;
use e2e_tests::oracle::EVER;
use e2e_tests::stage::Setup;
use e2e_tests::views::{CatalogOptions, METRIC, Mix, catalog};
use e2e_tests::{Client, Layer, Stage, Traffic, busy_scenario};

const EVERY_TWO_SECONDS: &str = "*/2 * * * * *";
const KEY: &str = "video-0";
const POLLS: usize = 2_000;
const VIEWS: usize = 8;
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);
/// Enough answers and views are seen long before.
const MOST_POLLS: usize = 200_000;

#[test]
fn handover() {
    busy_scenario("handover", async |scenario| hands_over(Stage::of(scenario), Archivers::One).await);
}

#[test]
fn handover_on_s3() {
    busy_scenario("handover_on_s3", async |scenario| hands_over(Stage::of(scenario).on_s3(), Archivers::Two).await);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Archivers {
    One,
    Two,
}

async fn hands_over(setup: Setup<'_>, archivers: Archivers) -> Result<()> {
    let stage = setup
        .catalog(|topic| catalog(&CatalogOptions { reconcile: EVERY_TWO_SECONDS, ..CatalogOptions::of(topic) }))
        .set("speed.drop_grace", "0s")
        .set("speed.drop_every", "100ms")
        .running(&[Layer::Archive, Layer::Speed, Layer::Serving, Layer::Schedule])
        .start()
        .await?;
    let _second = if archivers == Archivers::Two { Some(stage.second_archiver().await?) } else { None };
    let client = stage.client()?;
    let parameters = [("video_id", KEY.to_owned())];
    let mut traffic = stage.traffic(50, Mix::PLAIN)?;
    let at_most = AtomicI64::new(0);
    let mut arrived = burst(&mut traffic, &at_most)?;
    client.total_as_of(arrived, METRIC, &parameters).await?;

    let enough = AtomicBool::new(false);
    let load = async {
        while !enough.load(Ordering::SeqCst) {
            arrived = tokio::task::block_in_place(|| burst(&mut traffic, &at_most))?;
            // This paces the load; nothing depends on it.
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(())
    };
    let polls = async {
        let result = poll(&client, &parameters, &at_most).await;
        enough.store(true, Ordering::SeqCst);
        result
    };
    let (load, polls) = tokio::join!(load, polls);
    load?;
    println!("{}", polls?);

    let last = client.total_as_of(arrived, METRIC, &parameters).await?;
    total_is_exact(&last, traffic.oracle.total(Some(KEY), EVER))
}

/// Sends some views, at least half of them of the key. `at_most`, what an answer about the key may count, rises before.
fn burst(traffic: &mut Traffic, at_most: &AtomicI64) -> Result<i64> {
    let mut burst = traffic.views.batch(BURST);
    burst.extend((0..BURST).map(|_| traffic.views.about(KEY)));
    traffic.oracle.observe(&burst);
    at_most.store(traffic.oracle.total(Some(KEY), EVER).views, Ordering::SeqCst);
    traffic.deliver(&burst)
}

/// Asks until enough answers and enough batch views were seen. Every answer must be complete, as there is no fault.
async fn poll(client: &Client, parameters: &[(&str, String)], at_most: &AtomicI64) -> Result<String> {
    let (mut highest, mut polls, mut versions) = (0, 0, BTreeSet::new());
    while polls < POLLS || versions.len() < VIEWS {
        let answer = client.total(METRIC, parameters).await?;
        let at_most = at_most.load(Ordering::SeqCst);
        let views = answer.int("views")?;
        ensure!(views >= highest, "poll {polls}: {views} after {highest}: {answer:?}");
        ensure!(views <= at_most, "poll {polls}: {views} of {at_most} sent: {answer:?}");
        highest = views;
        ensure!(answer.complete, "poll {polls}: incomplete without a fault: {answer:?}");
        versions.extend(answer.batch_version());
        polls += 1;
        ensure!(polls < MOST_POLLS, "only {} batch views within {polls} polls", versions.len());
    }
    Ok(format!("{polls} polls over {} batch views, the last counted {highest}", versions.len()))
}
