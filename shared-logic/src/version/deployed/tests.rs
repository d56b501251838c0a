use super::super::{ReplayFrom, changed};
use super::*;
use crate::catalog::Changed;

const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
key = "id"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int"
[sources.t]
event_time = "at"
[sources.t.fields]
at = "timestamp"
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
[metrics.f]
source = "few"
[metrics.f.measures]
n = "count()"
"#;

fn change() -> Change {
    Change { id: "1".to_owned(), at_us: 0, by: "a".to_owned(), what: "b".to_owned() }
}

fn file() -> Catalog {
    Catalog::parse(CATALOG).expect("a valid catalog")
}

/// A deployment of v1 and of v2, which counts fewer as `few`, and reads a source less and one more.
struct World {
    pointer: Pointer,
    texts: BTreeMap<String, String>,
}

impl World {
    fn new() -> World {
        let text = CATALOG.replace("n < 5", "n < 4").replace("sources.t", "sources.u");
        let catalog = Catalog::parse(&text).expect("a valid catalog");
        let changed = changed(&catalog, &[&file()], "v2", "v1").expect("no conflict");
        let pointer = Pointer::begin("v1", change()).create("v2", "hash", changed, 4, change()).expect("created");
        World { pointer, texts: [("v2".to_owned(), text)].into() }
    }

    fn then(mut self, step: impl Fn(&Pointer) -> Result<Pointer, super::super::StepError>) -> World {
        self.pointer = step(&self.pointer).expect("allowed");
        self
    }

    fn replayed(self) -> World {
        self.then(|pointer| pointer.replay("v2", ReplayFrom::Log, false, change()))
    }

    fn promoted(self) -> World {
        self.replayed().then(|pointer| pointer.promote("v2", None, Vec::new(), change()))
    }

    fn resolved(&self) -> DeployedVersions {
        DeployedVersions::resolve(7, self.pointer.clone(), &file(), &self.texts).expect("resolved")
    }
}

fn lanes(versions: &DeployedVersions) -> Vec<String> {
    let unit =
        |unit: LaneUnit| format!("{} {} by {}: {}", unit.source, unit.generation, unit.host, unit.streams.join(" "));
    versions.lanes().into_iter().map(unit).collect()
}

fn counted(versions: &DeployedVersions) -> Vec<String> {
    let unit =
        |unit: CountUnit| format!("{} {}{}", unit.version, unit.source, if unit.is_active { " active" } else { "" });
    versions.counted().into_iter().map(unit).collect()
}

fn archived(versions: &DeployedVersions) -> Vec<String> {
    versions.archived().into_iter().map(|unit| format!("{} by {}", unit.archive, unit.owner)).collect()
}

#[test]
fn without_a_pointer_the_files_version_is_all_there_is() {
    let alone = DeployedVersions::alone(file());
    assert_eq!((alone.number, alone.active_name(), alone.living().count()), (0, "v1", 1));
    assert_eq!(counted(&alone), ["v1 few active", "v1 s active"]);
    assert_eq!(lanes(&alone), ["s v1 by v1: few many"]);
    assert_eq!(archived(&alone), ["few by v1", "many by v1", "s by v1", "t by v1", "users by v1"]);
    assert_eq!((alone.reconciled(), alone.reports(), alone.materialises("v1", "users")), (vec!["v1"], "v1", true));
    assert_eq!(**alone.active(), file(), "nothing has another name");
}

#[test]
fn a_version_that_is_created_is_archived_and_counted_once_it_is_replayed() {
    let created = World::new().resolved();
    assert_eq!(
        (counted(&created), lanes(&created)),
        (vec!["v1 few active".to_owned(), "v1 s active".to_owned()], vec!["s v1 by v1: few many".to_owned()])
    );
    let expected = ["few by v1", "few.v2 by v2", "many by v1", "s by v1", "t by v1", "u by v2", "users by v1"];
    assert_eq!(archived(&created), expected);
    assert_eq!(created.version("v2").expect("it lives").sources["few"].topic, "few.v2");
    let replayed = World::new().replayed().resolved();
    assert_eq!(counted(&replayed), ["v1 few active", "v1 s active", "v2 few", "v2 s"]);
    assert_eq!(lanes(&replayed), ["s v1 by v1: few many", "s v2 by v2: few"], "what is shared has one host");
    assert_eq!(replayed.reconciled(), ["v1"]);
    assert!(replayed.materialises("v1", "users") && !replayed.materialises("v2", "users"));
    assert_eq!(replayed.checks_lanes("v1", "s").len() + replayed.checks_lanes("v2", "s").len(), 2);
}

