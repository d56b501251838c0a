//! A request → its answer: SQL that a cluster runs.
//!
//! The request comes as JSON on standard input, and the answer goes to standard output in [frames](crate::frames).

use std::fs::File;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use ballista::prelude::{SessionConfigExt, SessionContextExt};
use ballista_core::execution_plans::DistributedQueryExec;
use ballista_core::serde::protobuf::CancelJobParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::{Result, TableReference};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion_proto::protobuf::LogicalPlanNode;
use futures::StreamExt;
use log::{debug, info};
use rustix::event::{PollFd, PollFlags, poll};
use serde::Deserialize;
use shared_logic::catalog::PLAN_VERSION;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::frames::Frames;
use crate::{address, functions, session};

/// How long the scheduler may take to hear that nobody waits for an answer any more.
const CANCELLING: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// The scheduler's address, `host:port`.
    scheduler: String,
    /// By which version of plans the query was written.
    plan_version: u32,
    /// By which name the scheduler logs it.
    name: String,
    /// The query.
    sql: String,
    /// About how many rows a piece of the answer has.
    rows_at_once: NonZeroUsize,
    /// Into how many parts each stage is divided, at most.
    #[serde(default = "partitions")]
    partitions: NonZeroUsize,
    /// What it reads.
    tables: Vec<Table>,
}

/// Files of Parquet that are read as one table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// Its columns. Where a file lacks one, it is null.
    pub(crate) columns: Vec<Column>,
    /// Their URLs.
    pub(crate) files: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Text,
    Int,
    Int32,
    Float,
    Bool,
    /// Microseconds, UTC.
    Instant,
}

/// More than most clusters have slots, and few enough for small answers.
const PARTITIONS: NonZeroUsize = NonZeroUsize::new(32).expect("more than none");

