//! An alert on a metric: revenue drops by more than a fifth within five minutes. It fires once and is resolved once, though the process that judges
//! it is killed and Redis is emptied while it fires; a receiver is told of both at least once.

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Record, read_all};
use e2e_tests::scenario::now_us;
use e2e_tests::time::rfc3339;
use e2e_tests::{Client, Layer, Stage, busy_scenario};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, Receiver, wait_for};

const SECOND_US: i64 = 1_000_000;
/// The window, in seconds.
const WINDOW_S: i64 = 300;
/// When revenue stops and comes back, in seconds after the begin. It has dropped by a fifth once a minute is without any.
const STOPS_S: i64 = -50;
const COMES_BACK_S: i64 = 40;
/// Until when orders come: for longer than this scenario is away.
const UNTIL_S: i64 = 1_200;

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"
[schedule]
reconcile = "0 0 0 29 2 *"
[sources.orders]
topic = "{name}"
event_id = "order_id"
event_time = "at"
key = "order_id"
[sources.orders.fields]
order_id = "string"
at = "timestamp"
price = "int"
[metrics.revenue]
source = "orders"
grain = "1s"
[metrics.revenue.measures]
revenue = "sum(price)"
[alerts.revenue_drop]
metric = "revenue"
window = "5m"
against = "previous"
when = "revenue < 0.8 * before.revenue"
for = "3s"
lateness = "0s"
labels = {{ severity = "page" }}
"#
    )
}

/// What an order costs that comes so many seconds after the begin.
fn price(at_s: i64) -> i64 {
    match at_s {
        _ if at_s < STOPS_S => 100,
        _ if at_s < COMES_BACK_S => 0,
        // So much more that the drop is made up for, and never followed by another one.
        _ => 400,
    }
}

/// An order for each second of both windows before the begin, and of what comes.
fn orders(begin_us: i64) -> Vec<Record> {
    let order = |at_s: i64| {
        let at = rfc3339(begin_us + at_s * SECOND_US);
        let payload = json!({"order_id": format!("o{at_s}"), "at": at, "price": price(at_s)}).to_string();
        Record { key: format!("o{at_s}"), payload: payload.into_bytes(), partition: None }
    };
    (-3 * WINDOW_S..UNTIL_S).map(order).collect()
}

async fn alert(client: &Client) -> Result<Value> {
    let (code, body) = client.get("/v1/alerts", &[]).await?;
    ensure!(code == 200, "{code}: {body}");
    Ok(body)
}

async fn until(client: &Client, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    wait_for(what, DEADLINE, async || {
        let body = alert(client).await?;
        Ok(Progress::when(is_so(&body), body))
    })
    .await
}

/// The changes that the topic of alerts holds of which receivers are told, in order: ids and notices.
fn notices(stage: &Stage) -> Result<Vec<(String, String)>> {
    let mut changes = Vec::new();
    for found in read_all(&stage.brokers, &format!("{}.alerts", stage.topic))? {
        changes.push(serde_json::from_slice::<Value>(&found.payload).context("a change is JSON")?);
    }
    let told = changes.iter().filter_map(|change| Some((change["id"].as_str()?, change["notice"].as_str()?)));
    Ok(told.map(|(id, notice)| (id.to_owned(), notice.to_owned())).collect())
}

#[test]
fn alerts_on_metrics() {
    busy_scenario("alerts_on_metrics", async |scenario| {
        let receiver = Receiver::start().await?;
        let url = receiver.url();
        let setup = Stage::of(scenario).catalog(catalog).set("alerts.webhook_url", &url);
        let setup = setup.set("alerts.every", "300ms").set("alerts.lease", "4s");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let begin_us = now_us() / SECOND_US * SECOND_US;
        stage.producer()?.send_all(&orders(begin_us))?;

        let first = stage.client()?;
        until(&first, "the first process to judge", |body| body["judge"]["state"] == "judging").await?;
        // Another serving process on the same deployment follows it.
        let beside = stage.beside("second", &stage.catalog)?;
        beside.start(Layer::Serving).await?;
        let second = beside.client()?;
        until(&second, "the second process to follow", |body| body["judge"]["state"] == "following").await?;
        until(&first, "the alert to fire", |body| body["alerts"][0]["state"] == "firing").await?;

        stage.deployment.kill(Layer::Serving);
        stage.redis.command(&["FLUSHALL"]).await?;
        // All of it is counted again, so a slice begins where the view will end.
        second.total_as_of(now_us(), "revenue", &[]).await?;
        stage.deployment.reconcile().await?;
        until(&second, "the second process to judge", |body| body["judge"]["state"] == "judging").await?;
        let is_resolved = until(&second, "the alert to be resolved", |body| body["alerts"][0]["state"] == "ok");
        scenario.without_place(is_resolved).await?;

        // It stays silent, and what was killed comes back.
        stage.deployment.start(Layer::Serving).await?;
        let first = stage.client()?;
        until(&first, "it to follow", |body| body["judge"]["state"] == "following").await?;
        let later = rfc3339(begin_us + (COMES_BACK_S + 25) * SECOND_US);
        let is_later = |body: &Value| {
            let to = body["alerts"][0]["judged_to"].as_str().unwrap_or_default();
            body["alerts"][0]["state"] == "ok" && to.get(..19) >= later.get(..19)
        };
        scenario.without_place(until(&second, "it to be judged for a while", is_later)).await?;
        until(&second, "everything to be delivered", |body| body["webhook"]["undelivered"] == 0).await?;

        let written = notices(&stage)?;
        let words: Vec<&str> = written.iter().map(|(_, notice)| notice.as_str()).collect();
        ensure!(words == ["firing", "resolved"], "the topic holds {written:?}");
        ensure!(receiver.told() == written, "the receiver is told {:?}, and not {written:?}", receiver.told());
        let post = receiver.posts().into_iter().next().context("a post")?;
        ensure!(post.body["version"] == "4" && post.body["commonLabels"]["severity"] == "page", "{post:?}");
        Ok(())
    });
}
