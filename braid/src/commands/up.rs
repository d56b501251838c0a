//! `braid up`: the whole platform in one process.
//!
//! It embeds a Kafka and a Redis that the settings do not name, creates topics and tables, starts the layers exactly as their
//! own binaries do, and prints one line with all addresses. It stops in the direction of the flow: traffic, speed, archive,
//! schedule, serving, and then Redis, Kafka and the search server. If a layer fails, all others are stopped, in the same order.
//!
//! - `dependencies`: Kafka, Redis and the search server, named or embedded;
//! - `layers`: what runs, in the order in which it stops;
//! - `archived`: tells producers how far the archive has come, if they have to know.

mod archived;
mod dependencies;
mod layers;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use platform::clock::now_us;
use platform::settings::{Settings, SettingsArgs, Span};
use platform::shutdown::Shutdown;
use serving_layer::Server;
use shared_logic::catalog::{Catalog, Cron};
use storage::{FollowedVersions, Storage};
use tracing::info;
use traffic::Mix;

use self::archived::Archived;
use self::dependencies::Dependencies;
use self::layers::Layers;
use super::produce;
use crate::catalog_file;

/// How long the platform may take until it can answer; reading a large archive takes a while.
const READY_WITHIN: Duration = Duration::from_secs(120);
const READY_POLL_EVERY: Duration = Duration::from_millis(20);
/// How long the last offsets may take to be told.
const ARCHIVED_STOPS_WITHIN: Span = Span::from_secs(5);
/// Sample records a second, over all sources.
const TRAFFIC_PER_SECOND: f64 = 200.0;
/// Events of the last seconds with fifty keys, of which the least popular still get one now and then, and a fraud every few seconds.
const TRAFFIC: Mix =
    Mix { keys: 50, zipf: 0.8, duplicates: 0.03, late: 0.02, broken: 0.01, fraud: 0.004, spread: 5_000_000 };

/// Runs the whole platform in one process
///
/// A Kafka or a Redis that is not named is embedded, as a child process. Its files stay in the data folder, like the archive
/// and the batch views, so a restart forgets nothing. Once it serves, it prints `ready http=HOST:PORT kafka=HOST:PORT redis=URL`
/// on one line. SIGTERM and ctrl-c stop it in order, a second one at once.
///
/// Kafka needs Java 17 or newer, and its jars where deploy/kafka-jars.sh puts them, or in the folder that BRAID_KAFKA_JARS names.
/// If it cannot be run, a broker inside this process replaces it, which keeps only the newest 5 MiB of each partition and forgets
/// all records on exit. `--kafka in-process` asks for that broker, and `--kafka child` for Kafka and no replacement.
///
/// With `--search`, an OpenSearch keeps the catalog's search indexes, and the line has `search=URL` as well. It needs Java, and its jars
/// where deploy/search-jars.sh puts them, or in the folder that BRAID_SEARCH_JARS names. Another server is named with
/// `--set search.url=URL`. Without either, indexes are not kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid up
  braid up --http 127.0.0.1:0 --data /tmp/braid --no-traffic
  braid up --kafka in-process
  braid up --search
  braid up --catalog my.toml --kafka broker-1:9092,broker-2:9092 --redis redis://cache:6379")]
pub struct Args {
    /// Where to listen for queries; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// When to reconcile every source: cron with seconds, or `catalog` for the catalog's schedules
    #[arg(long, value_name = "CRON", default_value = "*/15 * * * * *", value_parser = reconciles)]
    reconcile: Reconciles,
    /// Send no sample traffic; it is never sent to a Kafka that was named
    #[arg(long)]
    no_traffic: bool,
    /// Run an OpenSearch for the catalog's search indexes
    #[arg(long)]
    search: bool,
}

