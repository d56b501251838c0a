//! Three million rows and little memory: the limit holds, and answers are the same as with more.

use std::path::Path;
use std::process::Command;

use test_kit::{first_seed, repetitions};

use super::*;

const CATALOG: &str = r#"
[sources.calls]
event_time = "at"
[sources.calls.fields]
at = "timestamp"
city = "string"
cost = "float"
[metrics.calls]
source = "calls"
by = ["city"]
grain = "1m"
[metrics.calls.measures]
calls = "count()"
cost = "sum(cost)"
dearest = "max(cost)"
cheapest = "min(cost)"
"#;

/// What a build and these questions may take beside `serving.view_memory`. It is less than what the view has, so a view that were held in
/// memory would not pass. (`docs/operations.md` allows for more builds and questions at a time.)
const BESIDE_BYTES: u64 = 64 << 20;
/// A tenth of what the segments take, or less.
const LIMIT: usize = 5 << 20;
/// Names the folder of the view to the process whose memory is measured.
const FOLDER: &str = "BRAID_TEST_VIEW";
/// 2026-01-20, in days since 1970.
const FIRST_DAY: i64 = 20_473;
const DAYS: i64 = 100;
const CITIES: u64 = 2_000;
/// Rows of each city on each day, so many minutes apart at most.
const ROWS: u64 = 17;
const MINUTES: u64 = 84;
const MINUTE_US: i64 = 60 * SECOND_US;

/// What is counted of a city in a minute. Quarters add up exactly, in whatever order.
#[derive(Debug, Clone, Copy)]
struct Minute {
    bucket: i64,
    calls: i64,
    cost: f64,
    dearest: f64,
    cheapest: f64,
}

impl Minute {
    /// The row of that number of all rows of a city on a day. The same every time.
    fn of(seed: u64, day: i64, city: u64, nth: u64) -> Minute {
        let dice = &mut Dice::new(seed ^ ((day.unsigned_abs() * CITIES + city) * ROWS + nth));
        let quarters = |dice: &mut Dice| dice.between(-1_000_000, 1_000_000) as f64 / 4.0;
        let minute = nth * MINUTES + dice.below(MINUTES as usize) as u64;
        Minute {
            bucket: (FIRST_DAY + day) * DAY_US + minute as i64 * MINUTE_US,
            calls: dice.between(1, 9),
            cost: quarters(dice),
            dearest: quarters(dice),
            cheapest: quarters(dice),
        }
    }

    fn values(&self) -> Vec<Value> {
        let Minute { calls, cost, dearest, cheapest, .. } = self;
        vec![Value::Int((*calls).into()), Value::float(*cost), Value::float(*dearest), Value::float(*cheapest)]
    }

    fn merge(&mut self, other: &Minute) {
        self.calls += other.calls;
        self.cost += other.cost;
        self.dearest = self.dearest.max(other.dearest);
        self.cheapest = self.cheapest.min(other.cheapest);
    }
}

fn name(city: u64) -> String {
    format!("city-{city:04}")
}

/// A table without rows.
fn empty() -> Table {
    Table { catalog: Catalog::parse(CATALOG).expect("a catalog"), ..Table::new() }
}

/// Commits a file for each day.
async fn commit(table: &Table, seed: u64, days: i64, cities: u64) {
    let instant = DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
    let columns = [
        ("bucket", instant.clone()),
        ("city", DataType::String),
        ("calls", DataType::Int64),
        ("cost", DataType::Float64),
        ("dearest", DataType::Float64),
        ("cheapest", DataType::Float64),
    ];
    let schema = Schema::from_iter(columns.map(|(name, dtype)| Field::new(name.into(), dtype)));
    let store = Store::new(&store_in(table.folder.path()), "braid").expect("a folder");
    let path = batch_view::path("v1", "calls");
    let mut delta = store.open_or_create(&path, &schema, batch_view::DAY).await.expect("a table");
    let names: Vec<String> = (0..cities).map(name).collect();
    let mut commit = Commit::new("RECONCILE", batch_view::DAY, 0);
    for day in 0..days {
        let of_city = |city: u64| (0..ROWS).map(move |nth| Minute::of(seed, day, city, nth));
        let minutes: Vec<Minute> = (0..cities).flat_map(of_city).collect();
        let rows_of = |name| std::iter::repeat_n(name, ROWS as usize);
        let mut frame = df!(
            "city" => names.iter().map(String::as_str).flat_map(rows_of).collect::<Vec<&str>>(),
            "calls" => minutes.iter().map(|minute| minute.calls).collect::<Vec<i64>>(),
            "cost" => minutes.iter().map(|minute| minute.cost).collect::<Vec<f64>>(),
            "dearest" => minutes.iter().map(|minute| minute.dearest).collect::<Vec<f64>>(),
            "cheapest" => minutes.iter().map(|minute| minute.cheapest).collect::<Vec<f64>>(),
        )
        .expect("columns");
        let buckets: Vec<i64> = minutes.iter().map(|minute| minute.bucket).collect();
        let buckets = Series::new("bucket".into(), buckets).cast(&instant).expect("instants");
        frame.with_column(buckets.into()).expect("a column");
        let of_day = format_day(FIRST_DAY + day);
        commit = commit.adding([delta.write_quickly(&of_day, frame, &[]).await.expect("written")]);
    }
    delta.commit(commit.note(batch_view::NOTE_DOMAIN, &table.note())).await.expect("committed");
}

/// The key of a city, or of all of them.
fn key_of(city: Option<u64>) -> GroupKey {
    GroupKey::new(&[city.map_or(KeyPart::All, |city| KeyPart::Value(KeyValue::Text(name(city))))])
}

