//! What is asked for all the time stays in memory, whatever else is asked for now and then.

use test_kit::first_seed;

use super::*;

/// More than the blocks of a day take, and half of what those of a month take for each city.
const LIMIT: usize = 350 << 10;

#[tokio::test]
async fn after_questions_about_rare_keys_of_old_days_those_about_today_need_no_disk() {
    let (dice, table) = (&mut Dice::new(first_seed()), Table::new());
    table.replace(&any_rows(dice, "2026-03-01T00:00:00Z", 30, 45_000)).await;
    let mut reader = table.reader(LIMIT);
    let view = loaded(&mut reader).await;
    let [first, today, tomorrow] =
        ["2026-03-01", "2026-03-30", "2026-03-31"].map(|day| at(&format!("{day}T00:00:00Z")));
    let (old, today) = (TimeRange { from_us: first, to_us: today }, TimeRange { from_us: today, to_us: tomorrow });
    let of_city = |city: usize| key(Some(&format!("city-{city}")), None);
    let usual: Vec<GroupKey> = (0..300).step_by(5).map(of_city).chain([key(None, None)]).collect();
    for of in usual.iter().cycle().take(3 * usual.len()) {
        all(&view, of, today, by(Width::Within(HOUR_US))).await;
    }
    // They lie far from each other, so that each block is read for one of them.
    for of in [1, 25, 99].map(of_city) {
        all(&view, &of, old, by(Width::Within(HOUR_US))).await;
    }
    let is_in_memory = |of: &GroupKey, range: TimeRange| {
        let question = view.question(of, range, by(Width::Within(HOUR_US)));
        question.answer_from_memory().expect("nothing is damaged").is_some()
    };
    let gone: Vec<&GroupKey> = usual.iter().filter(|of| !is_in_memory(of, today)).collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert!(!is_in_memory(&of_city(1), old), "there was no room for everything");
    assert!(reader.loader.disk.memory_bytes() <= LIMIT);
}
