//! What a view answers is what its rows are, merged one at a time.

use shared_logic::measure::MeasureKind;
use shared_logic::time::bucket_start;
use test_kit::{first_seed, repetitions};

use super::*;

/// The measures of the catalog.
const KINDS: [MeasureKind; 3] = [MeasureKind::Count, MeasureKind::SumInt, MeasureKind::MaxFloat];

/// Rows, to be merged one at a time.
pub(super) struct Naive<'a> {
    pub(super) rows: &'a [Row],
}

/// A city and a shift, where they are given.
type Asked<'a> = (Option<&'a str>, Option<i64>);

impl Naive<'_> {
    fn cells(&self, (city, shift): Asked<'_>, range: TimeRange, fold: Fold) -> Vec<(i64, Vec<Value>)> {
        let mut cells: BTreeMap<i64, (i64, Vec<Value>)> = BTreeMap::new();
        for row in self.rows {
            let is_of_key = city.is_none_or(|city| row.city == city) && shift.is_none_or(|shift| row.shift == shift);
            if !is_of_key || !range.contains(row.bucket) {
                continue;
            }
            let cell = match fold {
                Fold::Whole => 0,
                Fold::Steps(steps) => steps.start_of(row.bucket),
            };
            let identity = || (row.bucket, KINDS.map(MeasureKind::identity).to_vec());
            let (first, sums) = cells.entry(cell).or_insert_with(identity);
            *first = row.bucket.min(*first);
            let values = [
                Value::Int(row.calls.into()),
                row.seconds.map_or(Value::Overflow, |seconds| Value::Int(seconds.into())),
                row.dearest.map_or(Value::Null, Value::float),
            ];
            for ((kind, sum), value) in KINDS.iter().zip(sums).zip(values) {
                *sum = kind.merge(sum.clone(), value);
            }
        }
        cells.into_values().collect()
    }

    /// Asks both about something, and compares.
    pub(super) async fn compare(&self, dice: &mut Dice, view: &View) {
        let (from, to) = (at("2025-12-20T00:00:00Z"), at("2026-04-20T00:00:00Z"));
        let instant = |dice: &mut Dice| match dice.below(4) {
            // The start of a month, of a day, of a minute.
            0 => at(&format!("2026-{:02}-01T00:00:00Z", dice.between(1, 4))),
            1 => bucket_start(dice.between(from, to), DAY_US),
            _ => bucket_start(dice.between(from, to), 60 * SECOND_US),
        };
        let (a, b) = (instant(dice), instant(dice));
        let range = match dice.below(5) {
            0 => TimeRange::ALL,
            1 => TimeRange { from_us: a, to_us: a + dice.between(0, 90) * 60 * SECOND_US },
            _ => TimeRange { from_us: a.min(b), to_us: a.max(b) },
        };
        let steps = [60 * SECOND_US, HOUR_US, 6 * HOUR_US].map(Width::Within);
        let steps = [&steps[..], &[1, 7, 31].map(Width::Days), &[1, 3].map(Width::Months)].concat();
        let fold = if dice.chance(50) { Fold::Whole } else { by(*dice.pick(&steps)) };
        let range = match fold {
            Fold::Steps(steps) if range != TimeRange::ALL => steps.widened(range),
            _ => range,
        };
        let row = dice.pick(self.rows);
        let city = dice.chance(60).then_some(row.city.as_str());
        let shift = dice.chance(40).then_some(row.shift);
        let found = all(view, &key(city, shift), range, fold).await;
        let expected = self.cells((city, shift), range, fold);
        let asked = format!("{city:?}, {shift:?}, {range:?}, {fold:?}");
        assert_eq!(found.len(), expected.len(), "{asked}");
        for ((at, values), (first, merged)) in found.into_iter().zip(expected) {
            assert_eq!(values, merged, "{asked}: the cell at {at}");
            // A cell of whole days names one of them, and a cell of a whole month the month.
            let is_near = match fold {
                Fold::Whole => range.contains(at) && at <= first,
                Fold::Steps(steps) => steps.start_of(at) == steps.start_of(first),
            };
            assert!(is_near, "{asked}: the cell at {at} begins with {first}");
        }
    }
}

fn row(minute: i64, city: &str, shift: i64, calls: i64, seconds: Option<i64>, dearest: Option<f64>) -> Row {
    let day = at("2026-04-23T00:00:00Z");
    let (bucket, shift) = (day + minute * 60 * SECOND_US, day / HOUR_US + shift);
    Row { bucket, city: city.to_owned(), shift, calls, seconds, dearest }
}

fn values(calls: i64, seconds: Option<i64>, dearest: Option<f64>) -> Vec<Value> {
    let seconds = seconds.map_or(Value::Overflow, |seconds| Value::Int(seconds.into()));
    vec![Value::Int(calls.into()), seconds, dearest.map_or(Value::Null, Value::Float)]
}

