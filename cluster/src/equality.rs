//! A test that a query counts what the plan counts in memory: the same keys and buckets in the same order, with the same values.
//!
//! Metrics, expressions and events are random, and so is what is wanted of the events. Queries go the way that they go in a cluster: from
//! request to scheduler and from there to executors as messages, over files of Parquet, and back in frames. Only the processes are one,
//! and stages are not divided.
//!
//! - `metric`: random metrics; `events`: random events, in memory and in files.

mod events;
mod metric;
// As other tests throw them; theirs is a crate of much else.
#[allow(dead_code, unreachable_pub)]
#[path = "../../test-kit/src/dice.rs"]
mod dice;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ballista_core::serde::BallistaCodec;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionContext;
use datafusion_proto::logical_plan::AsLogicalPlan;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use polars::prelude::*;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::batch_view;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::partial::BUCKET;
use shared_logic::plan::Plan;
use shared_logic::plan::in_sql::EventsInSql;
use shared_logic::schema::{FieldType, INSTANT};
use shared_logic::time::TimeRange;

use self::dice::Dice;
use self::events::Events;
use crate::query::{Column as TableColumn, Kind, Table};
use crate::{STACK, frames, session};

/// How many metrics are tried, and within how much time: what was tried until then has to do.
const METRICS: u64 = 60;
const WITHIN: Duration = Duration::from_secs(12);
/// How many are tried in any case.
const METRICS_MIN: u64 = 5;
/// How far float sums may be from each other, as a part of the sum of what was added up without signs: it depends on the order.
const TOLERANCE: f64 = 1e-9;

/// What is tried with one seed, with all that a failure needs to be understood.
struct Trial {
    seed: u64,
    dice: Dice,
    catalog: Catalog,
    text: String,
}

impl Trial {
    fn new(seed: u64) -> Trial {
        let mut dice = Dice::new(seed);
        let (catalog, text) = metric::catalog(&mut dice);
        Trial { seed, dice, catalog, text }
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.catalog.sources["s"], &self.catalog.metrics["m"])
    }

    fn failed(&self, sql: &str, why: impl std::fmt::Debug) -> ! {
        panic!("seed {}: {why:?}\n{}\n{sql}", self.seed, self.text)
    }

    /// What a query of those tables answers, in pieces of so many rows.
    async fn answer(&self, tables: &[Table], sql: &str, rows_at_once: usize) -> Vec<DataFrame> {
        match answer(tables, sql, rows_at_once).await {
            Ok(pieces) => pieces,
            Err(why) => self.failed(sql, why),
        }
    }

    /// Fails unless both say the same of the same keys and buckets, in the same order.
    fn compare(&self, sql: &str, expected: &DataFrame, found: &DataFrame) {
        let (expected, found) = (self.said(expected), self.said(found));
        let keys = |rows: &[Said]| rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
        if keys(&expected) != keys(&found) {
            self.failed(sql, (keys(&expected), keys(&found)));
        }
        for (expected, found) in expected.iter().zip(&found) {
            let measures = self.catalog.metrics["m"].measures.iter().enumerate();
            for (at, measure) in measures {
                let (value, other) = (&expected.values[at], &found.values[at]);
                let is_same = match measure.kind {
                    MeasureKind::SumFloat => {
                        // Behind each stands the sum of the same without signs.
                        let is_scale = measure.name.ends_with(metric::SCALE);
                        let scale = if is_scale { value } else { &expected.values[at + 1] };
                        is_about(value, other, scale)
                    }
                    _ => value == other,
                };
                if !is_same {
                    self.failed(sql, (&measure.name, &expected.key, value, other));
                }
            }
        }
    }

    /// What rows of a view say of each key and bucket, as who reads them merges them.
    fn said(&self, rows: &DataFrame) -> Vec<Said> {
        let metric = &self.catalog.metrics["m"];
        let column = |name: &str| rows.column(name).unwrap_or_else(|error| self.failed("", error));
        let keys: Vec<Vec<String>> =
            metric.by.iter().map(String::as_str).chain([BUCKET]).map(|name| texts(column(name))).collect();
        let cells = metric.measures.iter().map(|measure| measure.kind.cells(column(&measure.name)));
        let cells: Vec<Vec<Value>> = cells.map(|cells| cells.unwrap_or_else(|error| self.failed("", error))).collect();
        let mut said: Vec<Said> = Vec::new();
        for row in 0..rows.height() {
            let key: Vec<String> = keys.iter().map(|column| column[row].clone()).collect();
            if said.last().is_none_or(|last| last.key != key) {
                let values = metric.measures.iter().map(|measure| measure.kind.identity()).collect();
                said.push(Said { key, values });
            }
            let values = said.last_mut().map(|last| &mut last.values).into_iter().flatten();
            for ((value, measure), cells) in values.zip(&metric.measures).zip(&cells) {
                *value = measure.kind.merge(value.clone(), cells[row].clone());
            }
        }
        said
    }
}

