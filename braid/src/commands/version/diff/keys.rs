//! The keys that the report of a verification names as those that changed most.

use serde_json::{Map, Value};

/// The keys of a metric that changed most since the version `old`; none if the report says nothing of them.
pub(super) fn keys(report: &Value, metric: &str, old: &str) -> Vec<Map<String, Value>> {
    let metrics = report["metrics"].as_array().into_iter().flatten();
    let of_metric = metrics.filter(|entry| entry["metric"] == metric && entry["old"]["version"] == old);
    let changes = of_metric.filter_map(|entry| entry["old"]["changes"].as_array()).flatten();
    let mut keys: Vec<Map<String, Value>> = Vec::new();
    for key in changes.filter_map(|change| change["key"].as_object()) {
        if !key.is_empty() && !keys.contains(key) {
            keys.push(key.clone());
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
        let change = |video: &str| json!({"key": {"video": video}, "old": {"views": 1}, "new": {"views": 2}});
        let report = json!({"version": "v2", "metrics": [
            {"metric": "other", "old": {"version": "v1", "changes": [change("x")]}},
            {"metric": "views", "old": {"version": "v1", "same_definition": false, "changes": [change("a"), change("b"), change("a")]}},
        ]});
        let named = |metric: &str, old: &str| -> Vec<Value> {
            keys(&report, metric, old).into_iter().map(|key| key["video"].clone()).collect()
        };
        assert_eq!(named("views", "v1"), ["a", "b"]);
        assert_eq!(named("views", "v0"), [""; 0]);
        assert_eq!(named("none", "v1"), [""; 0]);
        assert!(keys(&json!({}), "views", "v1").is_empty());
    }
}
