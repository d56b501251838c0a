//! Avro and Protobuf with a real schema registry: two versions of each schema, records that name none or an unknown one, a
//! registry that is away for a while, and a rebuild without it.
//!
//! - `records`: the schemas, and what their producers write;
//! - `refused`: what is no event, for each reason.

mod records;
mod refused;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::NEVER;
use e2e_tests::{Archive, Client, Deployment, Layer, Producer, Registry, Stage, scenario};
use rand::Rng;
use rand::rngs::StdRng;
use test_kit::{DEADLINE, Progress, wait_for};

use self::records::{CLICKS, CLICKS_LATER, ORDERS, ORDERS_LATER, Sale, USER};
use self::refused::{MAX_RECORD, Refused, malformed, no_events};

/// The source of Avro and its metric, and those of Protobuf.
const SOURCES: [&str; 2] = ["orders", "clicks"];
const ROUND: usize = 200;
/// What a layer logs while it cannot get a schema.
const WAITS: &str = "records wait for it";
/// An id that no registry gives.
const NOWHERE: u32 = 999_999;

#[test]
fn avro_and_protobuf_with_a_registry() {
    scenario("avro_and_protobuf_with_a_registry", async |scenario| {
        let Some(registry) = Registry::start(scenario.name(), scenario.dir()).await? else { return Ok(()) };
        let url = registry.url();
        let setup = Stage::of(scenario)
            .catalog(|topic| catalog(topic, "", ""))
            .topic("", 2, &[])
            .topic("-clicks", 2, &[])
            .set("registry.url", &url)
            .set("registry.request_timeout", "500ms")
            .set("registry.retry_backoff", "100ms")
            .set("registry.unknown_after", "1s");
        let stage = setup.start().await?;
        let mut shop = Shop::open(&stage, &registry).await?;

        // The first versions, among records that are none.
        shop.sell(0, ROUND)?;
        for source in 0..SOURCES.len() {
            shop.refuse(source, malformed(source, [shop.ids[0][0], shop.ids[1][0]]))?;
        }
        let first = shop.arrived()?;
        shop.is_counted(&stage, first).await?;
        stage.deployment.reconcile().await?;
        shop.is_archived(&stage.client()?, "site").await?;

        // A new version while the registry is away: records wait, and what was counted stays complete.
        registry.suspend()?;
        let before = shop.sums("site");
        shop.sell(1, ROUND)?;
        for source in 0..SOURCES.len() {
            let (later, odd, now_us) = (shop.ids[source][1], shop.odd_ids[source], shop.now_us);
            let refused = no_events(source, later, odd, &mut shop.rng, now_us)?;
            shop.refuse(source, refused)?;
        }
        shop.sell(0, ROUND)?;
        let second = shop.arrived()?;
        shop.waits(&stage.deployment).await?;
        for (source, sums) in SOURCES.iter().zip(&before) {
            let answer = stage.client()?.total(source, &[]).await?;
            let sold: i64 = sums.values().map(|(sold, _)| sold).sum();
            ensure!(answer.complete && answer.int("sold")? == sold, "{sold} before the registry was away: {answer:?}");
        }
        registry.resume()?;
        shop.is_counted(&stage, second).await?;
        stage.deployment.reconcile().await?;
        shop.is_archived(&stage.client()?, "site").await?;
        shop.refused_are_archived(&stage).await?;

        // Another field, which every record has to be decoded again for, without a registry.
        registry.kill();
        change(&stage.deployment, &catalog(&stage.topic, "name = { type = \"string\", path = \"user.name\" }", "name"))
            .await?;
        let client = stage.client()?;
        shop.is_archived(&client, "site").await?;
        shop.sell(0, ROUND / 4)?;
        shop.sell(1, ROUND / 4)?;
        let third = shop.arrived()?;
        shop.is_counted(&stage, third).await?;
        shop.schemas_are_archived(&stage)
    });
}

/// Producers of both sources, and what they have sold.
struct Shop {
    producers: [Producer; 2],
    /// By source and version, the id of its schema.
    ids: [[u32; 2]; 2],
    /// By source, the id of a schema by which records have a wrong type.
    odd_ids: [u32; 2],
    rng: StdRng,
    now_us: i64,
    /// By source.
    sold: [Vec<Sale>; 2],
    /// By source, what is rejected.
    refused: [Vec<Refused>; 2],
}