/// Whether two float sums are the same but for the order of what was added up; `scale` is the sum without signs.
fn is_about(value: &Value, other: &Value, scale: &Value) -> bool {
    match (value, other, scale) {
        (Value::Float(a), Value::Float(b), Value::Float(scale)) => (a - b).abs() <= TOLERANCE * scale,
        // The order may decide whether a sum leaves 64 bits on the way.
        (_, _, Value::Overflow) => true,
        _ => value == other,
    }
}

/// What is said of a key and bucket.
struct Said {
    key: Vec<String>,
    /// One of each measure.
    values: Vec<Value>,
}

/// The values of a column of keys or buckets.
fn texts(column: &Column) -> Vec<String> {
    match column.dtype() {
        DataType::String => column.str().expect("texts").iter().map(|value| format!("{value:?}")).collect(),
        DataType::Int64 => column.i64().expect("integers").iter().map(|value| format!("{value:?}")).collect(),
        DataType::Boolean => column.bool().expect("truth values").iter().map(|value| format!("{value:?}")).collect(),
        other => panic!("no key is {other}"),
    }
}

/// Lets a query go from request to scheduler to executor, and its answer back.
async fn answer(tables: &[Table], sql: &str, rows_at_once: usize) -> datafusion::common::Result<Vec<DataFrame>> {
    let codec: BallistaCodec = BallistaCodec::default();
    let client = SessionContext::new_with_state(session::planner(session::config(3))?);
    for table in tables {
        table.register(&client)?;
    }
    let asked = client.sql(sql).await?.into_optimized_plan()?;
    let message = LogicalPlanNode::try_from_logical_plan(&asked, codec.logical_extension_codec())?;
    let mut bytes: Vec<u8> = Vec::new();
    message.try_encode(&mut bytes)?;

    let scheduler = SessionContext::new_with_state(session::planner(session::config(3))?);
    let task = scheduler.task_ctx();
    let received = LogicalPlanNode::try_decode(&bytes)?;
    let received = received.try_into_logical_plan(&task, codec.logical_extension_codec())?;
    let planned = scheduler.execute_logical_plan(received).await?.create_physical_plan().await?;
    let message = PhysicalPlanNode::try_from_physical_plan(planned, codec.physical_extension_codec())?;
    let mut bytes: Vec<u8> = Vec::new();
    message.try_encode(&mut bytes)?;

    let received = PhysicalPlanNode::try_decode(&bytes)?;
    let run = received.try_into_physical_plan(&task, codec.physical_extension_codec())?;
    let batches = collect(run, task).await?;
    Ok(frames::tests::read(&frames::tests::written(&batches, rows_at_once)).expect("an answer that is whole"))
}

/// Runs trials on a thread with room for plans, as the program's have.
fn try_all(trial: impl AsyncFn(Trial) + Send + 'static) {
    let run = move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_stack_size(STACK).enable_all().build();
        let (begun, first) = (Instant::now(), dice::first_seed());
        runtime.expect("a runtime").block_on(async {
            for seed in first..first + METRICS {
                if begun.elapsed() > WITHIN && seed >= first + METRICS_MIN {
                    break;
                }
                trial(Trial::new(seed)).await;
            }
        });
    };
    let thread = thread::Builder::new().stack_size(4 * STACK).spawn(run).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Rows of a result that came in pieces.
