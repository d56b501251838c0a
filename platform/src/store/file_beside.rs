//! A file beside the data of a table.

use object_store::ObjectMeta;

/// A file in a table's folder that belongs to no version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileBeside {
    /// Its path relative to the table.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was last written, microseconds since 1970 by the store's clock.
    pub written_us: i64,
}

impl From<ObjectMeta> for FileBeside {
    fn from(object: ObjectMeta) -> FileBeside {
        FileBeside {
            path: object.location.to_string(),
            size: object.size,
            written_us: object.last_modified.timestamp_micros(),
        }
    }
}
