//! What may stand in which source file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

const MAX_LINES: usize = 500;
const DRAWERS: [&str; 5] = ["utils", "common", "helpers", "misc", "types"];

/// Polars calls that look at more than one row. Only the plan and its measures may: a metric is counted
/// by one piece of code.
const AGGREGATIONS: [&str; 13] = [
    ".group_by(",
    ".group_by_stable(",
    ".group_by_dynamic(",
    ".agg(",
    "col(….sum()",
    "col(….min()",
    "col(….max()",
    "col(….mean()",
    ".n_unique()",
    ".cum_sum(",
    ".over(",
    "len().alias(",
    ".value_counts(",
];
/// Plain Rust folds numbers everywhere; only files that use Polars are looked at.
const USES_POLARS: [&str; 2] = ["use polars", "polars::"];

#[test]
fn aggregation_stands_only_in_the_plan_and_its_measures() -> Result<()> {
    forbid(
        &AGGREGATIONS,
        "aggregation is written only in shared-logic's `plan` and `measure/`: declare a metric, or call the plan",
        |file| {
            let of_the_plan = ["plan", "plan.rs", "measure", "measure.rs"];
            let in_plan =
                of_the_plan.iter().any(|room| file.path.starts_with(Path::new("shared-logic/src").join(room)));
            !in_plan && !file.is_test() && USES_POLARS.iter().any(|word| file.text.contains(word))
        },
    )
}

#[test]
fn the_clock_stands_in_one_place() -> Result<()> {
    forbid(
        &["SystemTime::now", "Utc::now", "Local::now", "OffsetDateTime::now"],
        "the wall clock is asked only in platform/src/clock.rs: take the moment as an argument",
        |file| file.path != Path::new("platform/src/clock.rs") && file.path != Path::new("e2e-tests/src/scenario.rs"),
    )?;
    forbid(
        &["Instant::now", "thread::sleep", "rand::rng()", "rand::random", "std::fs", "std::env", "std::net"],
        "shared-logic knows no clock, no chance and no outside world: take values as arguments",
        |file| file.path.starts_with("shared-logic/src") && !file.is_test(),
    )
}

#[test]
fn the_oracle_shares_no_code_with_what_it_judges() -> Result<()> {
    forbid(
        &["shared_logic"],
        "scenarios know the platform from outside: only the benchmark calls its code, to measure the decoder",
        |file| file.path.starts_with("e2e-tests") && !file.path.starts_with("e2e-tests/src/bin"),
    )
}

#[test]
fn nothing_is_skipped_or_only_pretended() -> Result<()> {
    let unfinished = ["#[ignore", "todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"];
    forbid(&unfinished, "finish it, or take it out", |_| true)
}

#[test]
fn tests_wait_for_conditions() -> Result<()> {
    // Loads are paced by the clock, which is what they are for: those of benchmarks, and the one beside a fault.
    let paced =
        |file: &Source| file.path.starts_with("e2e-tests/src/bin") || file.path.ends_with("e2e-tests/src/load.rs");
    let applies = |file: &Source| file.is_test() && !paced(file);
    forbid(&["thread::sleep("], "wait for a condition with a deadline instead of sleeping and hoping", applies)
}

#[test]
fn files_are_short_and_named_by_what_they_hold() -> Result<()> {
    for file in sources()? {
        let (path, lines) = (file.path.display(), file.text.lines().count());
        ensure!(lines <= MAX_LINES, "{path} has {lines} lines: split it by meaning well before {MAX_LINES}");
        let stem = file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        ensure!(!DRAWERS.contains(&stem), "{path} is a drawer: name the module by its noun");
        ensure!(stem != "mod", "{path}: write foo.rs beside foo/ instead of foo/mod.rs");
    }
    Ok(())
}

/// A Rust file of the workspace.
pub(super) struct Source {
    /// Relative to the workspace.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Source {
    /// Whether the whole file is test code.
    fn is_test(&self) -> bool {
        ["e2e-tests", "test-kit"].iter().any(|name| self.path.starts_with(name)) || self.is_unit_test()
    }

    /// Whether the whole file holds unit tests of the crate that it lies in.
    pub(super) fn is_unit_test(&self) -> bool {
        self.path.components().any(|part| part.as_os_str() == "tests") || self.path.ends_with("tests.rs")
    }

    /// Lines of code before the unit tests, without comments, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines
            .take_while(|(_, line)| line.trim() != "mod tests {")
            .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }
}

/// Fails at the first line of code that contains one of the words in a file that `applies` to.
fn forbid(words: &[&str], rule: &str, applies: impl Fn(&Source) -> bool) -> Result<()> {
    // This folder names the words in order to find them.
    let this = Path::new("e2e-tests/tests/tidy");
    for file in sources()?.iter().filter(|file| !file.path.starts_with(this) && applies(file)) {
        for (number, line) in file.code() {
            let word = words.iter().find(|word| contains(line, word));
            ensure!(word.is_none(), "{}:{number} contains {:?}: {rule}", file.path.display(), word.unwrap_or(&""));
        }
    }
    Ok(())
}

/// Whether the line contains the parts of the word, which `…` separates, one after the other.
fn contains(line: &str, word: &str) -> bool {
    let mut rest = Some(line);
    for part in word.split('…') {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, rest)| rest);
    }
    rest.is_some()
}

pub(super) fn sources() -> Result<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&root)? {
        let crate_dir = entry?.path();
        if crate_dir.join("Cargo.toml").exists() {
            collect(&crate_dir, &root, &mut found)?;
        }
    }
    ensure!(!found.is_empty(), "no sources below {root:?}");
    Ok(found)
}

fn collect(dir: &Path, root: &Path, found: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, root, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(Source { path: path.strip_prefix(root)?.to_owned(), text: fs::read_to_string(&path)? });
        }
    }
    Ok(())
}
