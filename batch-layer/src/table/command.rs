//! `batch-layer table`.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};
use polars::prelude::*;
use serde_json::{Map, Value, json};
use shared_logic::catalog::{Catalog, Source, Table};
use shared_logic::contracts::table::Note;
use shared_logic::expression::{Scalar, of_column};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::report::json;
use shared_logic::time::{format_rfc3339, parse_instant};
use storage::{MaterialisedTable, Storage};

use super::{AsOf, TableRows};
use crate::output::Output;
use crate::rows;

/// How many rows are shown, unless it is said otherwise.
const LIMIT: usize = 20;

/// Lists tables, materialises them, and shows what they were at any offsets or time
#[derive(Debug, clap::Args)]
pub(crate) struct TableArgs {
    #[command(subcommand)]
    command: TableCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TableCommand {
    /// Lists the catalog's tables, and how far each is materialised
    List {
        /// How to print the list
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Materialises tables up to where their archives have come, as reconciles do
    Materialise {
        /// The table; all of them without it
        table: Option<String>,
        /// How to print what was done
        #[arg(long, value_enum, default_value = "text")]
        output: Output,
    },
    Show(ShowArgs),
}

/// Shows the rows of a table: the newest ones, or those of another time, which are made from the archive again
///
/// Rows come in the order of their keys. As JSON, there is one row a line, each on standard output; the offsets that they stand for are
/// the first line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  batch-layer table show users --key u-7
  batch-layer table show users --at=-24h --limit 0 --output json
  batch-layer table show users --offsets '{\"<log>\":{\"0\":1200}}'")]
struct ShowArgs {
    /// The table's name
    table: String,
    /// The row of this key alone
    #[arg(long)]
    key: Option<String>,
    /// As of that moment, by the timestamps of records: RFC 3339, `now`, or a duration before now such as `-24h`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "offsets")]
    at: Option<String>,
    /// As of these offsets, JSON as `table list` prints them: below each of them, and nothing of a partition that is not named
    #[arg(long, value_name = "OFFSETS")]
    offsets: Option<String>,
    /// How many rows are shown at most; 0: all
    #[arg(long, default_value_t = LIMIT)]
    limit: usize,
    /// How to print the rows
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Runs `batch-layer table`.
///
/// # Errors
/// If there is no such table, the arguments are not usable, or the store cannot be used.
pub(crate) async fn table(args: TableArgs, storage: &Storage, catalog: &Catalog) -> Result<()> {
    match args.command {
        TableCommand::List { output } => list(output, storage, catalog).await,
        TableCommand::Materialise { table, output } => {
            let tables = match &table {
                Some(name) => vec![declared(catalog, name)?],
                None => catalog.tables.values().collect(),
            };
            storage.check().await?;
            for table in tables {
                let materialised = super::materialise(storage, catalog, table).await;
                let materialised = materialised.with_context(|| format!("cannot materialise {}", table.name))?;
                match output {
                    Output::Text => println!("{materialised}"),
                    Output::Json => println!("{}", materialised.to_json()),
                }
            }
            Ok(())
        }
        TableCommand::Show(args) => show(args, storage, catalog).await,
    }
}

fn declared<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Table> {
    let Some(table) = catalog.tables.get(name) else {
        let known: Vec<&str> = catalog.tables.keys().map(String::as_str).collect();
        bail!("the catalog declares no table `{name}`; it declares {}", known.join(", "));
    };
    Ok(table)
}

async fn list(output: Output, storage: &Storage, catalog: &Catalog) -> Result<()> {
    for table in catalog.tables.values() {
        let materialised = storage.table(&table.name).await?;
        let note = materialised.as_ref().and_then(MaterialisedTable::note).map(AsRef::as_ref);
        let is_current = note.is_some_and(|note: &Note| note.definition == catalog.table_definition(table));
        match output {
            Output::Text => println!("{}", line(table, note, is_current)),
            Output::Json => println!(
                "{}",
                json!({
                    "table": table.name, "topic": table.topic, "rows": note.map(|note| note.rows),
                    "next": note.map(|note| &note.next), "version": materialised.as_ref().map(MaterialisedTable::version),
                    "materialised_at": note.map(|note| format_rfc3339(note.committed_at_us)), "current": is_current,
                })
            ),
        }
    }
    Ok(())
}

/// How far a table is materialised, for a person.
fn line(table: &Table, note: Option<&Note>, is_current: bool) -> String {
    let mut line = format!("{}: topic {}, {}, key {}", table.name, table.topic, table.format.name(), table.key);
    match note {
        None => line.push_str("; never materialised"),
        Some(note) => {
            let (rows, at) = (note.rows, format_rfc3339(note.committed_at_us));
            let _ = write!(line, "; {rows} rows at {at}, up to {}", offsets_text(&note.next));
        }
    }
    if note.is_some() && !is_current {
        line.push_str("; of another definition, so that it is made anew");
    }
    line
}

fn offsets_text(offsets: &Offsets) -> String {
    serde_json::to_string(offsets).unwrap_or_default()
}

async fn show(args: ShowArgs, storage: &Storage, catalog: &Catalog) -> Result<()> {
    let table = declared(catalog, &args.table)?;
    let at = when(args.at.as_deref(), args.offsets.as_deref(), platform::clock::now_us())?;
    let TableRows { offsets, rows } = super::as_of(storage, catalog, table, &at).await?;
    let rows = match &args.key {
        None => rows,
        Some(key) => {
            let is_it = col(table.key.as_str()).cast(DataType::String).eq(lit(key.as_str()));
            rows::compute("look up a row", &table.name, move || rows.lazy().filter(is_it).collect()).await?
        }
    };
    ensure!(
        args.key.is_none() || rows.height() > 0,
        "{} has no row of the key {}",
        table.name,
        args.key.unwrap_or_default()
    );
    let shown = if args.limit == 0 { rows.height() } else { args.limit.min(rows.height()) };
    let (source, height) = (&catalog.sources[&table.name], rows.height());
    let offsets = offsets.into_iter().collect::<Offsets>();
    match args.output {
        Output::Text => println!("{} of {height} rows of {}, as of {}", shown, table.name, offsets_text(&offsets)),
        Output::Json => println!("{}", json!({ "table": table.name, "rows": height, "offsets": offsets })),
    }
    for row in in_words(source, &rows.head(Some(shown)))? {
        println!("{}", Value::Object(row));
    }
    Ok(())
}

/// When the table is asked for.
fn when(at: Option<&str>, offsets: Option<&str>, now_us: i64) -> Result<AsOf> {
    if let Some(text) = offsets {
        let offsets: Offsets = serde_json::from_str(text)
            .with_context(|| format!("--offsets {text} is not JSON such as {{\"<log>\":{{\"0\":1200}}}}"))?;
        let named = offsets.iter().map(|(id, offset)| (id.clone(), offset));
        return Ok(AsOf::Offsets(named.collect::<BTreeMap<PartitionId, i64>>()));
    }
    let Some(text) = at else { return Ok(AsOf::Newest) };
    let at = parse_instant(text, now_us).with_context(|| {
        format!("--at {text} is no point in time: write an RFC 3339 timestamp, now, or a time before now such as -24h")
    })?;
    Ok(AsOf::Time(at))
}

/// Rows as objects; absent values are left out, and instants are RFC 3339.
fn in_words(source: &Source, rows: &DataFrame) -> Result<Vec<Map<String, Value>>> {
    let mut objects = vec![Map::new(); rows.height()];
    for field in &source.fields {
        let values = of_column(rows.column(&field.name)?, field.kind)?;
        for (object, value) in objects.iter_mut().zip(values) {
            if value != Scalar::Null {
                object.insert(field.name.clone(), json(&value));
            }
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_asked_for_as_of_offsets_or_a_time() {
        assert_eq!(when(None, None, 7).expect("newest"), AsOf::Newest);
        assert_eq!(when(Some("now"), None, 7).expect("a time"), AsOf::Time(7));
        let offsets = AsOf::Offsets(BTreeMap::from([(PartitionId::new("log", 0), 1_200)]));
        assert_eq!(when(None, Some(r#"{"log":{"0":1200}}"#), 7).expect("offsets"), offsets);
        assert!(when(Some("yesterday"), None, 7).is_err() && when(None, Some("1200"), 7).is_err());
    }

    #[test]
    fn a_line_says_how_far_a_table_is_materialised() {
        let catalog = Catalog::parse(super::super::tests::CATALOG).expect("a valid catalog");
        let table = &catalog.tables["users"];
        assert!(line(table, None, false).ends_with("key id; never materialised"));
        let note = Note {
            definition: catalog.table_definition(table),
            rules: catalog.sources["users"].rules(),
            next: [(PartitionId::new("log", 0), 3)].into_iter().collect(),
            archive_version: 1,
            rows: 2,
            shares: 1,
            others: BTreeMap::new(),
            superseded: BTreeMap::new(),
            committed_at_us: 0,
        };
        let said = line(table, Some(&note), true);
        assert!(said.ends_with("2 rows at 1970-01-01T00:00:00Z, up to {\"log\":{\"0\":3}}"), "{said}");
        assert!(line(table, Some(&note), false).ends_with("made anew"));
    }
}
