//! `import_…_rows_per_second`: files of earlier days → the archive, beside DuckDB, which reads the same file into memory and keeps
//! nothing; and decoding alone (`--dry-run`). Memory must not grow with the file. The processes' starts are part of their times.
//! `BENCH_IMPORT_ROWS=20000000` measures with larger files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Result;
use e2e_tests::Deployment;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::views::{CatalogOptions, catalog};
use polars::prelude::{Column, DataFrame, ParquetWriter};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::amount::amount;
use crate::duckdb::DuckDb;
use crate::figures::Figures;
use crate::usage::Took;

const ROWS: usize = 2_000_000;
/// How many rows of a file are made at once.
const AT_ONCE: usize = 100_000;
const DAYS: i64 = 8;
const DAY_MS: i64 = 86_400_000;
const KINDS: [&str; 3] = ["ndjson", "csv", "parquet"];

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let rows = amount("BENCH_IMPORT_ROWS", ROWS)?;
    let duckdb = DuckDb::find()?;
    let folder = scenario.dir().join("import");
    std::fs::create_dir_all(&folder)?;
    let text = catalog(&CatalogOptions::of(&scenario.unique_name()));
    // Imports ask neither a broker nor Redis.
    let deployment = Deployment::new(&folder.join("braid"), &text, "127.0.0.1:9", "redis://127.0.0.1:9")?;
    for (seed, kind) in (0..).zip(KINDS) {
        let file = folder.join(format!("views.{kind}"));
        write(&file, kind, rows, seed)?;
        let read = duckdb.read(&file, rows, &folder).await?;
        let file = file.to_string_lossy();
        let decoded = Took::by(|| deployment.batch(&["import", "views", &file, "--dry-run"])).await?;
        let imported = Took::by(|| deployment.batch(&["import", "views", &file])).await?;
        let rate = |took: &Took| rows as f64 / took.seconds;
        figures.beside(format!("import_{kind}_rows_per_second"), rate(&imported), "rows/s", rate(&read));
        figures.add(format!("import_{kind}_decoded_rows_per_second"), rate(&decoded), "rows/s");
        figures.add(format!("import_{kind}_peak_memory"), imported.peak_mib, "MiB");
    }
    Ok(())
}

/// Some rows of a file, column by column.
struct Rows {
    ids: Vec<String>,
    at_ms: Vec<i64>,
    videos: Vec<String>,
    dwell_ms: Vec<i64>,
}

impl Rows {
    /// The rows from that number on, of which there are `of` in the file, in the order of their times.
    fn new(rng: &mut StdRng, from: usize, count: usize, (of, now_ms): (usize, i64)) -> Rows {
        let numbers = from..from + count;
        let since_ms = |n: usize| (DAYS * DAY_MS) as f64 * n as f64 / of as f64;
        Rows {
            ids: numbers.clone().map(|n| format!("e-{n}-{:08x}", rng.random::<u32>())).collect(),
            at_ms: numbers.clone().map(|n| now_ms - DAYS * DAY_MS + since_ms(n) as i64).collect(),
            videos: numbers.clone().map(|_| format!("video-{}", rng.random_range(0..10_000))).collect(),
            dwell_ms: numbers.map(|_| rng.random_range(1..60_000)).collect(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&String, i64, &String, i64)> {
        let numbers = 0..self.ids.len();
        numbers.map(|n| (&self.ids[n], self.at_ms[n], &self.videos[n], self.dwell_ms[n]))
    }
}

fn write(path: &Path, kind: &str, rows: usize, seed: u64) -> Result<()> {
    let (mut rng, now_ms) = (StdRng::seed_from_u64(seed), now_us() / 1_000);
    if kind == "parquet" {
        let all = Rows::new(&mut rng, 0, rows, (rows, now_ms));
        let status = vec![200_i64; rows];
        let users: Vec<String> = all.ids.iter().map(|id| format!("u{}", &id[id.len() - 4..])).collect();
        let columns = vec![
            Column::new("event_id".into(), all.ids),
            Column::new("occurred_at".into(), all.at_ms),
            Column::new("video_id".into(), all.videos),
            Column::new("user_id".into(), users),
            Column::new("status".into(), status),
            Column::new("dwell_ms".into(), all.dwell_ms),
        ];
        ParquetWriter::new(File::create(path)?).finish(&mut DataFrame::new(rows, columns)?)?;
        return Ok(());
    }
    let mut file = BufWriter::new(File::create(path)?);
    if kind == "csv" {
        writeln!(file, "event_id,occurred_at,video_id,user_id,status,dwell_ms")?;
    }
    for from in (0..rows).step_by(AT_ONCE) {
        let some = Rows::new(&mut rng, from, AT_ONCE.min(rows - from), (rows, now_ms));
        for (id, at_ms, video, dwell_ms) in some.iter() {
            let user = &id[id.len() - 4..];
            if kind == "csv" {
                writeln!(file, "{id},{at_ms},{video},u{user},200,{dwell_ms}")?;
            } else {
                writeln!(
                    file,
                    r#"{{"event_id":"{id}","occurred_at":{at_ms},"video_id":"{video}","user_id":"u{user}","status":200,"dwell_ms":{dwell_ms}}}"#
                )?;
            }
        }
    }
    file.flush()?;
    Ok(())
}
