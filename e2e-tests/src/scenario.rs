//! One scenario: a folder, a printed seed, and the children's logs if it fails.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::binaries::target_dir;
use crate::places::{Held, Places};

const TAIL_LINES: usize = 60;
/// The extension of files that children print to. Not `log`, which is what Kafka calls its segments.
const OUTPUT: &str = "out";

/// What a scenario is given.
pub struct Scenario {
    name: String,
    seed: u64,
    dir: PathBuf,
    streams: Cell<u64>,
    places: Held<'static>,
}

/// Runs a scenario that mostly waits, beside others. Its folder is `target/e2e/<name>`: removed after success, kept after
/// failure. Repeat a failure with the environment variable `SEED`.
///
/// # Panics
/// If the scenario fails, after printing the end of every log in its folder.
pub fn scenario(name: &str, body: impl AsyncFnOnce(&Scenario) -> Result<()>) {
    run(name, Places::One, body);
}

/// The same for a scenario that works without pause, or that must do something in time: fewer others run beside it.
///
/// # Panics
/// As [`scenario`] does.
pub fn busy_scenario(name: &str, body: impl AsyncFnOnce(&Scenario) -> Result<()>) {
    run(name, Places::Two, body);
}

fn run(name: &str, places: Places, body: impl AsyncFnOnce(&Scenario) -> Result<()>) {
    let runtime = tokio::runtime::Runtime::new().expect("a scenario needs a runtime");
    let places = runtime.block_on(places.take());
    let begin = Instant::now();
    let scenario = Scenario::new(name, places).expect("a scenario needs a folder and a valid SEED");
    println!("scenario {name}: SEED={}", scenario.seed);
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(body(&scenario))));
    // Past the test runner, which shows nothing of tests that pass.
    let outcome = if matches!(result, Ok(Ok(()))) { "passed" } else { "FAILED" };
    let seconds = begin.elapsed().as_secs_f64();
    let _ = writeln!(std::io::stderr(), "scenario {name} {outcome} in {seconds:.1} s, SEED={}", scenario.seed);
    match result {
        Ok(Ok(())) => fs::remove_dir_all(&scenario.dir).expect("the scenario's folder can be removed"),
        Ok(Err(error)) => {
            print_logs(&scenario.dir);
            panic!("scenario {name}, SEED={}: {error:?}", scenario.seed);
        }
        Err(panic) => {
            print_logs(&scenario.dir);
            resume_unwind(panic);
        }
    }
}

impl Scenario {
    fn new(name: &str, places: Held<'static>) -> Result<Scenario> {
        let seed = match std::env::var("SEED") {
            Ok(seed) => seed.parse().context("SEED is a number")?,
            Err(_) => rand::random(),
        };
        let dir = target_dir()?.join("e2e").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(Scenario { name: name.to_owned(), seed, dir, streams: Cell::new(0), places })
    }

    /// Its name, which is its test's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An empty folder of the scenario's own.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The scenario's name made unique, for topics and deployments on a shared cluster.
    pub fn unique_name(&self) -> String {
        format!("{}-{:08x}", self.name, rand::rng().random::<u32>())
    }

    /// Waits for what takes long and costs next to no processor time, such as for a minute to pass. Other scenarios run meanwhile on this one's
    /// places, and it goes on once as many are free again, which may take as long as one of them: so nothing may have to happen soon
    /// afterwards. Only a wait of ten seconds and more is worth that.
    pub async fn without_place<T>(&self, wait: impl Future<Output = T>) -> T {
        self.places.without(wait).await
    }

    /// A source of chance that the seed decides. Each call gives another.
    pub fn rng(&self) -> StdRng {
        let stream = self.streams.replace(self.streams.get() + 1);
        StdRng::seed_from_u64(self.seed.wrapping_add(stream))
    }
}

/// Microseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "the tests' only clock: they know the platform's clock only from outside")]
pub fn now_us() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since_1970.as_micros()).expect("the clock is before the year 294,000")
}

fn print_logs(dir: &Path) {
    for path in logs(dir) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        println!("==== the last {} of {} lines of {}", tail.len(), lines.len(), path.display());
        tail.iter().for_each(|line| println!("{line}"));
    }
}

fn logs(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let own = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == OUTPUT));
    own.chain(folders.iter().flat_map(|folder| logs(folder))).collect()
}
