//! Events → partials, as a query.
//!
//! From the inside out: fields are read, records of other ranges and times are left out, copies are removed, what is of one event
//! alone is evaluated, and events are grouped.

use super::cell::Cell;
use super::{EventTable, EventsInSql, InSql, RecordColumns};
use crate::expression::in_sql::{int, text};
use crate::expression::{Expression, quoted};
use crate::partial::BUCKET;
use crate::plan::{Plan, argument};
use crate::schema::{Field, FieldType};

/// The column of an event's number among its copies.
const COPY: &str = "_copy";

impl InSql<'_> {
    /// The query of those events, whose result is sorted by its columns up to the bucket.
    pub fn of_events(&self, events: &EventsInSql<'_>) -> String {
        let metric = &self.plan.metric;
        let cells = self.cells(Cell::of_events).into_iter().enumerate();
        let cells = cells.map(|(at, cell)| cell.selected(&quoted(&argument(at))));
        let keys: Vec<String> = metric.by.iter().map(String::as_str).chain([BUCKET]).map(quoted).collect();
        let selected: Vec<String> = keys.iter().cloned().chain(cells).collect();
        format!(
            "SELECT {} FROM ({}) AS evaluated GROUP BY {} ORDER BY {}",
            selected.join(", "),
            self.evaluated(events),
            keys.join(", "),
            self.sorted_by(Some(BUCKET)),
        )
    }

    /// Keys, bucket and arguments of the events that are counted. All of them see the fields as they come.
    fn evaluated(&self, events: &EventsInSql<'_>) -> String {
        let Plan { source, metric, .. } = self.plan;
        let is_text = |name: &str| source.field(name).is_some_and(|field| field.kind == FieldType::String);
        let key = |name: &String| match quoted(name) {
            name_in_quotes if is_text(name) => format!("braid_key_text({name_in_quotes}) AS {name_in_quotes}"),
            name_in_quotes => name_in_quotes,
        };
        let start = bucket_of(&quoted(&source.event_time), metric.grain_us);
        let arguments = metric.measures.iter().enumerate().filter_map(|(at, measure)| {
            let of = measure.of.as_ref()?.to_sql();
            Some(format!("{of} AS {}", quoted(&argument(at))))
        });
        let bucket = format!("{start} AS {}", quoted(BUCKET));
        let evaluated: Vec<String> = metric.by.iter().map(key).chain([bucket]).chain(arguments).collect();
        // A condition does not choose among copies: the first one is the event, and is counted or not.
        let first = (!source.event_id.is_empty()).then(|| format!("{} = 1", quoted(COPY)));
        let conditions: Vec<String> =
            first.into_iter().chain(metric.filter.as_ref().map(Expression::to_sql_condition)).collect();
        let mut query = format!("SELECT {} FROM ({}) AS numbered", evaluated.join(", "), self.numbered(events));
        if !conditions.is_empty() {
            query += " WHERE ";
            query += &conditions.join(" AND ");
        }
        query
    }

    /// The fields of events in those ranges and times, each event with its number among its copies.
    fn numbered(&self, events: &EventsInSql<'_>) -> String {
        let source = &self.plan.source;
        let mut columns: Vec<String> = self.fields().map(|field| quoted(&field.name)).collect();
        if !source.event_id.is_empty() {
            let identity = source.event_id.iter().chain([&source.event_time]).map(|name| quoted(name));
            let RecordColumns { partition, offset, .. } = events.record;
            let place = log_number(events).into_iter().chain([quoted(partition), quoted(offset)]);
            let (identity, place): (Vec<String>, Vec<String>) = (identity.collect(), place.collect());
            let (identity, place) = (identity.join(", "), place.join(", "));
            columns.push(format!("row_number() OVER (PARTITION BY {identity} ORDER BY {place}) AS {}", quoted(COPY)));
        }
        let read: Vec<String> = events.tables.iter().map(|table| self.read(table, &events.record)).collect();
        let wanted: Vec<String> = [within(events)].into_iter().chain(self.at_times(events)).collect();
        let (columns, read) = (columns.join(", "), read.join(" UNION ALL "));
        format!("SELECT {columns} FROM ({read}) AS read WHERE {}", wanted.join(" AND "))
    }

    /// The events of a table, with the types that their fields have in memory.
    fn read(&self, table: &EventTable, record: &RecordColumns) -> String {
        let column_of = |field: &Field| {
            let column = table.columns.iter().find(|(_, name)| *name == field.name);
            quoted(column.map_or(field.name.as_str(), |(column, _)| column.as_str()))
        };
        let field = |field: &Field| {
            let (column, name) = (column_of(field), quoted(&field.name));
            match field.kind {
                FieldType::Timestamp => format!("CAST({column} AS BIGINT) AS {name}"),
                FieldType::Float => format!("braid_finite({column}) AS {name}"),
                _ => format!("{column} AS {name}"),
            }
        };
        let columns: Vec<String> = [record.log, record.partition, record.offset]
            .map(quoted)
            .into_iter()
            .chain(self.fields().map(field))
            .collect();
        format!("SELECT {} FROM {} WHERE {} IS NULL", columns.join(", "), quoted(&table.name), quoted(record.error))
    }

    /// The fields that the plan reads, and those that tell copies apart.
    fn fields(&self) -> impl Iterator<Item = &Field> {
        let Plan { source, columns, .. } = self.plan;
        let is_read = move |field: &&Field| columns.contains(&field.name) || source.event_id.contains(&field.name);
        source.fields.iter().filter(is_read)
    }

    fn at_times(&self, events: &EventsInSql<'_>) -> Vec<String> {
        let Some((starts, length_us)) = events.times else { return Vec::new() };
        let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return vec!["FALSE".to_owned()] };
        let time = quoted(&self.plan.source.event_time);
        let starts: Vec<String> = starts.iter().copied().map(int).collect();
        vec![
            // By these two, whoever reads a file sees what it need not read.
            format!("{time} >= {}", int(*first)),
            format!("{time} < {}", int(last.saturating_add(length_us))),
            format!("{} IN ({})", bucket_of(&time, length_us), starts.join(", ")),
        ]
    }
}

