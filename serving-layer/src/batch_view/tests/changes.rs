//! What is built when a view changes, and after a restart: what has changed, and nothing else.

use super::*;

/// The numbers of all segments of a view, of days and of months.
fn numbers(view: &View) -> (BTreeMap<i64, u64>, BTreeMap<i64, u64>) {
    let days = view.months.values().flat_map(|month| &month.days);
    let months = view.months.iter().map(|(first, month)| (*first, month.segment.number()));
    (days.map(|(day, segment)| (*day, segment.number())).collect(), months.collect())
}

/// Which of the numbers of the newer one are new.
fn new<'a>(before: &BTreeMap<i64, u64>, after: &'a BTreeMap<i64, u64>) -> Vec<&'a i64> {
    after.iter().filter(|(at, number)| before.get(*at) != Some(*number)).map(|(at, _)| at).collect()
}

/// Four days of two months, with one call each.
fn four_days() -> Vec<Row> {
    let days = ["2026-03-30T08:00:00Z", "2026-03-31T09:00:00Z", "2026-04-01T10:00:00Z", "2026-04-02T11:00:00Z"];
    days.iter().zip(["Bonn", "Ulm", "Bonn", "Kiel"]).map(|(day, city)| call(day, city)).collect()
}

fn day(text: &str) -> i64 {
    day_of(at(&format!("{text}T00:00:00Z")))
}

#[tokio::test]
async fn a_day_that_changes_is_built_again_and_its_month() {
    let table = Table::new();
    let mut reader = table.reader(PLENTY);
    assert!(matches!(reader.refresh().await, Ok(Refreshed::NoView)));
    table.replace(&four_days()).await;
    let before = loaded(&mut reader).await;
    assert_eq!((calls(&before).await, reader.loader.shelf.built()), (Value::Int(4), 6), "four days and two months");

    table.replace(&[call("2026-04-01T10:00:00Z", "Bonn"), call("2026-04-01T10:01:00Z", "Ulm")]).await;
    let after = loaded(&mut reader).await;
    assert_eq!(reader.loader.shelf.built(), 8);
    let ((days, months), (new_days, new_months)) = (numbers(&before), numbers(&after));
    assert_eq!(new(&days, &new_days), [&day("2026-04-01")]);
    assert_eq!(new(&months, &new_months), [&day("2026-04-01")], "the month begins with that day");
    // Both versions answer, each as it is.
    assert_eq!((calls(&before).await, calls(&after).await), (Value::Int(4), Value::Int(5)));
    let ulm = all(&after, &key(Some("Ulm"), None), TimeRange::ALL, by(Width::Days(1))).await;
    assert_eq!(
        ulm.iter().map(|(bucket, _)| day_of(*bucket)).collect::<Vec<_>>(),
        [day("2026-03-31"), day("2026-04-01")]
    );
    assert!(Arc::ptr_eq(&loaded(&mut reader).await, &after), "nothing was committed");

    // A commit without another file builds nothing.
    table.commit(&[], |_| false).await;
    let newer = loaded(&mut reader).await;
    assert_eq!((newer.version, reader.loader.shelf.built()), (3, 8));
    assert_eq!(numbers(&newer), numbers(&after));
}

#[tokio::test]
async fn a_day_may_come_gain_files_and_go() {
    let table = Table::new();
    let mut reader = table.reader(PLENTY);
    table.replace(&four_days()).await;
    let mut before = loaded(&mut reader).await;
    let mut expected = 4;
    for (added, of) in [
        // To a day that is there, to one that is not, and to one of another month.
        (call("2026-04-02T11:00:00Z", "Kiel"), "2026-04-02"),
        (call("2026-04-05T00:00:00Z", "Kiel"), "2026-04-05"),
        (call("2026-05-31T23:59:00Z", "Bonn"), "2026-05-31"),
        (call("2026-04-02T11:01:00Z", "Ulm"), "2026-04-02"),
    ] {
        table.add(&[added]).await;
        expected += 1;
        let view = loaded(&mut reader).await;
        assert_eq!(new(&numbers(&before).0, &numbers(&view).0), [&day(of)]);
        assert_eq!(calls(&view).await, Value::Int(expected));
        before = view;
    }
    let kiel = all(&before, &key(Some("Kiel"), None), TimeRange::ALL, by(Width::Within(60 * SECOND_US))).await;
    let counted: Vec<(i64, Value)> = kiel.into_iter().map(|(bucket, values)| (bucket, values[0].clone())).collect();
    let expected = [(at("2026-04-02T11:00:00Z"), Value::Int(2)), (at("2026-04-05T00:00:00Z"), Value::Int(1))];
    assert_eq!(counted, expected, "two files have a row of the same key and bucket");

    // Compaction: the same rows in one file.
    let both = Row { calls: 2, seconds: Some(2), ..call("2026-04-02T11:00:00Z", "Kiel") };
    table.replace(&[both, call("2026-04-02T11:01:00Z", "Ulm")]).await;
    assert_eq!(calls(loaded(&mut reader).await.as_ref()).await, Value::Int(8));
    // The first month is gone.
    let mut delta = table.table().await;
    let march = delta.files().await.expect("listed").into_iter().filter(|file| file.partition.starts_with("2026-03"));
    let commit = Commit::new("RECONCILE", batch_view::DAY, 0).removing(march);
    delta.commit(commit.note(batch_view::NOTE_DOMAIN, &table.note())).await.expect("committed");
    let view = loaded(&mut reader).await;
    assert_eq!((calls(&view).await, view.on_disk().days, view.on_disk().months), (Value::Int(6), 4, 2));
}

