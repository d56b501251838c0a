//! A view as a reconcile commits it, and what a reader makes of it.
//!
//! - `answers`: what a view answers, held against rows that are merged one at a time;
//! - `changes`: what is built when a view changes, and after a restart;
//! - `damage`: segments that are torn, changed or foreign;
//! - `memory`: many rows and little memory;
//! - `sorting`: rows that do not fit into the memory of a build;
//! - `sweeps`: all keys, held against rows that are merged one at a time;
//! - `today`: which blocks stay in memory.

mod answers;
mod changes;
mod damage;
mod memory;
mod sorting;
mod sweeps;
mod today;

use platform::settings;
use platform::settings::Size;
use platform::store::{Commit, DataFile, Store};
use polars::prelude::{DataFrame, DataType, Field, NamedFrom, Schema, Series, TimeUnit, TimeZone, df};
use shared_logic::catalog::Catalog;
use shared_logic::contracts::batch_view;
use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::measure::Value;
use shared_logic::time::{DAY_US, HOUR_US, SECOND_US, Steps, Width, day_of, format_day, parse_rfc3339};
use storage::Storage;
use test_kit::{DEADLINE, Dice};

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

/// Stands for no city.
const ABSENT: &str = "(absent)";
/// More than all blocks of a test take.
const PLENTY: usize = 64 << 20;

/// Into steps of UTC.
fn by(width: Width) -> Fold {
    Fold::Steps(Steps::utc(width))
}

/// A row of a view.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    /// Microseconds since 1970.
    bucket: i64,
    city: String,
    /// The start of the shift, in hours since 1970.
    shift: i64,
    calls: i64,
    /// `None`: an overflow.
    seconds: Option<i64>,
    /// `None`: nothing.
    dearest: Option<f64>,
}

/// A view's table, and the folder for its segments.
struct Table {
    catalog: Catalog,
    folder: tempfile::TempDir,
}

impl Table {
    fn new() -> Table {
        Table { catalog: Catalog::parse(CATALOG).expect("a catalog"), folder: tempfile::tempdir().expect("a folder") }
    }

    fn reader(&self, memory: usize) -> ViewReader {
        reader_in(self.folder.path(), &self.catalog, memory)
    }

    /// Replaces a day, as a reconcile does.
    async fn replace(&self, rows: &[Row]) {
        self.commit(rows, |_| true).await;
    }

    /// Adds files to the days of the rows.
    async fn add(&self, rows: &[Row]) {
        self.commit(rows, |_| false).await;
    }

    /// Commits a file for each day of the rows, and removes those older files of the days that `is_old` accepts.
    async fn commit(&self, rows: &[Row], is_old: impl Fn(&DataFile) -> bool) {
        let mut table = self.table().await;
        let before = table.files().await.expect("listed");
        let mut days: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
        rows.iter().for_each(|row| days.entry(day_of(row.bucket)).or_default().push(row));
        let mut commit = Commit::new("RECONCILE", batch_view::DAY, 0);
        for (day, rows) in &days {
            commit = commit.adding([table.write(&format_day(*day), frame(rows), &[]).await.expect("written")]);
        }
        let is_of_day = |file: &DataFile| days.keys().any(|day| format_day(*day) == file.partition);
        commit = commit.removing(before.into_iter().filter(|file| is_of_day(file) && is_old(file)));
        table.commit(commit.note(batch_view::NOTE_DOMAIN, &self.note())).await.expect("committed");
    }

    async fn table(&self) -> platform::store::Table {
        let schema = Schema::from_iter(columns().map(|(name, dtype)| Field::new(name.into(), dtype)));
        let store = Store::new(&store_in(self.folder.path()), "braid").expect("a folder");
        store.open_or_create(&batch_view::path("v1", "calls"), &schema, batch_view::DAY).await.expect("a table")
    }

    fn note(&self) -> Note {
        Note {
            definition: self.catalog.definition(&self.catalog.metrics["calls"]),
            cut: Offsets::from_iter([(PartitionId::new("log", 0), 7)]),
            archive_version: 3,
            retired_before: None,
            committed_at_us: 0,
            asked: batch_view::Asked::default(),
        }
    }

    /// The files of all segments.
    fn segments(&self) -> Vec<std::path::PathBuf> {
        let folder = self.folder.path().join("serving/0/braid/views/v1/calls");
        let files = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "segment")).collect()
    }
}

fn store_in(folder: &std::path::Path) -> settings::Store {
    settings::Store { url: folder.join("store").display().to_string(), ..settings::Store::default() }
}

