//! Commits of days, and who gives way to whom (P1).

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use platform::store::Committed;
use polars::prelude::*;
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::contracts::report::DateNote;
use shared_logic::log::Offsets;
use shared_logic::schema::INSTANT;
use shared_logic::time::{DAY_US, TimeRange, parse_day};
use storage::ReportTable;

use super::*;
use crate::reconcile::view;
use crate::stream::TopicEnds;

const CATALOG: &str = r#"
[sources.clicks]
event_time = "at"
[sources.clicks.fields]
at = "timestamp"
user_id = "string"
[metrics.clicks]
source = "clicks"
by = ["user_id"]
grain = "1h"
[metrics.clicks.measures]
clicks = "count()"
[reports.clicks]
metric = "clicks"
schedule = "0 0 2 * * *"
[reports.clicks.columns]
score = "clicks * 0.5"
"#;
const DATE: &str = "2026-04-24";

struct NoTopics;

impl LogEnds for NoTopics {
    fn ends<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<TopicEnds>, KafkaError>> {
        async { Ok(None) }.boxed()
    }
}

struct Bench {
    reporter: Reporter,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new(catalog: &str) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let reporter = reporter(catalog, folder.path());
        Bench { reporter, _folder: folder }
    }

    fn report(&self) -> &Report {
        self.reporter.report("clicks").expect("declared")
    }

    async fn table(&self) -> ReportTable {
        let layout = shared_logic::report::Layout::of(&self.reporter.catalog, self.report());
        self.reporter.storage.create_report("clicks", &layout.in_table()).await.expect("created")
    }

    /// Commits rows that were computed from that version of the view.
    async fn committed(&self, table: &mut ReportTable, view_version: u64, users: &[(&str, i64)]) -> DateOutcome {
        let (rows, of_date) = (rows(users), self.of_date(view_version, users.len()));
        self.reporter.commit(self.report(), table, DATE, rows, of_date).await.expect("committed").outcome
    }

    fn of_date(&self, view_version: u64, rows: usize) -> DateNote {
        DateNote {
            definition: self.reporter.catalog.report_definition(self.report()),
            version: "v1".to_owned(),
            view_version,
            cut: Offsets::default(),
            arrived: Offsets::default(),
            tables: BTreeMap::new(),
            erased: BTreeMap::new(),
            rows: rows as u64,
            committed_at_us: 0,
            revisions: 0,
        }
    }

    /// The newest version of the table, the view's version and the revisions of the day, and its rows.
    async fn read(&self) -> (u64, u64, u64, Vec<(String, i64)>) {
        let table = self.table().await;
        let note = table.date(DATE).expect("written").clone();
        let files = table.files_of(DATE).await.expect("listed");
        let columns = Schema::from_iter([
            Field::new("user_id".into(), DataType::String),
            Field::new("clicks".into(), DataType::Int64),
        ]);
        let rows = table.read(&files, &columns).await.expect("read");
        let rows = crate::rows::compute("read rows", table.path(), move || rows.collect()).await.expect("rows");
        let (users, clicks) = (rows.column("user_id").expect("there"), rows.column("clicks").expect("there"));
        let users = users.str().expect("texts").iter().map(|user| user.unwrap_or_default().to_owned());
        let rows = users.zip(clicks.i64().expect("integers").iter().map(Option::unwrap_or_default)).collect();
        (table.version(), note.view_version, note.revisions, rows)
    }
}

