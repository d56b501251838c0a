use proptest::collection::vec;
use proptest::prelude::*;

use super::super::file_name;
use super::*;

fn change(what: &str) -> Change {
    Change { id: what.to_owned(), at_us: 1_000, by: "alice@host".to_owned(), what: what.to_owned() }
}

fn pointer() -> Pointer {
    Pointer::begin("v1", change("begin"))
}

fn created(pointer: &Pointer, name: &str) -> Pointer {
    pointer.create(name, &format!("catalog of {name}"), Changed::default(), 4, change("create")).expect("created")
}

fn following(pointer: &Pointer, name: &str) -> Pointer {
    created(pointer, name).replay(name, ReplayFrom::Log, false, change("replay")).expect("replayed")
}

fn verified() -> Verified {
    Verified {
        at_us: 0,
        offsets: [].into(),
        definitions: [].into(),
        code: String::new(),
        report: "v2/verified/0".to_owned(),
    }
}

fn promoted(pointer: &Pointer, name: &str) -> Pointer {
    pointer.promote(name, Some(3), Vec::new(), change("promote")).expect("promoted")
}

fn why(refused: Result<Pointer, StepError>) -> String {
    refused.expect_err("refused").to_string()
}

#[test]
fn a_version_is_created_once_and_for_all() {
    let second = created(&pointer(), "v2");
    assert_eq!((second.versions["v2"].number, second.versions["v2"].stage), (1, Stage::Created));
    assert_eq!(created(&second, "v2"), second, "the same again changes nothing");
    let other = second.create("v2", "another catalog", Changed::default(), 4, change("create"));
    assert!(why(other).starts_with("there is, or was, a version v2 (created)"));
    let first = second.create("v1", "c", Changed::default(), 4, change("create"));
    assert!(why(first).starts_with("there is, or was, a version v1 (following)"), "the file's version is no other");
    let full = second.create("v3", "c", Changed::default(), 2, change("create"));
    assert!(why(full).starts_with("2 versions live"));
    assert!(
        why(second.create("V 3", "c", Changed::default(), 4, change("create"))).contains("is no name for a version")
    );
    let gone = second.retire("v2", change("r")).expect("retiring").retired("v2", change("r")).expect("retired");
    let again = gone.create("v2", "catalog of v2", Changed::default(), 2, change("create"));
    assert!(why(again).contains("(retired)"), "what it has left behind would be taken for its own");
    assert_eq!(created(&gone, "v3").versions["v3"].number, 2, "numbers are not given twice");
}

#[test]
fn a_replay_is_begun_stopped_and_gone_on_with() {
    let second = created(&pointer(), "v2");
    let counting = second.replay("v2", ReplayFrom::Archive, true, change("a")).expect("counting");
    assert_eq!(counting.versions["v2"].stage, Stage::Counting);
    assert_eq!(counting.replay("v2", ReplayFrom::Archive, true, change("b")), Ok(counting.clone()), "it runs");
    assert!(why(counting.replay("v2", ReplayFrom::Log, false, change("b"))).contains("from the archive already"));
    let stopped = counting.stop("v2", change("c")).expect("stopped");
    assert_eq!(
        stopped.replay("v2", ReplayFrom::Archive, true, change("d")).expect("goes on").versions,
        counting.versions
    );
    let follows = counting.counted("v2", change("e")).expect("follows");
    assert_eq!(follows.versions["v2"].stage, Stage::Following);
    assert_eq!(follows.counted("v2", change("f")), Ok(follows.clone()));
    assert!(why(second.counted("v2", change("f"))).contains("version v2 is created"));
    assert!(why(pointer().replay("v1", ReplayFrom::Log, false, change("g"))).contains("needs no replay"));
    assert!(why(second.replay("v3", ReplayFrom::Log, false, change("h"))).contains("there are v1, v2"));
}

