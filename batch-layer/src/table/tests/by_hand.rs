//! Whatever increments a table is materialised in, and whatever else happens, it is what all changes leave together.

use std::time::Duration;

use test_kit::{Dice, repetitions};

use super::super::materialise::Bounds;
use super::super::*;
use super::bench::{Bench, DAY_US, Sent, by_hand, ends, history, logs, sent};

/// Archives changes in increments of any length, and has `then` do something after each of them.
async fn in_increments(
    bench: &mut Bench,
    sent: &[Sent],
    dice: &mut Dice,
    mut then: impl AsyncFnMut(&Bench, &[Sent], &mut Dice),
) {
    let mut archived = 0;
    while archived < sent.len() {
        let to = (archived + 1 + dice.below(20)).min(sent.len());
        bench.archived(&sent[archived..to]).await;
        archived = to;
        then(&*bench, &sent[..archived], &mut *dice).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_what_its_changes_leave_in_whatever_increments_they_come() {
    for seed in test_kit::first_seed()..test_kit::first_seed() + repetitions(6, 60) {
        let mut dice = Dice::new(seed);
        let changes = history(&mut dice, 9, 120);
        let (mut bench, logs) = (Bench::new().await, logs(&changes));
        in_increments(&mut bench, &changes, &mut dice, async |bench, archived, dice| {
            if dice.chance(30) {
                return;
            }
            let next = ends(archived);
            for _ in 0..=dice.below(2) {
                bench.materialised().await;
                assert_eq!(bench.held().await, (by_hand(archived, &next, &logs), next.clone()), "seed {seed}");
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_shares_that_are_divided_is_the_same() {
    for seed in test_kit::first_seed()..test_kit::first_seed() + repetitions(4, 40) {
        let mut dice = Dice::new(seed);
        let changes = history(&mut dice, 40, 160);
        let (mut bench, logs) = (Bench::new().await, logs(&changes));
        in_increments(&mut bench, &changes, &mut dice, async |bench, archived, dice| {
            let bounds =
                Bounds { memory: *dice.pick(&[1_500, 4_000, 100_000]), share_rows: *dice.pick(&[1, 8, 1_000]) };
            bench.materialised_within(bounds).await;
            let next = ends(archived);
            assert_eq!(bench.held().await, (by_hand(archived, &next, &logs), next), "seed {seed} {bounds:?}");
        })
        .await;
        assert!(bench.opened().await.note().is_some_and(|note| note.shares > 1), "seed {seed}: it was divided");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_anywhere_changes_nothing_or_all() {
    for seed in test_kit::first_seed()..test_kit::first_seed() + repetitions(4, 40) {
        let mut dice = Dice::new(seed);
        let changes = history(&mut dice, 9, 80);
        let (mut bench, logs) = (Bench::new().await, logs(&changes));
        let (mut states, mut known) = (Vec::new(), 0);
        in_increments(&mut bench, &changes, &mut dice, async |bench, archived, dice| {
            let next = ends(archived);
            states.push((by_hand(archived, &next, &logs), next));
            let patience = Duration::from_micros(dice.between(0, 60_000).unsigned_abs());
            let run = materialise(&bench.storage, &bench.catalog, bench.table());
            let killed = tokio::time::timeout(patience, run).await.is_err();
            if bench.storage.table("users").await.expect("read").is_some() {
                // A commit that was on its way when the run was killed may still arrive.
                let held = bench.held().await;
                let at =
                    states.iter().rposition(|state| *state == held).unwrap_or_else(|| panic!("seed {seed}: {held:?}"));
                assert!(at >= known && (killed || at + 1 == states.len()), "seed {seed}: it fell behind");
                known = at;
            }
        })
        .await;
        bench.materialised().await;
        let next = ends(&changes);
        assert_eq!(bench.held().await, (by_hand(&changes, &next, &logs), next), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_the_same_time_leave_what_one_leaves() {
    let mut dice = Dice::new(7);
    let changes = history(&mut dice, 9, 60);
    let (mut bench, logs) = (Bench::new().await, logs(&changes));
    in_increments(&mut bench, &changes, &mut dice, async |bench, archived, _| {
        let run = || materialise(&bench.storage, &bench.catalog, bench.table());
        let (one, other, third) = tokio::join!(run(), run(), run());
        let next = ends(archived);
        assert_eq!(bench.held().await, (by_hand(archived, &next, &logs), next));
        let mut versions = [one, other, third].map(|done| done.expect("materialised").version);
        versions.sort();
        assert!(versions.windows(2).all(|two| two[0] < two[1]), "each has a commit of its own: {versions:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_as_of_other_offsets_and_times_is_made_from_the_archive_again() {
    for seed in test_kit::first_seed()..test_kit::first_seed() + repetitions(4, 40) {
        let mut dice = Dice::new(seed);
        let changes = history(&mut dice, 9, 120);
        let (mut bench, logs) = (Bench::new().await, logs(&changes));
        in_increments(&mut bench, &changes, &mut dice, async |bench, archived, dice| {
            if dice.chance(50) {
                bench.materialised().await;
            }
            let rows = |offsets: &BTreeMap<PartitionId, i64>| -> Vec<(String, i64, i64)> {
                by_hand(archived, offsets, &logs).into_iter().map(|(key, n, (.., at))| (key, n, at)).collect()
            };
            let mut offsets = ends(&archived[..dice.below(archived.len() + 1)]);
            assert_eq!(bench.read(&AsOf::Offsets(offsets.clone())).await, rows(&offsets), "seed {seed} {offsets:?}");
            let time_us = DAY_US + dice.between(-1, 130) * DAY_US / 24;
            offsets = ends(archived);
            for late in archived.iter().filter(|sent| sent.timestamp_us > time_us) {
                let end = offsets.get_mut(&PartitionId::new(late.log, late.partition)).expect("a partition");
                *end = late.offset.min(*end);
            }
            assert_eq!(bench.read(&AsOf::Time(time_us)).await, rows(&offsets), "seed {seed} {time_us}");
        })
        .await;
        bench.materialised().await;
        let newest = as_of(&bench.storage, &bench.catalog, bench.table(), &AsOf::Newest).await.expect("read");
        assert_eq!(newest.offsets, ends(&changes));
        assert_eq!(newest.rows.height(), bench.held().await.0.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_and_a_change_that_does_not_decide_are_remembered() {
    let mut bench = Bench::new().await;
    bench.archived(&[sent(0, 0, 5, "u-1", Some(1)), sent(1, 0, 4, "u-1", Some(2)), sent(0, 1, 6, "u-2", None)]).await;
    bench.materialised().await;
    let rows = async |bench: &Bench| {
        bench.read(&AsOf::Newest).await.into_iter().map(|(key, n, _)| (key, n)).collect::<Vec<_>>()
    };
    assert_eq!(rows(&bench).await, [("u-1".to_owned(), 1)]);
    assert_eq!(bench.opened().await.note().map(|note| note.others()), Some(2));
    // In its partition, an older change stands; so that of another partition is the newest.
    bench.archived(&[sent(0, 2, 3, "u-1", Some(3)), sent(1, 1, 5, "u-2", Some(4))]).await;
    bench.materialised().await;
    assert_eq!(rows(&bench).await, [("u-1".to_owned(), 2)], "what was deleted later stays deleted");
}