/// Runs the command until a signal, or until something fails.
///
/// # Errors
/// The first thing that failed.
pub async fn run(args: Args, mut flags: SettingsArgs) -> Result<ExitCode> {
    if let Some(address) = args.http {
        flags.set.push(("http.listen".to_owned(), address.to_string()));
    }
    let mut settings = flags.load()?;
    platform::telemetry::init(&settings.telemetry)?;
    serving_layer::granted_keys(&settings)?;
    platform::telemetry::listen(&settings.telemetry).await?;
    let mut catalog = catalog_file::load(&settings)?;
    if let Reconciles(Some(cron)) = &args.reconcile {
        catalog.reconcile_all_by(cron.clone());
    }
    let shutdown = Shutdown::on_signals()?;

    let started = tokio::select! {
        biased;
        () = shutdown.requested() => return Ok(ExitCode::SUCCESS),
        started = Dependencies::start(&mut settings, &catalog, args.search) => started,
    };
    let mut dependencies = started?;
    let mut layers = Layers::default();
    let outcome = serve(&settings, &catalog, &args, &mut dependencies, &mut layers, &shutdown).await;
    let stopped = layers.stop().await;
    dependencies.stop().await;
    outcome.and(stopped)?;
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Starts the layers and waits until the stop is requested or something fails.
async fn serve(
    settings: &Settings,
    catalog: &Catalog,
    args: &Args,
    dependencies: &mut Dependencies,
    layers: &mut Layers,
    shutdown: &Shutdown,
) -> Result<()> {
    let Reconciles(cron) = args.reconcile.clone();
    let alter = move |catalog: &mut Catalog| {
        if let Some(cron) = &cron {
            catalog.reconcile_all_by(cron.clone());
        }
    };
    let begin = async {
        let versions = FollowedVersions::altered(settings, catalog.clone(), alter).await?;
        let created = batch_layer::init::all(settings, &versions.now()).await;
        created.context("cannot create topics and tables")?;
        Ok::<_, anyhow::Error>(versions)
    };
    let versions = tokio::select! {
        biased;
        () = shutdown.requested() => return Ok(()),
        begun = begin => begun?,
    };
    let storage = Storage::new(&settings.store, &catalog.deployment)?;
    let archived = if dependencies.kafka_is_forgetful() {
        Some(Archived::begin(&settings.kafka, catalog, &storage).await?)
    } else {
        None
    };
    let server = Server::bind(settings, versions.clone()).await?;
    let address = server.address();
    start(settings, &versions, archived, server, layers);
    tokio::select! {
        biased;
        () = shutdown.requested() => return Ok(()),
        failed = layers.failure() => return Err(failed),
        failed = dependencies.failure() => return Err(failed),
        ready = ready(address) => ready?,
    }
    // An error means that the reader has closed the other end, and so does not need the line.
    let _ = writeln!(std::io::stdout(), "{}", dependencies.ready_line(address, settings));
    advise(address, settings, catalog);
    if !args.no_traffic && dependencies.kafka_is_embedded() {
        start_traffic(settings, catalog, layers);
    }
    tokio::select! {
        biased;
        () = shutdown.requested() => Ok(()),
        failed = layers.failure() => Err(failed),
        failed = dependencies.failure() => Err(failed),
    }
}

/// Starts the layers in the order in which they stop.
fn start(
    settings: &Settings,
    versions: &FollowedVersions,
    archived: Option<Archived>,
    server: Server,
    layers: &mut Layers,
) {
    let (of_speed, of_archive, of_schedule) = (settings.clone(), settings.clone(), settings.clone());
    let (counted, archived_versions, scheduled) = (versions.clone(), versions.clone(), versions.clone());
    layers.start("speed-layer", settings.speed.shutdown, async move |shutdown| {
        Ok(speed_layer::run(&of_speed, counted, shutdown).await?)
    });
    layers.start("batch-layer archive", settings.archive.shutdown, async move |shutdown| {
        Ok(batch_layer::archive::run(&of_archive, archived_versions, shutdown).await?)
    });
    if let Some(archived) = archived {
        layers.start("archived offsets", ARCHIVED_STOPS_WITHIN, move |shutdown| archived.run(shutdown));
    }
    layers.start("batch-layer schedule", settings.reconcile.shutdown, async move |shutdown| {
        Ok(batch_layer::schedule::run(&of_schedule, scheduled, shutdown).await?)
    });
    layers.start("serving-layer", settings.http.shutdown, async move |shutdown| Ok(server.run(shutdown).await?));
}

/// Starts sample traffic for every source whose records can be made up. It is the front of the flow, so it stops first.
fn start_traffic(settings: &Settings, catalog: &Catalog, layers: &mut Layers) {
    let sources: Vec<_> = catalog.inputs().filter(|source| !source.format.names_schemas()).collect();
    let rates = produce::rates(TRAFFIC_PER_SECOND, &sources);
    // Other events with each start: the topic still holds those of earlier ones.
    let seed = now_us().unsigned_abs();
    for (source, per_second) in sources.into_iter().zip(rates) {
        let (kafka, catalog, source) = (settings.kafka.clone(), catalog.clone(), source.clone());
        let name = format!("sample traffic of {}", source.name);
        layers.start_in_front(name, Span::from_secs(5), async move |shutdown| {
            produce::endless(&kafka, &catalog, &source, &TRAFFIC, seed, per_second, &shutdown).await
        });
    }
}

/// Waits until the serving layer is ready.
async fn ready(address: SocketAddr) -> Result<()> {
    let url = format!("http://{address}/readyz");
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let mut why_not = String::new();
    let polling = async {
        loop {
            match client.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => why_not = answer.text().await.unwrap_or_default(),
                Err(error) => why_not = error.to_string(),
            }
            tokio::time::sleep(READY_POLL_EVERY).await;
        }
    };
    let in_time = tokio::time::timeout(READY_WITHIN, polling).await;
    in_time.map_err(|_| anyhow!("not ready within {} s: {why_not}", READY_WITHIN.as_secs()))
}

