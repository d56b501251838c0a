//! A speed worker is frozen between the look at a shard and the write, another one takes its partitions, and the first wakes
//! up: what it writes then changes nothing.

use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, Mix, NEVER, Views, catalog};
use e2e_tests::wait::DEADLINE;
use e2e_tests::watch::{said_again, watched};
use e2e_tests::{Kafka, Layer, Load, Producer, Stage, scenario};

const SOME: usize = 1_000;
/// One lane stops right before a write, long enough to be frozen there. Whatever else it learns when it wakes up, it writes
/// first.
const STOPS_BEFORE_A_WRITE: &str = "speed::before_apply=30*off->1*return(5000)->off";
/// What a worker says whose write was refused.
const REFUSED: &str = "a micro-batch was not applied";

#[test]
fn zombie() {
    scenario("zombie", async |scenario| {
        let kafka = Kafka::shared().await?;
        let topic = scenario.unique_name();
        let options =
            CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
        let text = catalog(&options);
        let stage = Stage::with_catalog(scenario, &kafka.brokers(), &topic, &text).await?;
        kafka.create_topic(&topic, 4).await?;
        let other = stage.deployment.beside(&scenario.dir().join("other"), &text)?;
        stage.deployment.start_all(&LAYERS).await?;
        let client = stage.client()?;
        let now = now_us();
        let producer = Producer::new(&kafka.brokers(), &topic)?;
        let load = Load::start(producer, Views::new(scenario.rng(), now, 50, Mix::USUAL));

        let zombie = stage.deployment.launch(Layer::Speed, STOPS_BEFORE_A_WRITE)?;
        watched(&client, &load, async {
            zombie.line("failpoint speed::before_apply", DEADLINE).await?;
            zombie.suspend()?;
            other.start(Layer::Speed).await?;
            let arrived = load.arrive(SOME).await?;
            // Only the other one can have counted these, in every partition.
            client.total_as_of(arrived, METRIC, &[]).await?;
            zombie.resume()?;
            said_again(&zombie, REFUSED, 0).await?;
            let arrived = load.arrive(SOME).await?;
            client.total_as_of(arrived, METRIC, &[]).await?;
            // Once more, with both at work, and with a reconcile while it is frozen.
            zombie.suspend()?;
            let arrived = load.arrive(SOME).await?;
            client.total_as_of(arrived, METRIC, &[]).await?;
            stage.deployment.reconcile().await?;
            zombie.resume()?;
            let arrived = load.arrive(SOME).await?;
            client.total_as_of(arrived, METRIC, &[]).await
        })
        .await?;

        let stopped = load.stop().await?;
        client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
        every_answer_is_exact(&client, &stopped.oracle, now).await?;
        stage.reconciled_is(&stopped.oracle).await?;
        every_answer_is_exact(&client, &stopped.oracle, now).await
    });
}
