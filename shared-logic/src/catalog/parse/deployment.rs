//! Reads `[pipeline]`.

use super::document::Table;
use super::name;
use crate::catalog::Deployment;

/// Reads the deployment's name and version, and whether it keeps an archive; `braid` and `v1`, with one, unless the catalog says otherwise.
pub(super) fn deployment(table: Option<Table<'_>>) -> Deployment {
    let (mut name, mut version, mut keeps_archive) = ("braid".to_owned(), "v1".to_owned(), true);
    if let Some(mut table) = table {
        for (key, slot) in [("name", &mut name), ("version", &mut version)] {
            if let Some(text) = table.text(key) {
                name::check_deployment(table.mistakes, text, key);
                text.value.clone_into(slot);
            }
        }
        keeps_archive = table.flag("archive").unwrap_or(true);
        table.refuse_unknown_keys();
    }
    Deployment { keeps_archive, ..Deployment::new(name, version) }
}
