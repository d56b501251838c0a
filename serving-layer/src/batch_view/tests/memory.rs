//! Many rows and little memory: the limit holds, and answers are the same as with more.

use std::path::Path;
use std::process::Command;

use test_kit::{first_seed, repetitions};

use super::answers::Naive;
use super::*;

/// What a process may take beside `serving.view_memory`, as `docs/operations.md` says.
const BESIDE_BYTES: u64 = 128 << 20;
/// Names the folder of the view to the process whose memory is measured.
const FOLDER: &str = "BRAID_TEST_VIEW";
const DAYS: usize = 75;
/// Less than a tenth of what the segments take.
const LIMIT: usize = 1 << 20;

/// A line of what the kernel says of this process's memory, in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("read");
    let found = status.lines().find_map(|found| found.strip_prefix(line)).expect("a line");
    let kib: u64 = found.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number");
    kib << 10
}

/// Loads the view with little memory, asks for much of it, and measures what that has taken. Nothing else runs in the process.
async fn measure(folder: &Path) {
    let before = memory("VmRSS");
    let catalog = Catalog::parse(CATALOG).expect("a catalog");
    let mut reader = reader_in(folder, &catalog, LIMIT);
    let view = loaded(&mut reader).await;
    let on_disk = view.on_disk();
    assert!(LIMIT as u64 * 10 <= on_disk.bytes, "{on_disk:?}");
    for city in (0..300).map(|n| format!("city-{n}")) {
        for fold in [Fold::Whole, Fold::Steps(DAY_US), Fold::Steps(HOUR_US)] {
            all(&view, &key(Some(&city), None), TimeRange::ALL, fold).await;
        }
    }
    all(&view, &key(None, None), TimeRange::ALL, Fold::Steps(60 * SECOND_US)).await;
    assert!(reader.loader.disk.memory_bytes() <= LIMIT);
    let [now, most] = ["VmRSS", "VmHWM"].map(|line| memory(line).saturating_sub(before));
    println!("{on_disk:?}: {} MiB more than before, at most {} MiB", now >> 20, most >> 20);
    assert!(most <= LIMIT as u64 + BESIDE_BYTES, "{} MiB were taken", most >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_below_its_limit_and_answers_are_the_same() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return measure(Path::new(&folder)).await;
    }
    let dice = &mut Dice::new(first_seed());
    let table = Table::new();
    let rows = any_rows(dice, "2026-01-20T00:00:00Z", DAYS, repetitions(300_000, 3_000_000));
    table.replace(&rows).await;
    let mut alone = Command::new(std::env::current_exe().expect("this program"));
    let this = "batch_view::tests::memory::memory_stays_below_its_limit_and_answers_are_the_same";
    alone.args(["--exact", this, "--nocapture"]).env(FOLDER, table.folder.path());
    let output = tokio::task::spawn_blocking(move || alone.output()).await.expect("no panic").expect("run");
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && printed[0].contains("1 passed"), "{}\n{}", printed[0], printed[1]);

    for memory in [LIMIT, 1 << 30] {
        let mut reader = table.reader(memory);
        let view = loaded(&mut reader).await;
        assert_eq!(reader.loader.shelf.built(), 0, "the other process has left all segments");
        for _ in 0..repetitions(20, 300) {
            Naive { rows: &rows }.compare(dice, &view).await;
        }
        assert!(reader.loader.disk.memory_bytes() <= memory);
    }
}
