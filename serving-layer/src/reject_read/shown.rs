//! Bytes of a record as they are shown: text, or hexadecimal digits, and no more than so many.

use polars::prelude::*;
use serde::Serialize;
use shared_logic::contracts::archive::{KEY, RAW};
use utoipa::ToSchema;

/// So many bytes of a key are shown.
const KEY_MAX: usize = 1_024;
/// So many bytes of a payload are shown.
const PAYLOAD_MAX: usize = 4_096;

/// Bytes that a client has sent: `text` if they are UTF-8, otherwise `hex`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ShownBytes)]
pub(crate) struct Shown {
    /// The text, if the bytes are UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
    /// Two hexadecimal digits for each byte, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hex: Option<String>,
    /// How many bytes there are.
    bytes: usize,
    /// Whether only the first of them are shown.
    cut: bool,
}

impl Shown {
    /// At most `most` of those bytes.
    fn new(bytes: &[u8], most: usize) -> Shown {
        let (text, hex) = match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text[..text.floor_char_boundary(most)].to_owned()), None),
            Err(_) => (None, Some(hex(&bytes[..bytes.len().min(most)]))),
        };
        Shown { text, hex, bytes: bytes.len(), cut: bytes.len() > most }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The columns that hold bytes.
pub(super) fn columns() -> Schema {
    [KEY, RAW].into_iter().map(|name| Field::new(name.into(), DataType::Binary)).collect()
}

/// A row, with the key and the payload of its record.
pub(super) type OfRow = (usize, (Option<Shown>, Option<Shown>));

/// The keys and payloads of rows of a frame of [`columns`].
///
/// # Errors
/// If a column has another type.
pub(super) fn of_rows(frame: &DataFrame, rows: &[usize]) -> PolarsResult<Vec<OfRow>> {
    let (key, payload) = (frame.column(KEY)?.binary()?, frame.column(RAW)?.binary()?);
    let shown = |column: &BinaryChunked, row, most| column.get(row).map(|bytes| Shown::new(bytes, most));
    Ok(rows.iter().map(|row| (*row, (shown(key, *row, KEY_MAX), shown(payload, *row, PAYLOAD_MAX)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_other_bytes_anywhere() {
        let shown = |text: Option<&str>, hex: Option<&str>, bytes, cut| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Shown { text: owned(text), hex: owned(hex), bytes, cut }
        };
        assert_eq!(Shown::new(b"", 4), shown(Some(""), None, 0, false));
        assert_eq!(Shown::new(b"four", 4), shown(Some("four"), None, 4, false));
        assert_eq!(Shown::new("fou\u{fc}".as_bytes(), 4), shown(Some("fou"), None, 5, true));
        assert_eq!(Shown::new(&[0xff, 0x00, 0x0a], 2), shown(None, Some("ff00"), 3, true));
    }
}
