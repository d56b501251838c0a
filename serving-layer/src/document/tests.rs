use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use shared_logic::catalog::Catalog;
use shared_logic::index::Search;
use test_kit::catalogs;

use super::document;
use super::general::GENERAL;
use crate::problem::{SEVERAL, VERSION};
use crate::router;

/// Something of each kind that paths are about.
const EVERYTHING: &str = r#"
[sources.views]
event_time = "at"
key = "user_id"
[sources.views.fields]
at = "timestamp"
user_id = "string"
country = "string?"
dwell_ms = "int"
[tables.users]
topic = "users"
key = "user_id"
[tables.users.fields]
user_id = "string"
name = "string?"
[indexes.people]
from = "tables.users"
[indexes.people.fields]
name = "text"
user_id = "keyword"
changed_at = "time"
[indexes.words]
from = "tables.users"
[indexes.words.fields]
name = "text"
[streams.long_views]
from = "views"
where = "dwell_ms > 1000"
[streams.long_views.fields]
user_id = "user_id"
seconds = "dwell_ms / 1000"
[metrics.views]
source = "views"
by = ["user_id", "country"]
grain = "1m"
[metrics.views.measures]
views = "count()"
dwell_ms = "sum(dwell_ms)"
often = "top(country, 3)"
spread = "quantile(dwell_ms)"
[metrics.views.derived]
mean_ms = "dwell_ms / views"
[metrics.all]
source = "views"
grain = "1h"
[metrics.all.measures]
n = "count()"
[reports.daily]
metric = "views"
schedule = "0 0 3 * * *"
time_zone = "Europe/Berlin"
"#;

fn catalog(text: &str) -> Catalog {
    Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn paths(document: &Value) -> BTreeSet<&str> {
    document["paths"].as_object().expect("paths").keys().map(String::as_str).collect()
}

fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths
        .flat_map(|(path, item)| item.as_object().expect("an item").values().map(move |of| (path.as_str(), of)))
        .collect()
}

fn names<'a>(document: &'a Value, path: &str) -> BTreeMap<&'a str, &'a Value> {
    let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap_or_else(|| panic!("{path}"));
    parameters.iter().map(|parameter| (parameter["name"].as_str().expect("a name"), parameter)).collect()
}

/// The schema to which a reference leads.
fn followed<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference}")),
        None => schema,
    }
}

#[test]
fn every_route_is_described_and_no_other() {
    let routed: BTreeSet<&str> = router::routes().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths(&GENERAL), routed);
    for (path, item) in GENERAL["paths"].as_object().expect("paths") {
        let methods: Vec<&str> = item.as_object().expect("an item").keys().map(String::as_str).collect();
        let method = if path == SEVERAL { "post" } else { "get" };
        assert_eq!(methods, [method], "{path}");
        let parameters = item[method]["parameters"].as_array().cloned().unwrap_or_default();
        let names_version = parameters.iter().any(|parameter| parameter["name"] == VERSION);
        // What is of all versions, or of the active one alone.
        let is_of_all = !path.starts_with("/v1/") || ["/v1/versions", "/v1/alerts"].contains(&path.as_str());
        assert_eq!(names_version, !is_of_all || path == "/openapi.json", "{path}");
        let may_be_missing = names_version || path.ends_with("/{file}");
        assert_eq!(item[method]["responses"].get("404").is_some(), may_be_missing, "{path}");
    }
    // Whatever the catalog is: a path of its own is one of a route.
    for text in [EVERYTHING, catalogs::TINY, catalogs::EVERY_KEY_TYPE] {
        let document = document(&catalog(text), false, 0);
        let mut open = routed.clone();
        for path in paths(&document) {
            let parts: Vec<&str> = path.split('/').collect();
            let is_of = |route: &&str| {
                let route: Vec<&str> = route.split('/').collect();
                let same = |(part, of): (&&str, &&str)| part == of || of.starts_with('{');
                route.len() == parts.len() && parts.iter().zip(&route).all(same)
            };
            let of: Vec<&str> = routed.iter().copied().filter(|route| is_of(route)).collect();
            assert!(!of.is_empty(), "{path} is of no route");
            open.retain(|route| !of.contains(route));
        }
        assert!(open.is_empty(), "{open:?}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a local reference");
                    assert!(document.pointer(pointer).is_some_and(|found| !found.is_null()), "{reference}");
                }
                members.values().for_each(|member| check(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            _ => {}
        }
    }
    let everything = catalog(EVERYTHING);
    for document in [GENERAL.clone(), document(&everything, false, 0), document(&everything, true, 0)] {
        check(&document, &document);
        assert_eq!(document["openapi"], "3.1.0");
        let mut known = BTreeSet::new();
        for (path, operation) in operations(&document) {
            assert!(
                known.insert(operation["operationId"].as_str().expect("an id")),
                "{path}: {}",
                operation["operationId"]
            );
            assert!(operation["responses"].get("200").is_some(), "{path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{path}");
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{path}");
        }
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        assert!(schemas.keys().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))));
    }
}

