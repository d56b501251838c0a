//! An audit as a program reads it.

use batch_layer::audit::{Audit, Difference};
use serde_json::{Map, Value, json};
use shared_logic::measure;
use shared_logic::time::{format_day, format_rfc3339};

/// What an audit has found, with every record of the buckets that differ.
pub(super) fn body(metric: &str, audit: &Audit) -> Value {
    json!({
        "metric": metric,
        "version": audit.version,
        "cut": audit.cut,
        "buckets": audit.buckets,
        "events": audit.events,
        "retired_before": audit.retired_before.map(format_day),
        "without_bytes": audit.without_bytes,
        "differences": audit.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(difference: &Difference) -> Value {
    let values = |of: fn(&batch_layer::audit::MeasureDifference) -> &measure::Value| -> Map<String, Value> {
        difference.measures.iter().map(|measure| (measure.name.clone(), of(measure).to_json())).collect()
    };
    json!({
        "start": format_rfc3339(difference.bucket_us),
        "view": values(|measure| &measure.view),
        "records": values(|measure| &measure.records),
        "seen": difference.seen,
    })
}

#[cfg(test)]
mod tests {
    use batch_layer::audit::{Fate, MeasureDifference, Seen};
    use shared_logic::log::Offsets;
    use shared_logic::time::TimeRange;

    use super::*;

    #[test]
    fn each_difference_names_its_records() {
        let fate = Fate::CopyOf { log: "L1".to_owned(), partition: 0, offset: 8 };
        let values = (measure::Value::Int(7), measure::Value::Null);
        let difference = Difference {
            bucket_us: 0,
            measures: vec![MeasureDifference { name: "views".to_owned(), view: values.0, records: values.1 }],
            seen: vec![Seen { log: "L1".to_owned(), partition: 3, offset: 11, fate }],
        };
        let (cut, times) = (Offsets::default(), TimeRange::ALL);
        let (differences, retired_before) = (vec![difference], Some(20_567));
        let audit =
            Audit { version: 7, cut, times, buckets: 1, events: 1, retired_before, without_bytes: 0, differences };
        let expected = json!({
            "metric": "views", "version": 7, "cut": {}, "buckets": 1, "events": 1, "retired_before": "2026-04-24",
            "without_bytes": 0,
            "differences": [{
                "start": "1970-01-01T00:00:00Z", "view": {"views": 7}, "records": {"views": null},
                // The place of the copy does not hide that of the record.
                "seen": [{"log": "L1", "partition": 3, "offset": 11,
                          "fate": "copy_of", "of": {"log": "L1", "partition": 0, "offset": 8}}],
            }],
        });
        assert_eq!(body("views", &audit), expected);
    }
}
