//! One commit of a table: added files, removed files and notes, all or nothing.

use std::collections::HashMap;

use deltalake::kernel::transaction::TransactionError;
use deltalake::kernel::{DataType as DeltaType, Metadata, PrimitiveType, Remove, StructType};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use polars::prelude::{DataType, Schema, TimeUnit, TimeZone};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::digest::{self, FilesDigest};
use super::location::Location;
use super::retention::Retention;
use super::torn::ACTIONS;
use super::{DataFile, StoreError};

/// What one commit changes.
#[derive(Debug, Clone)]
pub struct Commit {
    /// What this commit does, for the log.
    operation: &'static str,
    partition_column: &'static str,
    at_us: i64,
    add: Vec<DataFile>,
    remove: Vec<DataFile>,
    notes: Vec<(String, String)>,
    schema: Option<Schema>,
    data_change: bool,
}

/// How a commit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The commit is this version.
    At(u64),
    /// Another writer committed that version first; nothing changed. Refresh the table and plan again.
    Conflict,
}

/// What a commit follows on.
pub(super) struct Before<'a> {
    pub(super) version: u64,
    /// The files that the table consists of.
    pub(super) files: FilesDigest,
    pub(super) metadata: &'a Metadata,
    /// How long the table is to keep what is superfluous, from this commit on.
    pub(super) retention: &'a Retention,
}

impl Before<'_> {
    /// The properties that the table is to have.
    fn properties(&self) -> HashMap<String, String> {
        self.retention.laid_over(self.metadata.configuration())
    }
}

impl Commit {
    /// An empty commit. `partition_column` is the table's; `at_us` is the time of the writer's clock, for information only.
    pub fn new(operation: &'static str, partition_column: &'static str, at_us: i64) -> Commit {
        Commit {
            operation,
            partition_column,
            at_us,
            add: Vec::new(),
            remove: Vec::new(),
            notes: Vec::new(),
            schema: None,
            data_change: true,
        }
    }

    /// Adds files that are already written.
    pub fn adding(mut self, files: impl IntoIterator<Item = DataFile>) -> Commit {
        self.add.extend(files);
        self
    }

    /// Removes files from the table. They stay in the store, for readers of older versions.
    pub fn removing(mut self, files: impl IntoIterator<Item = DataFile>) -> Commit {
        self.remove.extend(files);
        self
    }

    /// Replaces the note of a domain.
    pub fn note(mut self, domain: &str, note: &impl Serialize) -> Commit {
        let text = serde_json::to_string(note).expect("notes are plain data");
        self.notes.push((domain.to_owned(), text));
        self
    }

    /// Declares that the added files hold exactly the rows of the removed ones.
    pub fn same_rows(mut self) -> Commit {
        self.data_change = false;
        self
    }

    /// Replaces the table's columns, except its partition column.
    pub fn schema(mut self, schema: &Schema) -> Commit {
        self.schema = Some(schema.clone());
        self
    }

    /// The files that make up the table after it, if `before` do so before.
    pub(super) fn files_after(&self, before: FilesDigest) -> FilesDigest {
        let files = self.add.iter().fold(before, |files, added| files.with(&added.path));
        self.remove.iter().fold(files, |files, removed| files.without(&removed.path))
    }

    /// Whether it declares other columns or properties than those of before.
    pub(super) fn declares(&self, before: &Before<'_>) -> bool {
        self.schema.is_some() || before.properties() != *before.metadata.configuration()
    }

    /// The commit as lines of JSON, in the form of the Delta protocol.
    fn lines(&self, before: &Before<'_>) -> String {
        let at_ms = self.at_us / 1_000;
        let mut actions = Vec::new();
        if self.declares(before) {
            let schema = self.schema.as_ref().map(|schema| schema_string(schema, self.partition_column));
            let mut changed = serde_json::to_value(before.metadata).expect("metadata is plain data");
            changed["schemaString"] = json!(schema.as_ref().unwrap_or(before.metadata.schema_string()));
            changed["configuration"] = json!(before.properties());
            actions.push(json!({"metaData": changed}));
        }
        for file in &self.add {
            actions.push(json!({"add": {
                "path": file.path, "partitionValues": {self.partition_column: file.partition}, "size": file.size,
                "modificationTime": at_ms, "dataChange": self.data_change, "stats": file.stats().to_string(),
            }}));
        }
        for file in &self.remove {
            actions.push(json!({"remove": Remove { data_change: self.data_change, ..file.remove_action(at_ms, self.partition_column) }}));
        }
        for (domain, configuration) in &self.notes {
            actions.push(note(domain, configuration));
        }
        // Last, so that an entry that is cut anywhere carries the digest of the version before.
        actions.push(note(digest::DOMAIN, &self.files_after(before.files).to_note()));
        entry(self.operation, at_ms, actions)
    }
}