#[test]
fn only_a_version_that_is_counted_is_promoted_and_it_remembers_which_was_before() {
    let second = created(&pointer(), "v2");
    assert!(why(second.promote("v2", None, Vec::new(), change("p"))).contains("version v2 is created"));
    let second = following(&pointer(), "v2").verified("v2", verified(), change("v")).expect("verified");
    let active = promoted(&second, "v2");
    assert_eq!((active.active.as_str(), active.before.as_deref()), ("v2", Some("v1")));
    assert_eq!(active.versions["v1"].last_active_us, Some(1_000));
    let promotion = active.promotions.last().expect("a promotion");
    assert_eq!((promotion.from.as_str(), promotion.to.as_str(), promotion.lag_ms), ("v1", "v2", Some(3)));
    assert_eq!(promotion.verified, Some(verified()));
    assert!(why(active.promote("v2", None, Vec::new(), change("p"))).contains("version v2 is the active one"));
    let back = active.roll_back("v1", None, Vec::new(), change("b")).expect("rolled back");
    assert_eq!((back.active.as_str(), back.before.as_deref()), ("v1", Some("v2")));
    assert!(back.promotions[1].rolled_back && back.versions["v1"].last_active_us.is_none());
    assert!(why(pointer().roll_back("v2", None, Vec::new(), change("b"))).contains("no version was active before v1"));
}

#[test]
fn a_roll_back_goes_to_the_version_that_was_judged_or_nowhere() {
    let second = promoted(&following(&following(&pointer(), "v2"), "v3"), "v2");
    let third = promoted(&second, "v3");
    let refused = third.roll_back("v1", None, Vec::new(), change("b"));
    assert!(why(refused).contains("v3 is active by now, and v1 is not the version before it"), "v3 came between");
    let back = second.roll_back("v1", None, Vec::new(), change("b")).expect("rolled back");
    assert!(why(back.roll_back("v1", None, Vec::new(), change("b"))).contains("version v1 is the active one"), "twice");
}

#[test]
fn the_active_version_is_never_retired() {
    let active = promoted(&following(&pointer(), "v2"), "v2");
    assert!(why(active.retire("v2", change("r"))).contains("version v2 is the active one"));
    assert!(why(active.stop("v2", change("s"))).contains("version v2 is the active one"));
    assert!(why(active.stop("v1", change("s"))).contains("no replay could go on with it"), "it could never come back");
    let retiring = active.retire("v1", change("r")).expect("retiring");
    assert_eq!((retiring.before.as_deref(), retiring.versions["v1"].stage), (None, Stage::Retiring));
    assert_eq!(retiring.retire("v1", change("r")), Ok(retiring.clone()));
    assert!(why(retiring.promote("v1", None, Vec::new(), change("p"))).contains("version v1 is retiring"));
    assert!(why(retiring.roll_back("v1", None, Vec::new(), change("b"))).contains("or it is retired"));
    assert_eq!(retiring.retired("v1", change("r")).expect("retired").versions["v1"].stage, Stage::Retired);
    assert!(active.retired("v1", change("r")).is_err());
}

#[test]
fn a_version_is_reconciled_from_its_first_verification_on_and_goes_by_itself_when_it_was_replaced_for_long() {
    let second = following(&pointer(), "v2");
    assert!(second.is_reconciled("v1") && !second.is_reconciled("v2") && !second.is_reconciled("v3"));
    let proven = second.verified("v2", verified(), change("v")).expect("verified");
    assert!(proven.is_reconciled("v2"));
    let forced = promoted(&second, "v2");
    assert!(forced.is_reconciled("v2"), "it was not verified, and its slices would grow for ever");
    let back = forced.roll_back("v1", None, Vec::new(), change("b")).expect("rolled back");
    assert!(back.is_reconciled("v2"), "it has been reconciled by then");
    assert_eq!(proven.due_to_retire(i64::MAX, 0), [""; 0], "neither was replaced");
    let active = promoted(&proven, "v2");
    assert_eq!((active.due_to_retire(1_999, 1_000), active.due_to_retire(2_000, 1_000)), (vec![], vec!["v1"]));
    let retiring = active.retire("v1", change("r")).expect("retiring");
    assert_eq!(retiring.due_to_retire(1_000, 1_000), ["v1"], "what was begun is gone on with");
    assert_eq!(retiring.retired("v1", change("r")).expect("retired").due_to_retire(2_000, 0), [""; 0]);
}