#[tokio::test]
async fn every_grouping_set_is_merged_from_the_finest_rows() {
    let table = Table::new();
    let rows = [
        row(0, "Bonn", 6, 2, Some(20), Some(1.5)),
        row(0, "Bonn", 14, 1, Some(5), None),
        row(1, "Bonn", 6, 4, Some(40), Some(0.5)),
        row(0, "Köln \"Süd\"", 6, 3, Some(-30), None),
        row(700, "Köln \"Süd\"", 14, 1, None, None),
        row(701, ABSENT, 14, 2, Some(3), None),
        row(701, "", 14, 1, Some(1), None),
    ];
    table.replace(&rows).await;
    let view = loaded(&mut table.reader(1 << 20)).await;
    let on_disk = view.on_disk();
    assert_eq!((view.version, view.note.archive_version, on_disk.days, on_disk.months), (1, 3, 1, 1));
    assert!(on_disk.bytes > 0);
    let day = at("2026-04-23T00:00:00Z") / HOUR_US;
    let total = async |city, shift: Option<i64>| {
        let key = key(city, shift.map(|shift| day + shift));
        all(&view, &key, TimeRange::ALL, Fold::Whole).await.remove(0).1
    };
    assert_eq!(total(Some("Bonn"), Some(6)).await, values(6, Some(60), Some(1.5)));
    assert_eq!(total(Some("Bonn"), None).await, values(7, Some(65), Some(1.5)));
    assert_eq!(total(None, Some(6)).await, values(9, Some(30), Some(1.5)));
    assert_eq!(total(Some("Köln \"Süd\""), None).await, values(4, None, None));
    assert_eq!(total(Some(ABSENT), None).await, values(2, Some(3), None));
    assert_eq!(total(Some(ABSENT), Some(14)).await, values(2, Some(3), None));
    assert_eq!(total(Some(""), None).await, values(1, Some(1), None));
    assert_eq!(total(None, None).await, values(14, None, Some(1.5)));
    assert!(all(&view, &key(Some("Ulm"), None), TimeRange::ALL, Fold::Whole).await.is_empty());

    let hour = TimeRange { from_us: at("2026-04-23T00:00:00Z"), to_us: at("2026-04-23T01:00:00Z") };
    assert_eq!(all(&view, &key(None, None), hour, Fold::Whole).await[0].1, values(10, Some(35), Some(1.5)));
    let minute = by(Width::Within(60 * SECOND_US));
    let minutes = all(&view, &key(Some("Bonn"), None), hour, minute).await;
    assert_eq!(
        minutes,
        [
            (hour.from_us, values(3, Some(25), Some(1.5))),
            (hour.from_us + 60 * SECOND_US, values(4, Some(40), Some(0.5)))
        ]
    );
}

#[tokio::test]
async fn a_sum_that_leaves_64_bits_may_come_back() {
    let table = Table::new();
    let rows = [row(0, "Bonn", 6, 1, Some(i64::MAX), None), row(1, "Bonn", 6, 1, Some(i64::MAX), None)];
    let next_day = Row { bucket: rows[0].bucket + DAY_US, seconds: Some(-i64::MAX), ..rows[0].clone() };
    table.replace(&[rows.to_vec(), vec![next_day]].concat()).await;
    let view = loaded(&mut table.reader(PLENTY)).await;
    let bonn = key(Some("Bonn"), None);
    assert_eq!(all(&view, &bonn, TimeRange::ALL, Fold::Whole).await[0].1, values(3, Some(i64::MAX), None));
    let days = all(&view, &bonn, TimeRange::ALL, by(Width::Days(1))).await;
    assert_eq!(days[0].1[1], Value::Int(2 * i128::from(i64::MAX)), "no layer has judged it yet");
}

#[tokio::test]
async fn a_row_of_another_day_or_between_two_buckets_is_refused() {
    for (at_bucket, wrong_by_us) in [("2026-04-23T00:00:00Z", SECOND_US), ("2026-04-23T00:00:00Z", -DAY_US)] {
        let table = Table::new();
        let wrong = call(at_bucket, "Bonn");
        let frame = frame(&[&Row { bucket: wrong.bucket + wrong_by_us, ..wrong }]);
        let mut delta = table.table().await;
        let file = delta.write("2026-04-23", frame, &[]).await.expect("written");
        let commit = Commit::new("RECONCILE", batch_view::DAY, 0).adding([file]);
        delta.commit(commit.note(batch_view::NOTE_DOMAIN, &table.note())).await.expect("committed");
        let error = table.reader(PLENTY).refresh().await.err().expect("refused");
        assert!(error.to_string().contains("a row that is not of a bucket of 2026-04-23"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_question_is_answered_as_by_merging_rows_one_at_a_time() {
    for seed in first_seed()..first_seed() + repetitions(3, 40) {
        let dice = &mut Dice::new(seed);
        let table = Table::new();
        let mut reader = table.reader(*dice.pick(&[0, 100_000, PLENTY]));
        let mut rows = any_rows(dice, "2026-01-20T00:00:00Z", 45, 3_000);
        table.replace(&rows).await;
        for _ in 0..3 {
            let view = loaded(&mut reader).await;
            for _ in 0..repetitions(60, 200) {
                Naive { rows: &rows }.compare(dice, &view).await;
            }
            // More files of some days, with rows of the same keys and buckets, and of new ones.
            let more = any_rows(dice, "2026-01-29T00:00:00Z", 5, 300);
            table.add(&more).await;
            rows.extend(more);
        }
    }
}

#[tokio::test]
async fn no_more_cells_are_held_than_an_answer_can_have() {
    let (dice, table) = (&mut Dice::new(first_seed()), Table::new());
    table.replace(&any_rows(dice, "2026-02-10T00:00:00Z", 40, 4_000)).await;
    let view = loaded(&mut table.reader(PLENTY)).await;
    let of_all = key(None, None);
    for width in [Width::Within(60 * SECOND_US), Width::Within(HOUR_US), Width::Days(1)] {
        let all = view.cells(&of_all, TimeRange::ALL, by(width)).await.expect("read");
        for most in [1, 7, all.count() - 1, all.count(), all.count() + 1] {
            let some = view.cells_up_to(&of_all, TimeRange::ALL, by(width), most).await.expect("read");
            assert_eq!(some.count(), all.count().min(most + 1), "{width}, {most}");
            // Of the last one, there may be more.
            let whole = if some.count() > most { most } else { some.count() };
            assert!(some.iter().zip(all.iter()).take(whole).all(|(one, other)| one == other), "{width}, {most}");
        }
    }
}