#[test]
fn a_promotion_changes_who_archives_and_reports_and_no_lane() {
    let (before, after) = (World::new().replayed().resolved(), World::new().promoted().resolved());
    assert_eq!(lanes(&before), lanes(&after));
    assert_eq!(counted(&after), ["v1 few", "v1 s", "v2 few active", "v2 s active"]);
    let expected = ["few by v1", "few.v2 by v2", "many by v2", "s by v2", "t by v1", "u by v2", "users by v2"];
    assert_eq!((archived(&after), after.reports()), (expected.map(str::to_owned).to_vec(), "v2"));
}

#[test]
fn own_streams_are_those_that_the_active_version_does_not_have_whoever_writes_them() {
    let mut world = World::new().replayed();
    let own = |world: &World, version: &str| {
        let versions = world.resolved();
        let lanes = versions.proves_lanes(version, "s").into_iter();
        let lanes: Vec<String> = lanes.map(|unit| format!("{} by {}", unit.generation, unit.host)).collect();
        (versions.own_streams(version).join(" "), lanes.join(", "))
    };
    let is = |streams: &str, lanes: &str| (streams.to_owned(), lanes.to_owned());
    assert_eq!(own(&world, "v2"), is("few", "v2 by v2"));
    // v3 shares what v2 has changed.
    let changed = world.pointer.versions["v2"].changed.clone();
    world = world.then(|pointer| pointer.create("v3", "hash", changed.clone(), 4, change()));
    world = world.then(|pointer| pointer.replay("v3", ReplayFrom::Log, false, change()));
    world.texts.insert("v3".to_owned(), world.texts["v2"].clone());
    assert_eq!(own(&world, "v3"), is("few", "v2 by v2"), "its host is not asked for that");
    assert_eq!(own(&world, "v1"), is("", "v1 by v1"), "it is the active one");
    let promoted = world.then(|pointer| pointer.promote("v2", None, Vec::new(), change()));
    assert_eq!(own(&promoted, "v3"), is("", ""), "they are those of the active one");
    assert_eq!(own(&promoted, "v1"), is("few", "v1 by v1"));
}

#[test]
fn a_stream_that_another_version_adds_to_lanes_has_the_archive_of_its_generation() {
    let mut world = World::new().replayed();
    for name in ["v3", "v4"] {
        let streams: &[&str] = if name == "v3" { &["few"] } else { &["few", "many"] };
        let streams = streams.iter().map(|stream| ((*stream).to_owned(), "v2".to_owned())).collect();
        let changed = Changed { streams, ..Changed::default() };
        world = world.then(|pointer| pointer.create(name, "hash", changed.clone(), 4, change()));
        world = world.then(|pointer| pointer.replay(name, ReplayFrom::Log, false, change()));
        let text = world.texts["v2"].clone();
        let text = if name == "v3" { text.replace("streams.many", "streams.other") } else { text };
        world.texts.insert(name.to_owned(), text);
    }
    let versions = world.then(|pointer| pointer.retire("v2", change())).resolved();
    let lanes = versions.lanes();
    let of_second = lanes.iter().find(|unit| unit.generation == "v2").expect("v3 and v4 share it");
    assert_eq!((of_second.host.as_str(), of_second.streams.join(" ")), ("v3", "few many".to_owned()));
    assert_eq!(of_second.catalog.deployment.archive_name("many"), "many.v2");
}

