//! What compiled metrics write into a shard.

use platform::settings::{Redis as Settings, Secret};
use polars::prelude::*;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{ChunkRange, Instance, KnownFields, ShardKeys, Wanted};
use shared_logic::group_key::GroupKey;
use shared_logic::log::PartitionId;
use shared_logic::measure::Value;
use speed_layer::count::compiled::CompiledMetrics;
use storage::ShardClient;
use test_kit::Redis;
use test_kit::catalogs::EVERY_MEASURE;

/// Metrics that differ only in what is calculated afterwards share a definition, and so their counters: each event is
/// counted into them once.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_one_definition_count_an_event_once() {
    let derived = "\n[metrics.m.derived]\nratio = \"sum / count\"\n";
    let (_, metric) = EVERY_MEASURE.split_once("[metrics.m]").expect("it has one");
    let twin = format!("[metrics.twin]{}", metric.replace("metrics.m", "metrics.twin"));
    let catalog = Catalog::parse(&format!("{EVERY_MEASURE}{derived}{twin}")).expect("a valid catalog");
    let metric = &catalog.metrics["m"];
    assert_eq!(catalog.definition(metric), catalog.definition(&catalog.metrics["twin"]));
    let metrics = CompiledMetrics::new(&catalog, &catalog.sources["s"]);

    let server = Redis::start().await.expect("redis starts");
    let settings = Settings { url: Secret::from(server.url().as_str()), ..Settings::default() };
    let mut redis = platform::redis::connect(&settings).await.expect("redis answers");
    let (client, keys) =
        (ShardClient::default(), ShardKeys::new(&catalog.deployment, "s", &PartitionId::new("twins", 0)));
    let opened = client.open(&mut redis, &keys, 0_i64, &metrics.definitions(), Instance::new(1)).await;
    let opened = opened.expect("redis answers");
    let Reply::Done(shard) = opened else { panic!("there is a shard already") };

    let events =
        df!("at" => [0_i64, 1], "k" => ["a", "a"], "n" => [5_i64, 6], "x" => [0.5, 0.25]).expect("four columns");
    let encoded = metrics.plan.encode(events).expect("evaluated");
    let partials = metrics.plan.count(&encoded, 0, &[2], usize::MAX).partials;
    let additions: [_; 1] = metrics.additions(&partials).try_into().expect("one definition");
    let expected = shard.expected();
    let mut unknown = KnownFields::default();
    let (_, held) = client.held(&mut redis, &keys, &expected, &additions, &unknown).await.expect("redis answers");
    let merged = additions[0].merged(&mut unknown, &held[0]).expect("of the form that workers write");
    let merged = additions.iter().zip([merged]);
    let reply = client.apply(&mut redis, &keys, &expected, 2_i64, None, merged).await.expect("redis answers");
    assert!(matches!(reply, Reply::Done(_)));

    let kinds: Vec<_> = metric.measures.iter().map(|measure| measure.kind).collect();
    let wanted = Wanted {
        instance: expected.instance,
        slice: 0,
        definition: &additions[0].definition,
        kinds: &kinds,
        key: &GroupKey::new(&[]),
        chunks: ChunkRange { first: 0, last: 0 },
    };
    let reading = client.read(&mut redis, &keys, &[wanted]).await.expect("redis answers").expect("a shard");
    let counters = &reading.counters[0];
    let total = |measure| counters.iter().find(|cell| cell.1 == measure).map(|cell| cell.2.clone());
    assert_eq!((total(0), total(1)), (Some(Value::Int(2)), Some(Value::Int(11))));
}
