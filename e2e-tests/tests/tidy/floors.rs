//! What may import what: no circles, and from an upper floor to a lower one only.
//!
//! A file `foo.rs` and the folder `foo/` are one *room*: the file introduces the folder, calls into it and passes its items
//! on, while the files of the folder use what the file defines. Between two rooms of one folder, whatever lies how deep in
//! them, imports run in one direction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Result, ensure};

use super::dependencies::Graph;
use super::imports::{self, Imports, Module};
use super::sources;

/// The crates, the lowest floor first. A crate may depend on crates of lower floors.
const CRATES: [&[&str]; 5] = [
    &["shared-logic", "platform", "test-kit"],
    &["input", "storage", "traffic", "fuzz-checks"],
    &["speed-layer", "batch-layer", "serving-layer"],
    &["braid"],
    &["e2e-tests"],
];

/// The modules of shared-logic, the lowest floor first. A module may import those of its own floor and of lower ones.
const FLOORS: [(&str, &[&str]); 5] = [
    ("words", &["time", "log", "schema", "group_key", "hash_index", "suggest", "rejection", "identity", "format"]),
    ("what a catalog declares and a record holds", &["catalog", "expression", "measure", "decode", "dedup"]),
    (
        "from events to merged values, and to outputs",
        &["plan", "partial", "merge", "report", "stream", "table", "alert"],
    ),
    ("how the layers write down what they share", &["contracts"]),
    (
        "which offsets belong to which layer, and what both said of them",
        &["cut", "complete", "drift", "stream_check", "stream_standing", "stream_topics", "version"],
    ),
];

/// The only circle: an expression holds calls, whose arguments are expressions. The second import is left out of account.
const RECURSION: (&str, &str, &str) = ("shared-logic/src", "expression::parse::typing", "expression::parse::call");

#[test]
fn imports_run_in_no_circle() -> Result<()> {
    let mut recursion = 0;
    for (folder, mut imports) in all_imports()? {
        if folder == RECURSION.0 {
            recursion += usize::from(imports.remove(&(module(RECURSION.1), module(RECURSION.2))));
        }
        if let Some(circle) = circle(&imports) {
            anyhow::bail!(
                "{folder}: {} import each other in a circle: move what they share into a file of its own",
                circle.join(" → ")
            );
        }
    }
    ensure!(recursion == 1, "{} does not import {} any more: take it out of RECURSION", RECURSION.1, RECURSION.2);
    Ok(())
}

#[test]
fn shared_logic_imports_only_downwards() -> Result<()> {
    let imports = &all_imports()?["shared-logic/src"];
    let rooms = rooms("shared-logic/src")?;
    let floor_of = |room: &str| FLOORS.iter().position(|(_, rooms)| rooms.contains(&room));
    for room in &rooms {
        let entered = floor_of(room).is_some();
        ensure!(
            entered,
            "shared-logic's `{room}` is on no floor: enter it in FLOORS of floors.rs, above all it imports"
        );
    }
    for room in FLOORS.iter().flat_map(|(_, rooms)| rooms.iter()) {
        ensure!(rooms.contains(*room), "FLOORS of floors.rs names `{room}`, which shared-logic has not: take it out");
    }
    for (from, to) in imports {
        let (Some(upper), Some(lower)) = (from.first(), to.first()) else { continue };
        if let (Some(at), Some(below)) = (floor_of(upper), floor_of(lower)) {
            let (from, to, floor) = (from.join("::"), to.join("::"), FLOORS[at].0);
            ensure!(
                below <= at,
                "{from} ({floor}) imports {to} from a floor above: pass it as an argument, or move it down"
            );
        }
    }
    Ok(())
}

#[test]
fn crates_depend_only_downwards() -> Result<()> {
    let graph = Graph::read()?;
    let floor_of = |name: &str| CRATES.iter().position(|crates| crates.contains(&name));
    for name in graph.members() {
        let floor = floor_of(name);
        ensure!(
            floor.is_some(),
            "crate {name} is on no floor: enter it in CRATES of floors.rs, above all it depends on"
        );
        for below in graph.members_below(name)? {
            ensure!(
                floor_of(below) < floor,
                "{name} depends on {below}, which is not on a lower floor (CRATES of floors.rs): crates of one floor do \
                 not know each other"
            );
        }
    }
    Ok(())
}

