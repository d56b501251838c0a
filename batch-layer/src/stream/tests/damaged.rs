//! Outputs that are missing, extra or different are found by their ids, wherever they are.

use shared_logic::contracts::reconciliation::{DifferenceKind, OutputDifference};
use shared_logic::stream::{DecidedKind, OutputPosition};
use test_kit::{first_seed, repetitions};

use super::bench::{Bench, CATALOG, Output};
use crate::stream::written::output_id;

/// What is done to one of the outputs.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Removed,
    Added,
    Repeated,
    Payload,
    Key,
}

const ALL: [Damage; 5] = [Damage::Removed, Damage::Added, Damage::Repeated, Damage::Payload, Damage::Key];

/// Damages one of the outputs, and returns the stream that it is of and what a check has to say of it.
fn damaged(bench: &mut Bench, outputs: &mut Vec<Output>, damage: Damage) -> (String, OutputDifference) {
    let rows: Vec<usize> = (0..outputs.len()).filter(|at| outputs[*at].1.kind == DecidedKind::Output).collect();
    let at = *bench.dice.pick(&rows);
    let (id, mut decided) = outputs[at].clone();
    let stream = bench.stream(&decided).to_owned();
    let kind = match damage {
        Damage::Removed => {
            outputs.remove(at);
            DifferenceKind::Missing
        }
        Damage::Added => {
            // Nobody has decided so many at one offset.
            decided.position = OutputPosition { n: 1_000, ..decided.position };
            let new = output_id(&stream, &bench.catalog.deployment.version, &id, decided.position);
            let text = String::from_utf8(decided.payload).expect("JSON");
            let mut object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            object["output_id"] = new.into();
            decided.payload = object.to_string().into_bytes();
            outputs.insert(at + 1, (id.clone(), decided.clone()));
            DifferenceKind::Extra
        }
        Damage::Repeated => {
            outputs.insert(at + 1, (id.clone(), decided.clone()));
            DifferenceKind::Extra
        }
        Damage::Payload => {
            // Another text of the same object.
            outputs[at].1.payload.push(b' ');
            DifferenceKind::Different
        }
        Damage::Key => {
            outputs[at].1.key = Some(b"another".to_vec());
            DifferenceKind::Different
        }
    };
    let id = output_id(&stream, &bench.catalog.deployment.version, &id, decided.position);
    (stream, OutputDifference { id, kind })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_output_that_is_removed_added_or_changed_is_found_and_named() {
    for seed in (first_seed()..).take(repetitions(2, 20)) {
        for damage in ALL {
            println!("BRAID_SEED={seed} {damage:?}");
            let mut bench = Bench::new(CATALOG, seed).await;
            // Some of it before the first check, some of it before the second.
            let (mut wrong, in_round) = (None, bench.dice.below(2));
            for round in 0..2 {
                bench.arrives(80).await;
                let mut decided = bench.decides(round == 1);
                let has_outputs = decided.iter().any(|(_, decided)| decided.kind == DecidedKind::Output);
                if has_outputs && (round >= in_round && wrong.is_none()) {
                    wrong = Some(damaged(&mut bench, &mut decided, damage));
                    let (stream, difference) = wrong.as_ref().expect("damaged");
                    bench.writes(&decided).await;
                    let found = bench.found().await;
                    for (of, check) in &found {
                        let expected = u64::from(of == stream);
                        assert_eq!(check.differences(), expected, "{of}: {check:?}, {difference:?}");
                    }
                    assert_eq!(found[stream].first, std::slice::from_ref(difference));
                } else {
                    bench.writes(&decided).await;
                    assert!(bench.found().await.values().all(|check| check.differences() == 0));
                }
            }
            assert!(wrong.is_some(), "nothing was decided");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_written_again_after_its_check_is_extra() {
    let mut bench = Bench::new(CATALOG, 11).await;
    bench.arrives(100).await;
    let mut decided = bench.decides(true);
    bench.writes(&decided).await;
    assert!(bench.found().await.values().all(|check| check.differences() == 0));
    decided.retain(|(_, decided)| decided.kind == DecidedKind::Output);
    let again = vec![decided[0].clone()];
    bench.writes(&again).await;
    bench.arrives(40).await;
    let more = bench.decides(true);
    bench.writes(&more).await;
    let (stream, found) = (bench.stream(&again[0].1).to_owned(), bench.found().await);
    assert_eq!((found[&stream].extra, found[&stream].differences()), (1, 1), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_written_is_missing_once_and_the_first_are_named() {
    let mut bench = Bench::new(CATALOG, 12).await;
    bench.arrives(150).await;
    let decided = bench.decides(true);
    bench.writes(&[]).await;
    let count = decided.iter().filter(|(_, decided)| decided.kind == DecidedKind::Output).count() as u64;
    let found = bench.found().await;
    assert_eq!(found.values().map(|check| check.missing).sum::<u64>(), count);
    assert!(found.values().all(|check| check.first.len() <= 10));
    assert_eq!(bench.found().await.values().map(|check| check.missing).sum::<u64>(), 0, "it was said once");
}
