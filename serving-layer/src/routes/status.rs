//! `GET /v1/status`: how far every partition has come in every layer, what was rejected or lost, and what cannot be
//! reached. What cannot be asked is null here, with the reason under `dependencies`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde_json::{Map, Value, json};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;
use shared_logic::time::format_rfc3339;

use super::no_parameters;
use crate::app::App;
use crate::look::Look;
use crate::problem::Problem;
use crate::speed_view::ShardLook;
use crate::topics::TopicKnown;

/// The longest that Kafka is waited for; the rest is answered without it.
const KAFKA_WITHIN: Duration = Duration::from_secs(2);

/// Everything about every source.
pub(crate) async fn status(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<Value>, Problem> {
    no_parameters(query.as_deref())?;
    let look = app.looks.current();
    let is_starting = look.is_none();
    let look = look.unwrap_or_default();
    let mut kafka = BTreeSet::new();
    let mut sources = Vec::new();
    for (source, error) in
        futures::future::join_all(app.catalog.sources.values().map(|source| one(&app, &look, source))).await
    {
        sources.push(source);
        kafka.extend(error);
    }
    let redis: BTreeSet<String> =
        app.speed.link.ping().await.err().map(|error| error.to_string()).into_iter().collect();
    let mut store: BTreeSet<String> = look.store_errors().map(str::to_owned).collect();
    store.extend(is_starting.then(|| "the batch views are still being loaded".to_owned()));
    let views: Map<String, Value> = app
        .catalog
        .metrics
        .keys()
        .map(|metric| (metric.clone(), look.view(metric).map(|view| view.version).into()))
        .collect();
    Ok(Json(json!({
        "deployment": {"name": app.catalog.deployment.name, "version": app.catalog.deployment.version},
        "braid": env!("CARGO_PKG_VERSION"),
        "sources": sources,
        "views": views,
        "dependencies": {"redis": said(redis), "kafka": said(kafka), "store": said(store)},
    })))
}

fn said(errors: BTreeSet<String>) -> Value {
    if errors.is_empty() { json!({"ok": true}) } else { json!({"ok": false, "reasons": errors}) }
}

/// One source, and why Kafka could not be asked about it.
async fn one(app: &App, look: &Look, source: &Source) -> (Value, Option<String>) {
    let no_facts = Facts::default();
    let archive = look.archive(&source.name);
    let facts = archive.map_or(&no_facts, |archive| archive.facts.as_ref());
    let topic = look.topic(&source.name);
    let log = topic.and_then(|topic| topic.look.as_ref()?.log.clone());
    let ids = partitions(app, look, source, facts, log.as_ref());
    let read = app.speed.positions(&app.catalog, &source.name, ids.iter().cloned()).await.unwrap_or_default();
    let (ends, error) = ends(app, source, log.as_ref()).await;
    let unanswered = || match topic {
        Some(TopicKnown { look: Some(_), error }) => error.clone(),
        Some(TopicKnown { look: None, error: Some(error) }) => Some(error.clone()),
        _ => Some(format!("kafka has not described topic {} yet", source.topic)),
    };
    let error = error.or_else(unanswered);
    let rows: Vec<Value> = ids
        .iter()
        .map(|id| {
            let is_current = log.as_ref().is_some_and(|(log, _)| *log == id.log);
            let end = ends.get(&id.partition).copied().filter(|_| is_current);
            let shard = read.get(id).and_then(Option::as_ref);
            row(app, look, source, facts, id, shard, end)
        })
        .collect();
    let rejects: Vec<Value> = facts
        .rejects
        .iter()
        .map(|(reason, rejects)| json!({"reason": reason, "count": rejects.count, "last": rejects.last}))
        .collect();
    let value = json!({
        "name": source.name,
        "topic": source.topic,
        "log": log.as_ref().map(|(log, _)| log),
        "looked_at": topic.and_then(|topic| topic.look.as_ref()).map(|look| format_rfc3339(look.at_us)),
        "archive_version": archive.map(|archive| archive.version),
        "logs": facts.logs.iter().map(|log| json!({"log": log.log, "closed": log.closed})).collect::<Vec<_>>(),
        "partitions": rows,
        "rejects": rejects,
    });
    (value, error)
}

/// Every partition that the topic, the archive or a cut names.
fn partitions(
    app: &App,
    look: &Look,
    source: &Source,
    facts: &Facts,
    log: Option<&(String, i32)>,
) -> BTreeSet<PartitionId> {
    let mut ids: BTreeSet<PartitionId> = facts.partitions().map(|(id, _)| id).collect();
    ids.extend(log.into_iter().flat_map(|(log, count)| (0..*count).map(|n| PartitionId::new(log.clone(), n))));
    for metric in app.catalog.metrics_of(&source.name) {
        ids.extend(look.view(&metric.name).into_iter().flat_map(|view| view.note.cut.iter().map(|(id, _)| id.clone())));
    }
    ids
}

fn row(
    app: &App,
    look: &Look,
    source: &Source,
    facts: &Facts,
    id: &PartitionId,
    shard: Option<&ShardLook>,
    end: Option<i64>,
) -> Value {
    let archived = facts.partition(id);
    let cursor = shard.map(|shard| shard.shard.cursor);
    let cuts: Map<String, Value> = app
        .catalog
        .metrics_of(&source.name)
        .map(|metric| {
            let view = look.own_view(&metric.name, app.definition(metric));
            (metric.name.clone(), view.and_then(|view| view.note.cut.get(id)).into())
        })
        .collect();
    json!({
        "log": id.log,
        "partition": id.partition,
        "closed": facts.is_closed(&id.log),
        "begin": archived.map(|archived| archived.begin),
        "next": archived.map(|archived| archived.next),
        "cursor": cursor,
        "slices": shard.map(|shard| &shard.shard.slices),
        "as_of": shard.and_then(|shard| shard.as_of_us).map(format_rfc3339),
        "cuts": cuts,
        "end": end,
        "speed_lag": end.zip(cursor).map(|(end, cursor)| (end - cursor).max(0)),
        "archive_lag": end.zip(archived).map(|(end, archived)| (end - archived.next).max(0)),
        "lost": archived.map_or(&[][..], |archived| &archived.lost[..]),
    })
}

/// Where the topic's partitions end, if Kafka says so in time.
async fn ends(app: &App, source: &Source, log: Option<&(String, i32)>) -> (BTreeMap<i32, i64>, Option<String>) {
    let Some((_, count)) = log else { return (BTreeMap::new(), None) };
    let partitions: Vec<i32> = (0..*count).collect();
    match tokio::time::timeout(KAFKA_WITHIN, app.topics.ends(&source.topic, &partitions)).await {
        Ok(Ok(ends)) => (ends, None),
        Ok(Err(error)) => (BTreeMap::new(), Some(error.to_string())),
        Err(_) => {
            let error = format!("kafka did not say within {KAFKA_WITHIN:?} where topic {} ends", source.topic);
            (BTreeMap::new(), Some(error))
        }
    }
}
