//! One key is asked for without pause while events flow and reconciles run every 2 s with the grace at its minimum: no
//! answer goes down, none exceeds what was sent, and the last is exact.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::exactness::total_is_exact;
use e2e_tests::oracle::EVER;
use e2e_tests::redis::Durability;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, Mix, Views, catalog};
use e2e_tests::{Client, Deployment, Kafka, Layer, Oracle, Producer, Redis, scenario};

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
    scenario("handover", async |scenario| {
        let kafka = Kafka::shared().await?;
        let redis = Redis::start(&scenario.dir().join("redis"), Durability::None).await?;
        let topic = scenario.unique_name();
        kafka.create_topic(&topic, 4).await?;
        let text = catalog(&CatalogOptions {
            name: &topic,
            topic: &topic,
            reconcile: EVERY_TWO_SECONDS,
            dedup_window: DEFAULT_DEDUP_WINDOW,
        });
        let mut deployment = Deployment::new(&scenario.dir().join("braid"), &text, &kafka.brokers(), &redis.url())?;
        deployment.set("speed.drop_grace", "0s");
        deployment.set("speed.drop_every", "100ms");
        deployment.start_all(&[Layer::Archive, Layer::Speed, Layer::Serving, Layer::Schedule]).await?;
        let client = deployment.client()?;
        let parameters = [("video_id", KEY.to_owned())];

        let mut views = Views::new(scenario.rng(), now_us(), 50, Mix::PLAIN);
        let producer = Producer::new(&kafka.brokers(), &topic)?;
        let (oracle, arrived) = (&mut Oracle::default(), &mut 0);
        *arrived = send(&mut views, &producer, oracle)?;
        client.total_as_of(*arrived, METRIC, &parameters).await?;

        // What the key may say at most: raised before the events are sent.
        let (sent, enough) = (AtomicI64::new(oracle.total(Some(KEY), EVER).views), AtomicBool::new(false));
        let load = async {
            while !enough.load(Ordering::SeqCst) {
                let burst = burst(&mut views);
                oracle.observe(&burst);
                sent.store(oracle.total(Some(KEY), EVER).views, Ordering::SeqCst);
                *arrived = tokio::task::block_in_place(|| producer.send_all(burst.iter().map(|sent| &sent.record)))?;
                // This paces the load; nothing depends on it.
                tokio::time::sleep(PAUSE).await;
            }
            anyhow::Ok(())
        };
        let polls = async {
            let result = poll(&client, &parameters, &sent).await;
            enough.store(true, Ordering::SeqCst);
            result
        };
        let (load, polls) = tokio::join!(load, polls);
        load?;
        println!("{}", polls?);

        let last = client.total_as_of(*arrived, METRIC, &parameters).await?;
        total_is_exact(&last, oracle.total(Some(KEY), EVER))
    });
}

fn burst(views: &mut Views) -> Vec<e2e_tests::views::Sent> {
    let mut burst = views.batch(BURST);
    burst.extend((0..BURST).map(|_| views.about(KEY)));
    burst
}

fn send(views: &mut Views, producer: &Producer, oracle: &mut Oracle) -> Result<i64> {
    let burst = burst(views);
    oracle.observe(&burst);
    producer.send_all(burst.iter().map(|sent| &sent.record))
}

/// Asks until enough answers and enough batch views were seen. Every answer is held to the same rule, also one that says
/// that it is incomplete; and as no fault is at work, none should.
async fn poll(client: &Client, parameters: &[(&str, String)], sent: &AtomicI64) -> Result<String> {
    let (mut highest, mut polls, mut versions) = (0, 0, BTreeSet::new());
    while polls < POLLS || versions.len() < VIEWS {
        let answer = client.total(METRIC, parameters).await?;
        let at_most = sent.load(Ordering::SeqCst);
        let views = answer.int("views")?;
        ensure!(views >= highest, "poll {polls}: {views} after {highest}: {answer:?}");
        ensure!(views <= at_most, "poll {polls}: {views} of {at_most} sent: {answer:?}");
        highest = views;
        ensure!(answer.complete, "poll {polls}: incomplete without a fault: {answer:?}");
        versions.extend(answer.batch_version());
        polls += 1;
        ensure!(polls < MOST_POLLS, "only {} batch views within {polls} polls", versions.len());
    }
    Ok(format!("{polls} polls over {} batch views, the last said {highest}", versions.len()))
}
