//! Puts a catalog into the document: a path of its own for each metric, stream, table, search index and report, whose parameters are its columns
//! and whose answer has its names.
//!
//! Where nothing but the name depends on the catalog, the parameter says which names there are instead. A path of something that the catalog
//! does not declare stays as it is.
//!
//! - `subject`: what paths are about, and what stands for each parameter and schema; `columns`: columns and fields among these; `indexed`: fields
//!   of search indexes.

mod columns;
mod indexed;
mod subject;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use shared_logic::catalog::Catalog;

use super::general::{self, GENERAL};
use super::{admission, references};
use crate::openapi::STAND_INS;
use crate::problem::VERSION;
use subject::{Choice, Kind, Subject};

/// Where the body of a request stands that asks several questions.
const QUESTIONS: &str = "/requestBody/content/application~1json";

/// Where the parameters stand with which rejected records are asked for.
const REJECTED: &str = "/~1v1~1rejected/get/parameters";

/// The document of a deployment with that catalog. `with_keys`: requests have to send a key. Examples are about the time around `now_us`.
pub(crate) fn document(catalog: &Catalog, with_keys: bool, now_us: i64) -> Value {
    let mut document = GENERAL.clone();
    let subjects = subject::all(catalog, now_us);
    let general = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let mut schemas = Schemas { dependents: BTreeMap::new(), made: general.clone(), general };
    for kind in Kind::ALL {
        schemas.dependents.insert(kind, references::dependents(&schemas.general, kind.stand_ins()));
    }
    let mut paths = Map::new();
    for (path, item) in GENERAL["paths"].as_object().into_iter().flatten() {
        let of_kind = Kind::ALL.into_iter().find(|kind| path.contains(&kind.placeholder()));
        match of_kind.map(|kind| (kind, schemas.depends(item, kind))) {
            Some((kind, true)) if !subjects[&kind].is_empty() => {
                for subject in &subjects[&kind] {
                    if let Some(item) = schemas.concrete(item, subject) {
                        paths.insert(path.replace(&kind.placeholder(), &subject.name), item);
                    }
                }
            }
            _ => {
                paths.insert(path.clone(), with_names(item, &subjects));
            }
        }
    }
    document["paths"] = paths.into();
    name_sources(&mut document["paths"], catalog);
    give_examples(&mut document["paths"], catalog);
    document["components"]["schemas"] = schemas.made.into();
    document["tags"] = tags(&mut document["paths"], &subjects);
    if with_keys {
        admission::ask_for_keys(&mut document);
    }
    references::prune(&mut document);
    document
}

/// The schemas of a document that is being made.
struct Schemas {
    /// Those that depend on something of a kind.
    dependents: BTreeMap<Kind, BTreeSet<String>>,
    general: Map<String, Value>,
    made: Map<String, Value>,
}

impl Schemas {
    /// Whether more than the name depends on what a path is about.
    fn depends(&self, item: &Value, kind: Kind) -> bool {
        let refers = references::direct(item).iter().any(|name| self.dependents[&kind].contains(name));
        refers || parameters(item).any(|parameter| STAND_INS.contains(&name_of(parameter)))
    }

    /// The same path of one subject; `None` if there is nothing that could be asked.
    fn concrete(&mut self, item: &Value, subject: &Subject) -> Option<Value> {
        let mut item = item.clone();
        for operation in item.as_object_mut()?.values_mut() {
            let given = operation["parameters"].as_array().cloned().unwrap_or_default();
            let mut all = Vec::with_capacity(given.len());
            for parameter in given {
                match name_of(&parameter) {
                    name if name == subject.kind.name() && parameter["in"] == "path" => {}
                    name if STAND_INS.contains(&name) => all.extend(subject.parameters(name)),
                    name => match subject.choices.get(name) {
                        Some(Choice::LeftOut) => {}
                        Some(choice) if choice.is_empty() => return None,
                        Some(choice) => all.push(choice.of(parameter)),
                        None => all.push(parameter),
                    },
                }
            }
            operation["parameters"] = all.into();
            let id = operation["operationId"].as_str().unwrap_or_default();
            operation["operationId"] = format!("{id}_{}", subject.name).into();
            operation["tags"] = json!([subject.tag()]);
            self.refer(operation, subject);
        }
        Some(item)
    }

