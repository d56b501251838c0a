//! Days that are retired and of which events are erased: before that, or of what arrived after that.

use super::super::erasures::erase;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn no_day_is_retired_before_the_view_has_counted_its_erased_hours_anew() {
    let mut bench = bench(&retained()).await;
    assert_eq!(erase(&mut bench, "id = 10", 9).await.events, 1);
    assert_eq!(maintained(&mut bench, false).await, [Step::NotCounted { metric: "m".to_owned() }]);
    assert_eq!(archived_days(&bench).await.len(), 5, "the hour needs its rows");
    assert_eq!(reconciled(&bench).await.1, (4, 4));
    maintained(&mut bench, false).await;
    assert_eq!(archived_days(&bench).await, held());
    assert_eq!(reconciled(&bench).await.1, (4, 4));
    assert!(bench.archive.facts().erasures[0].unreached.is_nothing(), "it was there when the event was erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_retired_day_is_erased_from_the_archive_and_stays_counted() {
    let mut bench = bench(&retained()).await;
    maintained(&mut bench, false).await;
    let newest = NEWEST * A_DAY + 11;
    archived(&mut bench, 1, &[11, newest], 7).await;
    assert_eq!(reconciled(&bench).await.1, (7, 19));
    // Now the index names them, too.
    reconciled(&bench).await;
    assert_eq!(erase(&mut bench, &format!("id = 11 or id = {newest}"), 9).await.events, 2);
    assert_eq!(bench.archive.facts().erasures[0].unreached.retired_before, Some(KEPT_FROM), "nothing finds older ones");
    let (work, sum) = reconciled(&bench).await;
    assert_eq!((sum, work.recomputed), ((6, 12), 1), "the other rows of the retired hour are gone");
    assert_eq!(erase(&mut bench, "id = 11", 9).await.events, 0);
    archived(&mut bench, 1, &[11], 7).await;
    assert_eq!(reconciled(&bench).await.1, (6, 12), "what stays counted is not counted twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_list_says_which_hours_retired_days_stay_as_they_are_in_view_and_index() {
    let mut bench = bench(&retained()).await;
    maintained(&mut bench, false).await;
    erase(&mut bench, &format!("id = {}", NEWEST * A_DAY + 10), 9).await;
    std::fs::remove_dir_all(bench.folder.path().join("braid/archive/s/_erased")).expect("it was there");
    let (work, sum) = reconciled(&bench).await;
    assert_eq!((sum, work.recomputed), ((4, 4), 48), "every hour of the two days that are held");
    archived(&mut bench, 1, &[10], 1).await;
    assert_eq!(reconciled(&bench).await.1, (4, 4), "a copy of a retired event");
}
