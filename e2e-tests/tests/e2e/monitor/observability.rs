//! A real Prometheus scrapes a platform that counts every source of the shipped catalog: every query of the alert rules and of the dashboard
//! gives series, every rule can be evaluated, and none that says that something is down is firing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use e2e_tests::binaries::binary;
use e2e_tests::prometheus::{self, Prometheus};
use e2e_tests::{Kafka, Up, busy_scenario, search};
use test_kit::{Process, Progress, free_port, wait_for};

/// How long it may take until everything has happened that is asked for: several reconciles, transactions of streams, a materialised table,
/// and an index of it that was compared.
const WITHIN: Duration = Duration::from_secs(240);
/// What has traffic of its own in the compose file's demo.
const SOURCES: &str = "views,transactions,clicks,orders,users";

#[test]
fn observability() {
    busy_scenario("observability", async |scenario| {
        let path = |name: &str| scenario.dir().join(name);
        let Some(kafka) = Kafka::real(scenario.name(), &path("kafka")).await? else { return Ok(()) };
        let (brokers, telemetry) = (kafka.brokers(), format!("127.0.0.1:{}", free_port()?));
        let Some(prometheus) = Prometheus::scraping(&telemetry, scenario.dir()).await? else { return Ok(()) };
        prometheus::promtool()?;

        let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog.toml");
        let listen = format!("telemetry.listen={telemetry}");
        // Where no search server can be had, there is no index to ask for.
        let search_url = search::shared(scenario.name()).await?;
        let search = search_url.as_ref().map(|url| format!("search.url={url}"));
        let mut flags = vec![
            ["--kafka", &brokers],
            ["--reconcile", "*/3 * * * * *"],
            ["--set", &listen],
            ["--set", "telemetry.gauges_every=1s"],
        ];
        flags.extend(search.as_deref().map(|search| ["--set", search]));
        let up = Up::start(&catalog, &path("data"), flags.as_flattened(), &path("up.out")).await?;
        let mut produce = Command::new(binary("braid")?);
        produce.args(["produce", "--source", SOURCES, "--rate", "100", "--kafka", &brokers, "--catalog"]).arg(&catalog);
        let traffic = Process::start("braid-produce", produce, &path("produce.out"))?;

        let mut queries = prometheus::of_dashboard()?;
        queries.extend(prometheus::of_alerts()?);
        queries.retain(|query| search_url.is_some() || !query.expression.contains("braid_serving_index_"));
        wait_for("every query to give series", WITHIN, async || {
            // The latency of such requests is one of the queries.
            up.client.total("views", &[]).await?;
            let mut empty = Vec::new();
            for query in std::mem::take(&mut queries) {
                if prometheus.series(&query.expression).await? == 0 {
                    empty.push(query);
                }
            }
            queries = empty;
            Ok(Progress::when(queries.is_empty(), format_args!("without series: {queries:#?}")))
        })
        .await?;
        ensure!(traffic.ended()?.is_none(), "the traffic has ended");

        wait_for("every rule to be evaluated", WITHIN, async || {
            let rules = prometheus.rules().await?;
            let wrong: Vec<_> = rules.iter().filter(|(_, health, _)| health != "ok").collect();
            ensure!(wrong.iter().all(|(_, _, error)| error.is_empty()), "{wrong:?}");
            Ok(Progress::when(!rules.is_empty() && wrong.is_empty(), format_args!("{wrong:?}")))
        })
        .await?;
        for alert in ["BraidProcessDown", "BraidDependencyUnreachable", "BraidRecordsLost", "BraidStreamStopped"] {
            let firing = prometheus.series(&format!("ALERTS{{alertname={alert:?},alertstate=\"firing\"}}")).await?;
            ensure!(firing == 0, "{alert} is firing although all is well");
        }
        Ok(())
    });
}
