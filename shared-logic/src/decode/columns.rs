//! Cells → a `DataFrame`: the columns of one micro-batch or of one archive buffer.

use polars::prelude::*;

use super::Event;
use crate::catalog::Source;
use crate::format::Cell;

/// Collects decoded events into typed columns.
#[derive(Debug)]
pub struct Columns {
    /// Which field each column takes.
    fields: Vec<usize>,
    columns: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Text(StringChunkedBuilder),
    Int(PrimitiveChunkedBuilder<Int64Type>),
    Float(PrimitiveChunkedBuilder<Float64Type>),
    Bool(BooleanChunkedBuilder),
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Builder")
    }
}

impl Columns {
    /// Empty columns for those fields of the source that `wanted` accepts, with room for `capacity` rows.
    pub fn new(source: &Source, wanted: impl Fn(&str) -> bool, capacity: usize) -> Columns {
        let fields: Vec<usize> = (0..source.fields.len()).filter(|at| wanted(&source.fields[*at].name)).collect();
        let column = |at: &usize| {
            let field = &source.fields[*at];
            let name = PlSmallStr::from(field.name.as_str());
            match field.kind.column_type() {
                DataType::String => Builder::Text(StringChunkedBuilder::new(name, capacity)),
                DataType::Float64 => Builder::Float(PrimitiveChunkedBuilder::new(name, capacity)),
                DataType::Boolean => Builder::Bool(BooleanChunkedBuilder::new(name, capacity)),
                _ => Builder::Int(PrimitiveChunkedBuilder::new(name, capacity)),
            }
        };
        Columns { columns: fields.iter().map(column).collect(), fields, rows: 0 }
    }

    /// Appends one event.
    pub fn push(&mut self, event: &Event<'_>) {
        for (column, field) in self.columns.iter_mut().zip(&self.fields) {
            match (column, event.decoder.record.cells[*field]) {
                (Builder::Text(column), Cell::Text(span)) => column.append_value(event.str(span)),
                (Builder::Int(column), Cell::Int(value)) => column.append_value(value),
                (Builder::Float(column), Cell::Float(value)) => column.append_value(value),
                (Builder::Bool(column), Cell::Bool(value)) => column.append_value(value),
                (column, _) => column.append_null(),
            }
        }
        self.rows += 1;
    }

    /// Appends a row of nulls, for a record that is not an event.
    pub fn push_nulls(&mut self) {
        self.columns.iter_mut().for_each(Builder::append_null);
        self.rows += 1;
    }

    /// The number of rows so far.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows as a frame, columns in the order of the source's fields.
    ///
    /// # Errors
    /// None that a checked catalog can cause; a repeated field name would be one.
    pub fn finish(self) -> PolarsResult<DataFrame> {
        let columns = self
            .columns
            .into_iter()
            .map(|column| match column {
                Builder::Text(column) => column.finish().into_series().into(),
                Builder::Int(column) => column.finish().into_series().into(),
                Builder::Float(column) => column.finish().into_series().into(),
                Builder::Bool(column) => column.finish().into_series().into(),
            })
            .collect();
        DataFrame::new(self.rows, columns)
    }
}

impl Builder {
    fn append_null(&mut self) {
        match self {
            Builder::Text(column) => column.append_null(),
            Builder::Int(column) => column.append_null(),
            Builder::Float(column) => column.append_null(),
            Builder::Bool(column) => column.append_null(),
        }
    }
}