/// A reader of the view in a folder, whose segments lie there, too.
fn reader_in(folder: &std::path::Path, catalog: &Catalog, memory: usize) -> ViewReader {
    let storage = Storage::new(&store_in(folder), &catalog.deployment).expect("a folder");
    let disk = Disk::open(&folder.join("serving"), "braid", Size::from_bytes(memory as u64)).expect("a place");
    ViewReader::new(&storage, catalog, &catalog.metrics["calls"], Arc::new(disk))
}

fn columns() -> [(&'static str, DataType); 6] {
    let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    [
        ("bucket", instant.clone()),
        ("city", DataType::String),
        ("shift", instant),
        ("calls", DataType::Int64),
        ("seconds", DataType::Int64),
        ("dearest", DataType::Float64),
    ]
}

fn frame(rows: &[&Row]) -> DataFrame {
    let instants = |name: &str, values: Vec<i64>| {
        let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
        Series::new(name.into(), values).cast(&instant).expect("instants")
    };
    let mut frame = df!(
        "city" => rows.iter().map(|row| (row.city != ABSENT).then_some(row.city.as_str())).collect::<Vec<_>>(),
        "calls" => rows.iter().map(|row| row.calls).collect::<Vec<_>>(),
        "seconds" => rows.iter().map(|row| row.seconds).collect::<Vec<_>>(),
        "dearest" => rows.iter().map(|row| row.dearest).collect::<Vec<_>>(),
    )
    .expect("columns");
    let buckets = rows.iter().map(|row| row.bucket).collect();
    let shifts = rows.iter().map(|row| row.shift * HOUR_US).collect();
    frame.with_column(instants("bucket", buckets).into()).expect("a column");
    frame.with_column(instants("shift", shifts).into()).expect("a column");
    frame
}

/// A row of one call, of one second.
fn call(at_bucket: &str, city: &str) -> Row {
    let bucket = at(at_bucket);
    Row { bucket, city: city.to_owned(), shift: bucket / HOUR_US, calls: 1, seconds: Some(1), dearest: None }
}

/// So many rows of so many days from that one on, in any order, with several rows of one key and bucket now and then.
fn any_rows(dice: &mut Dice, first: &str, days: usize, rows: usize) -> Vec<Row> {
    let first = at(first);
    let row = |dice: &mut Dice| {
        // Some minutes and some cities have much more than others.
        let minute = if dice.chance(30) { dice.below(20) } else { dice.below(24 * 60) };
        let bucket = first + dice.below(days) as i64 * DAY_US + minute as i64 * 60 * SECOND_US;
        let city = match dice.below(10) {
            0 => ABSENT.to_owned(),
            1..5 => format!("Köln \"{}\"", dice.below(4)),
            _ => format!("city-{}", dice.below(300)),
        };
        Row {
            bucket,
            city,
            shift: bucket.div_euclid(8 * HOUR_US) * 8,
            calls: dice.between(1, 9),
            seconds: if dice.chance(1) { None } else { Some(dice.between(-9, 99) << dice.below(50)) },
            dearest: dice.chance(70).then(|| dice.between(-400, 400) as f64 / 4.0),
        }
    };
    (0..rows).map(|_| row(dice)).collect()
}

fn at(text: &str) -> i64 {
    parse_rfc3339(text.as_bytes()).expect("an instant")
}

/// A group key; sums over what is not given. The shift is in hours since 1970.
fn key(city: Option<&str>, shift: Option<i64>) -> GroupKey {
    let city = city.map_or(KeyPart::All, |city| match city {
        ABSENT => KeyPart::Missing,
        city => KeyPart::Value(KeyValue::Text(city.to_owned())),
    });
    let shift = shift.map_or(KeyPart::All, |shift| KeyPart::Value(KeyValue::Timestamp(shift * HOUR_US)));
    GroupKey::new(&[city, shift])
}

/// Waits until the newest view is loaded.
async fn loaded(reader: &mut ViewReader) -> Arc<View> {
    let loading = async {
        loop {
            match reader.refresh().await.expect("read") {
                Refreshed::View(view) => return view,
                Refreshed::NoView => panic!("there is no view"),
                Refreshed::Loading => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, loading).await.expect("loaded in time")
}

async fn all(view: &View, key: &GroupKey, range: TimeRange, fold: Fold) -> Vec<(i64, Vec<Value>)> {
    let cells = view.cells(key, range, fold).await.expect("read");
    cells.iter().map(|(bucket, values)| (bucket, values.to_vec())).collect()
}

/// The total over everything: how many calls.
async fn calls(view: &View) -> Value {
    match all(view, &key(None, None), TimeRange::ALL, Fold::Whole).await.as_slice() {
        [] => Value::Int(0),
        [(_, values)] => values[0].clone(),
        more => panic!("{more:?}"),
    }
}
