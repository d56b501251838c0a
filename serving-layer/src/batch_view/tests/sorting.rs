//! Rows that do not fit into the memory of a build are sorted on disk.

use shared_logic::measure::MeasureKind;

use super::*;
use crate::batch_view::day::DayBuilder;
use crate::batch_view::segment::{Origin, Period};
use crate::batch_view::shelf::Shelf;

/// The bytes of the segment that is built from those rows, with so much memory for sorted rows.
async fn built(table: &Table, rows: &[Row], run_bytes: usize) -> Vec<u8> {
    let reader = table.reader(0);
    let kinds: Arc<[MeasureKind]> = [MeasureKind::Count, MeasureKind::SumInt, MeasureKind::MaxFloat].into();
    let shelf = Arc::new(Shelf::new(&reader.loader.disk, "views/v1/calls", kinds));
    shelf.search().await.expect("a folder");
    let day = day_of(rows[0].bucket);
    let definition = table.note().definition;
    let origin = Origin {
        table: "views/v1/calls".to_owned(),
        definition,
        period: Period::Day(day),
        sources: ["a.parquet".to_owned()].into(),
    };
    let mut builder = DayBuilder::new(&reader.loader.counted, &shelf, day, "views/v1/calls", run_bytes);
    for rows in rows.chunks(100) {
        let rows: Vec<&Row> = rows.iter().collect();
        let mut frame = frame(&rows);
        for name in ["bucket", "shift"] {
            let integers = frame.column(name).expect("a column").cast(&DataType::Int64).expect("integers");
            frame.with_column(integers).expect("replaced");
        }
        builder = builder.add(frame).expect("added");
    }
    builder.finish(None, origin).expect("built");
    std::fs::read(table.segments().remove(0)).expect("read")
}

#[tokio::test]
async fn however_little_memory_there_is_the_same_segment_is_built() {
    let rows = any_rows(&mut Dice::new(test_kit::first_seed()), "2026-04-23T00:00:00Z", 1, 4_000);
    let roomy = built(&Table::new(), &rows, PLENTY).await;
    for run_bytes in [0, 10_000, 100_000] {
        let tight = built(&Table::new(), &rows, run_bytes).await;
        assert!(tight == roomy, "{run_bytes} bytes");
    }
    assert!(roomy.len() > 100_000, "it has {} bytes", roomy.len());
}
