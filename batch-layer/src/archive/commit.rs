//! Rows and facts in one commit.

use std::collections::BTreeMap;

use anyhow::Context;
use metrics::{counter, gauge, histogram};
use platform::store::{Commit, Committed, Table};
use polars::prelude::Schema;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{DAY, FACTS_DOMAIN, Facts, LOG, OFFSET, PARTITION, Rejects};
use shared_logic::log::PartitionId;
use tokio::time::Instant;
use tracing::debug;

use super::buffer::{self, Buffer};

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The archive holds it.
    Committed,
    /// Somebody else wrote to the archive; nothing changed.
    Overtaken,
}

/// Commits facts alone: begins, losses, closed logs; and the columns that the table is to declare from now on, if it
/// declares others.
pub(super) async fn facts(table: &mut Table, facts: &Facts, columns: Option<&Schema>) -> anyhow::Result<Outcome> {
    let mut commit = Commit::new("ARCHIVE FACTS", DAY, platform::clock::now_us()).note(FACTS_DOMAIN, facts);
    if let Some(columns) = columns {
        commit = commit.schema(columns);
    }
    Ok(outcome(table.commit(commit).await?))
}

/// The table's columns and those that the source has besides, if there are such: a field was added to the catalog. One that
/// was taken out stays, since rows hold it.
pub(super) fn wider(table: &Table, source: &Source) -> anyhow::Result<Option<Schema>> {
    let mut columns = table.columns(DAY)?;
    let before = columns.len();
    for (name, dtype) in buffer::schema(source) {
        if !columns.contains(&name) {
            columns.with_column(name, dtype);
        }
    }
    Ok((columns.len() > before).then_some(columns))
}

/// Writes the buffer's rows and commits them with the facts that they bring about. `facts` is as of the table's version
/// and is moved on if the commit succeeds.
pub(super) async fn rows(
    table: &mut Table,
    facts: &mut Facts,
    log: &str,
    buffer: Buffer,
    ends: &BTreeMap<i32, i64>,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let mut after = facts.clone();
    for (partition, (from, to)) in &buffer.reached {
        if !after.advance(&PartitionId::new(log, *partition), *from, *to) {
            return Ok(Outcome::Overtaken);
        }
    }
    for (partition, end) in ends {
        after.see_end(&PartitionId::new(log, *partition), *end);
    }
    for (reason, (count, last)) in &buffer.rejects {
        let rejects = after.rejects.entry(*reason).or_insert_with(|| Rejects { count: 0, last: last.clone() });
        rejects.count += count;
        rejects.last = last.clone();
    }
    let records = buffer.rows();
    let days =
        tokio::task::spawn_blocking(move || buffer.into_days()).await?.context("cannot make columns of records")?;
    let mut files = Vec::with_capacity(days.len());
    for (day, frame) in days {
        files.push(table.write(&day, frame, &[LOG, PARTITION, OFFSET]).await?);
    }
    let commit = Commit::new("ARCHIVE", DAY, platform::clock::now_us()).adding(files).note(FACTS_DOMAIN, &after);
    platform::failpoints::pass("archive::before_commit");
    let outcome = outcome(table.commit(commit).await?);
    if outcome == Outcome::Committed {
        platform::failpoints::pass("archive::after_commit");
        debug!(table = table.path(), version = table.version(), records, "archived");
        counter!("braid_archive_records_total").increment(records as u64);
        for (partition, known) in after.log(log).iter().flat_map(|log| &log.partitions) {
            let labels = [("table", table.path().to_owned()), ("partition", partition.to_string())];
            gauge!("braid_archive_next", &labels).set(known.next as f64);
        }
        histogram!("braid_archive_commit_seconds").record(started.elapsed());
        *facts = after;
    }
    Ok(outcome)
}

fn outcome(committed: Committed) -> Outcome {
    match committed {
        Committed::At(_) => Outcome::Committed,
        Committed::Conflict => Outcome::Overtaken,
    }
}

#[cfg(test)]
mod tests {
    use platform::store::Store;
    use shared_logic::catalog::Catalog;

    use super::super::buffer::Incoming;
    use super::*;

    const CATALOG: &str = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n";

    /// The one that was overtaken changes nothing, neither in the archive nor in what it believes.
    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_archivers_one_commits() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = platform::settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let store = Store::new(&settings, "braid").expect("a store");
        let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
        let source = &catalog.sources["s"];
        let id = PartitionId::new("log", 0);
        let open = async || crate::archive::table(&store, source).await.expect("created");
        let (mut one, mut other) = (open().await, open().await);
        let mut begun = Facts::default();
        begun.begin(&id, 0);
        assert_eq!(facts(&mut one, &begun, None).await.expect("tried"), Outcome::Committed);
        assert_eq!(facts(&mut other, &begun, None).await.expect("tried"), Outcome::Overtaken);

        assert!(other.refresh().await.expect("read"));
        let read = |records: i64| {
            let mut buffer = Buffer::new(source, "log", &BTreeMap::from([(0, 0)]));
            for offset in 0..records {
                let payload = Some(br#"{"at": 1000}"#.as_slice());
                buffer.push(Incoming { partition: 0, offset, timestamp_ms: None, key: None, payload, headers: None });
            }
            buffer
        };
        let (mut of_one, mut of_other) = (begun.clone(), begun);
        let ends = BTreeMap::new();
        let first = rows(&mut one, &mut of_one, "log", read(2), &ends).await.expect("tried");
        let second = rows(&mut other, &mut of_other, "log", read(3), &ends).await.expect("tried");
        assert_eq!((first, second), (Outcome::Committed, Outcome::Overtaken));
        assert_eq!(of_other.partition(&id).map(|known| known.next), Some(0));
        let newest: Facts = open().await.note(FACTS_DOMAIN).await.expect("read").expect("there");
        assert_eq!(newest.partition(&id).map(|known| known.next), Some(2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn fields_that_are_added_are_declared_and_those_taken_out_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = platform::settings::Store { url: folder.path().display().to_string(), ..Default::default() };
        let store = Store::new(&settings, "braid").expect("a store");
        let catalog = |more: &str| Catalog::parse(&format!("{CATALOG}{more}")).expect("a valid catalog");
        for (more, is_wider) in [("a = \"int\"", false), ("b = \"float\"", true), ("a = \"int\"", false)] {
            let catalog = catalog(more);
            let source = &catalog.sources["s"];
            let mut table = crate::archive::table(&store, source).await.expect("opened");
            let columns = wider(&table, source).expect("read");
            assert_eq!(columns.is_some(), is_wider, "{more}");
            let outcome = facts(&mut table, &Facts::default(), columns.as_ref()).await.expect("written");
            assert_eq!(outcome, Outcome::Committed);
            assert_eq!(wider(&table, source).expect("read"), None);
        }
        let table = crate::archive::table(&store, &catalog("").sources["s"]).await.expect("opened");
        let names: Vec<_> = table.columns(DAY).expect("read").iter_names().map(|name| name.to_string()).collect();
        assert_eq!(names[names.len() - 3..], ["at", "a", "b"]);
    }
}
