//! Why an answer is not complete.

use std::fmt;

use serde::Deserialize;

use crate::terminal::printable;

/// Records that arrived and may be missing in an answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Gap {
    /// The reason in words, and what to do.
    text: String,
    source: String,
    /// Nothing if the gap concerns the whole source.
    log: Option<String>,
    partition: Option<i32>,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (source {}", printable(&self.text), printable(&self.source))?;
        if let Some(log) = &self.log {
            write!(f, ", log {}", printable(log))?;
        }
        if let Some(partition) = self.partition {
            write!(f, ", partition {partition}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> String {
        serde_json::from_str::<Gap>(json).expect("a gap").to_string()
    }

    #[test]
    fn a_gap_says_where_it_is() {
        let gap = r#"{"reason": "no_shard", "text": "no worker counts it", "source": "views", "log": "L1", "partition": 3,
                      "from": null, "to": null}"#;
        assert_eq!(words(gap), "no worker counts it (source views, log L1, partition 3)");
        let gap =
            r#"{"reason": "topic_unknown", "text": "no topic", "source": "views", "log": null, "partition": null}"#;
        assert_eq!(words(gap), "no topic (source views)");
    }
}
