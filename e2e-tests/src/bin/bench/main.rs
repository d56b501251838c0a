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

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::binaries::target_dir;
use e2e_tests::kafka::delete_topics;
use e2e_tests::{Kafka, Scenario, scenario};

use self::figures::Figures;
use self::speed::Workload;

/// The groups that are measured if none is named, in that order.
const GROUPS: [&str; 22] = [
    "decode",
    "sketches",
    "speed",
    "archive",
    "reconcile",
    "reconcile_large",
    "many_files",
    "maintained",
    "import",
    "on_s3",
    "visible",
    "live",
    "asked",
    "reads",
    "recovery",
    "streams",
    "growth",
    "versions",
    "reports",
    "index",
    "served",
    "sixty_days",
];
/// Those that take so long, or so much, that they are measured only if they are named.
const NAMED: [&str; 2] = ["busy_day", "cluster"];
/// Those that are measured without a broker, or with one of their own.
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
/// The comparison with others, which is another thing.
const PEERS: &str = "peers";

fn main() {
    scenario("bench", async |scenario| {
        let only: Vec<String> = std::env::args().skip(1).collect();
        let named = |name: &str| only.iter().any(|only| only == name);
        let known = [&GROUPS[..], &NAMED, &streams::PARTS, &[PEERS]].concat();
        if let Some(unknown) = only.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("there is no group `{unknown}`; there are {}", known.join(", "));
        }
        let needs_no_broker = !only.is_empty() && only.iter().all(|only| NO_BROKER.contains(&only.as_str()));
        ensure!(needs_no_broker || Kafka::shared().await?.is_real(), "benchmarks need the real Kafka broker");
        if named(PEERS) {
            ensure!(only.len() == 1, "`{PEERS}` is named alone");
            return peers::measure(scenario).await;
        }
        let is_wanted = |name: &str| if only.is_empty() { GROUPS.contains(&name) } else { named(name) };
        if ["import", "reconcile", "reconcile_large", "reports", "cluster"].into_iter().any(is_wanted) {
            // Before anything is measured in vain.
            duckdb::DuckDb::find()?;
        }
        let mut figures = Figures::default();
        let has_part = streams::PARTS.into_iter().any(named);
        for group in GROUPS.into_iter().chain(NAMED) {
            if is_wanted(group) || group == "streams" && has_part {
                alone(needs_no_broker).await?;
                let is_part = |part: &str| is_wanted("streams") || named(part);
                measure(group, is_part, scenario, &mut figures).await.context(group)?;
            }
        }
        alone(needs_no_broker).await?;
        print!("{figures}");
        if cfg!(debug_assertions) || !only.is_empty() {
            println!("a rehearsal: nothing is written, and only `make bench` measures release builds");
            return Ok(());
        }
        figures.write(&target_dir()?.join("bench.json"))
    });
}

/// Removes what the groups before have left where it would be felt: their topics, which take the system's memory for files, and what is not
/// written to the disk yet.
async fn alone(without_broker: bool) -> Result<()> {
    if !without_broker {
        delete_topics(&Kafka::shared().await?.brokers()).await?;
    }
    rustix::fs::sync();
    Ok(())
}

async fn measure(
    group: &str,
    is_part: impl Fn(&str) -> bool,
    scenario: &Scenario,
    figures: &mut Figures,
) -> Result<()> {
    match group {
        "decode" => decode::measure(figures),
        "sketches" => sketches::measure(figures),
        "speed" => {
            for workload in Workload::ALL {
                speed::measure(scenario, workload, figures).await?;
            }
            Ok(())
        }
        "archive" => archive::measure(scenario, figures).await,
        "reconcile" => reconcile::measure(scenario, figures).await,
        "reconcile_large" => reconcile::measure_large(scenario, figures).await,
        "busy_day" => reconcile::measure_busy_day(scenario, figures).await,
        "cluster" => cluster::measure(scenario, figures).await,
        "many_files" => many_files::measure(scenario, figures).await,
        "maintained" => maintained::measure(scenario, figures).await,
        "import" => import::measure(scenario, figures).await,
        "on_s3" => on_s3::measure(scenario, figures).await,
        "visible" => visible::measure(scenario, figures).await,
        "live" => live::measure(scenario, figures).await,
        "asked" => asked::measure(scenario, figures).await,
        "reads" => asked::reads::measure(scenario, figures).await,
        "recovery" => recovery::measure(scenario, figures).await,
        "streams" => streams::measure(scenario, is_part, figures).await,
        "growth" => growth::measure(scenario, figures).await,
        "versions" => versions::measure(scenario, figures).await,
        "reports" => reports::measure(scenario, figures).await,
        "index" => index::measure(scenario, figures).await,
        "served" => served::measure(scenario, figures).await,
        "sixty_days" => sixty_days::measure(scenario, figures).await,
        _ => bail!("there is no group `{group}`"),
    }
}