impl Shop {
    async fn open(stage: &Stage, registry: &Registry) -> Result<Shop> {
        let clicks = format!("{}-clicks", stage.topic);
        let user = [("shop/user.proto", "user")];
        registry.register("user", "PROTOBUF", USER, &[]).await?;
        let orders = [
            registry.register("orders-value", "AVRO", ORDERS, &[]).await?,
            registry.register("orders-value", "AVRO", ORDERS_LATER, &[]).await?,
        ];
        let of_clicks = [
            registry.register("clicks-value", "PROTOBUF", CLICKS, &user).await?,
            registry.register("clicks-value", "PROTOBUF", CLICKS_LATER, &user).await?,
        ];
        Ok(Shop {
            producers: [stage.producer()?, Producer::new(&stage.brokers, &clicks)?],
            ids: [orders, of_clicks],
            odd_ids: refused::register(registry).await?,
            rng: stage.rng(),
            now_us: stage.now_us,
            sold: [Vec::new(), Vec::new()],
            refused: [Vec::new(), Vec::new()],
        })
    }

    /// Sells so many things in each source, written in that version of its schema. One in ten is sent twice.
    fn sell(&mut self, version: usize, count: usize) -> Result<()> {
        for (source, name) in SOURCES.iter().enumerate() {
            for _ in 0..count {
                let id = format!("{name}-{}", self.sold[source].len());
                let sale = Sale::of(&mut self.rng, id, self.now_us);
                let datum = match source {
                    0 => sale.avro(version)?,
                    _ => sale.protobuf(version),
                };
                let payload = framed(self.ids[source][version], &datum);
                let copies = if self.rng.random_bool(0.1) { 2 } else { 1 };
                (0..copies).try_for_each(|_| self.send(source, &payload))?;
                self.sold[source].push(sale);
            }
        }
        Ok(())
    }

    /// Sends records of a source that are rejected.
    fn refuse(&mut self, source: usize, records: Vec<Refused>) -> Result<()> {
        records.iter().try_for_each(|(_, payload)| self.send(source, payload))?;
        self.refused[source].extend(records);
        Ok(())
    }

    fn send(&self, source: usize, payload: &[u8]) -> Result<()> {
        let key = format!("{:x}", payload.iter().fold(0_u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(*byte)));
        self.producers[source].send(&Record { key, payload: payload.to_vec(), partition: None })
    }

    fn arrived(&self) -> Result<i64> {
        self.producers.iter().map(Producer::flush).collect::<Result<Vec<_>>>()?;
        Ok(now_us())
    }

    /// For each source, by site or by name: how many were sold, and for how much.
    fn sums(&self, by: &str) -> [BTreeMap<String, (i64, i64)>; 2] {
        self.sold.each_ref().map(|sales| {
            let mut sums = BTreeMap::<String, (i64, i64)>::new();
            for sale in sales {
                let key = if by == "site" { &sale.site } else { &sale.name };
                let (sold, amount) = sums.entry(key.clone()).or_default();
                (*sold, *amount) = (*sold + 1, *amount + sale.amount.unwrap_or_default());
            }
            sums
        })
    }

    /// As of that moment, answers are complete and exact.
    async fn is_counted(&self, stage: &Stage, moment: i64) -> Result<()> {
        let client = stage.client()?;
        for (source, sums) in SOURCES.iter().zip(self.sums("site")) {
            for (site, expected) in sums {
                let answer = client.total_as_of(moment, source, &[("site", site.clone())]).await?;
                let found = (answer.int("sold")?, answer.int("amount")?);
                ensure!(found == expected, "{source} of {site}: expected {expected:?}: {answer:?}");
            }
        }
        Ok(())
    }

    /// The batch view alone gives every answer exactly.
    async fn is_archived(&self, client: &Client, by: &str) -> Result<()> {
        for (source, sums) in SOURCES.iter().zip(self.sums(by)) {
            for (key, expected) in sums {
                let answer = client.authoritative_total(source, &[(by, key.clone())]).await?;
                let found = (answer.int("sold")?, answer.int("amount")?);
                ensure!(found == expected, "{source} of {key}, recounted: expected {expected:?}: {answer:?}");
            }
        }
        Ok(())
    }

    /// Both layers say that they wait.
    async fn waits(&self, deployment: &Deployment) -> Result<()> {
        for layer in [Layer::Speed, Layer::Archive] {
            wait_for(&format!("{layer:?} to wait for a schema"), DEADLINE, async || {
                let output = deployment.process(layer)?.output()?;
                let waits = SOURCES.iter().filter(|source| {
                    let of_source =
                        |line: &&str| line.contains(WAITS) && line.contains(&format!("source=\"{source}\""));
                    output.lines().any(|line| of_source(&line) && line.contains("cannot ask"))
                });
                let waiting = waits.count();
                Ok(Progress::when(waiting == SOURCES.len(), format_args!("{waiting} sources wait")))
            })
            .await?;
        }
        Ok(())
    }

