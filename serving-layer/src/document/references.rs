//! Which parts of a document use which, by `$ref`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const SCHEMAS: &str = "#/components/schemas/";

/// A reference to a schema.
pub(super) fn to_schema(name: &str) -> String {
    format!("{SCHEMAS}{name}")
}

/// Calls `see` with the name of each schema that a part of a document refers to; what it returns takes its place.
pub(super) fn rename(part: &mut Value, see: &mut impl FnMut(&str) -> Option<String>) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(other) = reference.strip_prefix(SCHEMAS).and_then(&mut *see)
            {
                *reference = to_schema(&other);
            }
            members.values_mut().for_each(|member| rename(member, see));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, see)),
        _ => {}
    }
}

/// The schemas that a part of a document refers to, without what these refer to.
pub(super) fn direct(part: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(part, &mut found);
    found
}

fn collect(part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|reference| reference.strip_prefix(SCHEMAS)).map(str::to_owned));
            members.values().for_each(|member| collect(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Those of the schemas that refer to one of `leaves`, directly or by others; with the leaves.
pub(super) fn dependents(schemas: &Map<String, Value>, leaves: &[&str]) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = leaves.iter().map(|leaf| (*leaf).to_owned()).collect();
    loop {
        let known = found.len();
        let refers = |schema: &Value| direct(schema).iter().any(|name| found.contains(name));
        let more: Vec<String> =
            schemas.iter().filter(|(_, schema)| refers(schema)).map(|(name, _)| name.clone()).collect();
        found.extend(more);
        if found.len() == known {
            return found;
        }
    }
}

/// Takes out the schemas that no path, response or parameter uses.
pub(super) fn prune(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let mut open: Vec<String> = direct(&document["paths"]).into_iter().collect();
    open.extend(direct(&document["components"]["responses"]));
    let mut used = BTreeSet::new();
    while let Some(name) = open.pop() {
        if let Some(schema) = schemas.get(&name)
            && used.insert(name)
        {
            open.extend(direct(schema));
        }
    }
    document["components"]["schemas"] = schemas.into_iter().filter(|(name, _)| used.contains(name)).collect();
}
