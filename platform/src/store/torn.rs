//! Log entries that a power cut tore.
//!
//! An entry is durable before it counts (see `durable`), so this takes a disk that forgets what it has confirmed, or files that
//! were written without that care. Then the last entry may be empty, or end anywhere. It is set aside, under a name that no
//! Delta reader takes for an entry, and the next commit takes its number. Entries of Braid say how many actions follow, so that
//! one that ends between two actions is recognised as well. Only the last entry is looked at: one in the middle is an error.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::log_file;

/// The key in an entry's `commitInfo`, its first line, that says how many actions follow. Delta readers ignore unknown keys.
pub(super) const ACTIONS: &str = "braidActions";

/// The first line of an entry, as far as it is needed here.
#[derive(Deserialize)]
struct FirstLine {
    #[serde(rename = "commitInfo")]
    info: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "braidActions")]
    actions: Option<usize>,
}

/// Sets the last entry of the log in that folder aside if it is torn, and returns its new path. Several processes may do this
/// at the same time.
pub(super) fn set_aside(log: &Path) -> io::Result<Option<PathBuf>> {
    if torn(log)?.is_none() {
        return Ok(None);
    }
    // An entry is taken away only under this lock, and an entry that exists is never written again. So what is torn under the
    // lock is still the same file when it is renamed, and not one that was committed meanwhile.
    let folder = File::open(log)?;
    folder.lock()?;
    let Some(entry) = torn(log)? else { return Ok(None) };
    let mut names = (1..).map(|n: u32| entry.with_extension(format!("json.torn-{n}")));
    let aside = names.find(|name| !name.exists());
    if let Some(aside) = &aside {
        std::fs::rename(&entry, aside)?;
        folder.sync_all()?;
    }
    Ok(aside)
}

/// The last entry, if it is torn.
fn torn(log: &Path) -> io::Result<Option<PathBuf>> {
    let Some(entry) = last_entry(log)? else { return Ok(None) };
    match std::fs::read(&entry) {
        Ok(text) => Ok(is_torn(&text).then_some(entry)),
        // Another process has just set it aside.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last entry, unless there is none or a checkpoint holds what it says.
fn last_entry(log: &Path) -> io::Result<Option<PathBuf>> {
    let files = match std::fs::read_dir(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        files => files?,
    };
    let (mut last, mut checkpoint): (Option<u64>, Option<u64>) = (None, None);
    for file in files {
        let name = file?.file_name();
        let Some((version, ending)) = name.to_str().and_then(log_file::numbered) else { continue };
        if ending == log_file::ENTRY {
            last = last.max(Some(version));
        } else if ending.starts_with("checkpoint.") {
            checkpoint = checkpoint.max(Some(version));
        }
    }
    let last = last.filter(|last| checkpoint.is_none_or(|checkpoint| checkpoint < *last));
    Ok(last.map(|last| log.join(log_file::entry(last))))
}

/// Whether an entry is not as it was written: it is empty, its last line is no JSON, or it names more actions than it has.
/// Entries of other programs, and of Braid before it named their number, name none.
pub(super) fn is_torn(entry: &[u8]) -> bool {
    let lines: Vec<&[u8]> = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let [first, following @ ..] = lines.as_slice() else { return true };
    let named = serde_json::from_slice::<FirstLine>(first).ok().and_then(|line| line.info?.actions);
    match named {
        Some(named) => following.len() < named || !following.iter().all(|line| is_json(line)),
        None => lines.last().is_none_or(|line| !is_json(line)),
    }
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_others_are_torn_only_if_they_are_empty_or_end_within_a_line() {
        let whole = ["{\"protocol\":{}}\n{\"metaData\":{}}", "{\"commitInfo\":{\"engineInfo\":\"braid/0.1.0\"}}\r\n"];
        for entry in whole {
            assert!(!is_torn(entry.as_bytes()), "{entry}");
        }
        let torn = ["", "\n\n", "{\"protocol\":{}}\n{\"meta", "\0\0\0\0", "{\"add\":{}}\n\0\0\0"];
        for entry in torn {
            assert!(is_torn(entry.as_bytes()), "{entry:?}");
        }
    }

    #[test]
    fn entries_that_name_their_actions_have_all_of_them() {
        let entry = "{\"commitInfo\":{\"braidActions\":2}}\n{\"add\":{}}\n{\"remove\":{}}";
        for cut in 0..entry.len() {
            assert!(is_torn(&entry.as_bytes()[..cut]), "{}", &entry[..cut]);
        }
        assert!(!is_torn(entry.as_bytes()) && !is_torn(format!("{entry}\n").as_bytes()));
        assert!(is_torn(entry.replace("\"add\"", "\0\0\0\0\0").as_bytes()), "a hole in the middle");
    }

    #[test]
    fn only_the_last_entry_is_set_aside_and_only_without_a_checkpoint_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path();
        let entry = |version: u64| log.join(format!("{version:020}.json"));
        assert_eq!(set_aside(&log.join("missing")).expect("looked"), None);
        for (version, text) in [(0, ""), (1, "{\"commitInfo\":{}}")] {
            std::fs::write(entry(version), text).expect("written");
        }
        assert_eq!(set_aside(log).expect("looked"), None, "the torn one lies in the middle");
        for n in 1..=2 {
            std::fs::write(entry(2), "").expect("written");
            let aside = log.join(format!("{:020}.json.torn-{n}", 2));
            assert_eq!(set_aside(log).expect("set aside"), Some(aside.clone()));
            assert!(aside.exists() && !entry(2).exists() && entry(1).exists());
        }
        std::fs::write(entry(2), "").expect("written");
        let found = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| set_aside(log).expect("looked"))).collect();
            all.into_iter().filter_map(|one| one.join().expect("no panic")).count()
        });
        assert_eq!(found, 1, "of several at once, one does it");
        std::fs::write(entry(2), "").expect("written");
        std::fs::write(log.join(format!("{:020}.checkpoint.parquet", 2)), "").expect("written");
        assert_eq!(set_aside(log).expect("looked"), None);
    }
}