#[test]
fn nothing_stands_in_for_what_the_catalog_declares() {
    let document = document(&catalog(EVERYTHING), false, 0);
    for (path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().expect("a name");
            assert!(!crate::openapi::STAND_INS.contains(&name), "{path}: {name}");
            if parameter["required"] == true {
                assert!(parameter.get("example").is_some(), "{path}: {name} has no example");
            }
        }
    }
    let own: Vec<&str> = paths(&document).into_iter().filter(|path| path.contains('{')).collect();
    assert_eq!(own, ["/docs/{file}", "/page/{tag}/{file}", "/v1/metrics/{metric}", "/v1/tables/users/{key}"]);
}

#[test]
fn a_metric_has_its_columns_as_parameters_and_its_names_in_the_answer() {
    let document = document(&catalog(EVERYTHING), false, 0);
    let parameters = names(&document, "/v1/metrics/views/total");
    let expected = ["country", "country.missing", "from", "require", "to", "user_id", "version"];
    assert!(expected.iter().all(|name| parameters.contains_key(name)), "{:?}", parameters.keys());
    assert!(!parameters.contains_key("user_id.missing"), "every event has one");
    let top = names(&document, "/v1/metrics/views/top");
    assert_eq!(top["by"]["schema"]["items"]["enum"], serde_json::json!(["user_id", "country"]));
    assert!(top.contains_key("country") && top["measure"]["example"] == "views", "{:?}", top.keys());
    assert!(!paths(&document).contains("/v1/metrics/all/top"), "it has no column");
    assert_eq!(names(&document, "/v1/metrics/all/series")["step"]["example"], "1h");
    assert_eq!(names(&document, "/v1/metrics/{metric}")["metric"]["schema"]["enum"][0], "all");
    let values = &document["components"]["schemas"]["Values.views"]["properties"];
    let found: Vec<&String> = values.as_object().map(Map::keys).into_iter().flatten().collect();
    assert_eq!(found, ["views", "dwell_ms", "often", "mean_ms"], "a distribution is not shown");
    assert_eq!(values["often"]["items"]["$ref"], "#/components/schemas/Ranked");
    assert!(document["components"]["schemas"].get("Values.all").is_some());
    let tiny = super::document(&catalog(catalogs::TINY), false, 0);
    assert!(!names(&tiny, "/v1/metrics/m/keys").contains_key("k"), "of one column alone, the values are listed");
}