#[tokio::test]
async fn a_restart_uses_what_it_finds_and_removes_what_nothing_needs() {
    let table = Table::new();
    table.replace(&four_days()).await;
    let view = loaded(&mut table.reader(PLENTY)).await;
    let questions = async |view: &View| {
        let by_day = all(view, &key(None, None), TimeRange::ALL, by(Width::Days(1))).await;
        (by_day, all(view, &key(Some("Bonn"), None), TimeRange::ALL, Fold::Whole).await)
    };
    let answers = questions(&view).await;
    drop(view);
    assert_eq!(table.segments().len(), 6);

    // What a process that was killed has left.
    let folder = table.segments()[0].parent().expect("a folder").to_owned();
    std::fs::write(folder.join("17.part"), "half").expect("written");
    let elsewhere = folder.with_file_name("visits");
    std::fs::create_dir(&elsewhere).expect("created");
    std::fs::write(elsewhere.join("2026-04.1.segment"), "of a metric that is gone").expect("written");
    std::fs::write(folder.join("notes.txt"), "not ours").expect("written");

    table.replace(&[call("2026-04-01T10:00:00Z", "Bonn"), call("2026-04-01T10:01:00Z", "Ulm")]).await;
    let mut reader = table.reader(PLENTY);
    let view = loaded(&mut reader).await;
    assert_eq!(reader.loader.shelf.built(), 2, "a day has changed meanwhile, and with it its month");
    assert_eq!(calls(&view).await, Value::Int(5));
    assert!(!folder.join("17.part").exists() && folder.join("notes.txt").exists());
    reader.loader.disk.keep_only(["views/v1/calls"].into_iter());
    assert!(!elsewhere.join("2026-04.1.segment").exists());
    until(|| table.segments().len() == 6, "older segments stay").await;

    table.replace(&four_days()[2..3]).await;
    let as_before = loaded(&mut reader).await;
    assert_eq!(questions(&as_before).await, answers);
    drop((view, as_before, reader));
    std::fs::remove_dir_all(table.folder.path().join("serving")).expect("removed");
    let mut reader = table.reader(PLENTY);
    let view = loaded(&mut reader).await;
    assert_eq!((questions(&view).await, reader.loader.shelf.built()), (answers, 6));
}

#[tokio::test]
async fn the_files_of_a_view_go_with_the_last_that_uses_it() {
    let table = Table::new();
    let mut reader = table.reader(0);
    table.replace(&four_days()).await;
    let old = loaded(&mut reader).await;
    for minute in 0..5 {
        table.replace(&[call(&format!("2026-04-01T10:0{minute}:00Z"), "Bonn")]).await;
        let newer = loaded(&mut reader).await;
        assert_eq!(newer.on_disk().days, 4);
        let bonn = key(Some("Bonn"), None);
        let minutes = all(&old, &bonn, TimeRange::ALL, by(Width::Within(60 * SECOND_US))).await;
        assert_eq!(minutes.len(), 2, "a request still uses the first version, and reads it from disk");
    }
    until(|| table.segments().len() == 8, "a day and a month of two versions").await;
    drop(old);
    until(|| table.segments().len() == 6, "of the newest").await;
}

#[tokio::test]
async fn a_view_of_another_definition_has_no_segments() {
    let mut table = Table::new();
    table.replace(&four_days()).await;
    drop(loaded(&mut table.reader(PLENTY)).await);
    table.catalog = Catalog::parse(&CATALOG.replace("grain = \"1m\"", "grain = \"5m\"")).expect("a catalog");
    let mut reader = table.reader(PLENTY);
    let view = loaded(&mut reader).await;
    assert_eq!((calls(&view).await, view.on_disk().days), (Value::Int(0), 0));
    until(|| table.segments().is_empty(), "those of the older definition").await;
    table.replace(&four_days()).await;
    assert_eq!(calls(loaded(&mut reader).await.as_ref()).await, Value::Int(4));
}

#[tokio::test]
async fn two_processes_share_a_folder_and_no_segment() {
    let table = Table::new();
    table.replace(&four_days()).await;
    let (mut one, mut other) = (table.reader(PLENTY), table.reader(PLENTY));
    assert_eq!(calls(loaded(&mut one).await.as_ref()).await, calls(loaded(&mut other).await.as_ref()).await);
    assert_eq!((one.loader.shelf.built(), other.loader.shelf.built()), (6, 6));
    drop(one);
    let mut next = table.reader(PLENTY);
    loaded(&mut next).await;
    assert_eq!(next.loader.shelf.built(), 0, "it takes the place that is free");
}

/// Waits for files to go, which other threads remove.
async fn until(is_so: impl Fn() -> bool, what: &str) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "{what}");
}
