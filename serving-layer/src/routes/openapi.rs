//! `GET /openapi.json`

use axum::http::header;
use axum::response::IntoResponse;

/// The description of every route, as OpenAPI 3.1.
const DOCUMENT: &str = include_str!("openapi.json");

/// The file `openapi.json` beside this one.
pub(crate) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::DOCUMENT;
    use crate::router;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("JSON")
    }

    #[test]
    fn every_route_is_described_and_no_other() {
        let document = document();
        let described: BTreeSet<&str> =
            document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
        let routed: BTreeSet<&str> = router::routes().into_iter().map(|(path, _)| path).collect();
        assert_eq!(described, routed);
        for (path, item) in document["paths"].as_object().expect("paths") {
            let methods: Vec<_> = item.as_object().expect("an item").keys().collect();
            assert_eq!(methods, ["get"], "{path}");
            let responses = item["get"]["responses"].as_object().expect("responses");
            assert!(responses.contains_key("200"), "{path}");
            let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
            let names_version =
                parameters.iter().any(|parameter| parameter["$ref"] == "#/components/parameters/version");
            let is_of_a_version = path.starts_with("/v1/") && path != "/v1/versions";
            assert_eq!(names_version, is_of_a_version, "{path}");
            assert_eq!(is_of_a_version, responses.contains_key("404"), "{path}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &Value, document: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get("$ref") {
                        let pointer = reference.strip_prefix('#').expect("a local reference");
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    members.values().for_each(|member| check(member, document));
                }
                Value::Array(items) => items.iter().for_each(|item| check(item, document)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
        assert_eq!(document["openapi"], "3.1.0");
    }
}