    /// Makes a part of the document refer to the subject's own schemas, and makes these.
    fn refer(&mut self, part: &mut Value, subject: &Subject) {
        let dependents = &self.dependents[&subject.kind];
        let mut used = BTreeSet::new();
        references::rename(part, &mut |name| {
            dependents.contains(name).then(|| {
                used.insert(name.to_owned());
                subject.schema_name(name)
            })
        });
        for name in used {
            let own = subject.schema_name(&name);
            if self.made.contains_key(&own) {
                continue;
            }
            let mut schema = match subject.schemas.get(name.as_str()) {
                Some(schema) => schema.clone(),
                None => self.general[&name].clone(),
            };
            // Before its parts are made, which may refer to it.
            self.made.insert(own.clone(), Value::Null);
            self.refer(&mut schema, subject);
            self.made.insert(own, schema);
        }
    }
}

/// A path of which nothing but names depends on the catalog.
fn with_names(item: &Value, subjects: &BTreeMap<Kind, Vec<Subject>>) -> Value {
    let mut item = item.clone();
    for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { continue };
        parameters.retain(|parameter| !STAND_INS.contains(&name_of(parameter)));
        for parameter in parameters {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name_of(parameter));
            let names =
                kind.map(|kind| subjects[&kind].iter().map(|subject| subject.name.as_str()).collect::<Vec<_>>());
            if let Some(names) = names.filter(|names| !names.is_empty()) {
                parameter["schema"] = json!({"type": "string", "enum": names});
                parameter["example"] = names[0].into();
            }
        }
    }
    item
}

/// Says which sources there are, where rejected records are asked for.
fn name_sources(paths: &mut Value, catalog: &Catalog) {
    let parameters = paths.pointer_mut(REJECTED).and_then(Value::as_array_mut);
    let Some(first) = catalog.sources.keys().next() else { return };
    for parameter in parameters.into_iter().flatten().filter(|parameter| name_of(parameter) == "source") {
        parameter["schema"] = json!({"type": "string", "enum": catalog.sources.keys().collect::<Vec<_>>()});
        parameter["example"] = first.as_str().into();
    }
}

/// Gives those parameters and bodies an example that can name any version or metric.
fn give_examples(paths: &mut Value, catalog: &Catalog) {
    let question = catalog
        .metrics
        .keys()
        .next()
        .map(|metric| json!({"queries": [{"metric": metric, "answer": "total", "parameters": {"from": "-1h"}}]}));
    for operation in general::operations(paths) {
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            if name_of(parameter) == VERSION && parameter["in"] == "query" {
                parameter["example"] = catalog.deployment.version.as_str().into();
            }
        }
        if let (Some(body), Some(question)) = (operation.pointer_mut(QUESTIONS), &question) {
            body["example"] = question.clone();
        }
    }
}

/// What tags mean: the subjects that have paths, and the rest.
fn tags(paths: &mut Value, subjects: &BTreeMap<Kind, Vec<Subject>>) -> Value {
    let used: BTreeSet<String> = general::operations(paths)
        .filter_map(|operation| operation["tags"].as_array())
        .flatten()
        .filter_map(|tag| Some(tag.as_str()?.to_owned()))
        .collect();
    let of_subjects = Kind::ALL.into_iter().flat_map(|kind| &subjects[&kind]);
    let own = of_subjects.map(|subject| (subject.tag(), subject.description.clone()));
    let rest = TAGS.into_iter().map(|(name, description)| (name.to_owned(), description.to_owned()));
    let all = own.chain(rest).filter(|(name, _)| used.contains(name));
    all.map(|(name, description)| json!({"name": name, "description": description})).collect()
}

/// Groups of paths that are about no one metric, stream, table, search index or report.
const TAGS: [(&str, &str); 9] = [
    ("metrics", "All metrics, and questions about several."),
    ("streams", "All streams."),
    ("tables", "All tables."),
    ("search", "Search indexes, of which the catalog has none."),
    ("reports", "All reports."),
    ("alerts", "Alerts on metrics."),
    ("status", "How far every layer has come, and what it has done."),
    ("versions", "Versions of the deployment."),
    ("process", "The process that answers."),
];

fn parameters(item: &Value) -> impl Iterator<Item = &Value> {
    let operations = item.as_object().into_iter().flat_map(Map::values);
    operations.filter_map(|operation| operation["parameters"].as_array()).flatten()
}

fn name_of(parameter: &Value) -> &str {
    parameter["name"].as_str().unwrap_or_default()
}
