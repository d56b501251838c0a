use platform::settings;
use platform::store::{Commit, Store};
use polars::prelude::{DataType, Field, NamedFrom, Schema, Series, TimeUnit, TimeZone, df};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::batch_view;
use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::measure::Value;
use shared_logic::time::{HOUR_US, SECOND_US, parse_rfc3339};
use storage::Storage;

use super::*;

const CATALOG: &str = r#"
[sources.calls]
event_time = "at"
[sources.calls.fields]
at = "timestamp"
shift = "timestamp"
city = "string?"
seconds = "int?"
cost = "float?"
[metrics.calls]
source = "calls"
by = ["city", "shift"]
grain = "1m"
[metrics.calls.measures]
calls = "count()"
seconds = "sum(seconds)"
dearest = "max(cost)"
"#;

/// Minute of the day, city, hour of the shift; calls, seconds (none: overflow), dearest (none: nothing).
type Row = (i64, &'static str, i64, i64, Option<i64>, Option<f64>);
/// Stands for no city.
const ABSENT: &str = "(absent)";

struct Table {
    catalog: Catalog,
    folder: tempfile::TempDir,
}

impl Table {
    fn new() -> Table {
        Table { catalog: Catalog::parse(CATALOG).expect("a catalog"), folder: tempfile::tempdir().expect("a folder") }
    }

    fn settings(&self) -> settings::Store {
        settings::Store { url: self.folder.path().display().to_string(), ..settings::Store::default() }
    }

    fn store(&self) -> Store {
        Store::new(&self.settings(), "braid").expect("a folder")
    }

    fn reader(&self, memory: usize) -> ViewReader {
        let storage = Storage::new(&self.settings(), &self.catalog.deployment).expect("a folder");
        ViewReader::new(&storage, &self.catalog, &self.catalog.metrics["calls"], Arc::new(Memory::new(memory)))
    }

    /// Replaces a day, as a reconcile does.
    async fn commit(&self, day: &str, rows: &[Row]) {
        let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        let columns = [
            ("bucket", instant.clone()),
            ("city", DataType::String),
            ("shift", instant.clone()),
            ("calls", DataType::Int64),
            ("seconds", DataType::Int64),
            ("dearest", DataType::Float64),
        ];
        let schema = Schema::from_iter(columns.map(|(name, dtype)| Field::new(name.into(), dtype)));
        let path = batch_view::path("v1", "calls");
        let mut table = self.store().open_or_create(&path, &schema, batch_view::DAY).await.expect("a table");
        let start = at(&format!("{day}T00:00:00Z"));
        let instants =
            |name: &str, values: Vec<i64>| Series::new(name.into(), values).cast(&instant).expect("instants");
        let mut frame = df!(
            "city" => rows.iter().map(|row| (row.1 != ABSENT).then_some(row.1)).collect::<Vec<_>>(),
            "calls" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
            "seconds" => rows.iter().map(|row| row.4).collect::<Vec<_>>(),
            "dearest" => rows.iter().map(|row| row.5).collect::<Vec<_>>(),
        )
        .expect("columns");
        let buckets = rows.iter().map(|row| start + row.0 * 60 * SECOND_US).collect();
        let shifts = rows.iter().map(|row| start + row.2 * HOUR_US).collect();
        frame.with_column(instants("bucket", buckets).into()).expect("a column");
        frame.with_column(instants("shift", shifts).into()).expect("a column");
        let file = table.write(day, frame, &[]).await.expect("written");
        let old = table.files().await.expect("listed").into_iter().filter(|file| file.partition == day);
        let note = Note {
            definition: self.catalog.definition(&self.catalog.metrics["calls"]),
            cut: Offsets::from_iter([(PartitionId::new("log", 0), 7)]),
            archive_version: 3,
            committed_at_us: 0,
        };
        let commit = Commit::new("RECONCILE", batch_view::DAY, 0).adding([file]).removing(old);
        table.commit(commit.note(batch_view::NOTE_DOMAIN, &note)).await.expect("committed");
    }
}

fn at(text: &str) -> i64 {
    parse_rfc3339(text.as_bytes()).expect("an instant")
}

/// Sums over what is not given.
fn key(city: Option<&str>, shift: Option<&str>) -> GroupKey {
    let city = city.map_or(KeyPart::All, |city| match city {
        ABSENT => KeyPart::Missing,
        city => KeyPart::Value(KeyValue::Text(city.to_owned())),
    });
    let shift = shift.map_or(KeyPart::All, |shift| KeyPart::Value(KeyValue::Timestamp(at(shift))));
    GroupKey::new(&[city, shift])
}

async fn all(view: &View, key: &GroupKey, range: TimeRange, fold: Fold) -> Vec<(i64, Vec<Value>)> {
    let cells = view.cells(key, range, fold).await.expect("read");
    cells.iter().map(|(bucket, values)| (bucket, values.to_vec())).collect()
}

fn values(calls: i64, seconds: Option<i64>, dearest: Option<f64>) -> Vec<Value> {
    let seconds = seconds.map_or(Value::Overflow, |seconds| Value::Int(seconds.into()));
    vec![Value::Int(calls.into()), seconds, dearest.map_or(Value::Null, Value::Float)]
}

#[tokio::test]
async fn every_grouping_set_is_merged_from_the_finest_rows() {
    let table = Table::new();
    let rows = [
        (0, "Bonn", 6, 2, Some(20), Some(1.5)),
        (0, "Bonn", 14, 1, Some(5), None),
        (1, "Bonn", 6, 4, Some(40), Some(0.5)),
        (0, "Köln \"Süd\"", 6, 3, Some(-30), None),
        (700, "Köln \"Süd\"", 14, 1, None, None),
        (701, ABSENT, 14, 2, Some(3), None),
        (701, "", 14, 1, Some(1), None),
    ];
    table.commit("2026-04-23", &rows).await;
    let view = table.reader(1 << 20).refresh().await.expect("read").expect("a view");
    assert_eq!((view.version, view.note.archive_version, view.days()), (1, 3, (1, 0)));
    let total = async |city, shift| all(&view, &key(city, shift), TimeRange::ALL, Fold::Whole).await.remove(0).1;
    let morning = Some("2026-04-23T06:00:00Z");
    assert_eq!(total(Some("Bonn"), morning).await, values(6, Some(60), Some(1.5)));
    assert_eq!(total(Some("Bonn"), None).await, values(7, Some(65), Some(1.5)));
    assert_eq!(total(None, morning).await, values(9, Some(30), Some(1.5)));
    assert_eq!(total(Some("Köln \"Süd\""), None).await, values(4, None, None));
    assert_eq!(total(Some(ABSENT), None).await, values(2, Some(3), None));
    assert_eq!(total(Some(ABSENT), Some("2026-04-23T14:00:00Z")).await, values(2, Some(3), None));
    assert_eq!(total(Some(""), None).await, values(1, Some(1), None));
    assert_eq!(total(None, None).await, values(14, None, Some(1.5)));
    assert!(all(&view, &key(Some("Ulm"), None), TimeRange::ALL, Fold::Whole).await.is_empty());

    let hour = TimeRange { from_us: at("2026-04-23T00:00:00Z"), to_us: at("2026-04-23T01:00:00Z") };
    assert_eq!(all(&view, &key(None, None), hour, Fold::Whole).await[0].1, values(10, Some(35), Some(1.5)));
    let minute = Fold::Steps(60 * SECOND_US);
    let minutes = all(&view, &key(Some("Bonn"), None), hour, minute).await;
    assert_eq!(
        minutes,
        [
            (hour.from_us, values(3, Some(25), Some(1.5))),
            (hour.from_us + 60 * SECOND_US, values(4, Some(40), Some(0.5)))
        ]
    );
}

#[tokio::test]
async fn only_days_that_changed_are_loaded_again() {
    let table = Table::new();
    let mut reader = table.reader(1 << 20);
    assert!(reader.refresh().await.expect("read").is_none());
    table.commit("2026-04-22", &[(0, "Bonn", 6, 1, Some(1), None)]).await;
    table.commit("2026-04-23", &[(0, "Bonn", 6, 2, Some(2), None)]).await;
    let before = reader.refresh().await.expect("read").expect("a view");
    table.commit("2026-04-23", &[(0, "Bonn", 6, 5, Some(5), None)]).await;
    let after = reader.refresh().await.expect("read").expect("a view");
    let held = |view: &View, day: &str| {
        Arc::clone(view.days[&shared_logic::time::parse_day(day).expect("a day")].held.as_ref().expect("held"))
    };
    assert!(Arc::ptr_eq(&held(&before, "2026-04-22"), &held(&after, "2026-04-22")));
    assert!(!Arc::ptr_eq(&held(&before, "2026-04-23"), &held(&after, "2026-04-23")));
    let calls = async |view: &View| all(view, &key(None, None), TimeRange::ALL, Fold::Whole).await[0].1[0].clone();
    assert_eq!((calls(&before).await, calls(&after).await), (Value::Int(3), Value::Int(6)));
    let same = reader.refresh().await.expect("read").expect("a view");
    assert!(Arc::ptr_eq(&same, &after), "nothing was committed");
}

#[tokio::test]
async fn days_beyond_the_memory_are_read_when_asked_for() {
    let table = Table::new();
    for (day, calls) in [("2026-04-21", 1), ("2026-04-22", 2), ("2026-04-23", 4)] {
        table.commit(day, &[(0, "Bonn", 6, calls, Some(0), None)]).await;
    }
    let whole = table.reader(1 << 20).refresh().await.expect("read").expect("a view");
    let view = table.reader(whole.bytes() / 2).refresh().await.expect("read").expect("a view");
    assert_eq!(view.days(), (1, 2), "the newest is held");
    assert!(view.days.last_key_value().expect("three days").1.held.is_some());
    for view in [&whole, &view] {
        let days = all(view, &key(None, None), TimeRange::ALL, Fold::Steps(DAY_US)).await;
        let calls: Vec<Value> = days.iter().map(|(_, values)| values[0].clone()).collect();
        assert_eq!(calls, [1, 2, 4].map(Value::Int));
    }
}
