//! Fills the rows of a partition anew: from the newest materialised table at its offset or, where nothing can be missing there, as of
//! the begin of the log (B3).
//!
//! From the log alone nothing may be missing: a log that was compacted may have lost the delete of a key that has moved here from
//! another partition, where its last change is still a row. So it would rise again. And a log still holds what was erased in the archive.

use platform::redis::Connection;
use platform::store::StoreError;
use platform::task::blocking;
use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::speed_view::Instance;
use shared_logic::contracts::table::{
    CHANGED_AT, IS_DELETED, KEY, LOG, OFFSET, PARTITION, change_columns, declared, row_columns,
};
use shared_logic::contracts::table_rows::script::{self, Reply};
use shared_logic::contracts::table_rows::{Held, HeldChange, RowsKey, Slot};
use shared_logic::log::PartitionId;
use shared_logic::table::{Row, RowValue};
use storage::MaterialisedTable;
use tracing::{info, warn};

use super::error::NotOpen;
use super::source::Shared;
use crate::log::opening::new_instance;

/// How many arguments of rows one script is given. Redis does nothing else while it runs.
const ARGUMENTS: usize = 2;

/// What a log holds of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogBounds {
    /// Where the archive has begun it.
    pub(super) begin: i64,
    /// The first offset that the log holds.
    pub(super) start: i64,
}

/// Where rows are filled from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilledFrom {
    /// The materialised table, which stands for the offsets below.
    Table(i64),
    /// Nothing: all changes are in the log, from that offset on.
    Log(i64),
}

/// Fills rows anew. `known` are those that go for that; where they cannot be filled yet, they stay, unless something was erased since they
/// were filled. `log` is what the log holds; `None` of a partition that goes on no more.
///
/// # Errors
/// [`NotOpen`]: wait and try again. What was filled in by then is read by nobody.
pub(super) async fn refill(
    shared: &Shared,
    redis: &mut Connection,
    facts: &Facts,
    id: &PartitionId,
    known: Option<&Held>,
    log: Option<LogBounds>,
) -> Result<Held, NotOpen> {
    let table = shared.materialised(facts).await?;
    let stands_for = table.as_ref().and_then(|table| table.note()?.next.get(id));
    // What is erased lies in the log as long as that holds it. Kafka is asked only where it matters.
    let has_all = stands_for.is_none() && facts.erased_parts() == 0 && !shared.is_compacted().await?;
    let Some(from) = filled_from(stands_for, log, has_all) else {
        take_away_erased(shared, redis, facts, id, known).await?;
        return Err(NotOpen::NotMaterialised { id: id.clone() });
    };
    let (key, instance) = (shared.key(id), new_instance());
    done(id, shared.rows.begin(redis, &key, known.map(|held| held.instance), instance).await?)?;
    platform::failpoints::pass("tables::while_filling");
    let mut filling = Filling { shared, id, key: &key, instance };
    let cursor = match (from, table) {
        (FilledFrom::Table(at), Some(table)) => {
            filling.fill(redis, &table).await?;
            at
        }
        (FilledFrom::Table(at) | FilledFrom::Log(at), _) => at,
    };
    let instance = filling.instance;
    let witness = facts.partition(id).filter(|known| known.next == cursor).and_then(|known| known.witness);
    let held = Held { cursor, instance, basis: shared.basis(facts), witness };
    platform::failpoints::pass("tables::before_opening");
    let slot = match shared.rows.open(redis, &key, &held).await? {
        // An earlier try did run, and its reply was lost.
        Reply::Differs(slot) if slot.rows() == Some(&held) => slot,
        reply => done(id, reply)?,
    };
    info!(%id, table = shared.source.name, cursor, ?from, "filled the rows of a table");
    slot.rows().cloned().ok_or_else(|| NotOpen::Raced { id: id.clone() })
}

