//! Whatever rows a segment is written from, it gives these and no others; and a damaged file is noticed.

use std::collections::{BTreeMap, BTreeSet};

use test_kit::{Dice, first_seed, repetitions};

use super::*;

/// By key and slot: the values.
type Written = BTreeMap<Vec<u8>, BTreeMap<u32, Vec<Value>>>;

const KINDS: [MeasureKind; 3] = [MeasureKind::Count, MeasureKind::SumInt, MeasureKind::MaxFloat];

struct Folder {
    folder: tempfile::TempDir,
    cache: Arc<BlockCache>,
}

impl Folder {
    fn new(memory: usize) -> Folder {
        Folder { folder: tempfile::tempdir().expect("a folder"), cache: Arc::new(BlockCache::new(memory)) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.segment")
    }

    fn write(&self, rows: &Written) -> Segment {
        let mut writer = SegmentWriter::create(self.folder.path().join("a.part"), Arc::from(KINDS)).expect("created");
        for (key, slots) in rows {
            for (slot, values) in slots {
                writer.push(key, *slot, values).expect("written");
            }
        }
        writer.finish(origin(), &self.path()).expect("finished");
        assert!(!self.folder.path().join("a.part").exists());
        self.open().expect("opened").expect("a segment")
    }

    fn open(&self) -> Result<Option<Segment>, SegmentError> {
        Segment::open(&self.path(), &Arc::from(KINDS), &self.cache)
    }
}

fn origin() -> Origin {
    let definition = "00000000000000aa".parse().expect("16 digits");
    let sources = BTreeSet::from(["a.parquet".to_owned()]);
    Origin { table: "views/v1/calls".to_owned(), definition, period: Period::Day(20_000), sources }
}

fn any_values(dice: &mut Dice) -> Vec<Value> {
    let wide = i128::from(dice.throw() as i64) * 1_000;
    let sum = match dice.below(6) {
        0 => Value::Overflow,
        1 => Value::Int(wide),
        2 => Value::Int((dice.throw() as i64).into()),
        _ => Value::Int(dice.between(-3, 3).into()),
    };
    let longest = if dice.chance(20) { Value::Null } else { Value::float(dice.between(-400, 400) as f64 / 4.0) };
    vec![Value::Int(dice.between(0, 9).into()), sum, longest]
}

/// About so many keys with much in common and with little, of one row or many; if they may be long, some have kilobytes.
fn any_rows(dice: &mut Dice, keys: usize, may_be_long: bool) -> Written {
    let mut rows = Written::new();
    for _ in 0..keys {
        let mut key = format!("[\"video-{}\"", dice.below(keys)).into_bytes();
        let more = if may_be_long && dice.chance(30) { 3_000 } else { 4 };
        key.extend((0..dice.below(more)).map(|_| dice.between(0, 255) as u8));
        let slots = if dice.chance(1) { 3_000 } else { 4 };
        let of_key = (0..=dice.below(slots)).map(|_| (dice.below(slots * 20) as u32, any_values(dice)));
        rows.insert(key, of_key.collect());
    }
    rows
}

fn merged<'a>(rows: impl Iterator<Item = &'a Vec<Value>>) -> Vec<Value> {
    let identity = KINDS.map(|kind| kind.identity()).to_vec();
    rows.fold(identity, |sum, values| {
        let pairs = KINDS.iter().zip(sum).zip(values);
        pairs.map(|((kind, sum), value)| kind.merge(sum, value.clone())).collect()
    })
}

/// What a segment gives; an error where it is damaged.
fn asked(segment: &Segment, key: &[u8], part: &Part) -> Result<Vec<(u32, Vec<Value>)>, Unanswered> {
    let mut rows = Vec::new();
    segment.rows(key, part, &mut Access::with_disk(), &mut |slot, values| rows.push((slot, values.to_vec())))?;
    Ok(rows)
}

fn total(segment: &Segment, key: &[u8]) -> Option<Vec<Value>> {
    let mut rows = asked(segment, key, &Part::Total).expect("read");
    assert!(rows.len() <= 1, "{rows:?}");
    rows.pop().map(|(_, values)| values)
}

