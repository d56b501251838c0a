//! `batch-layer backtest`.

use anyhow::{Context, Result, ensure};
use platform::settings::Settings;
use shared_logic::catalog::Catalog;
use shared_logic::time::{TimeRange, parse_instant};
use storage::Storage;

use crate::output::Output;
use crate::progress::Progress;

/// Says what a stream's definition would have written for archived records, and how that differs from what was published
///
/// The outputs become the table `backtest/<stream>`, in place of those of the backtest before; nothing else is changed. Records before
/// --from are read as far as they matter to what is open there. Times are those at which records were written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer backtest fraud_alerts --from=-24h
  batch-layer backtest fraud_alerts --catalog new.toml --from 2026-04-24T00:00:00Z --to 2026-04-25T00:00:00Z --output json")]
pub(crate) struct BacktestArgs {
    /// The stream's name
    stream: String,
    /// The first moment: RFC 3339, `now`, or a duration before now such as `-24h`. Without it, everything that is archived
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The first moment that is no longer covered
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// How to print the report
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Makes the backtest, and prints the report.
///
/// # Errors
/// If the arguments are not usable, there is no such stream, nothing is archived, or the store cannot be used.
pub(crate) async fn backtest(
    args: BacktestArgs,
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
) -> Result<()> {
    let times = times(args.from.as_deref(), args.to.as_deref(), platform::clock::now_us())?;
    storage.check().await?;
    let progress = Progress::new("reading what is archived");
    let made = super::backtest(settings, storage, catalog, &args.stream, times, &progress);
    let report = progress.shown(made).await?;
    match args.output {
        Output::Text => print!("{report}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report).context("cannot print the report")?),
    }
    Ok(())
}

fn times(from: Option<&str>, to: Option<&str>, now_us: i64) -> Result<TimeRange> {
    let instant = |name: &str, text: &str| {
        parse_instant(text, now_us).with_context(|| {
            format!(
                "{name} {text} is no point in time: write an RFC 3339 timestamp, now, or a time before now such as -24h"
            )
        })
    };
    let from_us = from.map_or(Ok(TimeRange::ALL.from_us), |text| instant("--from", text))?;
    let to_us = to.map_or(Ok(TimeRange::ALL.to_us), |text| instant("--to", text))?;
    ensure!(from_us < to_us, "--from must be before --to");
    Ok(TimeRange { from_us, to_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_range() {
        let hour_us = 3_600_000_000;
        assert_eq!(times(None, None, 0).expect("everything"), TimeRange::ALL);
        let range = TimeRange { from_us: 0, to_us: hour_us };
        assert_eq!(times(Some("-1h"), Some("now"), hour_us).expect("an hour"), range);
        assert!(times(Some("now"), Some("-1h"), hour_us).is_err());
        let error = times(Some("yesterday"), None, 0).expect_err("no instant").to_string();
        assert!(error.starts_with("--from yesterday is no point in time"), "{error}");
    }
}
