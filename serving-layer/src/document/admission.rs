//! What the document says of keys, where they are asked for.

use serde_json::{Map, Value, json};

use crate::access::{Required, required_of};

/// Says of each path which key it asks for. Paths that are answered on another address are left out.
pub(super) fn ask_for_keys(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "A key of this deployment."},
        "basic": {"type": "http", "scheme": "basic", "description": "The key as the password; the name is not read."},
    });
    document["security"] = json!([{"bearer": []}, {"basic": []}]);
    let Some(paths) = document["paths"].as_object_mut() else { return };
    paths.retain(|path, _| required_of(Some(path)) != Required::AnotherAddress);
    for (path, item) in paths {
        let asks = required_of(Some(path)) != Required::Nothing;
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if asks {
                for (status, name) in [("401", "Unauthorized"), ("403", "Forbidden"), ("429", "TooManyRequests")] {
                    operation["responses"][status] = json!({"$ref": format!("#/components/responses/{name}")});
                }
            } else {
                operation["security"] = json!([]);
            }
        }
    }
}