/// The start of the bucket of an instant, which is a column. A remainder has the sign of the instant in SQL, and none here.
fn bucket_of(time: &str, length_us: i64) -> String {
    let length = int(length_us);
    format!("({time} - ({time} % {length} + {length}) % {length})")
}

/// The records of some ranges. As one `CASE`, of which a plan is as deep for thousands of ranges as for one. Whoever reads a file does not look
/// into that, and sees by the two bounds before it what it need not read.
fn within(events: &EventsInSql<'_>) -> String {
    let (first, end) =
        (events.ranges.iter().map(|range| range.from).min(), events.ranges.iter().map(|range| range.to).max());
    let Some((first, end)) = first.zip(end) else { return "FALSE".to_owned() };
    let (first, end) = (int(first), int(end));
    let RecordColumns { log, partition, offset, .. } = events.record;
    let (log, partition, offset) = (quoted(log), quoted(partition), quoted(offset));
    let ends = events.ranges.iter().map(|range| {
        let (from, to) = (int(range.from), int(range.to));
        let (of_log, number) = (text(&range.id.log), int(range.id.partition.into()));
        let is_in = format!("{log} = {of_log} AND {partition} = {number}");
        format!("WHEN {is_in} AND {offset} >= {from} AND {offset} < {to} THEN {to}")
    });
    let ends = ends.collect::<Vec<_>>().join(" ");
    format!("{offset} >= {first} AND {offset} < {end} AND {offset} < CASE {ends} END")
}

/// The number of a log in the order of the logs; one that is not known comes last.
fn log_number(events: &EventsInSql<'_>) -> Option<String> {
    let numbers =
        events.logs.iter().zip(0_i64..).map(|(log, number)| format!("WHEN {} THEN {}", text(log), int(number)));
    let numbers: Vec<String> = numbers.collect();
    let last = int(u32::MAX.into());
    (!events.logs.is_empty())
        .then(|| format!("CASE {} {} ELSE {last} END", quoted(events.record.log), numbers.join(" ")))
}