/// Takes rows away that may hold what was erased since they were filled. What they were filled from then is not there yet, and until it
/// is, nobody reads them.
///
/// # Errors
/// If Redis cannot be used, or another process has changed the rows.
pub(super) async fn take_away_erased(
    shared: &Shared,
    redis: &mut Connection,
    facts: &Facts,
    id: &PartitionId,
    known: Option<&Held>,
) -> Result<(), NotOpen> {
    let Some(held) = known.filter(|held| !held.basis.is_without_erased(facts.erased_parts())) else { return Ok(()) };
    done(id, shared.rows.begin(redis, &shared.key(id), Some(held.instance), new_instance()).await?)?;
    let table = &shared.source.name;
    warn!(%id, table, "took the rows of a table away, as changes of it were erased; filling them again once it is materialised without them");
    Ok(())
}

/// Where rows are filled from, if anything at hand holds all changes. `has_all`: whether the log does, from its begin on.
fn filled_from(stands_for: Option<i64>, log: Option<LogBounds>, has_all: bool) -> Option<FilledFrom> {
    match (stands_for, log) {
        // The log goes on where the table ends.
        (Some(at), Some(log)) => (at >= log.start).then_some(FilledFrom::Table(at)),
        (Some(at), None) => Some(FilledFrom::Table(at)),
        (None, Some(log)) => (has_all && log.start <= log.begin).then_some(FilledFrom::Log(log.begin)),
        (None, None) => None,
    }
}

/// What is there after a step that was done.
fn done(id: &PartitionId, reply: Reply) -> Result<Slot, NotOpen> {
    match reply {
        Reply::Done(slot) => Ok(slot),
        Reply::Differs(_) | Reply::Failed(_) => Err(NotOpen::Raced { id: id.clone() }),
    }
}

/// Rows that are being filled in.
struct Filling<'a> {
    shared: &'a Shared,
    id: &'a PartitionId,
    key: &'a RowsKey,
    /// What they are filled as by now.
    instance: Instance,
}

impl Filling<'_> {
    /// Fills in what a materialised table holds of the partition: rows, and what lies beside them.
    async fn fill(&mut self, redis: &mut Connection, table: &MaterialisedTable) -> Result<(), NotOpen> {
        let source = &self.shared.source;
        for file in table.files().await? {
            let rows = table.read(&[file], &row_columns(source)).await?;
            self.fill_in(redis, table, rows, source.key.as_deref().unwrap_or_default()).await?;
        }
        let beside: Vec<_> = table.note().map(|note| note.others.values().cloned().collect()).unwrap_or_default();
        for others in beside {
            let rows = table.read_others(&[others], &change_columns(source)).await?;
            self.fill_in(redis, table, rows, KEY).await?;
        }
        Ok(())
    }

    /// Fills in those of some changes that lie in the partition. `key` is the column of their keys.
    async fn fill_in(
        &mut self,
        redis: &mut Connection,
        table: &MaterialisedTable,
        rows: LazyFrame,
        key: &str,
    ) -> Result<(), NotOpen> {
        let (source, id, key) = (self.shared.source.clone(), self.id.clone(), key.to_owned());
        let made = blocking(move || {
            let of_partition = col(LOG).eq(lit(id.log)).and(col(PARTITION).eq(lit(id.partition)));
            let changes = changes(&rows.filter(of_partition).collect()?, &source, &key)?;
            let changes = changes.iter().map(|(key, change)| (key.as_str(), change.as_slice()));
            Ok::<_, PolarsError>(script::rows(changes))
        });
        let failed = |source| StoreError::Frame { operation: "read rows", table: table.path().to_owned(), source };
        let mut made = made.await.map_err(failed)?.into_iter().peekable();
        while made.peek().is_some() {
            let some = made.by_ref().take(ARGUMENTS).collect();
            let next = new_instance();
            done(self.id, self.shared.rows.fill(redis, self.key, self.instance, next, some).await?)?;
            self.instance = next;
        }
        Ok(())
    }
}

