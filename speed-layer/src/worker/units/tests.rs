use shared_logic::catalog::Catalog;
use shared_logic::log::PartitionId;
use shared_logic::version::{Change, Pointer, ReplayFrom, StepError, changed};

use super::*;
use crate::error::Superseded;

const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "id"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int"
[tables.users]
topic = "users"
key = "id"
[tables.users.fields]
id = "string"
[streams.few]
from = "s"
where = "n < 5"
[streams.many]
from = "s"
where = "n > 5"
[metrics.m]
source = "s"
[metrics.m.measures]
n = "count()"
"#;

fn change() -> Change {
    Change { id: "1".to_owned(), at_us: 0, by: "a".to_owned(), what: "b".to_owned() }
}

fn file() -> Catalog {
    Catalog::parse(CATALOG).expect("a valid catalog")
}

/// A step of the pointer.
type Step = fn(&Pointer) -> Result<Pointer, StepError>;

/// v1, and v2 whose stream `few` is another one, after those steps.
fn deployed(steps: &[Step]) -> DeployedVersions {
    let text = CATALOG.replace("n < 5", "n < 4");
    let catalog = Catalog::parse(&text).expect("a valid catalog");
    let changed = changed(&catalog, &[&file()], "v2", "v1").expect("no conflict");
    let mut pointer = Pointer::begin("v1", change()).create("v2", "hash", changed, 4, change()).expect("created");
    for step in steps {
        pointer = step(&pointer).expect("allowed");
    }
    let texts = BTreeMap::from([("v2".to_owned(), text)]);
    DeployedVersions::resolve(1, pointer, &file(), &texts).expect("resolved")
}

fn replayed(pointer: &Pointer) -> Result<Pointer, StepError> {
    pointer.replay("v2", ReplayFrom::Log, false, change())
}

fn promoted(pointer: &Pointer) -> Result<Pointer, StepError> {
    pointer.promote("v2", None, Vec::new(), change())
}

fn retired(pointer: &Pointer) -> Result<Pointer, StepError> {
    pointer.retire("v1", change())
}

/// A worker whose units do as they are told.
struct World {
    units: Units,
    stop: CancellationToken,
    /// What runs.
    running: Vec<(Unit, CancellationToken)>,
    now: Instant,
}

impl World {
    fn new() -> World {
        let units = Units::new(Duration::from_millis(100));
        World { units, stop: CancellationToken::new(), running: Vec::new(), now: Instant::now() }
    }

    /// What begins once those versions are known.
    fn towards(&mut self, versions: &DeployedVersions) -> Vec<String> {
        let begun = self.units.towards(wanted(versions, true), versions.active_name(), self.now, &self.stop);
        let names = begun.iter().map(|(unit, _)| unit.name()).collect();
        self.running.extend(begun);
        for place in self.running.iter().map(|(unit, _)| unit.place()) {
            let of_place = self.running.iter().filter(|(unit, _)| unit.place() == place).count();
            assert_eq!(of_place, 1, "{place:?} has two hosts");
        }
        names
    }

    fn stopping(&self) -> Vec<String> {
        self.running.iter().filter(|(_, stop)| stop.is_cancelled()).map(|(unit, _)| unit.name()).collect()
    }

    /// What was told to stop ends.
    fn stopped_end(&mut self) {
        let (stopped, running) = self.running.drain(..).partition(|(_, stop)| stop.is_cancelled());
        self.running = running;
        for (unit, _) in stopped {
            self.units.ended(&unit, Ok(()), "v1", self.now).expect("it was told to");
        }
    }

    fn fails(&mut self, name: &str, why: SourceError, active: &str) -> Result<(), SpeedError> {
        let at = self.running.iter().position(|(unit, _)| unit.name() == name).expect("it runs");
        let (unit, _) = self.running.remove(at);
        self.units.ended(&unit, Err(why), active, self.now)
    }
}

