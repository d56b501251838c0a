//! The figures of this machine: `make bench`.
//!
//! Everything is real: the broker, Redis, and the layers' own processes, built in release. (Only the decoder is measured
//! without a process of its own, and reconciles and imports without a broker.) Each figure stands beside a limit that was measured in the
//! same run. Prints a table and writes `target/bench.json`. Arguments name the groups of figures to measure alone
//! (`recovery`), or a part of `streams` (`windows`, `lookups`, `alerts`, `detect`); that, and any run of a debug build, is a rehearsal.
//! `busy_day` takes minutes and gigabytes of disk, and `cluster` another program, so they are measured only if they are named. `peers` is
//! another thing, the comparison of `make bench-peers`, and is named alone.

mod amount;
mod archive;
mod asked;
mod cluster;
mod decode;
mod duckdb;
mod figures;
mod full_topic;
mod growth;
mod import;
mod index;
mod live;
mod load;
mod maintained;
mod many_files;
mod on_s3;
mod peers;
mod reconcile;
mod recovery;
mod reports;
mod served;
mod sixty_days;
mod sketches;
mod speed;
mod streams;
mod ten_metrics;
mod usage;
mod versions;
mod visible;

use anyhow::ensure;
use e2e_tests::binaries::target_dir;
use e2e_tests::{Kafka, scenario};

use self::figures::Figures;
use self::speed::Workload;

/// Groups that are measured without a broker, or with one of their own.
const NO_BROKER: [&str; 10] = [
    "decode",
    "sketches",
    "reconcile",
    "reconcile_large",
    "busy_day",
    "cluster",
    "many_files",
    "maintained",
    "import",
    PEERS,
];
const PEERS: &str = "peers";

fn main() {
    scenario("bench", async |scenario| {
        let only: Vec<String> = std::env::args().skip(1).collect();
        let needs_no_broker = !only.is_empty() && only.iter().all(|only| NO_BROKER.contains(&only.as_str()));
        ensure!(needs_no_broker || Kafka::shared().await?.is_real(), "benchmarks need the real Kafka broker");
        let named = |name: &str| only.iter().any(|only| only == name);
        if named(PEERS) {
            ensure!(only.len() == 1, "`{PEERS}` is named alone");
            return peers::measure(scenario).await;
        }
        let wanted = |name: &str| only.is_empty() || named(name);
        if ["import", "reconcile", "reconcile_large", "reports"].into_iter().any(wanted) || named("cluster") {
            // Before anything is measured in vain.
            duckdb::DuckDb::find()?;
        }
        let mut figures = Figures::default();
        if wanted("decode") {
            decode::measure(&mut figures)?;
        }
        if wanted("sketches") {
            sketches::measure(&mut figures)?;
        }
        for workload in Workload::ALL {
            if wanted("speed") {
                speed::measure(scenario, workload, &mut figures).await?;
            }
        }
        if wanted("archive") {
            archive::measure(scenario, &mut figures).await?;
        }
        if wanted("reconcile") {
            reconcile::measure(scenario, &mut figures).await?;
        }
        if wanted("reconcile_large") {
            reconcile::measure_large(scenario, &mut figures).await?;
        }
        if named("busy_day") {
            reconcile::measure_busy_day(scenario, &mut figures).await?;
        }
        if named("cluster") {
            cluster::measure(scenario, &mut figures).await?;
        }
        if wanted("many_files") {
            many_files::measure(scenario, &mut figures).await?;
        }
        if wanted("maintained") {
            maintained::measure(scenario, &mut figures).await?;
        }
        if wanted("import") {
            import::measure(scenario, &mut figures).await?;
        }
        if wanted("on_s3") {
            on_s3::measure(scenario, &mut figures).await?;
        }
        if wanted("visible") {
            visible::measure(scenario, &mut figures).await?;
        }
        if wanted("live") {
            live::measure(scenario, &mut figures).await?;
        }
        if wanted("asked") {
            asked::measure(scenario, &mut figures).await?;
        }
        if wanted("reads") {
            asked::reads::measure(scenario, &mut figures).await?;
        }
        if wanted("recovery") {
            recovery::measure(scenario, &mut figures).await?;
        }
        streams::measure(scenario, |part| wanted("streams") || named(part), &mut figures).await?;
        if wanted("growth") {
            growth::measure(scenario, &mut figures).await?;
        }
        if wanted("versions") {
            versions::measure(scenario, &mut figures).await?;
        }
        if wanted("reports") {
            reports::measure(scenario, &mut figures).await?;
        }
        if wanted("index") {
            index::measure(scenario, &mut figures).await?;
        }
        if wanted("served") {
            served::measure(scenario, &mut figures).await?;
        }
        if wanted("sixty_days") {
            sixty_days::measure(scenario, &mut figures).await?;
        }
        print!("{figures}");
        if cfg!(debug_assertions) || !only.is_empty() {
            println!("a rehearsal: nothing is written, and only `make bench` measures release builds");
            return Ok(());
        }
        figures.write(&target_dir()?.join("bench.json"))
    });
}