#[test]
fn every_key_gives_its_rows_and_its_total_and_no_other_key_any() {
    let mut heights = BTreeSet::new();
    for seed in first_seed()..first_seed() + repetitions(24, 400) {
        let dice = &mut Dice::new(seed);
        // So little memory that blocks go all the time, or enough for all of them.
        let folder = Folder::new(if dice.chance(50) { 64 * 1024 } else { 64 << 20 });
        let keys = [0, 30, 400, 2_000][dice.below(4)];
        let rows = any_rows(dice, keys, keys == 2_000);
        let segment = folder.write(&rows);
        heights.insert(segment.description.height);
        assert_eq!((segment.origin(), segment.digest()), (&origin(), origin().digest().as_str()));
        for (key, slots) in &rows {
            assert_eq!(total(&segment, key), Some(merged(slots.values())), "seed {seed}, {key:?}");
            let all = asked(&segment, key, &Part::Slots(0..TOTAL)).expect("read");
            assert!(all.iter().map(|(slot, values)| (slot, values)).eq(slots), "seed {seed}, {key:?}");
            let from = dice.below(70_000) as u32;
            let range = from..from + dice.below(2_000) as u32;
            let some = asked(&segment, key, &Part::Slots(range.clone())).expect("read");
            assert!(some.iter().map(|(slot, values)| (slot, values)).eq(slots.range(range)), "seed {seed}, {key:?}");
        }
        let neighbours = rows.keys().flat_map(|key| {
            let longer = [key.as_slice(), b"\0"].concat();
            [key[..key.len() - 1].to_vec(), longer]
        });
        for absent in neighbours.chain([Vec::new(), b"\xff".repeat(9)]).filter(|key| !rows.contains_key(key)) {
            assert_eq!(total(&segment, &absent), None, "seed {seed}, {absent:?}");
            assert!(asked(&segment, &absent, &Part::Slots(0..TOTAL)).expect("read").is_empty());
        }
        assert!(folder.cache.bytes() <= 64 << 20);
    }
    assert!(heights.len() >= 3, "only trees of the heights {heights:?} were looked at");
}

#[test]
fn a_cursor_reads_all_rows_and_picks_those_that_are_wanted() {
    for seed in first_seed()..first_seed() + repetitions(6, 100) {
        let dice = &mut Dice::new(seed);
        let folder = Folder::new(0);
        let rows = any_rows(dice, 600, true);
        let segment = folder.write(&rows);
        let read = |pick: Pick| {
            let mut cursor = segment.cursor(pick).expect("opened");
            let mut read = Vec::new();
            while cursor.advance().expect("read") {
                let (key, slot) = cursor.place();
                read.push((key.to_vec(), slot, cursor.values().to_vec()));
            }
            read
        };
        let all = rows
            .iter()
            .flat_map(|(key, slots)| slots.iter().map(move |(slot, values)| (key.clone(), *slot, values.clone())));
        let all: Vec<_> = all.collect();
        assert_eq!(read(Pick::Rows), all, "seed {seed}");
        let slots: BTreeSet<u32> = (0..40).map(|_| dice.below(80) as u32).collect();
        let some: Vec<_> = all.iter().filter(|(_, slot, _)| slots.contains(slot)).cloned().collect();
        assert_eq!(read(Pick::Slots(slots)), some, "seed {seed}");
        let totals: Vec<_> = rows.iter().map(|(key, slots)| (key.clone(), 7, merged(slots.values()))).collect();
        assert_eq!(read(Pick::TotalsAs(7)), totals, "seed {seed}");
    }
}

