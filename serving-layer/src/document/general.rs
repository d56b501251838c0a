//! What is true of every deployment, out of the annotations of all handlers.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use shared_logic::measure::Ranked;
use utoipa::OpenApi;

use super::references;
use crate::openapi;
use crate::problem::Problem;
use crate::routes::health::Readiness;
use crate::routes::metrics::{definitions, keys, series, several, top, total};
use crate::routes::{
    self, alerts, docs, health, page, reconciliations, rejected, reports, search, status, streams, tables, versions,
};

/// Every handler that answers a path. A test compares them with the table of routes.
#[derive(OpenApi)]
#[openapi(
    paths(
        definitions::all,
        definitions::one,
        total::total,
        series::series,
        top::top,
        keys::keys,
        several::several,
        streams::list::all,
        streams::read::read,
        tables::list::all,
        tables::row::row,
        search::search,
        reports::list::all,
        reports::row::row,
        reconciliations::newest,
        rejected::newest,
        alerts::all,
        status::status,
        versions::all,
        health::alive,
        health::ready,
        health::telemetry,
        routes::openapi::document,
        docs::index,
        docs::file,
        page::index,
        page::file,
    ),
    components(schemas(Problem, Ranked, Readiness))
)]
struct Handlers;

/// How the name of a schema begins that says which version answers, before the name of what it answers.
const OF_VERSION: &str = "OfVersion_";

/// The document without a catalog.
pub(super) static GENERAL: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Handlers::openapi()).expect("a document is plain data");
    document["info"] = json!({
        "title": "Braid",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "Metrics over events, merged from a batch view and a speed view.",
        "description": "Every answer merges what the batch layer has counted exactly with what the speed layer has counted since, and says \
                        whether anything may be missing. Times are RFC 3339, in UTC. Errors are problems as of RFC 9457. Each path that \
                        answers GET also answers HEAD. Another method is answered with 405, an unknown path with 404, and a request that takes \
                        longer than http.request_timeout with 503.\n\nWhat is shown here are the metrics, streams, tables, search indexes and \
                        reports of the catalog that runs.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/"}]);
    document["components"]["responses"] = openapi::components();
    for operation in operations(&mut document["paths"]) {
        if operation.get("requestBody").is_some() {
            operation["responses"]["408"] = json!({"$ref": "#/components/responses/BodyTooSlow"});
            operation["responses"]["413"] = json!({"$ref": "#/components/responses/BodyTooLarge"});
        }
    }
    name_bodies(&mut document);
    document
});

/// All operations of some paths.
pub(super) fn operations(paths: &mut Value) -> impl Iterator<Item = &mut Value> {
    let items = paths.as_object_mut().into_iter().flat_map(Map::values_mut);
    items.filter_map(Value::as_object_mut).flat_map(Map::values_mut)
}

/// Names a body that says which version answers after what it answers, and makes one object of both.
fn name_bodies(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let name = |name: &str| {
        let body = name.strip_prefix(OF_VERSION)?;
        let is_free = !schemas.contains_key(body);
        Some(if is_free { body.to_owned() } else { format!("{body}OfVersion") })
    };
    let renamed = schemas.iter().map(|(known, schema)| match name(known) {
        Some(body) => (body, merged(schema)),
        None => (known.clone(), schema.clone()),
    });
    document["components"]["schemas"] = renamed.collect();
    references::rename(document, &mut |known| name(known));
}

/// One object with the members of all that a schema is made of; the schema itself if these are no plain objects.
fn merged(schema: &Value) -> Value {
    let Some(parts) = schema["allOf"].as_array() else { return schema.clone() };
    if parts.iter().any(|part| part.get("properties").is_none() || part.get("allOf").is_some()) {
        return schema.clone();
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    // The version stands behind what it is of.
    for part in parts.iter().rev() {
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    let mut whole = json!({"type": "object", "required": required, "properties": properties});
    if let Some(description) = parts.iter().find_map(|part| part.get("description")) {
        whole["description"] = description.clone();
    }
    whole
}
