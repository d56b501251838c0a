//! Reads `[pipeline]`.

use super::document::Table;
use super::name;
use crate::catalog::Deployment;

/// Reads the deployment's name and version; `braid` and `v1` unless the catalog says otherwise.
pub(super) fn deployment(table: Option<Table<'_>>) -> Deployment {
    let mut deployment = Deployment { name: "braid".to_owned(), version: "v1".to_owned() };
    let Some(mut table) = table else { return deployment };
    for (key, slot) in [("name", &mut deployment.name), ("version", &mut deployment.version)] {
        if let Some(text) = table.text(key) {
            name::check_deployment(table.mistakes, text, key);
            text.value.clone_into(slot);
        }
    }
    table.refuse_unknown_keys();
    deployment
}