const OF_V1: [&str; 3] =
    ["streams over s of generation v1, by v1", "s of version v1", "table users of generation v1, by v1"];

fn superseded() -> SourceError {
    SourceError::Superseded(Superseded { id: PartitionId::new("log", 0) })
}

#[test]
fn a_replay_begins_beside_what_runs_with_its_own_streams_and_ends_with_its_version() {
    let mut world = World::new();
    let mut begun = world.towards(&deployed(&[]));
    begun.sort();
    let mut expected = OF_V1;
    expected.sort_unstable();
    assert_eq!(begun, expected, "nothing of a version that is only created");
    let mut begun = world.towards(&deployed(&[replayed]));
    begun.sort();
    assert_eq!(begun, ["s of version v2", "streams over s of generation v2, by v2"], "its streams do not wait");
    assert_eq!(world.towards(&deployed(&[replayed])), [""; 0]);
    let stopped = |pointer: &Pointer| pointer.stop("v2", change());
    assert_eq!(world.towards(&deployed(&[replayed, stopped])), [""; 0]);
    assert_eq!(world.stopping().len(), 2);
}

#[test]
fn a_promotion_begins_and_ends_nothing() {
    let mut world = World::new();
    assert_eq!(world.towards(&deployed(&[replayed])).len(), 5);
    assert_eq!(world.towards(&deployed(&[replayed, promoted])), [""; 0]);
    assert_eq!(world.stopping(), [""; 0]);
}

#[test]
fn what_is_shared_gets_another_host_once_the_one_before_has_ended() {
    let mut world = World::new();
    world.towards(&deployed(&[replayed, promoted]));
    let retired = deployed(&[replayed, promoted, retired]);
    assert_eq!(world.towards(&retired), [""; 0], "two hosts would write one progress");
    assert_eq!(world.stopping().len(), 3);
    assert_eq!(world.towards(&retired), [""; 0]);
    world.stopped_end();
    let mut begun = world.towards(&retired);
    begun.sort();
    assert_eq!(begun, ["streams over s of generation v1, by v2", "table users of generation v1, by v2"]);
}

#[test]
fn what_fails_of_another_version_is_tried_again_and_of_the_active_one_ends_the_process() {
    let (mut world, versions) = (World::new(), deployed(&[replayed]));
    world.towards(&versions);
    world.fails("s of version v2", SourceError::ReaderPanicked, "v1").expect("it is another version");
    assert_eq!(world.towards(&versions), [""; 0], "not at once");
    world.now = world.units.next_try().expect("it is to be tried");
    assert_eq!(world.towards(&versions), ["s of version v2"]);
    assert!(world.units.next_try().is_none());
    world.fails("s of version v1", SourceError::ReaderPanicked, "v1").expect_err("it is the active one");
}

#[test]
fn a_version_that_another_worker_counts_otherwise_is_not_taken_back() {
    let (mut world, versions) = (World::new(), deployed(&[replayed]));
    world.towards(&versions);
    world.fails("s of version v2", superseded(), "v1").expect("it is another version");
    assert!(world.units.next_try().is_none());
    assert_eq!(world.towards(&versions), [""; 0]);
    let promoted = deployed(&[replayed, promoted]);
    assert_eq!(world.towards(&promoted), ["s of version v2"], "as an operator would start it");
    world.fails("s of version v2", superseded(), "v2").expect_err("it is the active one");
}

#[test]
fn a_unit_that_fails_while_it_ends_leaves_its_place() {
    let mut world = World::new();
    world.towards(&deployed(&[replayed]));
    let stopped = |pointer: &Pointer| pointer.stop("v2", change());
    world.towards(&deployed(&[replayed, stopped]));
    world.fails("s of version v2", SourceError::ReaderPanicked, "v1").expect("it is another version");
    assert!(world.units.next_try().is_none());
    assert_eq!(world.towards(&deployed(&[replayed])), ["s of version v2"], "the lanes have not ended");
}
