//! A stream of alerts, in a log and in an archive, and a client that watches it.

use platform::store::{Committed, DataFile};
use polars::prelude::{Column, DataFrame, DataType, Schema};
use reqwest::Response;
use serde_json::Value;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{
    ERROR, Facts, HASH, HEADERS, KEY, LOG, OFFSET, PARTITION, RAW, RULES, TIMESTAMP, record_columns,
};
use shared_logic::decode::{Columns, Decoder};
use shared_logic::log::PartitionId;
use shared_logic::schema::{FieldType, INSTANT};
use storage::{Archive, Storage};
use test_kit::catalogs;

use crate::stand_in::Written;
use crate::test_server::{DEADLINE, TestServer};

/// The id of the alerts' topic.
pub(crate) const ALERTS_LOG: &str = "alerts-log";
pub(crate) const ALERTS: &str = "/v1/streams/alerts";
/// When alerts are written: 2026-04-24T10:00:00Z.
const WRITTEN_MS: i64 = 1_777_024_800_000;

/// The catalog of views, and a stream of alerts.
pub(crate) fn catalog() -> String {
    format!(
        "{}
[sources.payments]
event_time = \"at\"
key = \"user_id\"
[sources.payments.fields]
at = \"timestamp\"
user_id = \"string\"
amount = \"float\"
country = \"string?\"
[streams.alerts]
from = \"payments\"
key = \"user_id\"
history = \"1h\"
lateness = \"5m\"
[streams.alerts.detect]
large = \"amount > 100\"
",
        catalogs::VIEWS
    )
}

/// An alert about a user, of that offset of the source, as a lane writes it. Its time is that many seconds after 09:00.
pub(crate) fn alert(user: &str, offset: i64, seconds: i64) -> String {
    let time = format!("2026-04-24T09:{:02}:{:02}Z", seconds / 60, seconds % 60);
    format!(
        "{{\"output_id\":\"alerts/v1/log-a/0/{offset}/0\",\"output_time\":\"{time}\",\"rule\":\"large\",\
         \"judged_offset\":{offset},\"looked_at\":{{}},\"at\":\"{time}\",\"user_id\":\"{user}\",\"amount\":250.5}}"
    )
}

/// The offsets of the source that outputs name, in their order.
pub(crate) fn judged(outputs: &Value) -> Vec<i64> {
    outputs.as_array().expect("outputs").iter().map(|output| output["judged_offset"].as_i64().expect("one")).collect()
}

impl TestServer {
    /// Nothing is served yet. The topic of alerts is empty.
    pub(crate) async fn of_alerts(partitions: i32) -> TestServer {
        let server = TestServer::with(&catalog()).await;
        server.topics.create("alerts", ALERTS_LOG, partitions);
        server.topics.create("alerts.late", "late-log", partitions);
        server
    }

    pub(crate) fn alerts(&self) -> &Source {
        &self.catalog.sources["alerts"]
    }

    /// Writes an alert into the log; gives its offset.
    pub(crate) fn write_alert(&self, partition: i32, payload: &str) -> i64 {
        let payload = Some(payload.as_bytes().to_vec());
        self.topics.write("alerts", partition, Written { timestamp_ms: WRITTEN_MS, key: None, payload })
    }

    /// Writes a mark into the log; gives its offset.
    pub(crate) fn write_mark(&self, partition: i32) -> i64 {
        self.topics.write("alerts", partition, Written::default())
    }

    /// Archives records of a partition of the log, from `next` on, in one file. A record without a payload is a mark.
    pub(crate) async fn archive_alerts(&self, partition: i32, payloads: &[Option<String>]) {
        self.archive_rows_of_alerts(partition, payloads, |rows| rows, |_| {}).await;
    }

    /// The same, with rows and facts that are changed before.
    pub(crate) async fn archive_rows_of_alerts(
        &self,
        partition: i32,
        payloads: &[Option<String>],
        change: impl FnOnce(DataFrame) -> DataFrame,
        change_facts: impl FnOnce(&mut Facts),
    ) {
        let (source, mut archive) = (self.alerts(), self.alerts_archive().await);
        let id = PartitionId::new(ALERTS_LOG, partition);
        let mut facts = archive.facts();
        facts.keep_bytes(&source.rules(), None);
        facts.begin(&id, 0);
        let next = facts.partition(&id).expect("begun").next;
        let rows = change(rows(source, &id, next, payloads));
        let ranged = [LOG, PARTITION, OFFSET, RULES, "output_time"];
        let file: DataFile = archive.write("2026-04-24", rows, &ranged).await.expect("written");
        assert!(facts.advance(&id, next, next + payloads.len() as i64));
        change_facts(&mut facts);
        let commit = archive.begin("ARCHIVE").adding([file]);
        let committed = archive.commit(commit, Some(facts)).await.expect("tried");
        assert!(matches!(committed, Committed::At(_)), "nobody else writes");
    }