fn together(pieces: Vec<DataFrame>) -> Option<DataFrame> {
    pieces.into_iter().reduce(|all, more| all.vstack(&more).expect("the same columns"))
}

#[test]
fn events_are_counted_as_in_memory() {
    try_all(async |mut trial: Trial| {
        let folder = tempfile::tempdir().expect("a folder");
        let events = Events::throw(&mut trial.dice, &trial.catalog.sources["s"], folder.path());
        let rows_at_once = 1 + trial.dice.below(20);
        let plan = trial.plan();
        let in_sql = plan.in_sql().expect("no sketches");
        let sql = in_sql.of_events(&EventsInSql {
            tables: &events.event_tables,
            record: shared_logic::contracts::archive::RECORD,
            logs: &events.logs,
            ranges: &events.ranges,
            times: events.times.as_ref().map(|(starts, length_us)| (starts, *length_us)),
        });
        let pieces = trial.answer(&events.tables, &sql, rows_at_once).await;
        let pieces =
            pieces.into_iter().map(|piece| in_sql.rows(piece).unwrap_or_else(|error| trial.failed(&sql, error)));
        let found = together(pieces.collect());
        if events.wanted.height() == 0 {
            assert!(found.is_none(), "seed {}: {found:?}", trial.seed);
            return;
        }
        let expected = plan.view_rows(events.wanted.clone().lazy(), events.firsts.as_deref());
        let expected = expected.unwrap_or_else(|error| trial.failed(&sql, error));
        match found {
            Some(found) => {
                let names =
                    |rows: &DataFrame| rows.columns().iter().map(|of| of.name().to_string()).collect::<Vec<_>>();
                assert_eq!(names(&found), names(&expected), "seed {}", trial.seed);
                trial.compare(&sql, &expected, &found);
            }
            None if expected.height() == 0 => {}
            None => trial.failed(&sql, expected.height()),
        }
    });
}

#[test]
fn rows_of_views_are_merged_as_in_memory() {
    try_all(async |mut trial: Trial| {
        let folder = tempfile::tempdir().expect("a folder");
        let events = Events::throw(&mut trial.dice, &trial.catalog.sources["s"], folder.path());
        let plan = trial.plan();
        let Some(rows) = view(&mut trial, &events) else { return };
        let in_sql = plan.in_sql().expect("no sketches");
        let table = view_table(&mut trial, &rows, folder.path());
        let hours =
            |dice: &mut Dice| dice.between(-4, 4) * 3_600_000_000 + dice.between(0, 1) * dice.between(0, 60_000_000);
        let (from_us, more_us) = (hours(&mut trial.dice), hours(&mut trial.dice).abs());
        let range = TimeRange { from_us, to_us: from_us + more_us + 1 };
        let sql = in_sql.of_rows("view", batch_view::BUCKET, range);
        let rows_at_once = 1 + trial.dice.below(20);
        let pieces = trial.answer(&[table], &sql, rows_at_once).await;
        let rows_of = |piece| in_sql.rows_of_period(piece, from_us).unwrap_or_else(|error| trial.failed(&sql, error));
        let found = together(pieces.into_iter().map(rows_of).collect());
        let buckets = rows.column(BUCKET).expect("buckets").i64().expect("integers");
        let is_in: BooleanChunked = buckets.iter().map(|at| at.is_some_and(|at| range.contains(at))).collect();
        let mut wanted = rows.filter(&is_in).expect("a mask of the rows");
        let start = Column::new(BUCKET.into(), vec![from_us; wanted.height()]);
        wanted.with_column(start).expect("as many");
        if wanted.height() == 0 {
            assert!(found.is_none(), "seed {}: {found:?}", trial.seed);
            return;
        }
        let expected = plan.merge_rows(&wanted).unwrap_or_else(|error| trial.failed(&sql, error));
        match found {
            Some(found) => trial.compare(&sql, &expected, &found),
            None if expected.height() == 0 => {}
            None => trial.failed(&sql, expected.height()),
        }
    });
}

