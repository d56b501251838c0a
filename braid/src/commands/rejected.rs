//! `braid rejected`: the invalid records of an archive, and what a catalog makes of one of them.
//!
//! - `page`: how a person reads both.

mod page;

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result};
use batch_layer::Progress;
use batch_layer::rejected::{ArchivedRecord, Filter, RecordLook, Verdict};
use platform::clock::now_us;
use platform::settings::SettingsArgs;
use serde_json::{Value, json};
use shared_logic::log::PartitionId;
use shared_logic::rejection::Reason;
use shared_logic::time::format_rfc3339;

use crate::commands::audit::times;
use crate::commands::output::Output;
use crate::terminal::{Screen, print};

/// Lists invalid records, or shows one of them and what a catalog makes of it
///
/// The archive keeps the bytes of every record. A catalog that accepts records that were rejected counts them: the next reconcile
/// decodes the archive by it.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  braid rejected list views --from=-1h
  braid rejected list views --reason missing_field --limit 10 --output json
  braid rejected show views 9mQZGkXbQdiQHTRDGiHCSg/3/1041
  braid rejected show views 9mQZGkXbQdiQHTRDGiHCSg/3/1041 --catalog new.toml")]
pub enum Args {
    /// Lists records that the catalog rejects, the newest first
    List {
        /// The source's name
        source: String,
        /// Only those rejected for this reason, such as `missing_field`
        #[arg(long, value_parser = reason)]
        reason: Option<Reason>,
        /// The first moment, by the records' own timestamps: RFC 3339, `now`, or a duration before now such as `-24h`
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        from: Option<String>,
        /// The first moment that is no longer covered
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        to: Option<String>,
        /// How many are listed, the newest ones
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
        /// How they are printed
        #[arg(long, value_name = "FORM", value_enum, default_value = "table")]
        output: Output,
    },
    /// Shows a record: its bytes, key and headers, and what the catalog makes of it
    Show {
        /// The source's name
        source: String,
        /// Where the record lies: `LOG/PARTITION/OFFSET`, as `list` prints it
        place: Place,
        /// How it is printed
        #[arg(long, value_name = "FORM", value_enum, default_value = "table")]
        output: Output,
    },
}

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    id: PartitionId,
    offset: i64,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let place = || {
            let (rest, offset) = text.rsplit_once('/')?;
            let (log, partition) = rest.rsplit_once('/')?;
            let id = PartitionId::new(log, partition.parse().ok()?);
            (!log.is_empty()).then_some(Place { id, offset: offset.parse().ok()? })
        };
        place().ok_or_else(|| "expected LOG/PARTITION/OFFSET, such as 9mQZGkXbQdiQHTRDGiHCSg/3/1041".to_owned())
    }
}

fn reason(text: &str) -> Result<Reason, String> {
    let known = || Reason::ALL.map(Reason::name).join(", ");
    Reason::ALL.into_iter().find(|reason| reason.name() == text).ok_or_else(|| format!("the reasons are {}", known()))
}

/// Runs the command.
///
/// # Errors
/// If the settings, the catalog or the arguments are not usable, there is no such source, archive or record, or the store cannot
/// be read.
pub async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let (settings, catalog, storage) = super::deployment(settings).await?;
    let (Args::List { source, .. } | Args::Show { source, .. }) = &args;
    let source = catalog.source(source)?;
    let archive = storage.archive(&source.name).await?.context("nothing is archived yet")?;
    let look = RecordLook::new(&settings, &storage, &archive, source);
    let screen = Screen::behind(&std::io::stdout());
    let text = match &args {
        Args::List { reason, from, to, limit, output, .. } => {
            let times = times(from.as_deref(), to.as_deref(), now_us())?;
            let (filter, progress) = (Filter { reason: *reason, times, limit: *limit }, Progress::default());
            let found = progress.shown(look.rejections(&filter, &progress)).await?;
            match output {
                Output::Table => page::list(&found, screen),
                Output::Json => {
                    indented(&json!({"source": source.name, "total": found.total, "newest": found.newest}))?
                }
            }
        }
        Args::Show { place: Place { id, offset }, output, .. } => {
            let record = look.record(id, *offset).await?;
            let record =
                record.with_context(|| format!("the archive of {} holds no record {id}/{offset}", source.name))?;
            let verdict = look.verdict(&record).await?;
            match output {
                Output::Table => page::record(&record, &verdict, screen),
                Output::Json => indented(&body(&record, &verdict))?,
            }
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn indented(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// A record as a program reads it. Bytes that are no UTF-8 are an object `{"hex": "…"}`.
fn body(record: &ArchivedRecord, verdict: &Verdict) -> Value {
    let ArchivedRecord { id, offset, timestamp_us, key, headers, payload, has_bytes, error } = record;
    let headers: Option<Value> = headers.as_ref().and_then(|headers| serde_json::from_str(headers).ok());
    json!({
        "log": id.log, "partition": id.partition, "offset": offset,
        "timestamp": timestamp_us.map(format_rfc3339),
        "key": key.as_deref().map(bytes), "headers": headers, "payload": payload.as_deref().map(bytes),
        "bytes_kept": has_bytes, "archived_error": error,
        "event": match verdict {
            Verdict::Event(fields) => Value::Object(fields.clone()),
            Verdict::Rejected(_) | Verdict::Mark | Verdict::Delete | Verdict::NotKept | Verdict::Erased => Value::Null,
        },
        "error": match verdict {
            Verdict::Rejected(error) => Value::from(error.as_str()),
            Verdict::Event(_) | Verdict::Mark | Verdict::Delete | Verdict::NotKept | Verdict::Erased => Value::Null,
        },
    })
}

fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"hex": hex(bytes)}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_listed() {
        let place = |text: &str| text.parse::<Place>();
        let expected = Place { id: PartitionId::new("9mQZ.1", 3), offset: 1_041 };
        assert_eq!(place("9mQZ.1/3/1041"), Ok(expected));
        for wrong in ["", "9mQZ/3", "/3/7", "9mQZ/x/7", "9mQZ/3/"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_reason_is_refused_with_those_that_there_are() {
        assert_eq!(reason("missing_field"), Ok(Reason::MissingField));
        assert!(reason("missing").expect_err("unknown").contains("missing_field, wrong_type"));
    }

    #[test]
    fn bytes_that_are_no_text_are_written_in_hexadecimal_digits() {
        let record = ArchivedRecord {
            id: PartitionId::new("L1", 0),
            offset: 7,
            timestamp_us: Some(0),
            key: Some(b"k".to_vec()),
            headers: Some(r#"[["a",null]]"#.to_owned()),
            payload: Some(vec![0xff, 0x0a]),
            has_bytes: true,
            error: Some("not_utf8".to_owned()),
        };
        let expected = json!({
            "log": "L1", "partition": 0, "offset": 7, "timestamp": "1970-01-01T00:00:00Z", "key": "k",
            "headers": [["a", null]], "payload": {"hex": "ff0a"}, "bytes_kept": true, "archived_error": "not_utf8",
            "event": null, "error": "not_utf8",
        });
        assert_eq!(body(&record, &Verdict::Rejected("not_utf8".to_owned())), expected);
    }
}
