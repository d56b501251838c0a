//! `batch-layer import`.

use std::path::PathBuf;
use std::sync::Arc;

use input::file::{InputFile, Kind};
use input::rows::RowArgs;
use platform::settings::Settings;
use shared_logic::version::{DeployedVersions, Stage};
use storage::Storage;
use tokio_util::sync::CancellationToken;

use super::{Importer, files};
use crate::output::Output;
use crate::reconcile::{ReconcileError, Reconciler, Report};

/// Archives files as if their records had been streamed
///
/// Parquet, CSV, TSV, NDJSON and access logs are read, plain or compressed with gzip or zstd. Records are decoded, identified and
/// rejected like streamed ones; only their age is not judged. Rows of Parquet, and of CSV or TSV with a header, become JSON objects
/// where the source is JSON. Each file is one commit, and the same content is imported once, whatever its name and wherever it lies.
/// Files in S3 buckets are read with the settings of `store`, and may not be replaced meanwhile. Answers are incomplete from then on
/// until the next reconcile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer import views 2025-*.parquet --dry-run
  batch-layer import views 2025-*.parquet --reconcile
  batch-layer import sales older.csv.gz --header --comment '#'
  batch-layer import views s3://exports/2025/ --reconcile
  batch-layer import access_log /var/log/nginx/access.log.*.gz --output json")]
pub(crate) struct ImportArgs {
    /// The source of the catalog that the records belong to
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The files: paths or file:///path; in an S3 bucket s3://bucket/path, or s3://bucket/prefix/ for all files below it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What the files are, where neither their names nor their first bytes say it
    #[arg(long)]
    format: Option<Kind>,
    #[command(flatten)]
    rows: RowArgs,
    /// Only decode the files, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Reconcile afterwards, so that views include what was imported
    #[arg(long, conflicts_with = "dry_run")]
    reconcile: bool,
    /// How each file is reported
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Runs `batch-layer import`.
///
/// # Errors
/// The first file that cannot be imported; those before it are. Or a store in which two writers could commit one version of a table.
pub(crate) async fn import(
    args: ImportArgs,
    settings: &Settings,
    storage: &Storage,
    versions: &Arc<DeployedVersions>,
) -> anyhow::Result<()> {
    let catalog = versions.active();
    let importer = Importer::new(settings, storage, catalog.importable(&args.source)?);
    // A name that is misspelt is found before anything is imported.
    let files = files::open(&args.files, args.format, &settings.store).await?;
    if !args.dry_run {
        storage.check().await?;
    }
    importer.progress().shown(import_all(&importer, &files, &args)).await?;
    if args.reconcile {
        let reconciler = Reconciler::new(settings, storage, catalog).among(Arc::clone(versions));
        let reports = reconciler.progress().shown(count_for_all(&reconciler)).await?;
        for report in reports {
            match args.output {
                Output::Text => println!("{report}"),
                Output::Json => eprintln!("{report}"),
            }
        }
    }
    Ok(())
}

/// Counts what was imported, for every version that is counted: what arrives as a file, no speed layer sees. Of a version that is not
/// reconciled yet, nothing else moves.
async fn count_for_all(reconciler: &Reconciler) -> Result<Vec<Report>, ReconcileError> {
    let (stop, mut reports) = (CancellationToken::new(), Vec::new());
    let versions = Arc::clone(&reconciler.versions);
    for (name, _) in versions.living().filter(|(name, _)| versions.stage(name) == Some(Stage::Following)) {
        let Some(of_version) = reconciler.of_version(name) else { continue };
        let of_version = if versions.pointer.is_reconciled(name) { of_version } else { of_version.of_closed_logs() };
        reports.extend(of_version.run_to_the_end(&stop).await?);
    }
    Ok(reports)
}

async fn import_all(importer: &Importer, files: &[InputFile], args: &ImportArgs) -> anyhow::Result<()> {
    for file in files {
        let imported = if args.dry_run {
            importer.try_out(file, &args.rows).await?
        } else {
            importer.import(file, &args.rows).await?
        };
        match args.output {
            Output::Text => println!("{imported}"),
            Output::Json => println!("{}", serde_json::to_string(&imported)?),
        }
    }
    Ok(())
}