fn reporter(catalog: &str, folder: &std::path::Path) -> Reporter {
    let settings = Settings {
        store: settings::Store { url: folder.display().to_string(), ..Default::default() },
        ..Settings::default()
    };
    let catalog = Catalog::parse(catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let storage = Storage::new(&settings.store, &catalog.deployment).expect("a store");
    Reporter::with(Arc::new(catalog), &storage, settings.reconcile, 1, Arc::new(NoTopics))
}

fn rows(users: &[(&str, i64)]) -> DataFrame {
    df!(
        "user_id" => users.iter().map(|user| user.0).collect::<Vec<_>>(),
        "clicks" => users.iter().map(|user| user.1).collect::<Vec<_>>(),
        "score" => users.iter().map(|user| user.1 as f64 * 0.5).collect::<Vec<_>>(),
    )
    .expect("three columns")
}

fn held(users: &[(&str, i64)]) -> Vec<(String, i64)> {
    users.iter().map(|(user, clicks)| ((*user).to_owned(), *clicks)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_are_not_written_again_and_others_take_their_place() {
    let bench = Bench::new(CATALOG);
    let mut table = bench.table().await;
    let (one, other) = ([("a", 1), ("b", 2)], [("a", 1), ("b", 3)]);
    assert_eq!(bench.committed(&mut table, 5, &one).await, DateOutcome::Written);
    assert_eq!(bench.committed(&mut table, 6, &one).await, DateOutcome::Unchanged, "of a newer view");
    assert_eq!(bench.read().await, (1, 5, 0, held(&one)));
    assert_eq!(bench.committed(&mut table, 7, &other).await, DateOutcome::Revised);
    assert_eq!(bench.read().await, (2, 7, 1, held(&other)));
    // A view that was rolled back has another version, and its rows count all the same.
    assert_eq!(bench.committed(&mut table, 6, &one).await, DateOutcome::Revised);
    assert_eq!(bench.read().await, (3, 6, 2, held(&one)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_commits_second_gives_way_to_a_newer_view_and_takes_the_place_of_an_older_one() {
    let bench = Bench::new(CATALOG);
    let (mut one, mut other, mut third) = (bench.table().await, bench.table().await, bench.table().await);
    assert_eq!(bench.committed(&mut one, 5, &[("a", 1)]).await, DateOutcome::Written);
    assert_eq!(bench.committed(&mut other, 5, &[("a", 9)]).await, DateOutcome::LeftToAnother);
    assert_eq!(bench.read().await, (1, 5, 0, held(&[("a", 1)])));
    assert_eq!(bench.committed(&mut third, 6, &[("a", 2)]).await, DateOutcome::Revised);
    assert_eq!(bench.read().await, (2, 6, 1, held(&[("a", 2)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_gives_way_to_none_that_committed_another_day_or_by_another_definition() {
    let bench = Bench::new(CATALOG);
    assert_eq!(bench.committed(&mut bench.table().await, 5, &[("a", 1)]).await, DateOutcome::Written);
    let (mut one, mut other, mut third) = (bench.table().await, bench.table().await, bench.table().await);
    let next = bench.reporter.commit(bench.report(), &mut one, "2026-04-25", rows(&[("a", 7)]), bench.of_date(5, 1));
    assert_eq!(next.await.expect("committed").outcome, DateOutcome::Written);
    // Nobody has committed this day since, though what stands there is of the same view.
    assert_eq!(bench.committed(&mut other, 5, &[("a", 2)]).await, DateOutcome::Revised);
    assert_eq!(bench.read().await, (3, 5, 1, held(&[("a", 2)])));
    // What was committed meanwhile is of a newer view, and of the definition of before.
    let newer = reporter(&CATALOG.replace("0.5", "0.25"), bench._folder.path());
    let report = newer.report("clicks").expect("declared");
    let of_date = DateNote { definition: newer.catalog.report_definition(report), ..bench.of_date(4, 1) };
    let done = newer.commit(report, &mut third, DATE, rows(&[("a", 3)]), of_date).await.expect("committed");
    assert_eq!(done.outcome, DateOutcome::Revised);
    assert_eq!(bench.read().await, (4, 4, 2, held(&[("a", 3)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_are_one_after_the_other() {
    let bench = Bench::new(CATALOG);
    let (mut one, mut other) = (bench.table().await, bench.table().await);
    let rows = [("a", 1), ("b", 2)];
    let both = tokio::join!(bench.committed(&mut one, 5, &rows), bench.committed(&mut other, 5, &rows));
    let second = [DateOutcome::Unchanged, DateOutcome::LeftToAnother];
    let is_one = |first, other| first == DateOutcome::Written && second.contains(&other);
    assert!(is_one(both.0, both.1) || is_one(both.1, both.0), "{both:?}");
    assert_eq!(bench.read().await, (1, 5, 0, held(&rows)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_commit_names_is_no_part_of_the_day() {
    let bench = Bench::new(CATALOG);
    let mut table = bench.table().await;
    assert_eq!(bench.committed(&mut table, 5, &[("a", 1)]).await, DateOutcome::Written);
    // As if the process had been killed before its commit.
    table.write(DATE, rows(&[("z", 9)]), &["user_id"]).await.expect("written");
    assert_eq!(bench.read().await, (1, 5, 0, held(&[("a", 1)])));
    assert_eq!(bench.committed(&mut table, 6, &[("a", 2)]).await, DateOutcome::Revised);
    assert_eq!(bench.read().await, (2, 6, 1, held(&[("a", 2)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_added_and_none_gets_another_type() {
    let bench = Bench::new(CATALOG);
    assert_eq!(bench.committed(&mut bench.table().await, 5, &[("a", 1)]).await, DateOutcome::Written);
    let folder = bench._folder.path();
    let more = reporter(&CATALOG.replace("score =", "more = \"clicks * 2.0\"\nscore ="), folder);
    let mut table = bench.table().await;
    let report = more.report("clicks").expect("declared");
    let mut with_more = rows(&[("a", 1)]);
    with_more.with_column(Column::new("more".into(), [2.0])).expect("as long");
    let of_date = DateNote { definition: more.catalog.report_definition(report), ..bench.of_date(6, 1) };
    let done = more.commit(report, &mut table, DATE, with_more, of_date.clone()).await.expect("committed");
    assert_eq!(done.outcome, DateOutcome::Revised);
    let columns = bench.table().await.columns().expect("declared");
    let names: Vec<&str> = columns.iter_names().map(|name| name.as_str()).collect();
    assert_eq!(names, ["user_id", "clicks", "score", "more"]);
    // An older build knows the rest, and leaves the column null.
    assert_eq!(bench.committed(&mut bench.table().await, 7, &[("a", 4)]).await, DateOutcome::Revised);
    assert_eq!(bench.read().await, (3, 7, 2, held(&[("a", 4)])));

    let other = reporter(&CATALOG.replace("\"clicks * 0.5\"", "\"user_id\""), folder);
    let report = other.report("clicks").expect("declared");
    let mut texts = rows(&[("a", 1)]);
    texts.with_column(Column::new("score".into(), ["a"])).expect("as long");
    let refused = other.commit(report, &mut bench.table().await, DATE, texts, of_date).await;
    assert!(matches!(&refused, Err(ReportError::OtherType { column, .. }) if column == "score"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_view_are_merged_by_the_cluster_if_they_are_many_enough() {
    let bench = Bench::new(CATALOG);
    let Reporter { catalog, storage, .. } = &bench.reporter;
    let metric = &catalog.metrics["clicks"];
    let columns = view::columns(&catalog.sources["clicks"], metric);
    let mut of_metric = storage.create_batch_view("clicks", &columns).await.expect("created");
    let from_us = parse_day(DATE).expect("a day") * DAY_US;
    let rows = df!(BUCKET => [from_us, from_us], "user_id" => ["a", "a"], "clicks" => [1_i64, 2]).expect("rows");
    let rows = rows.lazy().with_column(col(BUCKET).cast(INSTANT)).collect().expect("instants");
    let file = of_metric.write(DATE, rows, &[BUCKET]).await.expect("written");
    let commit = of_metric.begin("TEST").adding([file]);
    assert!(matches!(of_metric.commit(commit, None).await, Ok(Committed::At(_))));
    let times = TimeRange { from_us, to_us: from_us + DAY_US };
    // The program that asks is not there.
    let merged = async |rows_min: u64| {
        let mut settings = Settings::default();
        settings.reconcile.engine = "ballista://localhost:1".parse().expect("an engine");
        settings.cluster.program = "braid-cluster-that-is-not-built".into();
        settings.cluster.rows_min = rows_min;
        let reporter = Reporter { cluster: Cluster::of(&settings), ..bench.reporter.clone() };
        reporter.rows(bench.report(), times, &of_metric, BTreeMap::new()).await
    };
    let asked = merged(2).await;
    assert!(matches!(asked, Err(ReportError::Cluster(ClusterError::NoProgram { .. }))), "{asked:?}");
    let here = merged(3).await.expect("merged");
    assert_eq!(here.column("clicks").expect("there").i64().expect("integers").get(0), Some(3));
    assert_eq!(here.height(), 1);
}
