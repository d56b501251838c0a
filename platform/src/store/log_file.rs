//! The names of the files in a table's log.

/// The ending of a log entry.
pub(super) const ENTRY: &str = "json";
/// The ending of a checkpoint that is one file, as Braid writes them.
pub(super) const CHECKPOINT: &str = "checkpoint.parquet";

/// The version that a file of a log belongs to, and the ending of its name; `None` if it belongs to none.
pub(super) fn numbered(name: &str) -> Option<(u64, &str)> {
    let (version, ending) = name.split_once('.')?;
    let is_version = version.len() == 20 && version.bytes().all(|byte| byte.is_ascii_digit());
    Some((version.parse().ok().filter(|_| is_version)?, ending))
}

/// The name of the entry of that version.
pub(super) fn entry(version: u64) -> String {
    format!("{version:020}.{ENTRY}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_version_and_what_it_is() {
        assert_eq!(numbered(&entry(7)), Some((7, ENTRY)));
        assert_eq!(numbered("00000000000000000012.checkpoint.parquet"), Some((12, CHECKPOINT)));
        assert_eq!(numbered("00000000000000000012.json.torn-1"), Some((12, "json.torn-1")));
        for name in
            ["_last_checkpoint", ".staged-1", "12.json", "+0000000000000000012.json", "0000000000000000000a.json"]
        {
            assert_eq!(numbered(name), None, "{name}");
        }
    }
}