/// The imports of every crate of the workspace, by the folder of its sources.
fn all_imports() -> Result<BTreeMap<String, Imports>> {
    let mut texts: BTreeMap<String, BTreeMap<Module, String>> = BTreeMap::new();
    for file in sources::sources()?.into_iter().filter(|file| !file.is_unit_test()) {
        if let Some((folder, module)) = place(&file.path.to_string_lossy()) {
            texts.entry(folder).or_default().insert(module, file.text);
        }
    }
    Ok(texts.into_iter().map(|(folder, texts)| (folder, imports::read(&texts))).collect())
}

/// The modules right below a crate's root.
fn rooms(folder: &str) -> Result<BTreeSet<String>> {
    let places = sources::sources()?.into_iter().filter(|file| !file.is_unit_test());
    let places = places.filter_map(|file| place(&file.path.to_string_lossy()));
    Ok(places.filter(|place| place.0 == folder).filter_map(|(_, module)| module.into_iter().next()).collect())
}

/// The folder of a crate's sources, and the module of a file in it. Every folder of `src/bin/` is a crate of its own.
fn place(path: &str) -> Option<(String, Module)> {
    let (name, inside) = path.strip_suffix(".rs")?.split_once("/src/")?;
    let (folder, inside) = match inside.strip_prefix("bin/").and_then(|inside| inside.split_once('/')) {
        Some((binary, inside)) => (format!("{name}/src/bin/{binary}"), inside),
        None => (format!("{name}/src"), inside),
    };
    Some((folder, if matches!(inside, "lib" | "main") { Module::new() } else { module(&inside.replace('/', "::")) }))
}

fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

/// The shortest circle of imports between the rooms of some folder, its first room named again at the end.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut between: BTreeMap<&[String], BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (from, to) in imports {
        let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        // Where one of them is the file that introduces the other's folder, both are in one room.
        if let (Some(importer), Some(imported)) = (from.get(shared), to.get(shared)) {
            between.entry(&from[..shared]).or_default().entry(importer).or_default().insert(imported);
        }
    }
    let circles = between.iter().flat_map(|(folder, rooms)| {
        let name = |room: &str| folder.iter().map(String::as_str).chain([room]).collect::<Vec<_>>().join("::");
        let back = rooms.keys().filter_map(|room| way_back(rooms, room));
        back.map(move |circle| circle.into_iter().map(name).collect::<Vec<_>>()).collect::<Vec<_>>()
    });
    circles.min_by_key(Vec::len)
}

/// The shortest way along imports from a room to itself.
fn way_back<'a>(rooms: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in rooms.get(way.last()?).into_iter().flatten() {
            let longer: Vec<&str> = way.iter().chain([next]).copied().collect();
            if *next == start {
                return Some(longer);
            }
            if seen.insert(*next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// The circle in a made-up crate of these files.
fn circle_in(files: &[(&str, &str)]) -> Option<Vec<String>> {
    let texts = files.iter().map(|(path, text)| (module(path), (*text).to_owned())).collect();
    circle(&imports::read(&texts))
}

#[test]
fn a_circle_is_found() {
    let through_folders = [
        ("a", "mod x;"),
        ("a::x", "use std::fmt;\nuse crate::b::{self, y::Thing as Other};"),
        ("b", "mod y;"),
        ("b::y", "fn f() -> crate::c::Thing {}"),
        ("c", "// crate::d is only talked about\nuse super::a::f;\npub struct Thing;"),
        ("d", "use crate::{a, c::{Thing, x}};"),
    ];
    assert_eq!(circle_in(&through_folders), Some(["a", "b", "c", "a"].map(str::to_owned).into()));
    assert_eq!(circle_in(&through_folders[..4]), None, "without c, nothing leads back");
}

#[test]
fn a_circle_of_siblings_hides_neither_behind_a_name_passed_on_nor_in_a_folder() {
    let siblings = [
        ("a", "mod x; mod y; pub use x::Thing; use y::Other;"),
        ("a::x", "use super::Other;"),
        ("a::y", "use super::Thing;"),
    ];
    assert_eq!(circle_in(&siblings), Some(["a::x", "a::y", "a::x"].map(str::to_owned).into()));
}

#[test]
fn a_folder_and_the_file_that_introduces_it_are_one_room() {
    let room = [
        ("a", "mod x; use x::f; struct Thing;"),
        (
            "a::x",
            "use super::Thing; const TEXT: [&str; 2] = [\"use crate::b;\", r#\"crate::b\"#]; const C: char = '\"';",
        ),
        ("b", "use crate::a::x;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
    ];
    assert_eq!(circle_in(&room), None);
}
