//! The writers' schemas beside an archive: what is written first stands.

use platform::store::StoreError;
use shared_logic::contracts::archive::{ArchivedSchema, schema_path};
use shared_logic::format::SchemaId;

use super::Archive;

impl Archive {
    /// What a schema's id means, if that is written down.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn schema(&self, id: SchemaId) -> Result<Option<ArchivedSchema>, StoreError> {
        self.table().beside(&schema_path(id)).await
    }

    /// Writes down what a schema's id means, unless that was done before. Returns what stands.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub async fn keep_schema(&self, id: SchemaId, meaning: ArchivedSchema) -> Result<ArchivedSchema, StoreError> {
        if self.table().put_beside_if_absent(&schema_path(id), &meaning).await? {
            return Ok(meaning);
        }
        let vanished = || StoreError::Foreign {
            table: self.path().to_owned(),
            what: format!("a file {} that vanished at once", schema_path(id)),
        };
        self.schema(id).await?.ok_or_else(vanished)
    }
}