/// A line of what the kernel says of this process's memory, in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("read");
    let found = status.lines().find_map(|found| found.strip_prefix(line)).expect("a line");
    let kib: u64 = found.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number");
    kib << 10
}

/// Loads the view with little memory, and asks for much of it.
async fn load_and_ask(reader: &mut ViewReader) -> OnDisk {
    let view = loaded(reader).await;
    for city in (0..CITIES).step_by(7) {
        for fold in [Fold::Whole, by(Width::Days(1)), by(Width::Within(HOUR_US))] {
            all(&view, &key_of(Some(city)), TimeRange::ALL, fold).await;
        }
    }
    all(&view, &key_of(None), TimeRange::ALL, by(Width::Within(MINUTE_US))).await;
    view.on_disk()
}

/// Measures what the view and questions about it take. Nothing else runs in the process.
async fn measure(folder: &Path) {
    // After that the program itself is in memory, as far as it is used.
    let small = empty();
    commit(&small, 0, 1, 50).await;
    load_and_ask(&mut small.reader(LIMIT)).await;
    let before = memory("VmRSS");
    // Forgets the peak so far. Where that is not possible, it may only be too high.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let catalog = Catalog::parse(CATALOG).expect("a catalog");
    let mut reader = reader_in(folder, &catalog, LIMIT);
    let on_disk = load_and_ask(&mut reader).await;
    assert!(LIMIT as u64 * 10 <= on_disk.bytes, "{on_disk:?}");
    assert!(LIMIT as u64 + BESIDE_BYTES < on_disk.bytes, "{on_disk:?}");
    assert!(reader.loader.disk.memory_bytes() <= LIMIT);
    let [now, most] = ["VmRSS", "VmHWM"].map(|line| memory(line).saturating_sub(before));
    println!("{on_disk:?}: {} MiB more than before, at most {} MiB", now >> 20, most >> 20);
    assert!(most <= LIMIT as u64 + BESIDE_BYTES, "{} MiB were taken", most >> 20);
}

/// Asks about a city, and compares the answer with rows that are merged one at a time.
async fn compare(dice: &mut Dice, view: &View, seed: u64) {
    let city = dice.below(CITIES as usize) as u64;
    let minute = |dice: &mut Dice| FIRST_DAY * DAY_US + dice.between(0, DAYS * 24 * 60) * MINUTE_US;
    let (a, b) = (minute(dice), minute(dice));
    let fold = *dice.pick(&[Fold::Whole, by(Width::Within(MINUTE_US)), by(Width::Within(HOUR_US)), by(Width::Days(1))]);
    let mut range = if dice.chance(20) { TimeRange::ALL } else { TimeRange { from_us: a.min(b), to_us: a.max(b) } };
    if let Fold::Steps(steps) = fold
        && range != TimeRange::ALL
    {
        range = steps.widened(range);
    }
    let mut expected: BTreeMap<i64, Minute> = BTreeMap::new();
    for (day, nth) in (0..DAYS).flat_map(|day| (0..ROWS).map(move |nth| (day, nth))) {
        let row = Minute::of(seed, day, city, nth);
        if range.contains(row.bucket) {
            let cell = match fold {
                Fold::Whole => 0,
                Fold::Steps(steps) => steps.start_of(row.bucket),
            };
            expected.entry(cell).and_modify(|cell| cell.merge(&row)).or_insert(row);
        }
    }
    let found = all(view, &key_of(Some(city)), range, fold).await;
    let found: Vec<Vec<Value>> = found.into_iter().map(|(_, values)| values).collect();
    let expected: Vec<Vec<Value>> = expected.values().map(Minute::values).collect();
    assert_eq!(found, expected, "{city}, {range:?}, {fold:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_below_its_limit_and_answers_are_the_same() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return measure(Path::new(&folder)).await;
    }
    let (seed, table) = (first_seed(), empty());
    let dice = &mut Dice::new(seed);
    commit(&table, seed, DAYS, CITIES).await;
    let mut alone = Command::new(std::env::current_exe().expect("this program"));
    let this = "batch_view::tests::memory::memory_stays_below_its_limit_and_answers_are_the_same";
    // A busy machine gives each thread that waits another arena of free memory, which says nothing about the view.
    alone.args(["--exact", this, "--nocapture"]).envs([("MALLOC_ARENA_MAX", "2")]).env(FOLDER, table.folder.path());
    let output = tokio::task::spawn_blocking(move || alone.output()).await.expect("no panic").expect("run");
    let printed = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && printed[0].contains("1 passed"), "{}\n{}", printed[0], printed[1]);
    println!("{}", printed[0]);

    let rows = (0..DAYS).flat_map(|day| (0..CITIES).flat_map(move |city| (0..ROWS).map(move |nth| (day, city, nth))));
    let rows = rows.map(|(day, city, nth)| Minute::of(seed, day, city, nth));
    let total = rows.reduce(|mut total, row| {
        total.merge(&row);
        total
    });
    for memory in [LIMIT, 1 << 30] {
        let mut reader = table.reader(memory);
        let view = loaded(&mut reader).await;
        assert_eq!(reader.loader.shelf.built(), 0, "the other process has left all segments");
        for _ in 0..repetitions(100, 1_000) {
            compare(dice, &view, seed).await;
        }
        let everything = all(&view, &key_of(None), TimeRange::ALL, Fold::Whole).await;
        assert_eq!(everything.into_iter().map(|(_, values)| values).next(), total.map(|total| total.values()));
        assert!(reader.loader.disk.memory_bytes() <= memory);
    }
}
