//! Bytes of lines → records: a record is a line, or a row of a table, which may span several lines.
//!
//! Comments are left out. The first row of a table may be a header: if it names another order of columns than the source
//! declares, or more of them, the rows behind it are sent in the declared order. Nothing else of a row is changed, and none is
//! left out, whatever it holds.
//!
//! - `table`: how rows are split into columns, and put into another order;
//! - `objects`: rows of a table as JSON objects.

mod objects;
mod table;

use std::io::{BufRead, Read};

use shared_logic::catalog::Source;

use self::objects::Objects;
pub(crate) use self::objects::member;
use self::table::{Order, Quoting, Table};
use crate::InputError;
use crate::columns::twice;

/// A longer record is an error: the file probably has no lines. It is far above what a broker accepts as one record.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// What the sender says about the records of the input.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RowArgs {
    /// The first row of a CSV or TSV input names its columns; a header that names all declared columns is recognised without this
    #[arg(long)]
    pub header: bool,
    /// Leave out lines that begin with this text, such as #
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
}

/// A record without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of its (first) line, counted from 1.
    pub number: usize,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// Tells the records of one input apart.
#[derive(Debug)]
pub struct Rows {
    /// How rows are split, if the source is a table.
    table: Option<Table>,
    has_header: bool,
    comment: Option<String>,
    /// How many lines were read.
    lines: usize,
    /// Whether the first row was read, which may be a header.
    begun: bool,
    form: Form,
}

/// What becomes of a row.
#[derive(Debug)]
enum Form {
    /// It is a record as it is written.
    AsWritten,
    /// Its columns are put into the declared order.
    InOrder(Order),
    /// It becomes a JSON object for this source, once a header has named its columns.
    Awaited(Box<Source>),
    /// It becomes a JSON object.
    Objects(Objects),
}

/// How the columns of a table are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separated {
    /// By commas; a column may stand in quotes (RFC 4180).
    ByCommas,
    /// By tabs.
    ByTabs,
}

impl Rows {
    /// The records of an input for this source.
    ///
    /// # Errors
    /// If a header is expected, but the source is no table.
    pub fn of(source: &Source, args: &RowArgs) -> Result<Rows, InputError> {
        let table = Table::of(source);
        if table.is_none() && args.header {
            return Err(InputError::NoHeader { source_name: source.name.clone(), format: source.format.name() });
        }
        let comment = args.comment.clone().filter(|text| !text.is_empty());
        Ok(Rows { table, has_header: args.header, comment, lines: 0, begun: false, form: Form::AsWritten })
    }

    /// The rows of a table as JSON objects, for a source of JSON. The first row is a header.
    pub fn as_objects(source: &Source, separated: Separated, args: &RowArgs) -> Rows {
        let comment = args.comment.clone().filter(|text| !text.is_empty());
        let table = Some(Table::without_declared(separated));
        let form = Form::Awaited(Box::new(source.clone()));
        Rows { table, has_header: true, comment, lines: 0, begun: false, form }
    }

    /// The next record of the input, which is called `name` in errors; nothing at its end.
    ///
    /// # Errors
    /// If the input cannot be read, a record is too long, or the header lacks a required column or names one twice.
    pub fn next(&mut self, input: &mut impl BufRead, name: &str) -> Result<Option<Line>, InputError> {
        while let Some(row) = self.read(input, name)? {
            if is_blank(&row.text) {
                return Ok(Some(row));
            }
            let is_first = !std::mem::replace(&mut self.begun, true);
            if !(is_first && self.takes_header(&row.text, name)?) {
                return Ok(Some(self.formed(row)));
            }
        }
        Ok(None)
    }

    /// The next row with all of its lines. Only at its beginning, a line can be a comment.
    fn read(&mut self, input: &mut impl BufRead, name: &str) -> Result<Option<Line>, InputError> {
        let (mut text, mut number) = (Vec::new(), self.lines + 1);
        let mut quoting = Quoting::default();
        loop {
            let begin = text.len();
            let room = (RECORD_BYTES_MAX - begin) as u64;
            let read = input.by_ref().take(room).read_until(b'\n', &mut text);
            let line = self.lines + 1;
            let bytes = read.map_err(|source| InputError::Line { name: name.to_owned(), line, source })?;
            if bytes == 0 {
                return Ok((!text.is_empty()).then_some(Line { number, text }));
            }
            self.lines = line;
            if begin == 0 && self.is_comment(&text) {
                text.clear();
                number = line + 1;
                continue;
            }
            quoting = self.table.as_ref().map_or(quoting, |table| table.after(quoting, &text[begin..]));
            let ends = text.last() == Some(&b'\n') && quoting != Quoting::Open;
            if ends {
                text.pop();
                return Ok(Some(Line { number, text }));
            }
            if text.len() == RECORD_BYTES_MAX {
                let mib = RECORD_BYTES_MAX >> 20;
                let why = if quoting == Quoting::Open { "is a quote left open?" } else { "is it one record a line?" };
                return Err(InputError::TooLong { name: name.to_owned(), number, mib, why });
            }
        }
    }

    fn is_comment(&self, line: &[u8]) -> bool {
        self.comment.as_ref().is_some_and(|comment| line.starts_with(comment.as_bytes()))
    }

    /// Whether the first row is a header. If so, it says what becomes of the rows behind it.
    fn takes_header(&mut self, row: &[u8], name: &str) -> Result<bool, InputError> {
        let Some(table) = &self.table else { return Ok(false) };
        let order = Order::of_header(table, row);
        if !self.has_header && !order.is_whole() {
            return Ok(false);
        }
        let names = table.names(row);
        if let Some(column) = twice(names.iter().map(AsRef::as_ref)) {
            return Err(InputError::TwoColumns { name: name.to_owned(), column: column.to_owned() });
        }
        if let Form::Awaited(source) = &self.form {
            self.form = Form::Objects(Objects::of_header(&names, source, name)?);
            return Ok(true);
        }
        if let Some(column) = order.missing(table) {
            let (name, column, names) = (name.to_owned(), column.to_owned(), names.join(", "));
            return Err(InputError::HeaderLacks { name, column, names });
        }
        if !order.is_declared() {
            self.form = Form::InOrder(order);
        }
        Ok(true)
    }

    fn formed(&self, row: Line) -> Line {
        match (&self.table, &self.form) {
            (Some(table), Form::InOrder(order)) => Line { text: order.row(table, &row.text), ..row },
            (Some(table), Form::Objects(objects)) => Line { text: objects.row(table, row.text), ..row },
            _ => row,
        }
    }
}

/// Whether the line is empty. A carriage return is part of the line end on some systems.
pub fn is_blank(text: &[u8]) -> bool {
    matches!(text, b"" | b"\r")
}

#[cfg(test)]
mod tests;
