//! Workers join and leave under load, and workers of two catalogs are at work at once: no complete answer is wrong.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, Mix, NEVER, Views, catalog};
use e2e_tests::wait::DEADLINE;
use e2e_tests::watch::{said_again, watched};
use e2e_tests::{Deployment, Kafka, Layer, Load, Producer, Scenario, Stage, scenario};

const CHANGES: usize = 10;
const SOME: usize = 500;
const PARTITIONS: i32 = 6;
/// What a worker says when a partition becomes its own.
const ASSIGNED: &str = "partition assigned";
/// What a worker says when it begins to count a partition.
const COUNTING: &str = "counting id";

#[test]
fn rebalance() {
    scenario("rebalance", async |scenario| {
        let (stage, text) = stage(scenario).await?;
        stage.deployment.start_all(&LAYERS).await?;
        let client = stage.client()?;
        let peers = [peer(scenario, &stage, "peer-0", &text)?, peer(scenario, &stage, "peer-1", &text)?];
        let now = now_us();
        let load =
            Load::start(Producer::new(&stage.brokers, &stage.topic)?, Views::new(scenario.rng(), now, 50, Mix::USUAL));

        watched(&client, &load, async {
            let mut running = [None, None];
            for change in 0..CHANGES {
                let (place, peer) = (change % 2, &peers[change % 2]);
                match running[place].take() {
                    None => {
                        let process = peer.start(Layer::Speed).await?;
                        process.line_with(ASSIGNED, DEADLINE).await.with_context(|| format!("join {change}"))?;
                        running[place] = Some(process);
                    }
                    // Some leave in good order, and some do not.
                    Some(process) if place == 0 => process.kill(),
                    Some(process) => {
                        process.terminate()?;
                        process.success(DEADLINE).await.with_context(|| format!("leave {change}"))?;
                    }
                }
                let arrived = load.arrive(SOME).await?;
                client.total_as_of(arrived, METRIC, &[]).await.with_context(|| format!("change {change}"))?;
                if change == CHANGES / 2 {
                    stage.deployment.reconcile().await?;
                }
            }
            Ok(())
        })
        .await?;

        let stopped = load.stop().await?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        every_answer_is_exact(&client, &stopped.oracle, now).await?;
        stage.reconciled_is(&stopped.oracle).await?;
        every_answer_is_exact(&client, &stopped.oracle, now).await
    });
}

/// The two definitions differ in their grain, so both must say the same about all of time, and yet nothing that was
/// counted by one is of use to the other.
#[test]
fn two_catalogs_at_once() {
    scenario("two_catalogs_at_once", async |scenario| {
        let (stage, text) = stage(scenario).await?;
        let newer = text.replace("grain = \"1m\"", "grain = \"1h\"");
        ensure!(newer != text, "the catalogs are the same");
        let newer = peer(scenario, &stage, "newer", &newer)?;
        let old = &stage.deployment;
        old.start_all(&LAYERS).await?;
        newer.start(Layer::Serving).await?;
        let (old_client, client) = (stage.client()?, newer.client()?);
        let now = now_us();
        let load =
            Load::start(Producer::new(&stage.brokers, &stage.topic)?, Views::new(scenario.rng(), now, 50, Mix::USUAL));

        let both_at_work = async {
            let arrived = load.arrive(SOME).await?;
            old_client.total_as_of(arrived, METRIC, &[]).await?;
            old.reconcile().await?;
            for _ in 0..2 {
                // The newer one takes partitions from the older one, and the older one takes some back: it dies of a
                // definition that it does not know where it counts, and is started again.
                newer.start(Layer::Speed).await?.line_with(COUNTING, DEADLINE).await?;
                load.arrive(SOME).await?;
                newer.reconcile().await?;
                load.arrive(SOME).await?;
                old.start(Layer::Speed).await?.line_with(COUNTING, DEADLINE).await?;
                load.arrive(SOME).await?;
                old.reconcile().await?;
                load.arrive(SOME).await?;
            }
            // The old one is gone, and a last worker is started with the newer catalog.
            old.kill(Layer::Speed);
            let last = newer.start(Layer::Speed).await?;
            said_again(&last, COUNTING, PARTITIONS as usize - 1).await?;
            let arrived = load.arrive(SOME).await?;
            newer.reconcile().await?;
            client.total_as_of(arrived, METRIC, &[]).await
        };
        watched(&client, &load, watched(&old_client, &load, both_at_work)).await?;

        let stopped = load.stop().await?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        every_answer_is_exact(&client, &stopped.oracle, now).await?;
        newer.reconcile().await?;
        client.authoritative_total(METRIC, &[]).await?;
        every_answer_is_exact(&client, &stopped.oracle, now).await
    });
}

async fn stage(scenario: &Scenario) -> Result<(Stage, String)> {
    let kafka = Kafka::shared().await?;
    let topic = scenario.unique_name();
    let options = CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
    let text = catalog(&options);
    let stage = Stage::with_catalog(scenario, &kafka.brokers(), &topic, &text).await?;
    kafka.create_topic(&topic, PARTITIONS).await?;
    Ok((stage, text))
}

fn peer(scenario: &Scenario, stage: &Stage, name: &str, catalog: &str) -> Result<Deployment> {
    stage.deployment.beside(&scenario.dir().join(name), catalog)
}
