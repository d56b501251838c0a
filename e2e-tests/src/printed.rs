//! What a command prints for programs, among what it logs.

use anyhow::Result;
use serde_json::{Deserializer, Value};

/// The JSON objects of several lines in it, each of which begins a line, in their order.
///
/// # Errors
/// If one of them does not end.
pub fn objects(output: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for (at, _) in output.match_indices("{\n") {
        // Those within an object are indented, or follow their names.
        if at == 0 || output[..at].ends_with('\n') {
            found.extend(Deserializer::from_str(&output[at..]).into_iter::<Value>().next().transpose()?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_among_lines_of_a_log() {
        let output = "INFO {\n{\n  \"a\": {\n    \"b\": 1\n  }\n}\nINFO more\n{\n  \"c\": 2\n}\n";
        assert_eq!(objects(output).expect("whole"), [json!({"a": {"b": 1}}), json!({"c": 2})]);
        assert!(objects("{\n  \"a\": 1\n").is_err() && objects("nothing").expect("none").is_empty());
    }
}