/// Changes with their keys, as Redis keeps them.
fn changes(rows: &DataFrame, source: &Source, key: &str) -> PolarsResult<Vec<(String, Vec<u8>)>> {
    let keys = rows.column(key)?.cast(&DataType::String)?;
    let (keys, offsets, times) = (keys.str()?, rows.column(OFFSET)?.i64()?, rows.column(CHANGED_AT)?.i64()?);
    let deleted = rows.column(IS_DELETED).ok().map(|column| column.bool()).transpose()?;
    let fields = declared(source).map(|field| RowValue::of_column(rows.column(&field.name)?, field.kind));
    let fields = fields.collect::<PolarsResult<Vec<Vec<Option<RowValue>>>>>()?;
    let change = |row: usize| {
        let is_deleted = deleted.and_then(|deleted| deleted.get(row)) == Some(true);
        let values = || fields.iter().map(|values| values[row].clone()).collect::<Row>();
        let change =
            HeldChange { offset: offsets.get(row)?, timestamp_us: times.get(row)?, row: (!is_deleted).then(values) };
        Some((keys.get(row)?.to_owned(), change.to_bytes()))
    };
    Ok((0..rows.height()).filter_map(change).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(begin: i64, start: i64) -> Option<LogBounds> {
        Some(LogBounds { begin, start })
    }

    #[test]
    fn the_materialised_table_comes_first_where_the_log_goes_on_from_there() {
        assert_eq!(filled_from(Some(70), log(0, 50), false), Some(FilledFrom::Table(70)));
        assert_eq!(filled_from(Some(50), log(0, 50), false), Some(FilledFrom::Table(50)));
        assert_eq!(filled_from(Some(49), log(0, 50), true), None, "the log lacks what lies between");
        assert_eq!(filled_from(Some(70), None, false), Some(FilledFrom::Table(70)));
    }

    #[test]
    fn the_log_alone_is_enough_only_if_nothing_of_it_is_missing() {
        assert_eq!(filled_from(None, log(5, 5), true), Some(FilledFrom::Log(5)));
        assert_eq!(
            filled_from(None, log(5, 0), true),
            Some(FilledFrom::Log(5)),
            "what lies before the archive's begin"
        );
        assert_eq!(filled_from(None, log(5, 6), true), None, "retention has taken some");
        assert_eq!(filled_from(None, log(5, 5), false), None, "compaction may have taken a delete");
        assert_eq!(filled_from(None, None, true), None, "nothing more comes");
    }

    #[test]
    fn a_rows_values_are_kept_and_a_delete_has_none() {
        let catalog = shared_logic::catalog::Catalog::parse(
            "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n[tables.t]\nkey = \"id\"\n[tables.t.fields]\nid = \"int\"\nname = \"string?\"\n",
        );
        let source = catalog.expect("a valid catalog").sources["t"].clone();
        let rows = df!(
            KEY => ["7", "8"],
            IS_DELETED => [false, true],
            LOG => ["a", "a"],
            PARTITION => [0, 0],
            OFFSET => [3_i64, 4],
            CHANGED_AT => [30_i64, 40],
            "id" => [Some(7_i64), None],
            "name" => [Some("x"), None],
        );
        let changes = changes(&rows.expect("columns"), &source, KEY).expect("their types");
        let read: Vec<(String, HeldChange)> = changes
            .into_iter()
            .map(|(key, bytes)| (key, HeldChange::parse(&bytes, &source.fields).expect("a change")))
            .collect();
        let row = vec![Some(RowValue::Int(7)), Some(RowValue::Text("x".into()))];
        let expected = [
            ("7".to_owned(), HeldChange { offset: 3, timestamp_us: 30, row: Some(row) }),
            ("8".to_owned(), HeldChange { offset: 4, timestamp_us: 40, row: None }),
        ];
        assert_eq!(read, expected);
    }
}
