//! Rows of a table, as they are written: where their columns begin, and the same columns in another order.

use std::borrow::Cow;

use shared_logic::catalog::Source;
use shared_logic::format::Format;
use shared_logic::schema::Field;

use super::Separated;

/// How the rows of a source are written.
#[derive(Debug)]
pub(super) struct Table {
    delimiter: u8,
    /// Whether columns may stand in quotes, and then hold delimiters and line ends.
    quotes: bool,
    /// The declared columns, in their order.
    columns: Vec<Column>,
    /// A column whose value is absent, as it is written.
    absent: Vec<u8>,
}

/// A declared column.
#[derive(Debug)]
struct Column {
    name: String,
    required: bool,
}

/// What the bytes of a row so far say about the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Quoting {
    /// A column begins with it.
    #[default]
    Begin,
    /// It stands in a column without quotes, or behind one in quotes.
    Plain,
    /// It stands in quotes.
    Open,
    /// It stands behind a quote that closes a column, unless the next one doubles it.
    Closed,
}

/// Where the declared columns stand in rows of another order.
#[derive(Debug)]
pub(super) struct Order {
    /// How many columns the rows have.
    width: usize,
    /// For each declared column, its position in them.
    positions: Vec<Option<usize>>,
}

impl Table {
    /// The table that the source's records are rows of; nothing if its format has other records.
    pub(super) fn of(source: &Source) -> Option<Table> {
        let (delimiter, quotes) = match source.format {
            Format::Tsv => (b'\t', false),
            Format::Csv => (b',', true),
            _ => return None,
        };
        let columns = source.fields.iter().filter(|field| field.has_column());
        let column = |field: &Field| Column { name: field.column().to_owned(), required: !field.optional };
        let null = source.null.first().map(String::as_str).unwrap_or_default();
        let absent =
            if quotes && !null.is_empty() { format!("\"{}\"", null.replace('"', "\"\"")) } else { null.into() };
        Some(Table { delimiter, quotes, columns: columns.map(column).collect(), absent: absent.into_bytes() })
    }

    /// A table whose columns no source declares.
    pub(super) fn without_declared(separated: Separated) -> Table {
        let (delimiter, quotes) = match separated {
            Separated::ByCommas => (b',', true),
            Separated::ByTabs => (b'\t', false),
        };
        Table { delimiter, quotes, columns: Vec::new(), absent: Vec::new() }
    }

    /// What the bytes say about the next one, if `quoting` was said about the first of them.
    pub(super) fn after(&self, quoting: Quoting, bytes: &[u8]) -> Quoting {
        if self.quotes { bytes.iter().fold(quoting, |quoting, byte| self.step(quoting, *byte)) } else { quoting }
    }

    fn step(&self, quoting: Quoting, byte: u8) -> Quoting {
        match (quoting, byte) {
            (Quoting::Open, b'"') => Quoting::Closed,
            (Quoting::Open, _) => Quoting::Open,
            (Quoting::Begin | Quoting::Closed, b'"') if self.quotes => Quoting::Open,
            (_, byte) if byte == self.delimiter => Quoting::Begin,
            _ => Quoting::Plain,
        }
    }

    /// The columns of a row as they are written, with their quotes.
    pub(super) fn split<'r>(&self, row: &'r [u8]) -> Vec<&'r [u8]> {
        let (mut columns, mut start, mut quoting) = (Vec::new(), 0, Quoting::Begin);
        for (at, byte) in row.iter().enumerate() {
            if *byte == self.delimiter && quoting != Quoting::Open {
                columns.push(&row[start..at]);
                start = at + 1;
            }
            quoting = self.step(quoting, *byte);
        }
        columns.push(&row[start..]);
        columns
    }

    /// Whether quotes stand in a column only around its text, or doubled in it. What follows from others is a guess: the file may
    /// have ended within a text, or a text with a quote in it was not written as RFC 4180 says.
    pub(super) fn is_well_quoted(&self, column: &str) -> bool {
        if !self.quotes {
            return true;
        }
        match column.strip_prefix('"') {
            None => !column.contains('"'),
            Some(text) => text.strip_suffix('"').is_some_and(|text| !text.replace("\"\"", "").contains('"')),
        }
    }

    /// The names of a header's columns.
    pub(super) fn names<'r>(&self, header: &'r [u8]) -> Vec<Cow<'r, str>> {
        let name = |column: &'r [u8]| match String::from_utf8_lossy(column) {
            Cow::Borrowed(text) => self.text(text),
            Cow::Owned(text) => Cow::Owned(self.text(&text).into_owned()),
        };
        self.split(without_return(header)).into_iter().map(name).collect()
    }

    /// The text of a column, without the quotes that it stands in.
    pub(super) fn text<'r>(&self, column: &'r str) -> Cow<'r, str> {
        match column.strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|_| self.quotes) {
            Some(text) => Cow::Owned(text.replace("\"\"", "\"")),
            None => Cow::Borrowed(column),
        }
    }
}

impl Order {
    /// The order that a header names.
    pub(super) fn of_header(table: &Table, header: &[u8]) -> Order {
        let names = table.names(header);
        let position = |column: &Column| names.iter().position(|name| *name == column.name);
        Order { width: names.len(), positions: table.columns.iter().map(position).collect() }
    }

    /// Whether all declared columns are there.
    pub(super) fn is_whole(&self) -> bool {
        !self.positions.contains(&None)
    }

    /// Whether rows are as the source declares them.
    pub(super) fn is_declared(&self) -> bool {
        self.positions.iter().copied().eq((0..self.width).map(Some))
    }

    /// The first required column that is not there.
    pub(super) fn missing<'t>(&self, table: &'t Table) -> Option<&'t str> {
        let mut columns = table.columns.iter().zip(&self.positions);
        let missing = columns.find(|(column, position)| column.required && position.is_none());
        missing.map(|(column, _)| column.name.as_str())
    }

    /// The row in the declared order. Columns that the source does not declare are left out.
    ///
    /// A row with more or fewer columns than the header has no order. It is sent as it is, and with one column more if it
    /// could be taken for a row of the declared order.
    pub(super) fn row(&self, table: &Table, row: &[u8]) -> Vec<u8> {
        let row = without_return(row);
        let columns = table.split(row);
        if columns.len() != self.width {
            let mut row = row.to_vec();
            if columns.len() == self.positions.len() {
                row.push(table.delimiter);
            }
            return row;
        }
        let column = |position: &Option<usize>| position.map_or(table.absent.as_slice(), |at| columns[at]);
        self.positions.iter().map(column).collect::<Vec<&[u8]>>().join(&table.delimiter)
    }
}

/// The row without the carriage return of its line end.
pub(super) fn without_return(row: &[u8]) -> &[u8] {
    row.strip_suffix(b"\r").unwrap_or(row)
}