#[test]
fn merged_runs_are_what_their_rows_are_merged_one_at_a_time() {
    for seed in first_seed()..first_seed() + repetitions(12, 200) {
        let dice = &mut Dice::new(seed);
        let mut expected: BTreeMap<(Vec<u8>, u32), Vec<Value>> = BTreeMap::new();
        let kinds: Arc<[MeasureKind]> = Arc::from(KINDS);
        let mut runs = Vec::new();
        for _ in 0..dice.below(9) {
            let mut run = RunWriter::new(Vec::new(), Arc::clone(&kinds));
            for (key, slots) in any_rows(dice, 60, false) {
                for (slot, values) in slots {
                    run.push(&key, slot, &values).expect("memory takes it");
                    let sum = expected.entry((key.clone(), slot)).or_insert_with(|| merged([].into_iter()));
                    *sum = merged([&*sum, &values].into_iter());
                }
            }
            let (run, bytes) = run.finish().expect("memory takes it");
            assert_eq!(run.len() as u64, bytes);
            runs.push(Cursor::of_memory(run, Arc::clone(&kinds)));
        }
        let mut rows = Vec::new();
        let mut row = |key: &[u8], slot: u32, values: &[Value]| {
            rows.push(((key.to_vec(), slot), values.to_vec()));
            Ok(())
        };
        merge(runs, &KINDS, &mut row).expect("read");
        assert_eq!(rows, expected.into_iter().collect::<Vec<_>>(), "seed {seed}");
    }
}

/// Whether all that is asked of the file is answered as it was written; false where it says that it is damaged.
fn is_intact(folder: &Folder, rows: &Written) -> bool {
    let Some(segment) = folder.open().expect("the file can be read") else { return false };
    let mut intact = true;
    for (key, slots) in rows {
        for (part, expected) in [
            (Part::Slots(0..TOTAL), slots.values().cloned().collect::<Vec<_>>()),
            (Part::Total, vec![merged(slots.values())]),
        ] {
            match asked(&segment, key, &part) {
                Ok(rows) => {
                    let values: Vec<_> = rows.into_iter().map(|(_, values)| values).collect();
                    assert_eq!(values, expected, "a wrong answer about {key:?}");
                }
                Err(Unanswered::Failed(SegmentError::Damaged { .. })) => intact = false,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(segment.is_damaged(), !intact);
    let mut cursor = segment.cursor(Pick::Rows).expect("opened");
    let mut read = std::iter::from_fn(|| cursor.advance().map(|more| more.then_some(())).transpose());
    let failed = read.find_map(Result::err);
    assert_eq!(failed.is_some(), !intact, "{failed:?}");
    intact
}

#[test]
fn a_file_that_is_cut_or_changed_anywhere_gives_no_wrong_value() {
    let dice = &mut Dice::new(first_seed());
    let folder = Folder::new(0);
    let rows = any_rows(dice, 200, true);
    folder.write(&rows);
    let whole = std::fs::read(folder.path()).expect("written");
    assert!(is_intact(&folder, &rows));
    for _ in 0..repetitions(60, 5_000) {
        let (mut changed, at) = (whole.clone(), dice.below(whole.len()));
        match dice.below(4) {
            0 => changed.truncate(at),
            1 => changed.push(dice.throw() as u8),
            _ => changed[at] ^= 1 << dice.below(8),
        }
        std::fs::write(folder.path(), &changed).expect("written");
        assert!(!is_intact(&folder, &rows), "{} bytes, {at} was changed", changed.len());
    }
}

#[test]
fn a_segment_that_is_retired_goes_with_the_last_that_uses_it() {
    let folder = Folder::new(0);
    let rows = any_rows(&mut Dice::new(1), 50, false);
    drop(folder.write(&rows));
    assert!(folder.path().exists(), "the next start finds it");
    let segment = Arc::new(folder.open().expect("opened").expect("a segment"));
    let used = Arc::clone(&segment);
    segment.retire();
    drop(segment);
    assert!(is_intact(&folder, &rows) && !used.is_damaged());
    drop(used);
    assert!(!folder.path().exists());
}

#[test]
fn a_file_that_is_gone_is_a_damage() {
    let folder = Folder::new(0);
    let segment = folder.write(&any_rows(&mut Dice::new(2), 50, false));
    std::fs::remove_file(folder.path()).expect("removed");
    let missing = asked(&segment, b"[", &Part::Total).expect_err("gone");
    assert!(matches!(missing, Unanswered::Failed(SegmentError::Damaged { .. })) && segment.is_damaged());
    assert!(folder.open().is_err());
}
