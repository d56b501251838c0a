//! What a pass did to a table, or would do.

use std::fmt;

use platform::store::{DataFile, FileBeside};

/// A step of a pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The table's path below the deployment's folder.
    pub table: String,
    /// Whether it was only planned.
    pub dry_run: bool,
    /// What it was.
    pub step: Step,
}

/// What was done to a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Days left the table.
    Retired {
        /// The first day that it still holds, `YYYY-MM-DD`.
        before: String,
        /// How many files that were.
        files: usize,
        /// Bytes.
        bytes: u64,
    },
    /// Days would leave the archive, but the view of this metric has not counted them yet.
    NotCounted {
        /// The metric's name.
        metric: String,
    },
    /// Files of a day were merged.
    Merged {
        /// The day, `YYYY-MM-DD`.
        day: String,
        /// How many files that were.
        files: usize,
        /// Bytes.
        bytes: u64,
    },
    /// Files were deleted that no version needs.
    Removed {
        /// How many.
        files: usize,
        /// The same with their sizes, of a pass that deletes nothing.
        listed: Vec<FileBeside>,
    },
}

impl Step {
    pub(super) fn retired(before: String, files: &[DataFile]) -> Step {
        Step::Retired { before, files: files.len(), bytes: bytes(files) }
    }

    pub(super) fn merged(day: &str, files: &[DataFile]) -> Step {
        Step::Merged { day: day.to_owned(), files: files.len(), bytes: bytes(files) }
    }
}

fn bytes(files: &[DataFile]) -> u64 {
    files.iter().map(|file| file.size.unsigned_abs()).sum()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { table, dry_run, step } = self;
        let would = if *dry_run { "would be " } else { "" };
        match step {
            Step::Retired { before, files, bytes } => {
                let size = size_text(*bytes);
                write!(f, "{table}: {files} files of days before {before} {would}retired, {size}")
            }
            Step::NotCounted { metric } => {
                write!(
                    f,
                    "{table}: nothing is retired, because the view of {metric} does not count this definition yet, or still counts \
                     what was erased"
                )
            }
            Step::Merged { day, files, bytes } => {
                write!(f, "{table}: {files} files of {day} {would}merged, {}", size_text(*bytes))
            }
            Step::Removed { files, listed } => {
                let size: u64 = listed.iter().map(|file| file.size).sum();
                write!(f, "{table}: {files} unused files {would}deleted")?;
                if *dry_run {
                    write!(f, ", {}", size_text(size))?;
                }
                listed.iter().try_for_each(|file| write!(f, "\n  {} {}", file.path, size_text(file.size)))
            }
        }
    }
}

/// Bytes as an operator reads them.
fn size_text(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_goes_and_how_large_it_is() {
        let listed = vec![FileBeside { path: "2026-04-24/a.parquet".to_owned(), size: 1536, written_us: 0 }];
        let step = Step::Removed { files: 1, listed };
        let report = Report { table: "archive/s".to_owned(), dry_run: true, step };
        let expected = "archive/s: 1 unused files would be deleted, 1.5 KiB\n  2026-04-24/a.parquet 1.5 KiB";
        assert_eq!(report.to_string(), expected);
        let step = Step::Retired { before: "2026-04-24".to_owned(), files: 2, bytes: 10 };
        let report = Report { step, dry_run: false, ..report };
        assert_eq!(report.to_string(), "archive/s: 2 files of days before 2026-04-24 retired, 10 B");
        assert_eq!(size_text(3 << 30), "3.0 GiB");
    }
}
