//! An age limit, a type, `?` and the format change: rows are judged by the rules of the definition that counts them.

use anyhow::{Context, Result};
use e2e_tests::kafka::Record;
use e2e_tests::time::rfc3339;
use e2e_tests::{Producer, Stage, scenario};

use super::{DAY_US, EVENTS, PLAIN, Rules, batch_counts, both_count, change, event, noon_before};

/// Kinds of records: with a status; the same ten days older; with a text as status; without a status; a line of columns.
const KINDS: usize = 5;
const STATUS: Rules = Rules { fields: "status = \"int\"", ..PLAIN };
const EVENTS_OF_STATUS: [bool; KINDS] = [true, true, false, false, false];

/// A change of the catalog, and which kinds of records are events by it.
struct Step {
    what: &'static str,
    rules: Rules,
    events: [bool; KINDS],
}

const STEPS: [Step; 4] = [
    Step {
        what: "another max_age",
        rules: Rules { source: "max_age = \"3d\"", ..STATUS },
        events: [true, false, false, false, false],
    },
    Step {
        what: "another type",
        rules: Rules { fields: "status = \"string\"", ..PLAIN },
        events: [false, false, true, false, false],
    },
    Step {
        what: "a field that may be absent",
        rules: Rules { fields: "status = \"int?\"", ..PLAIN },
        events: [true, true, false, true, false],
    },
    Step {
        what: "another format",
        rules: Rules { source: "format = \"tsv\"", ..STATUS },
        events: [false, false, false, false, true],
    },
];

#[test]
fn rows_judged_by_the_rules_of_the_definition() {
    scenario("rows_judged_by_the_rules_of_the_definition", async |scenario| {
        let stage = Stage::of(scenario).catalog(|topic| STATUS.catalog(topic)).partitions(1).start().await?;
        let deployment = &stage.deployment;
        let mut sent = Sent { producer: stage.producer()?, at_us: noon_before(stage.now_us), of_kind: [0; KINDS] };
        let arrived = sent.more([40, 10, 7, 5, 3])?;
        both_count(&deployment.client()?, arrived, EVENTS, &[], sent.events(EVENTS_OF_STATUS)).await?;
        for Step { what, rules, events } in STEPS {
            change(deployment, &rules.catalog(&stage.topic)).await?;
            let client = deployment.client()?;
            batch_counts(&client, EVENTS, &[], sent.events(events)).await.context(what)?;
            let arrived = sent.more([1; KINDS])?;
            both_count(&client, arrived, EVENTS, &[], sent.events(events)).await.context(what)?;
        }
        change(deployment, &stage.catalog).await?;
        batch_counts(&deployment.client()?, EVENTS, &[], sent.events(EVENTS_OF_STATUS)).await
    });
}

struct Sent {
    producer: Producer,
    at_us: i64,
    /// How many records of each kind.
    of_kind: [usize; KINDS],
}

impl Sent {
    /// Sends so many more of each kind. Returns when all had arrived.
    fn more(&mut self, counts: [usize; KINDS]) -> Result<i64> {
        let mut records = Vec::new();
        for (kind, count) in counts.into_iter().enumerate() {
            let first = self.of_kind[kind];
            records.extend((first..first + count).map(|n| record(kind, n, self.at_us)));
            self.of_kind[kind] += count;
        }
        self.producer.send_all(&records)
    }

    /// How many of the records are of such a kind.
    fn events(&self, kinds: [bool; KINDS]) -> usize {
        self.of_kind.iter().zip(kinds).filter(|(_, is_event)| *is_event).map(|(count, _)| count).sum()
    }
}

fn record(kind: usize, n: usize, at_us: i64) -> Record {
    let id = format!("{kind}-{n}");
    match kind {
        0 => event(id, at_us, r#","status":200"#),
        1 => event(id, at_us - 10 * DAY_US, r#","status":200"#),
        2 => event(id, at_us, r#","status":"ok""#),
        3 => event(id, at_us, ""),
        _ => {
            let payload = format!("{id}\t{}\t{}\t200", rfc3339(at_us), rfc3339(at_us - DAY_US)).into_bytes();
            Record { key: id, payload, partition: None }
        }
    }
}
