//! All keys of a view are what its rows are, merged one at a time; and what is not asked for is not read.

use shared_logic::group_key::{ColumnPattern, KeyPattern};
use shared_logic::measure::MeasureKind;
use shared_logic::time::bucket_start;
use test_kit::{first_seed, repetitions};

use super::*;

const KINDS: [MeasureKind; 3] = [MeasureKind::Count, MeasureKind::SumInt, MeasureKind::MaxFloat];

/// By the key's text, its values.
type ByKey = BTreeMap<String, Vec<Value>>;

fn city_of(row: &Row) -> KeyPart {
    if row.city == ABSENT { KeyPart::Missing } else { KeyPart::Value(KeyValue::Text(row.city.clone())) }
}

fn shift_of(row: &Row) -> KeyPart {
    KeyPart::Value(KeyValue::Timestamp(row.shift * HOUR_US))
}

/// What the rows of the range are, one at a time, by what is asked of each column.
fn by_hand(rows: &[Row], range: TimeRange, [city, shift]: &[ColumnPattern; 2]) -> ByKey {
    let mut keys = ByKey::new();
    for row in rows.iter().filter(|row| range.contains(row.bucket)) {
        let said = |pattern: &ColumnPattern, part: KeyPart| match pattern {
            ColumnPattern::Is(KeyPart::All) => Some(KeyPart::All),
            ColumnPattern::Is(other) => (*other == part).then_some(part),
            ColumnPattern::Any => Some(part),
            ColumnPattern::Begins(text) => {
                let whole = GroupKey::new(std::slice::from_ref(&part));
                whole.as_str()[1..].starts_with(text.as_str()).then_some(part)
            }
        };
        let Some(parts) = said(city, city_of(row)).zip(said(shift, shift_of(row))) else { continue };
        let key = GroupKey::new(&[parts.0, parts.1]).as_str().to_owned();
        let sums = keys.entry(key).or_insert_with(|| KINDS.map(MeasureKind::identity).to_vec());
        let values = [
            Value::Int(row.calls.into()),
            row.seconds.map_or(Value::Overflow, |seconds| Value::Int(seconds.into())),
            row.dearest.map_or(Value::Null, Value::float),
        ];
        for ((kind, sum), value) in KINDS.iter().zip(sums).zip(values) {
            *sum = kind.merge(sum.clone(), value);
        }
    }
    keys
}

/// All that a view says of such keys, in the order in which it says it.
fn swept(view: &View, range: TimeRange, from: &str, pattern: &KeyPattern) -> Vec<(String, Vec<Value>)> {
    let mut keys = view.keys(range, from, &Arc::new(pattern.clone())).expect("opened");
    let mut found = Vec::new();
    while let Some(key) = keys.next().expect("read") {
        found.push(key);
    }
    found
}

fn any_pattern(dice: &mut Dice, rows: &[Row]) -> [ColumnPattern; 2] {
    let row = dice.pick(rows).clone();
    let beginnings = ["city-1", "Köln \"", "", "K", "x"];
    let city = match dice.below(4) {
        0 => ColumnPattern::Is(city_of(&row)),
        1 => ColumnPattern::Is(KeyPart::All),
        2 => ColumnPattern::beginning(shared_logic::schema::FieldType::String, beginnings[dice.below(5)]),
        _ => ColumnPattern::Any,
    };
    let shift = match dice.below(3) {
        0 => ColumnPattern::Is(shift_of(&row)),
        1 => ColumnPattern::Is(KeyPart::All),
        _ => ColumnPattern::Any,
    };
    [city, shift]
}

fn any_range(dice: &mut Dice) -> TimeRange {
    let (from, to) = (at("2026-01-10T00:00:00Z"), at("2026-03-20T00:00:00Z"));
    let instant = |dice: &mut Dice| match dice.below(3) {
        0 => at(&format!("2026-{:02}-01T00:00:00Z", dice.between(1, 3))),
        1 => bucket_start(dice.between(from, to), DAY_US),
        _ => bucket_start(dice.between(from, to), 60 * SECOND_US),
    };
    let (a, b) = (instant(dice), instant(dice));
    if dice.chance(20) { TimeRange::ALL } else { TimeRange { from_us: a.min(b), to_us: a.max(b) } }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_are_what_the_rows_are_merged_one_at_a_time() {
    for seed in first_seed()..first_seed() + repetitions(3, 40) {
        let dice = &mut Dice::new(seed);
        let table = Table::new();
        let mut reader = table.reader(PLENTY);
        let mut rows = any_rows(dice, "2026-01-20T00:00:00Z", 45, 3_000);
        table.replace(&rows).await;
        for _ in 0..2 {
            let view = loaded(&mut reader).await;
            for _ in 0..repetitions(40, 150) {
                let (columns, range) = (any_pattern(dice, &rows), any_range(dice));
                let (pattern, expected) = (KeyPattern::new(&columns), by_hand(&rows, range, &columns));
                let found = swept(&view, range, "", &pattern);
                assert!(found.is_sorted_by(|a, b| a.0 < b.0), "seed {seed}: each key once, in their order");
                let found: ByKey = found.into_iter().collect();
                assert_eq!(found, expected, "seed {seed}: {columns:?} {range:?}");
                // From any key on, whether it is there or not.
                let from =
                    expected.keys().nth(dice.below(expected.len() + 1)).cloned().unwrap_or_else(|| "[\"m".to_owned());
                let mut behind = swept(&view, range, &from, &pattern);
                behind.retain(|(key, _)| *key >= from);
                let expected: Vec<_> = expected.into_iter().filter(|(key, _)| *key >= from).collect();
                assert_eq!(behind, expected, "seed {seed}: {columns:?} {range:?} from {from}");
            }
            let more = any_rows(dice, "2026-01-29T00:00:00Z", 5, 300);
            table.add(&more).await;
            rows.extend(more);
        }
    }
}

#[tokio::test]
async fn what_lies_before_and_behind_the_keys_is_not_read() {
    let table = Table::new();
    let rows: Vec<Row> = (0..40_000).map(|n| call("2026-04-23T00:00:00Z", &format!("city-{n:05}"))).collect();
    table.replace(&rows).await;
    let view = loaded(&mut table.reader(PLENTY)).await;
    let text = |beginning: &str| ColumnPattern::beginning(shared_logic::schema::FieldType::String, beginning);
    let all = KeyPattern::new(&[ColumnPattern::Any, ColumnPattern::Is(KeyPart::All)]);
    assert_eq!(swept(&view, TimeRange::ALL, "", &all).len(), 40_000);
    let few = Arc::new(KeyPattern::new(&[text("city-2000"), ColumnPattern::Is(KeyPart::All)]));
    let mut keys = view.keys(TimeRange::ALL, "", &few).expect("opened");
    // The file ends here. What lies behind the last key that is asked for is gone.
    for path in table.segments() {
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
        let length = file.metadata().expect("a file").len();
        file.set_len(length * 4 / 5).expect("cut off");
    }
    let mut found = 0;
    while let Some((key, _)) = keys.next().expect("only blocks of these keys are read") {
        assert!(key.starts_with("[\"city-2000"), "{key}");
        found += 1;
    }
    assert_eq!(found, 10);
}