/// Writes the commit as the version after `before`, unless that exists.
pub(super) async fn write(
    log_store: LogStoreRef,
    table: &str,
    before: Before<'_>,
    commit: Commit,
) -> Result<Committed, StoreError> {
    let version = before.version + 1;
    let bytes = CommitOrBytes::LogBytes(commit.lines(&before).into());
    match log_store.write_commit_entry(version, bytes, Uuid::new_v4()).await {
        Ok(()) => Ok(Committed::At(version)),
        Err(TransactionError::VersionAlreadyExists(_)) => Ok(Committed::Conflict),
        Err(error) => Err(StoreError::Delta {
            operation: "commit to the log",
            table: table.to_owned(),
            source: Box::new(error.into()),
        }),
    }
}

/// Writes version 0 of a table, unless it exists.
///
/// The protocol is writer version 7 with `domainMetadata`, which every reader may ignore.
pub(super) async fn create(location: &Location, schema: &Schema, partition: &str) -> Result<(), StoreError> {
    let delta = |source| location.failed("create the log", source);
    let log_store = location.log_store().map_err(delta)?;
    let actions = vec![
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["domainMetadata"]}}),
        metadata(schema, partition, &location.retention().laid_over(&HashMap::new())),
        note(digest::DOMAIN, &FilesDigest::default().to_note()),
    ];
    let entry = entry("CREATE TABLE", location.now_us() / 1_000, actions);
    match log_store.write_commit_entry(0, CommitOrBytes::LogBytes(entry.into()), Uuid::new_v4()).await {
        Ok(()) | Err(TransactionError::VersionAlreadyExists(_)) => Ok(()),
        Err(error) => Err(delta(error.into())),
    }
}

/// A log entry: a line that says how many actions follow, and a line for each. A random name tells it from every other writer's
/// entry, whatever that says, so that a writer whose reply was lost knows its own.
fn entry(operation: &str, at_ms: i64, mut actions: Vec<Value>) -> String {
    let info = json!({"commitInfo": {
        "timestamp": at_ms, "operation": operation, "engineInfo": concat!("braid/", env!("CARGO_PKG_VERSION")),
        ACTIONS: actions.len(), "braidCommit": Uuid::new_v4().to_string(),
    }});
    actions.insert(0, info);
    actions.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

fn note(domain: &str, configuration: &str) -> Value {
    json!({"domainMetadata": {"domain": domain, "configuration": configuration, "removed": false}})
}

/// What a new table declares.
fn metadata(schema: &Schema, partition: &str, properties: &HashMap<String, String>) -> Value {
    json!({"metaData": {
        "id": Uuid::new_v4().to_string(), "format": {"provider": "parquet", "options": {}},
        "schemaString": schema_string(schema, partition), "partitionColumns": [partition],
        "configuration": properties,
    }})
}

fn schema_string(schema: &Schema, partition: &str) -> String {
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
    let mut fields: Vec<Value> = schema.iter().map(|(name, dtype)| field(name, delta_type(dtype))).collect();
    fields.push(field(partition, "string"));
    json!({"type": "struct", "fields": fields}).to_string()
}

/// The columns of a Delta schema, except the partition column.
pub(super) fn columns(schema: &StructType, partition: &str) -> Schema {
    let kept = schema.fields().filter(|field| field.name() != partition);
    kept.map(|field| (field.name().as_str().into(), polars_type(field.data_type()))).collect()
}

/// The column type of a Delta type. Types that Braid does not write become text.
fn polars_type(delta: &DeltaType) -> DataType {
    match delta {
        DeltaType::Primitive(PrimitiveType::Integer) => DataType::Int32,
        DeltaType::Primitive(PrimitiveType::Long) => DataType::Int64,
        DeltaType::Primitive(PrimitiveType::Double) => DataType::Float64,
        DeltaType::Primitive(PrimitiveType::Boolean) => DataType::Boolean,
        DeltaType::Primitive(PrimitiveType::Binary) => DataType::Binary,
        DeltaType::Primitive(PrimitiveType::Timestamp) => {
            DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
        }
        _ => DataType::String,
    }
}

/// The Delta protocol's name of a column type.
fn delta_type(dtype: &DataType) -> &'static str {
    match dtype {
        DataType::Int32 => "integer",
        DataType::Int64 => "long",
        DataType::Float64 => "double",
        DataType::Boolean => "boolean",
        DataType::Binary => "binary",
        DataType::Datetime(..) => "timestamp",
        _ => "string",
    }
}