    /// Beside each archive stand the schemas that its records name, and what an id did not mean.
    fn schemas_are_archived(&self, stage: &Stage) -> Result<()> {
        for (source, ids) in SOURCES.iter().zip(self.ids) {
            let folder = stage.deployment.store().join("archive").join(source).join("_schemas");
            for id in ids {
                let path = folder.join(format!("{id}.json"));
                let text = std::fs::read_to_string(&path).with_context(|| format!("no {path:?}"))?;
                ensure!(text.starts_with("{\"registered\""), "{path:?} is {text}");
            }
            let unknown = std::fs::read_to_string(folder.join(format!("{NOWHERE}.json")))?;
            ensure!(unknown == "\"unknown\"", "{NOWHERE} is {unknown}");
        }
        Ok(())
    }

    /// Each record that is no event was archived once, with its bytes and its reason, and the status counts it.
    async fn refused_are_archived(&self, stage: &Stage) -> Result<()> {
        let (_, status) = stage.client()?.get("/v1/status", &[]).await?;
        let sources = status["sources"].as_array().context("no sources")?;
        for (source, refused) in SOURCES.iter().zip(&self.refused) {
            let rows = Archive::rows(&stage.deployment.store(), source, &["_error", "_raw"])?;
            let (errors, raws) = (rows.column("_error")?.str()?, rows.column("_raw")?.binary()?);
            let archived =
                (0..rows.height()).filter_map(|row| Some((errors.get(row)?, raws.get(row).unwrap_or_default())));
            let mut archived: Vec<(&str, &[u8])> = archived.collect();
            let mut expected: Vec<(&str, &[u8])> =
                refused.iter().map(|(error, raw)| (*error, raw.as_slice())).collect();
            archived.sort_unstable();
            expected.sort_unstable();
            let errors = |of: &[(&str, &[u8])]| of.iter().map(|(error, _)| (*error).to_owned()).collect::<Vec<_>>();
            ensure!(archived == expected, "{source}: {:?}, not {:?}", errors(&archived), errors(&expected));

            let mut counts = BTreeMap::<&str, u64>::new();
            for (error, _) in refused {
                *counts.entry(error.split(':').next().unwrap_or_default()).or_default() += 1;
            }
            let shown = sources.iter().find(|shown| shown["name"] == *source).context("the source is not shown")?;
            let shown = shown["rejects"].as_array().context("no rejects")?.iter();
            let shown: BTreeMap<&str, u64> =
                shown.filter_map(|row| Some((row["reason"].as_str()?, row["count"].as_u64()?))).collect();
            ensure!(shown == counts, "{source}: {shown:?}, not {counts:?}");
        }
        Ok(())
    }
}

/// A datum in Confluent's frame.
fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

/// Both sources, with one more field and one more group-by column each.
fn catalog(topic: &str, field: &str, by: &str) -> String {
    let source = |name: &str, topic: &str, format: &str| {
        let by = [r#""site""#.to_owned(), format!("\"{by}\"")].into_iter().filter(|by| by.len() > 2);
        let by = by.collect::<Vec<_>>().join(", ");
        format!(
            r#"
[sources.{name}]
topic = "{topic}"
partitions = 2
format = "{format}"
event_id = "id"
event_time = "at"
max_record = "{MAX_RECORD}"
[sources.{name}.fields]
id = "string"
at = "timestamp"
site = {{ type = "string", path = "user.site" }}
amount = "int?"
{field}
[metrics.{name}]
source = "{name}"
by = [{by}]
grain = "1m"
[metrics.{name}.measures]
sold = "count()"
amount = "sum(amount)"
"#
        )
    };
    let (orders, clicks) = (source("orders", topic, "avro"), source("clicks", &format!("{topic}-clicks"), "protobuf"));
    format!("[pipeline]\nname = \"{topic}\"\nversion = \"v1\"\n[schedule]\nreconcile = \"{NEVER}\"\n{orders}{clicks}")
}

/// Starts every layer with another catalog, and reconciles.
async fn change(deployment: &Deployment, catalog: &str) -> Result<()> {
    deployment.write_catalog(catalog)?;
    let [archive, speed, serving] = LAYERS;
    tokio::try_join!(deployment.start(archive), deployment.start(speed), deployment.start(serving))?;
    for source in SOURCES {
        deployment.client()?.serves(source).await?;
    }
    deployment.reconcile().await
}
