//! Bytes of lines → records: a record is a line, or a row of a table, which may span several lines.
//!
//! Comments are left out. The first row of a table may be a header: if it names another order of columns than the source
//! declares, or more of them, the rows behind it are sent in the declared order. Nothing else of a row is changed, and none is
//! left out, whatever it holds.
//!
//! - `table`: how rows are split into columns, and put into another order.

mod table;

use std::io::{BufRead, Read};

use anyhow::{Result, anyhow, bail, ensure};
use shared_logic::catalog::Source;

use self::table::{Order, Quoting, Table};

/// A longer record is an error: the file probably has no lines. It is far above what a broker accepts as one record.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// What the sender says about the records of the input.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RowArgs {
    /// The first row of a CSV or TSV input names its columns; a header that names all declared columns is recognised without this
    #[arg(long)]
    pub(crate) header: bool,
    /// Leave out lines that begin with this text, such as #
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
}

/// A record without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The number of its (first) line, counted from 1.
    pub(crate) number: usize,
    pub(crate) text: Vec<u8>,
}

/// Tells the records of one input apart.
#[derive(Debug)]
pub(crate) struct Rows {
    /// How rows are split, if the source is a table.
    table: Option<Table>,
    has_header: bool,
    comment: Option<String>,
    /// How many lines were read.
    lines: usize,
    /// Whether the first row was read, which may be a header.
    begun: bool,
    /// Where each declared column stands in the rows of this input, if it is elsewhere.
    order: Option<Order>,
}

impl Rows {
    /// The records of an input for this source.
    ///
    /// # Errors
    /// If a header is expected, but the source is no table.
    pub(crate) fn of(source: &Source, args: &RowArgs) -> Result<Rows> {
        let table = Table::of(source);
        ensure!(
            table.is_some() || !args.header,
            "source `{}` is {}, which has no header: leave --header out",
            source.name,
            source.format.name()
        );
        let comment = args.comment.clone().filter(|text| !text.is_empty());
        Ok(Rows { table, has_header: args.header, comment, lines: 0, begun: false, order: None })
    }

    /// The next record of the input, which is called `name` in errors; nothing at its end.
    ///
    /// # Errors
    /// If the input cannot be read, a record is too long, or the header lacks a required column.
    pub(crate) fn next(&mut self, input: &mut impl BufRead, name: &str) -> Result<Option<Line>> {
        while let Some(row) = self.read(input, name)? {
            if is_blank(&row.text) {
                return Ok(Some(row));
            }
            let is_first = !std::mem::replace(&mut self.begun, true);
            if !(is_first && self.takes_header(&row.text, name)?) {
                return Ok(Some(self.in_order(row)));
            }
        }
        Ok(None)
    }

    /// The next row with all of its lines. Only at its beginning, a line can be a comment.
    fn read(&mut self, input: &mut impl BufRead, name: &str) -> Result<Option<Line>> {
        let (mut text, mut number) = (Vec::new(), self.lines + 1);
        let mut quoting = Quoting::default();
        loop {
            let begin = text.len();
            let room = (RECORD_BYTES_MAX - begin) as u64;
            let read = input.by_ref().take(room).read_until(b'\n', &mut text);
            let line = self.lines + 1;
            let bytes = read.map_err(|error| anyhow!(error).context(format!("cannot read {name} at line {line}")))?;
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
                bail!("line {number} of {name} is longer than {mib} MiB: {why}");
            }
        }
    }

    fn is_comment(&self, line: &[u8]) -> bool {
        self.comment.as_ref().is_some_and(|comment| line.starts_with(comment.as_bytes()))
    }

    /// Whether the first row is a header. If so, the rows behind it are put into the declared order.
    fn takes_header(&mut self, row: &[u8], name: &str) -> Result<bool> {
        let Some(table) = &self.table else { return Ok(false) };
        let order = Order::of_header(table, row);
        if !self.has_header && !order.is_whole() {
            return Ok(false);
        }
        if let Some(column) = order.missing(table) {
            let names = table.names(row).join(", ");
            bail!(
                "the header of {name} lacks the column `{column}`, which the source requires; it names {names}: if that is \
                 another name for it, declare the field with path = [\"…\"], and with \"?\" if it may be absent"
            );
        }
        self.order = Some(order).filter(|order| !order.is_declared());
        Ok(true)
    }

    fn in_order(&self, row: Line) -> Line {
        match (&self.table, &self.order) {
            (Some(table), Some(order)) => Line { text: order.row(table, &row.text), ..row },
            _ => row,
        }
    }
}

/// Whether the line is empty. A carriage return is part of the line end on some systems.
pub(crate) fn is_blank(text: &[u8]) -> bool {
    matches!(text, b"" | b"\r")
}

#[cfg(test)]
mod tests;
