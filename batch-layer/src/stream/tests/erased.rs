//! What streams have made of erased events leaves their archives, whatever they call the fields, and nothing else does.

use platform::registry::Registry;
use polars::prelude::{DataType, Schema};
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::RAW;
use storage::Schemas;

use super::bench::{Bench, CATALOG};
use crate::erase::commits::TakingOut;
use crate::erase::downstream::outputs;
use crate::erase::{Condition, Streams};
use crate::rows;

/// A map that names no field as the source does, and one that gives the name of one to another.
const MAPS: &str = r#"
[streams.renamed]
from = "s"
[streams.renamed.fields]
who = "user"
[streams.swapped]
from = "s"
[streams.swapped.fields]
user = "id"
"#;
const PERSON: &str = "u-3";
const STREAMS: [&str; 5] = ["bursts", "large", "renamed", "sums", "swapped"];

/// The payloads that an archive holds.
async fn payloads(bench: &Bench, name: &str) -> Vec<String> {
    let archive = bench.storage.archive(name).await.expect("read").expect("begun");
    let columns = Schema::from_iter([(RAW.into(), DataType::Binary)]);
    let frame = archive.read(&archive.files().await.expect("listed"), &columns).await.expect("read");
    let frame = rows::compute("read", archive.path(), move || frame.collect()).await.expect("decoded");
    let raw = frame.column(RAW).expect("there").binary().expect("bytes").clone();
    let mut payloads: Vec<String> =
        raw.iter().flatten().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    payloads.sort_unstable();
    payloads
}

/// How many records were erased.
async fn take_out(bench: &Bench, source: &Source, condition: &Condition) -> u64 {
    let mut archive = bench.storage.archive(&source.name).await.expect("read").expect("begun");
    let schemas = Schemas::new(&bench.storage, &source.name, &Registry::new(&bench.settings.registry));
    TakingOut::new(source, schemas, condition, 9).run(&mut archive).await.expect("erased").events
}

/// Erases from the streams. Returns which of them were reached, and from each how much went.
async fn go_on(bench: &Bench, condition: &Condition) -> Vec<(String, u64)> {
    let mut reached = Vec::new();
    for output in outputs(&bench.catalog, &bench.catalog.sources["s"], condition, Streams::Reached) {
        if output.is_reached() {
            let selected = output.selected(condition, &bench.storage).await.expect("read");
            reached.push((output.of_stream.name.clone(), take_out(bench, output.of_stream, &selected).await));
        }
    }
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_lose_what_was_made_of_erased_events_also_by_a_process_that_finds_none_in_the_source() {
    let mut bench = Bench::new(&format!("{CATALOG}{MAPS}"), 7).await;
    bench.arrives(300).await;
    let decided = bench.decides(true);
    bench.writes(&decided).await;
    let mut before = Vec::new();
    for name in STREAMS {
        before.push(payloads(&bench, name).await);
    }
    let source = bench.source("s");
    let of_person = |payload: &String| payload.contains(&format!("\"{PERSON}\""));
    let condition = Condition::parse(&source, &format!("user = '{PERSON}'"), None).expect("a condition");
    // The ids of the person's events, which are all that is left of them in one of the streams.
    let own = payloads(&bench, "s").await.into_iter().filter(of_person);
    let ids: Vec<String> = own.filter_map(|event| Some(event.split('"').nth(3)?.to_owned())).collect();
    assert_eq!(take_out(&bench, &source, &condition).await, ids.len() as u64);
    // The process that did this was killed before it came to the streams.
    assert_eq!(take_out(&bench, &source, &condition).await, 0);
    let reached = go_on(&bench, &condition).await;
    assert_eq!(reached.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), STREAMS);
    for ((name, gone), before) in reached.iter().zip(&before) {
        let after = payloads(&bench, name).await;
        assert!(*gone > 0 && after.len() as u64 + gone == before.len() as u64, "{name}: {gone}");
        if name != "swapped" {
            let others: Vec<&String> = before.iter().filter(|payload| !of_person(payload)).collect();
            assert_eq!(after.iter().collect::<Vec<_>>(), others, "{name}");
        }
    }
    // Copies share the id 0, also those of others.
    let own_ids: Vec<&String> = ids.iter().filter(|id| !id.ends_with("-0")).collect();
    let of_ids = |payload: &&String| own_ids.iter().any(|id| payload.contains(&format!("\"user\":\"{id}\"")));
    let after = payloads(&bench, "swapped").await;
    assert!(before[4].iter().filter(of_ids).count() > 0 && after.iter().filter(of_ids).count() == 0, "{after:?}");
    assert!(go_on(&bench, &condition).await.iter().all(|(_, gone)| *gone == 0), "nothing is left to be done");
}
