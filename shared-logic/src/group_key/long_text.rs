//! Texts that are too long to stand in a group key as they are.
//!
//! Such a text is shortened visibly: its first bytes, `…`, and a hash of all of it. The hash is XXH3 with 128 bits, so two
//! long texts that begin alike are counted as one key by accident with a chance of 2^-128. XXH3 does not withstand a search
//! for such a pair: who sends one on purpose has both counted as one key, as has who sends a text that is written like a
//! shortened one. No other key is affected.

use std::borrow::Cow;

use polars::prelude::{ChunkApply, Column, IntoColumn, PolarsResult};
use xxhash_rust::xxh3::xxh3_128;

/// A text of this many bytes stands in a group key as it is. A longer one is shortened to at most as many.
pub const MAX_KEY_BYTES: usize = 8 * 1024;

/// What follows the bytes that are kept.
const MARK: char = '…';
/// The hexadecimal digits of the hash.
const HASH_DIGITS: usize = 32;

/// The text as it stands in a group key. Shortening a shortened text changes nothing.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    shortened_to(text, MAX_KEY_BYTES)
}

/// The text in at most so many bytes, which are enough for a mark and a hash.
pub(crate) fn shortened_to(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let kept = text.floor_char_boundary(max_bytes - MARK.len_utf8() - HASH_DIGITS);
    Cow::Owned(format!("{}{MARK}{:0HASH_DIGITS$x}", &text[..kept], xxh3_128(text.as_bytes())))
}

/// A column of texts as they stand in group keys.
///
/// # Errors
/// If the column holds no texts.
pub(crate) fn shorten(column: Column) -> PolarsResult<Column> {
    let texts = column.str()?;
    if texts.iter().flatten().all(|text| text.len() <= MAX_KEY_BYTES) {
        return Ok(column);
    }
    Ok(texts.apply_values(shortened).into_column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_as_it_is_up_to_the_limit_and_is_shortened_to_it_beyond() {
        for text in ["", "a", &"a".repeat(MAX_KEY_BYTES), &"ü".repeat(MAX_KEY_BYTES / 2)] {
            assert_eq!(shortened(text), text);
        }
        let long = "a".repeat(MAX_KEY_BYTES + 1);
        let short = shortened(&long).into_owned();
        assert_eq!(short, format!("{}…{:032x}", "a".repeat(MAX_KEY_BYTES - 35), xxh3_128(long.as_bytes())));
        assert_eq!(short.len(), MAX_KEY_BYTES);
        assert_eq!(shortened(&short), short, "it can be asked for as it is shown");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for letters in 0..4 {
            let long = format!("{}{}", "a".repeat(letters), "😀".repeat(MAX_KEY_BYTES));
            let short = shortened(&long).into_owned();
            let (kept, hash) = short.split_once('…').expect("a mark");
            assert!(long.starts_with(kept) && kept.len() > MAX_KEY_BYTES - 35 - 4, "{letters}: {}", kept.len());
            assert!(hash.len() == 32 && short.len() <= MAX_KEY_BYTES);
        }
    }

    #[test]
    fn texts_that_differ_only_beyond_what_is_kept_are_different_keys() {
        let long = |end: &str| "a".repeat(MAX_KEY_BYTES * 2) + end;
        assert_ne!(shortened(&long("1")), shortened(&long("2")));
    }

    #[test]
    fn a_column_is_shortened_row_by_row() {
        let long = "b".repeat(MAX_KEY_BYTES + 1);
        let shown = |texts: &[Option<&str>]| -> Vec<Option<String>> {
            let column = Column::new("k".into(), texts);
            let shortened = shorten(column).expect("texts");
            assert_eq!(shortened.name().as_str(), "k");
            shortened.str().expect("texts").iter().map(|text| text.map(str::to_owned)).collect()
        };
        assert_eq!(shown(&[Some("a"), None, Some("")]), [Some("a".to_owned()), None, Some(String::new())]);
        let expected = [Some("a".to_owned()), None, Some(shortened(&long).into_owned())];
        assert_eq!(shown(&[Some("a"), None, Some(&long)]), expected);
        assert!(shorten(Column::new("n".into(), [1_i64])).is_err());
    }
}
