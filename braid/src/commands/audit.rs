//! `braid audit`: recounts one group key of a metric from the archived records, and shows each difference to its batch view with the
//! records that make it.
//!
//! - `key`: what the arguments say of the group key;
//! - `page`: how a person reads the result;
//! - `body`: how a program does.

mod body;
mod key;
mod page;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use batch_layer::Progress;
use batch_layer::audit::{Audit, Question};
use platform::clock::now_us;
use platform::settings::SettingsArgs;
use shared_logic::time::{TimeRange, parse_instant};

use super::output::Output;
use crate::terminal::{Screen, print};

/// Recounts a group key of a metric from the archived records, and compares its batch view
///
/// Every archived record of the time range is decoded from its bytes by the catalog's rules, and counted one by one up to the
/// view's cut, by other code than a reconcile's. Where the view differs, each record that makes the number is shown: those that
/// count, those that are copies of an earlier record, and those that the metric's condition leaves out. Columns that are not named
/// are summed over. It reads the archive of these days twice. Days that are retired (`retain`) cannot be recounted, and are left out.
/// The exit code is 1 if something differs, or if the bytes of some records were not kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid audit views video_id=video-42 --from=-24h
  braid audit views video_id=video-42 --from 2026-04-24T09:00:00Z --to 2026-04-24T10:00:00Z --output json
  braid audit orders country.missing=true")]
pub struct Args {
    /// The metric's name
    metric: String,
    /// Columns of the group key, such as `video_id=video-42` or `country.missing=true`
    #[arg(value_name = "KEY=VALUE", value_parser = super::query::pair)]
    key: Vec<(String, String)>,
    /// The first moment: RFC 3339, `now`, or a duration before now such as `-24h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// The first moment that is no longer covered
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// How many records of each bucket that differs are shown as a table
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// How the result is printed
    #[arg(long, value_name = "FORM", value_enum, default_value = "table")]
    output: Output,
}

/// Runs the command; the exit code is 1 if the view differs, or the audit could not look at every record.
///
/// # Errors
/// If the settings, the catalog or the arguments are not usable, there is no such metric or view, or the store cannot be read.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (settings, catalog, storage) = super::deployment(settings).await?;
    let metric = catalog.metrics.get(&args.metric);
    let metric = metric.with_context(|| format!("the catalog has no metric {}", args.metric))?;
    let key = key::parts(&catalog.sources[&metric.source], metric, &args.key)?;
    let question = Question { key, times: times(args.from.as_deref(), args.to.as_deref(), now_us())? };
    let progress = Progress::default();
    let audit = batch_layer::audit::audit(&settings, &storage, &catalog, metric, &question, &progress);
    let audit = progress.shown(audit).await?;
    let text = match args.output {
        Output::Table => page::page(&metric.name, &audit, args.limit, Screen::behind(&std::io::stdout())),
        Output::Json => serde_json::to_string_pretty(&body::body(&metric.name, &audit))? + "\n",
    };
    print(&text)?;
    Ok(if is_proven(&audit) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_proven(audit: &Audit) -> bool {
    audit.differences.is_empty() && audit.without_bytes == 0
}

/// The range that two arguments name.
pub(super) fn times(from: Option<&str>, to: Option<&str>, now_us: i64) -> Result<TimeRange> {
    let instant = |name: &str, text: &str| {
        parse_instant(text, now_us).with_context(|| {
            format!(
                "{name} {text} is not a point in time: write an RFC 3339 timestamp such as 2026-04-24T09:30:00Z, now, or a time \
                 before now such as -24h"
            )
        })
    };
    let all = TimeRange::ALL;
    let from_us = from.map_or(Ok(all.from_us), |text| instant("--from", text))?;
    let to_us = to.map_or(Ok(all.to_us), |text| instant("--to", text))?;
    ensure!(from_us < to_us, "--from must be before --to: the range includes its start and excludes its end");
    Ok(TimeRange { from_us, to_us })
}

#[cfg(test)]
mod tests {
    use batch_layer::audit::Difference;
    use shared_logic::log::Offsets;

    use super::*;

    #[test]
    fn a_range_is_what_query_takes_for_one() {
        let day_us = 24 * 3_600_000_000;
        let all = TimeRange::ALL;
        assert_eq!(times(None, None, day_us).expect("everything"), all);
        let hour = TimeRange { from_us: day_us - 3_600_000_000, to_us: day_us };
        assert_eq!(times(Some("-1h"), Some("now"), day_us).expect("an hour"), hour);
        for (from, to, why) in [
            (Some("yesterday"), None, "--from yesterday is not a point in time"),
            (Some("now"), Some("-1h"), "--from must be before --to"),
        ] {
            let error = times(from, to, day_us).expect_err(why).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_view_is_proven_right_only_if_every_record_was_looked_at() {
        let (cut, times) = (Offsets::default(), TimeRange::ALL);
        let (differences, retired_before) = (Vec::new(), None);
        let right =
            Audit { version: 1, cut, times, buckets: 1, events: 1, retired_before, without_bytes: 0, differences };
        assert!(is_proven(&right));
        assert!(is_proven(&Audit { retired_before: Some(1), ..right.clone() }), "older days are no difference");
        assert!(!is_proven(&Audit { without_bytes: 1, ..right.clone() }));
        let difference = Difference { bucket_us: 0, measures: Vec::new(), seen: Vec::new() };
        assert!(!is_proven(&Audit { differences: vec![difference], ..right }));
    }
}
