//! Rows of a Parquet file as JSON objects: a member for each column that has a value in the row.
//!
//! The file is read some rows at a time, so memory does not grow with it. What a column holds is what Parquet itself declares; hints
//! of other programs in the file are left out.
//!
//! - `values`: a value → JSON.

mod values;

use std::error::Error;
use std::fs::File;
use std::slice::Iter;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::reader::ChunkReader;
use parquet::schema::types::ColumnDescPtr;
use shared_logic::catalog::Source;
use shared_logic::schema::{EpochUnit, FieldType, InstantFormat};

use crate::InputError;
use crate::blocks::{Blocks, Remote};
use crate::columns::twice;
use crate::json::write_text;
use crate::rows::{Line, member};

/// How many rows are decoded at once.
const ROWS_AT_ONCE: usize = 4_096;

/// The rows of one file.
pub(crate) struct ParquetRows {
    name: String,
    columns: Vec<Column>,
    batches: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    row: usize,
    /// How many rows were given.
    given: usize,
}

/// How a column becomes a member.
struct Column {
    /// The name of the member, with the colon behind it.
    member: Vec<u8>,
    /// The unit in which the field that stands there counts instants, if it does so.
    unit: Option<EpochUnit>,
}

impl ParquetRows {
    /// The rows of a file on local disk, as objects for a source of JSON. `name` is that of the file in errors.
    ///
    /// # Errors
    /// If it is not a Parquet file, two of its columns have one name, or one holds what JSON or the source's field cannot.
    pub(crate) fn open(file: File, source: &Source, name: &str) -> Result<ParquetRows, InputError> {
        let metadata = metadata(&file).map_err(|error| unreadable(name, &error))?;
        ParquetRows::of(file, metadata, source, name)
    }

    /// The same for a file that lies elsewhere.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn open_remote(
        remote: &Arc<dyn Remote>,
        source: &Source,
        name: &str,
    ) -> Result<ParquetRows, InputError> {
        let metadata = metadata(&Blocks::in_order(remote)).map_err(|error| unreadable(name, &error))?;
        let blocks = Blocks::of_columns(remote, metadata.parquet_schema().num_columns());
        ParquetRows::of(blocks, metadata, source, name)
    }

    fn of<R: ChunkReader + 'static>(
        file: R,
        metadata: ArrowReaderMetadata,
        source: &Source,
        name: &str,
    ) -> Result<ParquetRows, InputError> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
        let fields = builder.schema().fields();
        if let Some(column) = twice(fields.iter().map(|field| field.name().as_str())) {
            return Err(InputError::TwoColumns { name: name.to_owned(), column: column.to_owned() });
        }
        let columns = fields.iter().map(|field| Column::of(field, source, name));
        let columns = columns.collect::<Result<Vec<Column>, InputError>>()?;
        let batches = builder.with_batch_size(ROWS_AT_ONCE).build().map_err(|error| unreadable(name, &error))?;
        Ok(ParquetRows { name: name.to_owned(), columns, batches, batch: None, row: 0, given: 0 })
    }

    /// The next row, numbered from 1; nothing at the end.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, InputError> {
        loop {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.row < batch.num_rows()) {
                let text = object(&self.columns, batch, self.row);
                (self.row, self.given) = (self.row + 1, self.given + 1);
                return Ok(Some(Line { number: self.given, text }));
            }
            match self.batches.next() {
                Some(Ok(batch)) => (self.batch, self.row) = (Some(batch), 0),
                Some(Err(error)) => return Err(unreadable(&self.name, &error)),
                None => return Ok(None),
            }
        }
    }
}

fn unreadable(name: &str, error: &dyn Error) -> InputError {
    InputError::Parquet { name: name.to_owned(), why: error.to_string() }
}

/// What a file declares of its columns.
///
/// Instants of the old type INT96 would be read as nanoseconds of 64 bits, which reach from 1677 to 2262: others, such as
/// 9999-12-31 for "never", would become other instants without a word. So they are read in microseconds.
fn metadata<R: ChunkReader>(file: &R) -> Result<ArrowReaderMetadata, ParquetError> {
    let declared = ArrowReaderMetadata::load(file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
    let leaves = declared.parquet_schema().columns();
    if leaves.iter().all(|leaf| leaf.physical_type() != PhysicalType::INT96) {
        return Ok(declared);
    }
    let (mut leaves, fields) = (leaves.iter(), declared.schema().fields());
    let fields: Fields = fields.iter().map(|field| in_microseconds(field, &mut leaves)).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(Arc::clone(declared.metadata()), options)
}

/// The field, with what is INT96 in it in microseconds. `leaves` are the columns of the file from the field's first one on.
fn in_microseconds(field: &FieldRef, leaves: &mut Iter<'_, ColumnDescPtr>) -> FieldRef {
    let kind = match field.data_type() {
        DataType::List(of) => DataType::List(in_microseconds(of, leaves)),
        DataType::FixedSizeList(of, length) => DataType::FixedSizeList(in_microseconds(of, leaves), *length),
        DataType::Map(entries, is_sorted) => DataType::Map(in_microseconds(entries, leaves), *is_sorted),
        DataType::Struct(members) => {
            DataType::Struct(members.iter().map(|member| in_microseconds(member, leaves)).collect())
        }
        kind => match (kind, leaves.next().map(|leaf| leaf.physical_type())) {
            (DataType::Timestamp(..), Some(PhysicalType::INT96)) => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => kind.clone(),
        },
    };
    Arc::new(field.as_ref().clone().with_data_type(kind))
}

fn object(columns: &[Column], batch: &RecordBatch, row: usize) -> Vec<u8> {
    let mut object = vec![b'{'];
    for (column, values) in columns.iter().zip(batch.columns()) {
        if values.is_null(row) {
            continue;
        }
        if object.len() > 1 {
            object.push(b',');
        }
        object.extend_from_slice(&column.member);
        values::write(&mut object, values.as_ref(), row, column.unit);
    }
    object.push(b'}');
    object
}

impl Column {
    fn of(column: &FieldRef, source: &Source, name: &str) -> Result<Column, InputError> {
        let refused = |why: &str| {
            let (name, column, why) = (name.to_owned(), column.name().clone(), why.to_owned());
            Err(InputError::Column { name, column, why })
        };
        if let Some(kind) = values::not_in_json(column.data_type()) {
            return refused(&format!(
                "holds {kind}, which JSON cannot hold: write the file without it, or with it as text"
            ));
        }
        let mut unit = None;
        let field = source.fields.iter().find(|field| member(field) == Some(column.name().as_str()));
        let instants = field.filter(|field| field.kind == FieldType::Timestamp).map(|field| &field.instants);
        if let (Some(instants), DataType::Timestamp(_, zone)) = (instants, column.data_type()) {
            match instants {
                InstantFormat::Pattern(_) => {
                    return refused(
                        "holds instants, and the field reads texts of a pattern: write the column as such texts",
                    );
                }
                InstantFormat::Epoch(own) if zone.is_some() => unit = Some(*own),
                InstantFormat::Usual if zone.is_some() || source.time_zone.is_some() => {}
                _ => {
                    return refused(
                        "holds times without a zone: say which zone they are of, with time_zone = \"UTC\" or another in the \
                         source, for a field without `format`",
                    );
                }
            }
        }
        let mut member = Vec::new();
        write_text(&mut member, column.name());
        member.push(b':');
        Ok(Column { member, unit })
    }
}

#[cfg(test)]
mod tests;