#[test]
fn streams_tables_and_reports_have_their_fields() {
    let document = document(&catalog(EVERYTHING), false, 0);
    let stream = names(&document, "/v1/streams/long_views");
    assert!(["user_id", "seconds", "output_id"].iter().all(|name| stream.contains_key(name)), "{:?}", stream.keys());
    let schemas = &document["components"]["schemas"];
    assert!(schemas["Output.long_views"]["properties"].get("seconds").is_some());
    assert_eq!(schemas["Row.users"]["required"], serde_json::json!(["user_id"]));
    let report = names(&document, "/v1/reports/daily");
    assert_eq!((&report["country"]["required"], &report["date"]["example"]), (&true.into(), &"1970-01-01".into()));
    assert!(schemas["ReportColumns.daily"]["properties"].get("mean_ms").is_some());
    let answer = &document["paths"]["/v1/tables/users/{key}"]["get"]["responses"]["200"];
    let body = followed(&document, &answer["content"]["application/json"]["schema"]);
    assert!(body["properties"].get("version").is_some(), "{body}");
}

#[test]
fn a_search_index_has_its_fields_as_parameters_and_in_its_documents() {
    let document = document(&catalog(EVERYTHING), false, 0);
    let asked = names(&document, "/v1/search/people");
    let expected = ["changed_at", "limit", "name", "offset", "q", "sort", "user_id", "version"];
    assert!(asked.keys().eq(expected.iter()), "{:?}", asked.keys());
    let orders = serde_json::json!(["user_id", "-user_id", "changed_at", "-changed_at"]);
    assert_eq!(asked["sort"]["schema"]["items"]["enum"], orders, "words of a text are no order");
    assert_eq!(
        (&asked["sort"]["explode"], &asked["sort"]["example"]),
        (&false.into(), &serde_json::json!(["user_id"]))
    );
    assert!(!names(&document, "/v1/search/words").contains_key("sort"), "it has nothing to be ordered by");
    let answer = &document["paths"]["/v1/search/people"]["get"]["responses"]["200"]["content"]["application/json"];
    let hits = &followed(&document, &answer["schema"])["properties"]["hits"]["items"];
    let found = followed(&document, &followed(&document, hits)["properties"]["document"]);
    let fields: Vec<&String> = found["properties"].as_object().map(Map::keys).into_iter().flatten().collect();
    assert_eq!(fields, ["name", "user_id", "changed_at"]);
    let rows = names(&document, "/v1/reconciliations");
    assert_eq!(rows["index"]["schema"]["enum"], serde_json::json!(["people", "words"]));
    let rejected = names(&document, "/v1/rejected");
    let sources = serde_json::json!(["long_views", "users", "views"]);
    assert_eq!((&rejected["source"]["schema"]["enum"], &rejected["source"]["required"]), (&sources, &true.into()));
    // Where there is none, the path stays as it is.
    let tiny = super::document(&catalog(catalogs::TINY), false, 0);
    assert!(names(&tiny, "/v1/search/{index}").contains_key("q"));
}

#[test]
fn examples_of_a_search_are_searches() {
    let catalog = catalog(EVERYTHING);
    let document = document(&catalog, false, 0);
    for name in ["people", "words"] {
        for (parameter, described) in names(&document, &format!("/v1/search/{name}")) {
            let Some(example) = described.get("example").filter(|_| parameter != "version") else { continue };
            let text = match example {
                Value::Array(values) => values[0].as_str().expect("a text").to_owned(),
                value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            };
            let read = Search::parse(&catalog.indexes[name], [(parameter, text.as_str())]);
            assert!(read.is_ok(), "{name}: {parameter}={text}: {read:?}");
        }
    }
}

#[test]
fn keys_are_asked_for_where_they_are() {
    let (without, with) = (document(&catalog(EVERYTHING), false, 0), document(&catalog(EVERYTHING), true, 0));
    assert!(without.get("security").is_none() && with.get("security").is_some());
    assert!(paths(&without).contains("/metrics") && !paths(&with).contains("/metrics"), "they are told elsewhere");
    for (path, operation) in operations(&with) {
        let is_open = ["/healthz", "/readyz"].contains(&path);
        assert_eq!(operation["responses"].get("401").is_none(), is_open, "{path}");
        assert_eq!(operation.get("security").is_some(), is_open, "{path}");
    }
    assert!(operations(&without).iter().all(|(_, operation)| operation["responses"].get("401").is_none()));
}
