use shared_logic::log::PartitionId;

use super::*;

fn file(path: &str) -> DataFile {
    DataFile { path: path.to_owned(), partition: "2026-04-24".to_owned(), size: 1, rows: 1, ..DataFile::default() }
}

/// A rebuild of three days, of which those are counted, in these files.
fn rebuild(counted: [Option<&str>; 3]) -> Rebuild {
    let day = |path: Option<&str>| RebuildDay {
        units: BTreeSet::from([0]),
        counted: path.map(|path| vec![file(path)]),
        identities: None,
    };
    let days = ["2026-04-24", "2026-04-25", "2026-04-26"].into_iter().zip(counted);
    Rebuild {
        definition: "00000000000000aa".parse().expect("16 digits"),
        cut: [(PartitionId::new("log", 0), 7)].into_iter().collect(),
        archive_version: 3,
        retired_before: None,
        asked: None,
        days: days.map(|(name, path)| (name.to_owned(), day(path))).collect(),
    }
}

#[test]
fn two_processes_that_count_days_of_one_rebuild_keep_the_days_of_both() {
    let mut own = rebuild([Some("a"), Some("b"), None]);
    assert!(own.take_over(&rebuild([Some("c"), None, Some("d")])));
    assert_eq!(own, rebuild([Some("c"), Some("b"), Some("d")]), "of a day that both have counted, the kept file stays");
    assert!(own.is_whole());
    assert_eq!(own.files().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["c", "b", "d"]);
}

#[test]
fn days_of_another_rebuild_are_not_taken_over() {
    let before = rebuild([Some("a"), None, None]);
    let mut higher = rebuild([Some("x"); 3]);
    higher.cut.set(PartitionId::new("log", 0), 8);
    let mut shorter = rebuild([Some("x"); 3]);
    shorter.days.pop_last();
    let later = Rebuild { archive_version: 4, ..rebuild([Some("x"); 3]) };
    let asked = Rebuild { asked: Some(9), ..rebuild([Some("x"); 3]) };
    for other in [higher, shorter, later, asked] {
        let mut own = before.clone();
        assert!(!own.take_over(&other));
        assert_eq!(own, before);
        assert_eq!((own.done(), own.is_whole()), (1, false));
    }
}