#[test]
fn what_is_shared_outlives_the_version_that_it_is_called_after() {
    let retired = World::new().promoted().then(|pointer| pointer.retire("v1", change())).resolved();
    assert_eq!(retired.living().map(|(name, _)| name).collect::<Vec<_>>(), ["v2"]);
    assert_eq!(lanes(&retired), ["s v1 by v2: many", "s v2 by v2: few"]);
    let units = retired.lanes();
    let shared = &units[0].catalog;
    assert_eq!((shared.deployment.version.as_str(), shared.sources["many"].topic.as_str()), ("v1", "many"));
    assert_eq!(retired.rows().iter().map(|unit| unit.key()).collect::<Vec<_>>(), [("users", "v1", "v2")]);
    assert!(!archived(&retired).contains(&"t by v1".to_owned()));
}

#[test]
fn a_stream_that_the_file_has_lost_is_written_as_long_as_a_version_shares_it() {
    let world = World::new().replayed();
    let lost =
        Catalog::parse(&CATALOG.replace("[streams.many]\nfrom = \"s\"\nwhere = \"n > 5\"\n", "")).expect("valid");
    let versions = DeployedVersions::resolve(7, world.pointer.clone(), &lost, &world.texts).expect("resolved");
    assert_eq!(lanes(&versions), ["s v1 by v1: few many", "s v2 by v2: few"]);
    assert_eq!(versions.changed_in_place("v2"), [""; 0]);
    let other = Catalog::parse(&CATALOG.replace("n > 5", "n > 7")).expect("valid");
    let versions = DeployedVersions::resolve(7, world.pointer, &other, &world.texts).expect("resolved");
    assert_eq!(versions.changed_in_place("v2"), ["many"], "its host says otherwise by now");
    assert_eq!(versions.changed_in_place("v1"), [""; 0]);
}

#[test]
fn a_catalog_that_cannot_be_used_is_left_out_unless_it_is_the_active_ones() {
    let mut world = World::new().replayed();
    world.texts.insert("v2".to_owned(), "[source]".to_owned());
    let versions = world.resolved();
    assert_eq!((versions.living().count(), versions.stage("v2")), (1, Some(Stage::Following)));
    assert!(versions.unreadable()["v2"].contains("unknown key `source`"), "{:?}", versions.unreadable());
    let mut promoted = World::new().promoted();
    promoted.texts.clear();
    let error = DeployedVersions::resolve(8, promoted.pointer, &file(), &promoted.texts).expect_err("no catalog");
    assert_eq!(
        error.to_string(),
        "the catalog of version v2, which is the active one, cannot be used: its text is not in the store"
    );
}

#[test]
fn the_file_is_that_of_the_first_version_or_no_process_starts() {
    let other = Catalog::parse(&format!("[pipeline]\nversion = \"v9\"\n{CATALOG}")).expect("valid");
    let error =
        DeployedVersions::resolve(1, World::new().pointer, &other, &BTreeMap::new()).expect_err("another version");
    assert!(
        error
            .to_string()
            .starts_with("the catalog file says version v9, and the first version of deployment braid is v1")
    );
}

#[test]
fn a_file_that_other_versions_do_not_allow_is_refused_with_the_way_out() {
    let world = World::new().replayed();
    let asked = |from: &str, to: &str, retired: &[Catalog]| {
        let file = Catalog::parse(&CATALOG.replace(from, to)).expect("valid");
        let versions = DeployedVersions::resolve(7, world.pointer.clone(), &file, &world.texts).expect("resolved");
        versions.allow_file(retired).map_err(|refused| refused.to_string())
    };
    assert_eq!(asked("n < 5", "n < 3", &[]), Ok(()), "its own stream");
    let refused = asked("[sources.s]\n", "[sources.s]\ntopic = \"other\"\n", &[]).expect_err("another topic");
    assert!(refused.contains("source s reads the topic other, and s in version v2"), "{refused}");
    assert!(refused.contains("change it back"), "{refused}");
    let retired =
        Catalog::parse(&CATALOG.replace("sources.t]", "sources.w]\ntopic = \"a\"").replace("sources.t.", "sources.w."));
    let retired = retired.expect("valid").as_version("v0", "v1", &Changed::default());
    let refused = asked("sources.t", "sources.w", &[retired]).expect_err("its archive holds records of a");
    assert!(refused.contains("source w reads the topic w, and a in version v0"), "{refused}");
}