/// Rows of a view that were added in parts, some of them by an old build, which has written overflows; `None` of no events.
fn view(trial: &mut Trial, events: &Events) -> Option<DataFrame> {
    let (plan, events) = (trial.plan(), &events.wanted);
    let parts = 1 + trial.dice.below(3);
    let of_part = |part: usize| {
        let mask: BooleanChunked = (0..events.height()).map(|row| row % parts == part).collect();
        let events = events.filter(&mask).expect("a mask of the events");
        let rows = || plan.view_rows(events.clone().lazy(), None).unwrap_or_else(|error| trial.failed("", error));
        (events.height() > 0).then(rows)
    };
    let mut rows = together((0..parts).filter_map(of_part).collect())?;
    for measure in &trial.catalog.metrics["m"].measures {
        if measure.kind == MeasureKind::SumInt && trial.dice.chance(20) {
            let lost = trial.dice.below(rows.height().max(1));
            let cells = rows.column(&measure.name).expect("a measure").i64().expect("integers");
            let cell = |(row, cell): (usize, Option<i64>)| cell.filter(|_| row != lost);
            let cells: Int64Chunked = cells.iter().enumerate().map(cell).collect();
            rows.with_column(Column::from(cells.into_series()).with_name(measure.name.as_str().into()))
                .expect("as many");
        }
    }
    Some(rows)
}

/// The rows in files, as views have them.
fn view_table(trial: &mut Trial, rows: &DataFrame, folder: &Path) -> Table {
    let (source, metric) = (&trial.catalog.sources["s"], &trial.catalog.metrics["m"]);
    let keys = metric.by.iter().map(|name| (name.clone(), source.field(name).expect("declared").kind));
    let measures = metric.measures.iter().map(|measure| (measure.name.clone(), measure.kind.value_type()));
    let bucket = (batch_view::BUCKET.to_owned(), FieldType::Timestamp);
    let columns: Vec<(String, FieldType)> = keys.chain([bucket]).chain(measures).collect();
    let mut stored = rows.clone();
    stored.rename(BUCKET, batch_view::BUCKET.into()).expect("there is one");
    let instants = columns.iter().filter(|(_, kind)| *kind == FieldType::Timestamp).map(|(name, _)| name.as_str());
    let stored = with_instants(stored, instants);
    let parts = 1 + trial.dice.below(2);
    let file = |part: usize| {
        let mask: BooleanChunked = (0..stored.height()).map(|row| row % parts == part).collect();
        write(stored.filter(&mask).expect("a mask of the rows"), &folder.join(format!("view-{part}.parquet")))
    };
    let files = (0..parts).map(file).collect();
    let columns = columns.into_iter().map(|(name, kind)| TableColumn { name, kind: kind_of(kind) }).collect();
    Table { name: "view".to_owned(), columns, files }
}

/// The type of a column of a table that holds such values.
fn kind_of(kind: FieldType) -> Kind {
    match kind {
        FieldType::String => Kind::Text,
        FieldType::Int => Kind::Int,
        FieldType::Float => Kind::Float,
        FieldType::Bool => Kind::Bool,
        FieldType::Timestamp => Kind::Instant,
    }
}

/// The rows with instants in these columns, as tables have them.
fn with_instants<'n>(mut rows: DataFrame, names: impl Iterator<Item = &'n str>) -> DataFrame {
    for name in names.collect::<BTreeSet<_>>() {
        let instants = rows.column(name).expect("there").cast(&INSTANT).expect("microseconds");
        rows.with_column(instants).expect("as many");
    }
    rows
}

/// Writes a file of Parquet, and names it.
fn write(mut rows: DataFrame, path: &Path) -> String {
    let file = File::create(path).expect("a file");
    ParquetWriter::new(file).with_row_group_size(Some(16)).finish(&mut rows).expect("written");
    url::Url::from_file_path(path).expect("an absolute path").to_string()
}