/// Logs what an operator can do now.
fn advise(address: SocketAddr, settings: &Settings, catalog: &Catalog) {
    if let Some(metric) = catalog.metrics.keys().next_back() {
        info!("ask: curl 'http://{address}/v1/metrics/{metric}/total', or `braid query {metric} --http {address}`");
    }
    if let Some(index) = catalog.indexes.keys().next() {
        if settings.search.is_named() {
            info!("search: curl 'http://{address}/v1/search/{index}?q=WORD'");
        } else {
            info!("the catalog has search indexes, which `--search` keeps and searches");
        }
    }
    if let Some(source) = catalog.inputs().filter(|source| !source.format.names_schemas()).last() {
        let (name, brokers) = (&source.name, &settings.kafka.brokers);
        let path = settings.catalog.path.display();
        let catalog = if settings.is_named("catalog.path") { format!(" --catalog {path}") } else { String::new() };
        info!("send your own: braid send --source {name}{catalog} --kafka {brokers} FILE");
    }
}

/// When all sources are reconciled; `None`: when the catalog says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reconciles(Option<Cron>);

/// Reads the value of `--reconcile`.
fn reconciles(text: &str) -> Result<Reconciles, String> {
    if text == "catalog" {
        return Ok(Reconciles(None));
    }
    let wrong = |why| format!("it {why}; expected `second minute hour day month weekday`, such as \"*/15 * * * * *\"");
    Cron::from_str(text).map(|cron| Reconciles(Some(cron))).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_the_catalogs_or_a_cron_expression() {
        assert_eq!(reconciles("catalog"), Ok(Reconciles(None)));
        let every = "*/15 * * * * *".parse().expect("a cron expression");
        assert_eq!(reconciles("*/15 * * * * *"), Ok(Reconciles(Some(every))));
        let refused = reconciles("*/5 * * * *").expect_err("it has no seconds");
        assert!(refused.starts_with("it has five fields and no seconds; expected"), "{refused}");
    }
}