fn partitions() -> NonZeroUsize {
    PARTITIONS
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Kind::Text => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Int32 => DataType::Int32,
            Kind::Float => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

impl Table {
    /// Lets queries of the context read it. No file is opened for that.
    pub(crate) fn register(&self, context: &SessionContext) -> Result<()> {
        let fields = self.columns.iter().map(|column| Field::new(&column.name, column.kind.data_type(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let files = self.files.iter().map(ListingTableUrl::parse).collect::<Result<Vec<_>>>()?;
        let format = ParquetFormat::default().with_options(context.state().default_table_options().parquet);
        // Whatever their names end with.
        let options = ListingOptions::new(Arc::new(format)).with_file_extension("");
        let config = ListingTableConfig::new_with_multi_paths(files).with_listing_options(options).with_schema(schema);
        let table = ListingTable::try_new(config)?;
        context.register_table(TableReference::bare(self.name.as_str()), Arc::new(table))?;
        Ok(())
    }
}

impl Request {
    /// Refuses what would be answered by functions of another build, of which there may be some that answer otherwise.
    fn check_version(&self) -> anyhow::Result<()> {
        let asked = self.plan_version;
        ensure!(
            asked == PLAN_VERSION,
            "this braid-cluster has plans of version {PLAN_VERSION}, and batch-layer of version {asked}: install both of the same build, on all \
             machines of the cluster"
        );
        Ok(())
    }
}

/// Reads a request, and writes its answer.
pub(crate) async fn run() -> anyhow::Result<()> {
    // It may be that who asks does not close it.
    let read = || serde_json::Deserializer::from_reader(io::stdin().lock()).into_iter::<Request>().next();
    let request = tokio::task::block_in_place(read).context("there is no request on standard input")?;
    let request = request.context("what standard input says is no request")?;
    request.check_version()?;
    let (host, port) = address(&request.scheduler).map_err(|wrong| anyhow!(wrong))?;
    let abandoned = abandoned()?;
    let context = context(&request, &host, port).await?;
    let no_others = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let frame = context.sql_with_options(&request.sql, no_others).await;
    let frame = frame.with_context(|| format!("cannot plan {}", request.name))?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await.with_context(|| format!("cannot plan {}", request.name))?;
    let stdout = io::stdout().as_fd().try_clone_to_owned().context("cannot open standard output")?;
    let frames = Frames::new(File::from(stdout), request.rows_at_once.get());
    let batches = execute_stream(Arc::clone(&plan), task)?;
    let outcome = tokio::select! {
        why = abandoned => Err(anyhow!(why)),
        answered = answer(batches, frames) => answered,
    };
    if outcome.is_err() {
        cancel(&plan, &host, port).await;
    }
    outcome.with_context(|| format!("the cluster at {} has not answered {}", request.scheduler, request.name))
}

/// A session that sends what it plans to the scheduler.
async fn context(request: &Request, host: &str, port: u16) -> anyhow::Result<SessionContext> {
    let config = session::config(request.partitions.get()).with_ballista_job_name(&request.name);
    let state = session::client(config)?;
    let context = SessionContext::remote_with_state(&format!("df://{host}:{port}"), state).await?;
    // A context for a cluster has its own functions and no others, so it is told after it was made.
    for function in functions::all() {
        context.register_udf(function.as_ref().clone());
    }
    for table in &request.tables {
        table.register(&context).with_context(|| format!("cannot read the table {}", table.name))?;
    }
    Ok(context)
}

/// Writes what a stream of rows brings.
async fn answer(mut batches: SendableRecordBatchStream, mut frames: Frames<File>) -> anyhow::Result<()> {
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        // Who reads may be slower than the cluster.
        tokio::task::block_in_place(|| frames.push(&batch))?;
    }
    tokio::task::block_in_place(|| frames.end())
}

/// Ends with a reason once nobody waits for the answer: who reads standard output is gone, or this process is told to end.
fn abandoned() -> anyhow::Result<impl Future<Output = &'static str>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, told) = oneshot::channel();
    // It ends with the process.
    thread::Builder::new().name("unread".to_owned()).spawn(move || {
        let stdout = io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        // Nothing is waited for but its end, which is always told.
        while !poll(&mut polled, None).is_ok_and(|ready| ready > 0) {}
        let _ = tell.send(());
    })?;
    Ok(async move {
        tokio::select! {
            Ok(()) = told => "nobody reads the answer any more",
            Some(()) = terminate.recv() => "this process was told to end",
            Some(()) = interrupt.recv() => "this process was interrupted",
            else => std::future::pending().await,
        }
    })
}

/// Lets the scheduler end what was begun. A job that has ended, or of a scheduler that is gone, needs no end.
async fn cancel(plan: &Arc<dyn ExecutionPlan>, host: &str, port: u16) {
    let query = plan.downcast_ref::<DistributedQueryExec<LogicalPlanNode>>();
    let Some(job) = query.and_then(DistributedQueryExec::job_id) else { return };
    let cancelled = async {
        let mut scheduler = SchedulerGrpcClient::connect(format!("http://{host}:{port}")).await?;
        scheduler.cancel_job(CancelJobParams { job_id: job.clone().into() }).await?;
        anyhow::Ok(())
    };
    match tokio::time::timeout(CANCELLING, cancelled).await {
        Ok(Ok(())) => info!("job {job} is cancelled"),
        Ok(Err(error)) => debug!("job {job} is not cancelled: {error:#}"),
        Err(_) => debug!("job {job} is not cancelled within {CANCELLING:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{
        "scheduler": "host:50050", "plan_version": 2, "name": "views 2026-11-27", "sql": "SELECT 1",
        "rows_at_once": 500000, "tables": [{
            "name": "archive",
            "columns": [
                {"name": "_log", "type": "text"}, {"name": "_partition", "type": "int32"}, {"name": "_offset", "type": "int"},
                {"name": "x", "type": "float"}, {"name": "b", "type": "bool"}, {"name": "at", "type": "instant"}
            ],
            "files": ["file:///a/_day=2026-11-27/b.parquet", "s3://bucket/a%20b.parquet"]
        }]
    }"#;

    fn request(text: &str) -> serde_json::Result<Request> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_request_is_read_as_drivers_write_it() {
        let request = request(REQUEST).expect("a request");
        assert_eq!((request.rows_at_once.get(), request.partitions.get()), (500_000, 32));
        let kinds: Vec<Kind> = request.tables[0].columns.iter().map(|column| column.kind).collect();
        assert_eq!(kinds, [Kind::Text, Kind::Int32, Kind::Int, Kind::Float, Kind::Bool, Kind::Instant]);
    }

    #[test]
    fn a_request_that_says_something_else_is_refused() {
        let with = |from: &str, to: &str| request(&REQUEST.replace(from, to));
        assert!(with("500000", "0").is_err());
        assert!(with("\"instant\"", "\"binary\"").is_err());
        assert!(with("\"sql\"", "\"query\"").is_err());
        assert!(with("\"plan_version\": 2, ", "").is_err());
        assert!(with("\"tables\"", "\"more\": 1, \"tables\"").is_err());
        assert_eq!(with("\"tables\"", "\"partitions\": 4, \"tables\"").expect("valid").partitions.get(), 4);
    }

    #[test]
    fn a_request_of_another_version_is_refused_with_both_versions() {
        let of = |version: u32| Request { plan_version: version, ..request(REQUEST).expect("a request") };
        assert!(of(PLAN_VERSION).check_version().is_ok());
        let refused = of(PLAN_VERSION + 1).check_version().expect_err("of another version").to_string();
        for version in [PLAN_VERSION, PLAN_VERSION + 1] {
            assert!(refused.contains(&format!("version {version}")), "{refused}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_query_reads_its_tables_and_changes_nothing() {
        let request = request(REQUEST).expect("a request");
        let context = context(&request, "localhost", 1).await.expect("a session");
        let no_others = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let sql = "SELECT url_path(_log), braid_finite(x), CAST(\"at\" AS BIGINT) FROM archive WHERE b";
        let frame = context.sql_with_options(sql, no_others).await.expect("planned");
        let plan = frame.create_physical_plan().await.expect("a plan for the cluster");
        let query = plan.downcast_ref::<DistributedQueryExec<LogicalPlanNode>>().expect("a query of the cluster");
        assert!(query.job_id().is_none(), "nothing was asked yet");
        for sql in ["DROP TABLE archive", "INSERT INTO archive SELECT * FROM archive", "SET x.y = 1"] {
            assert!(context.sql_with_options(sql, no_others).await.is_err(), "{sql}");
        }
        assert!(context.sql_with_options("SELECT missing FROM archive", no_others).await.is_err());
    }
}