#[test]
fn only_the_newest_promotions_are_remembered() {
    let mut pointer = promoted(&following(&pointer(), "v2"), "v2");
    for _ in 0..PROMOTIONS_MAX {
        let before = pointer.before.clone().expect("there is one");
        pointer = pointer.roll_back(&before, None, Vec::new(), change("b")).expect("rolled back");
    }
    assert_eq!(pointer.promotions.len(), PROMOTIONS_MAX);
    assert!(pointer.promotions.iter().all(|promotion| promotion.rolled_back), "the first one is forgotten");
}

/// A step that some process takes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Create,
    Replay(bool),
    Counted,
    Stop,
    Verified,
    Promote,
    RollBack,
    Retire,
    Retired,
}

fn steps() -> impl Strategy<Value = Vec<(usize, usize, Step)>> {
    use Step::{Counted, Create, Promote, Replay, Retire, Retired, RollBack, Stop, Verified};
    let all = [Create, Replay(true), Replay(false), Counted, Stop, Verified, Promote, RollBack, Retire, Retired];
    // Which process, which version, and what it does.
    vec((0..3_usize, 1..4_usize, proptest::sample::select(all.to_vec())), 1..60)
}

fn take(pointer: &Pointer, version: usize, step: Step) -> Result<Pointer, StepError> {
    let (name, change) = (format!("v{version}"), change("step"));
    match step {
        Step::Create => pointer.create(&name, &name, Changed::default(), 3, change),
        Step::Replay(counts_first) => pointer.replay(&name, ReplayFrom::Log, counts_first, change),
        Step::Counted => pointer.counted(&name, change),
        Step::Stop => pointer.stop(&name, change),
        Step::Verified => pointer.verified(&name, verified(), change),
        Step::Promote => pointer.promote(&name, None, Vec::new(), change),
        Step::RollBack => pointer.roll_back(&name, None, Vec::new(), change),
        Step::Retire => pointer.retire(&name, change),
        Step::Retired => pointer.retired(&name, change),
    }
}

/// What holds of every pointer, whatever has happened.
fn is_sound(pointer: &Pointer) -> bool {
    let stage = |name: &str| pointer.versions.get(name).map(|recorded| recorded.stage);
    let before_lives = pointer.before.as_deref().is_none_or(|before| stage(before).is_some_and(Stage::lives));
    stage(&pointer.active) == Some(Stage::Following)
        && before_lives
        && pointer.before.as_ref() != Some(&pointer.active)
        && pointer.versions[&pointer.active].last_active_us.is_none()
        && pointer.versions.values().all(|known| known.stage != Stage::Stopped || known.replay.is_some())
        && Pointer::read(&pointer.to_bytes()).is_ok_and(|read| read == *pointer)
}

proptest! {
    /// K1: processes read the newest pointer and put the next one later, each unless another has put it before. Whatever their order, one pointer
    /// follows the other, each by one allowed step, and at any time exactly one version answers.
    #[test]
    fn steps_that_are_taken_at_once_have_one_order(steps in steps()) {
        let mut store = vec![pointer()];
        // What each process has read, and wants to put in the next place.
        let mut planned: [Option<(usize, Pointer)>; 3] = [None, None, None];
        for (process, version, step) in steps {
            match planned[process].take() {
                // Only a put into the place behind what was read is done.
                Some((read, next)) if read == store.len() => store.push(next),
                Some(_) => {}
                None => {
                    let newest = store.last().expect("never empty");
                    if let Ok(next) = take(newest, version, step) && next != *newest {
                        planned[process] = Some((store.len(), next));
                    }
                }
            }
        }
        for (number, pointer) in store.iter().enumerate() {
            prop_assert!(is_sound(pointer), "{} {pointer:?}", file_name(number as u64));
        }
        for two in store.windows(2) {
            for (name, recorded) in &two[0].versions {
                let after = &two[1].versions[name];
                prop_assert_eq!((&after.catalog, after.number), (&recorded.catalog, recorded.number));
                prop_assert!(recorded.stage != Stage::Retired || after.stage == Stage::Retired);
                prop_assert!(after.stage.lives() || two[0].active != *name, "the active version is not removed");
            }
        }
    }
}