    async fn alerts_archive(&self) -> Archive {
        let storage = Storage::new(&self.settings.store, &self.catalog.deployment).expect("a store");
        let source = self.alerts();
        let fields = source.fields.iter().map(|field| (field.name.as_str().into(), field.kind.table_type()));
        let columns: Schema = record_columns().into_iter().chain(fields).collect();
        storage.create_archive("alerts", &columns).await.expect("created")
    }

    /// Watches alerts, from an event on if there is one.
    pub(crate) async fn watch(&self, query: &str, last_event_id: Option<&str>) -> Watch {
        let mut watch = self.watch_path(&format!("{ALERTS}{query}"), last_event_id).await;
        let first = watch.frame().await.expect("a first event");
        assert_eq!(first.kind, "version", "{first:?}");
        watch.version = serde_json::from_str(&first.data).expect("JSON");
        watch
    }

    /// Watches what a path answers, from an event on if there is one.
    pub(crate) async fn watch_path(&self, path: &str, last_event_id: Option<&str>) -> Watch {
        let request = self.http.get(format!("http://{}{path}", self.address())).header("accept", "text/event-stream");
        let request = match last_event_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let id = last_event_id.unwrap_or_default().to_owned();
        Watch { response, buffer: String::new(), id, version: Value::Null }
    }

    /// The same, once the client has its place: from there on it is told everything.
    pub(crate) async fn watch_from_now(&self, query: &str) -> Watch {
        let mut watch = self.watch(query, None).await;
        while watch.id.is_empty() {
            assert_eq!(watch.frame().await, Some(Event::default()), "no event, but an id");
        }
        watch
    }
}

/// Rows as an archiver writes them.
fn rows(source: &Source, id: &PartitionId, next: i64, payloads: &[Option<String>]) -> DataFrame {
    let (mut decoder, mut columns) = (Decoder::new(source), Columns::new(source, |_| true, payloads.len()));
    let mut errors = Vec::new();
    for payload in payloads {
        match decoder.decode(payload.as_deref().map(str::as_bytes), None) {
            Ok(event) => {
                columns.push(&event);
                errors.push(None);
            }
            Err(rejected) => {
                columns.push_nulls();
                errors.push(Some(rejected.text(&source.fields)));
            }
        }
    }
    let rows = payloads.len();
    let raw: Vec<Option<&[u8]>> = payloads.iter().map(|payload| payload.as_deref().map(str::as_bytes)).collect();
    let mut all = vec![
        Column::new(LOG.into(), vec![id.log.as_str(); rows]),
        Column::new(PARTITION.into(), vec![id.partition; rows]),
        Column::new(OFFSET.into(), (next..next + rows as i64).collect::<Vec<_>>()),
        Column::new(RULES.into(), vec![source.rules().as_str().to_owned(); rows]),
        Column::full_null(TIMESTAMP.into(), rows, &INSTANT),
        Column::full_null(KEY.into(), rows, &DataType::Binary),
        Column::full_null(HEADERS.into(), rows, &DataType::String),
        Column::new(RAW.into(), raw),
        Column::full_null(HASH.into(), rows, &DataType::Int32),
        Column::new(ERROR.into(), errors),
    ];
    for (field, column) in source.fields.iter().zip(columns.finish().expect("columns").into_columns()) {
        let is_instant = field.kind == FieldType::Timestamp;
        all.push(if is_instant { column.cast(&INSTANT).expect("instants") } else { column });
    }
    DataFrame::new(rows, all).expect("a frame")
}

/// A client that watches.
pub(crate) struct Watch {
    response: Response,
    buffer: String,
    /// The id of the last frame that had one.
    pub(crate) id: String,
    /// What the first event says.
    pub(crate) version: Value,
}

/// An event, as far as it is one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) data: String,
}

impl Watch {
    /// The next event; `None` if the server has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.frame().await?;
            if !event.data.is_empty() {
                return Some(event);
            }
        }
    }

    /// The offsets of the source that the next outputs name.
    pub(crate) async fn judged(&mut self, count: usize) -> Vec<i64> {
        let mut judged = Vec::new();
        while judged.len() < count {
            let event = self.next().await.expect("more comes");
            assert_eq!(event.kind, "", "{event:?}");
            let output: Value = serde_json::from_str(&event.data).expect("JSON");
            judged.push(output["judged_offset"].as_i64().expect("a number"));
        }
        judged
    }

    /// The next gap.
    pub(crate) async fn gap(&mut self) -> Value {
        let event = self.next().await.expect("more comes");
        assert_eq!(event.kind, "gap", "{event:?}");
        serde_json::from_str(&event.data).expect("JSON")
    }

    /// The next frame, which is no event if it has no data.
    pub(crate) async fn frame(&mut self) -> Option<Event> {
        let end = loop {
            if let Some(end) = self.buffer.find("\n\n") {
                break end;
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("in time");
            self.buffer.push_str(std::str::from_utf8(&chunk.expect("no error")?).expect("UTF-8"));
        };
        let frame: String = self.buffer.drain(..end + 2).collect();
        let mut event = Event::default();
        for line in frame.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.id),
                Some(("event", kind)) => kind.clone_into(&mut event.kind),
                Some(("data", data)) => event.data.push_str(data),
                _ => {}
            }
        }
        Some(event)
    }
}
