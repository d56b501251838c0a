//! An index of a stream: of each id, the last record that the stream has written, through a kill.

use anyhow::{Context, Result};
use e2e_tests::kafka::Record;
use e2e_tests::search::{Plain, shared};
use e2e_tests::time::{micros, rfc3339};
use e2e_tests::views::NEVER;
use e2e_tests::{IndexOracle, Layer, Producer, Stage, scenario};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

const USERS: u32 = 200;
const SOME: usize = 1_000;
/// What the stream leaves out.
const HIDDEN: &str = "/hidden";

#[test]
fn index_of_a_stream() {
    scenario("index_of_a_stream", async |scenario| {
        let Some(url) = shared(scenario.name()).await? else { return Ok(()) };
        let setup = Stage::of(scenario).catalog(catalog).partitions(2).set("search.url", &url);
        let setup = setup.set("search.refresh", "200ms").set("streams.progress_every", "300ms");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let (producer, mut rng, search) = (stage.producer()?, stage.rng(), Plain::new(&url));
        let (mut oracle, mut sent) = (IndexOracle::default(), 0);
        for kill in [None, Some("index::after_bulk"), None] {
            if let Some(moment) = kill {
                let worker = stage.deployment.launch(Layer::Speed, &format!("{moment}=return(60000)"))?;
                send(&producer, &mut rng, stage.now_us, &mut sent, &mut oracle)?;
                worker.line_with(&format!("failpoint {moment}"), DEADLINE).await?;
                stage.deployment.start(Layer::Speed).await?;
            } else {
                send(&producer, &mut rng, stage.now_us, &mut sent, &mut oracle)?;
            }
            is_exact(&stage, &search, &oracle).await.with_context(|| format!("{kill:?}"))?;
        }
        Ok(())
    });
}

/// Sends clicks, some of which the stream leaves out.
fn send(producer: &Producer, rng: &mut StdRng, now_us: i64, sent: &mut i64, oracle: &mut IndexOracle) -> Result<()> {
    for _ in 0..SOME {
        *sent += 1;
        let at_ms = now_us / 1_000 - 600_000 + *sent;
        let user = rng.random_range(0..USERS);
        let page = if rng.random_bool(0.3) { HIDDEN.to_owned() } else { format!("/page/{sent}") };
        let click = json!({"id": format!("c-{sent}"), "at": at_ms, "user": user, "page": page});
        let record = Record { key: user.to_string(), payload: click.to_string().into_bytes(), partition: None };
        producer.send(&record)?;
        if page != HIDDEN {
            let fields = [("page", json!(page)), ("at", json!(rfc3339(at_ms * 1_000)))];
            let fields: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            oracle.put(&user.to_string(), fields);
        }
    }
    producer.flush().map(drop)
}

/// Reconciles until an index serves that has the last click that the stream has written of each user.
async fn is_exact(stage: &Stage, search: &Plain, oracle: &IndexOracle) -> Result<()> {
    wait_for("the last click of each user", 2 * DEADLINE, async || {
        stage.deployment.reconcile().await?;
        let (status, answer) = stage.client()?.get("/v1/search/last", &[]).await?;
        let Some(build) = answer["build"].as_u64().filter(|_| status == 200) else {
            return Ok(Progress::NotYet(format!("{status}: {answer}")));
        };
        answer["behind"]["as_of"].as_str().map(micros).transpose()?;
        // The stream may not have written everything yet, so the index is looked at again and again.
        let held = search.documents(&format!("braid.{}.last.{build}", stage.topic)).await?;
        Ok(match oracle.is_held_by(&held) {
            Ok(()) => Progress::Done(()),
            Err(differs) => Progress::NotYet(format!("{differs:#}")),
        })
    })
    .await
}

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.clicks]
topic = "{name}"
partitions = 2
event_id = "id"
event_time = "at"
key = "user"
[sources.clicks.fields]
id = "string"
at = "timestamp"
user = "int"
page = "string"

[streams.seen]
from = "clicks"
topic = "{name}-seen"
where = "page <> '{HIDDEN}'"

[indexes.last]
from = "streams.seen"
id = "user"
[indexes.last.fields]
page = "keyword"
at = "time"
"#
    )
}
