//! scratch

use e2e_tests::kafka::end_offsets;
use e2e_tests::redis::Durability;
use e2e_tests::scenario::now_us;
use e2e_tests::views::*;
use e2e_tests::wait::*;
use e2e_tests::*;
use std::time::Duration;

#[test]
fn scratch() {
    scenario("scratch", async |scenario| {
        let kafka = Kafka::shared().await?;
        let redis = Redis::start(&scenario.dir().join("redis"), Durability::None).await?;
        let topic = scenario.unique_name();
        kafka.create_topic(&topic, 4).await?;
        let text = catalog(&CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW });
        let mut deployment = Deployment::new(&scenario.dir().join("braid"), &text, &kafka.brokers(), &redis.url())?;
        deployment.set("telemetry.log", "info,buoyant_kernel=warn,deltalake_core=warn");
        deployment.set("kafka.session_timeout", "1s");
        deployment.start_all(&[Layer::Archive]).await?;
        println!("started");
        let mut views = Views::new(scenario.rng(), now_us(), 100, Mix::USUAL);
        let producer = Producer::new(&kafka.brokers(), &topic)?;
        let mut oracle = Oracle::default();
        for _ in 0..5 {
            let sent = views.batch(1000);
            oracle.observe(&sent);
            producer.send_all(sent.iter().map(|s| &s.record))?;
            deployment.start(Layer::Archive).await?;
            deployment.launch(Layer::Speed, "")?;
        }
        let ends = end_offsets(&kafka.brokers(), &topic)?;
        wait_for("archive", Duration::from_secs(20), async || {
            let a = Archive::read(&deployment.store(), "views")?;
            match a.holds_each_offset_once(&ends) { Ok(()) => { println!("rows {} rejected {} of {}", a.rows, a.rejected, oracle.broken); Ok(Look::Done(())) } Err(e) => Ok(Look::NotYet(format!("{e}").chars().take(200).collect())) }
        }).await?;
        println!("archived");
        deployment.reconcile().await?;
        println!("reconciled");
        let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query_async(&mut redis.connection().await?).await?;
        println!("{} keys {:?}", keys.len(), keys.iter().take(12).collect::<Vec<_>>());
        anyhow::bail!("end")
    });
}
