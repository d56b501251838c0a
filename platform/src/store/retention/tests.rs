use std::collections::BTreeSet;

use test_kit::Dice;

use super::*;

const MINUTE_US: i64 = 60_000_000;

const RETENTION: Retention = Retention { log: Duration::from_secs(3600), tombstones: TOMBSTONE_AGE };

fn file(version: u64, is_checkpoint: bool, modified_us: i64) -> LogFile {
    let ending = if is_checkpoint { CHECKPOINT } else { ENTRY };
    LogFile { version, is_checkpoint, modified_us, path: Path::from(format!("{version:020}.{ending}")) }
}

/// An entry a minute, the first one at minute 0, and a checkpoint every 50 minutes.
fn regular(minutes: u64) -> Vec<LogFile> {
    let entries = (0..=minutes).map(|minute| file(minute, false, minute as i64 * MINUTE_US));
    let checkpoints = (50..=minutes).step_by(50).map(|minute| file(minute, true, minute as i64 * MINUTE_US));
    entries.chain(checkpoints).collect()
}

#[test]
fn old_entries_go_up_to_the_oldest_checkpoint_that_is_kept() {
    let names = |files: Vec<Path>| files.into_iter().map(|path| path.to_string()).collect::<Vec<_>>();
    let gone = |entries: u64, checkpoints: &[u64]| {
        let entries = (0..entries).map(|version| file(version, false, 0));
        let checkpoints = checkpoints.iter().map(|version| file(*version, true, 0));
        names(entries.chain(checkpoints).map(|file| file.path).collect())
    };
    let over = |retention: Retention, minutes: u64, now: i64| names(retention.over(regular(minutes), now * MINUTE_US));
    assert_eq!(
        over(RETENTION, 300, 300),
        gone(200, &[50, 100, 150]),
        "three checkpoints are kept, and what follows them"
    );
    assert_eq!(over(RETENTION, 49, 300), gone(0, &[]), "without a checkpoint, everything is needed");
    assert_eq!(over(RETENTION, 90, 3_000), gone(50, &[]), "however old the only checkpoint is, it stays");
    let longer = Retention { log: Duration::from_secs(150 * 60), ..RETENTION };
    assert_eq!(over(longer, 300, 300), gone(150, &[50, 100, 150]), "younger entries are kept");
}

#[test]
fn checkpoints_that_were_just_written_are_kept_for_their_readers() {
    let now_us = 100 * MINUTE_US;
    let second = |version: u64| file(version, true, now_us - (40 - version as i64) * 1_000_000);
    assert!(RETENTION.over((0..40).map(second).collect(), now_us).is_empty());
}

#[test]
fn whatever_a_log_looks_like_and_wherever_cleaning_ends_what_stays_can_be_read() {
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let (first, entries) = (dice.below(50) as u64, 1 + dice.below(200) as u64);
        // Times rise, but for clocks that differ.
        let mut at_us = 0;
        let mut modified = || {
            at_us += dice.between(0, 5 * MINUTE_US);
            at_us - if dice.chance(10) { dice.between(0, 120 * MINUTE_US) } else { 0 }
        };
        let mut files: Vec<LogFile> =
            (first..first + entries).map(|version| file(version, false, modified())).collect();
        let checkpoints: BTreeSet<u64> = (0..entries).filter(|_| dice.chance(5)).map(|step| first + step).collect();
        for version in &checkpoints {
            let modified_us = files.iter().find(|file| file.version == *version).expect("an entry").modified_us;
            files.push(file(*version, true, modified_us));
        }
        let now_us = at_us + dice.between(0, 60 * MINUTE_US);

        let over = RETENTION.over(files.clone(), now_us);
        let gone: BTreeSet<&Path> = over.iter().take(dice.below(over.len() + 1)).collect();
        let left: BTreeSet<(bool, u64)> = files
            .iter()
            .filter(|file| !gone.contains(&file.path))
            .map(|file| (file.is_checkpoint, file.version))
            .collect();
        let oldest = left.iter().find(|(is_checkpoint, _)| !is_checkpoint).map(|(_, version)| *version);
        let oldest = oldest.expect("the newest entry is never removed");
        assert!((oldest..first + entries).all(|version| left.contains(&(false, version))), "seed {seed}: no gap");
        for version in checkpoints.iter().rev().take(CHECKPOINTS_KEPT) {
            assert!(left.contains(&(true, *version)), "seed {seed}: checkpoint {version} is kept");
            assert!(oldest <= version + 1, "seed {seed}: what follows checkpoint {version} is kept");
        }
        let is_young = |file: &&LogFile| !file.is_checkpoint && file.modified_us >= before(now_us, RETENTION.log);
        for file in files.iter().filter(is_young) {
            assert!(left.contains(&(false, file.version)), "seed {seed}: entry {} is young", file.version);
        }
    }
}
