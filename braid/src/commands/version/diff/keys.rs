//! The keys that the report of a verification names as those that changed most.

use serde_json::{Map, Value};

/// The keys of a metric that changed most since the version `old`, by column; none if the report says nothing of them. `by` are the columns.
///
/// A key stands in a report as the text of a group key does: an array of the columns' values, null for one that is summed over, and `{}` for one
/// without a value. Here null stands for no value, as in answers.
pub(super) fn keys(report: &Value, metric: &str, old: &str, by: &[String]) -> Vec<Map<String, Value>> {
    let metrics = report["metrics"].as_array().into_iter().flatten();
    let of_metric = metrics.filter(|entry| entry["metric"] == metric && entry["old"]["version"] == old);
    let changes = of_metric.filter_map(|entry| entry["old"]["changes"].as_array()).flatten();
    let mut keys: Vec<Map<String, Value>> = Vec::new();
    for parts in changes.filter_map(|change| change["key"].as_array()) {
        let named = by.iter().zip(parts).filter(|(_, part)| !part.is_null());
        let named = named.map(|(name, part)| (name.clone(), if part.is_object() { Value::Null } else { part.clone() }));
        let key: Map<String, Value> = named.collect();
        if !key.is_empty() && !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_those_of_the_metric_and_of_the_version_that_was_compared() {
        let change = |key: Value| json!({"key": key, "day": "2026-04-24", "measure": "views", "old": 1, "new": 2});
        let changes =
            [json!(["a", null]), json!([]), json!([null, {}]), json!(["a", null]), json!(["b", "de"])].map(change);
        let report = json!({"version": "v2", "metrics": [
            {"metric": "other", "old": {"version": "v1", "changes": [change(json!(["x", null]))]}},
            {"metric": "views", "old": {"version": "v1", "same_definition": false, "changes": changes}},
        ]});
        let by = ["video".to_owned(), "country".to_owned()];
        let named = |metric: &str, old: &str| -> Vec<Value> {
            keys(&report, metric, old, &by).into_iter().map(Value::Object).collect()
        };
        let expected = [json!({"video": "a"}), json!({"country": null}), json!({"video": "b", "country": "de"})];
        assert_eq!(named("views", "v1"), expected);
        assert!(named("views", "v0").is_empty() && named("none", "v1").is_empty());
        assert!(keys(&json!({}), "views", "v1", &by).is_empty());
    }
}
