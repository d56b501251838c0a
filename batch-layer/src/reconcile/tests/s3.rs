//! Tables on S3, whose requests meet with faults, one after the other: each record is archived and counted once, and every
//! table can be read. The client is the one that ships, with its own retries.
//!
//! - `requests`: how many of them a reconcile makes.

mod requests;

use std::ops::Range;

use anyhow::Result;
use platform::settings::Span;
use platform::shutdown::Shutdown;
use polars::prelude::{DataType, Schema};
use shared_logic::contracts::archive::OFFSET;
use storage::FollowedVersions;
use test_kit::s3::GIVEN_UP_AFTER;
use test_kit::{DEADLINE, Dice, Fault, Progress, S3Server, first_seed, repetitions, wait_for};

use super::bench::{Bench, Event, LOG, Record, id};
use super::*;
use crate::rows;
use crate::schedule::Retiring;

/// How often a process begins anew before it has done its work. A busy machine adds faults of its own: requests that take too long.
const ATTEMPTS: usize = 50;
/// Fewer requests than any commit takes: looks before and after it, a file and an entry.
const REQUESTS_MIN: u64 = 5;

/// The same tables seen by a patient client, and by one that gives up soon.
struct Tables {
    server: S3Server,
    patient: Bench,
    hurried: Bench,
}

impl Tables {
    async fn new() -> Tables {
        let server = S3Server::start().await.expect("a server");
        let store = Settings::load(None, std::iter::empty(), &server.settings()).expect("valid settings").store;
        let patient = Bench::in_store(store.clone()).await;
        let given_up_after = Span::from_millis(GIVEN_UP_AFTER.as_millis() as u64);
        let store = settings::Store { request_timeout: given_up_after, retry_for: Span::from_millis(300), ..store };
        let storage = Storage::new(&store, &patient.reconciler.catalog.deployment).expect("a store");
        let archive = wait_for("the archive to be read", DEADLINE, async || {
            Ok(match storage.archive("s").await {
                Ok(Some(archive)) => Progress::Done(archive),
                other => Progress::NotYet(format!("{other:?}")),
            })
        });
        let archive = archive.await.expect("it is there");
        let folder = tempfile::tempdir().expect("a folder");
        let hurried = Bench {
            reconciler: Reconciler { storage, ..patient.reconciler.clone() },
            archive,
            written_us: None,
            folder,
        };
        Tables { server, patient, hurried }
    }

    /// What a new reader finds in the archive: how many rows its files have, by what the log says of them.
    async fn archived(&self) -> u64 {
        let archive = self.patient.reconciler.storage.archive("s").await.expect("readable").expect("begun");
        archive.files().await.expect("listed").iter().map(|file| file.rows).sum()
    }

    /// The offsets of all archived records.
    async fn archived_offsets(&self) -> Vec<i64> {
        let archive = self.patient.reconciler.storage.archive("s").await.expect("readable").expect("begun");
        let files = archive.files().await.expect("listed");
        let columns = Schema::from_iter([(OFFSET.into(), DataType::Int64)]);
        let frame = archive.read(&files, &columns).await.expect("read");
        let frame = rows::compute("read", archive.path(), move || frame.collect()).await.expect("decoded");
        let offsets = frame.column(OFFSET).expect("declared").i64().expect("integers");
        let mut offsets: Vec<i64> = offsets.iter().flatten().collect();
        offsets.sort_unstable();
        offsets
    }
}

/// Records of different events.
fn records(offsets: Range<i64>) -> Vec<Record> {
    let event = |offset: i64| Event { house: "h", id: offset, at_ms: offset * 60_000, k: Some("a"), n: 1 };
    offsets.map(|offset| Record { id: id(), offset, event: Some(event(offset)) }).collect()
}

/// Archives records up to that offset as an archiver does: from where the newest facts end, and anew after whatever fails.
async fn archive_up_to(end: i64, bench: &mut Bench, server: &S3Server) {
    for _ in 0..ATTEMPTS {
        match archive_once(end, bench).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => server.heal(),
        }
    }
    panic!("not archived up to {end} after {ATTEMPTS} attempts");
}

/// Archives what is missing up to that offset. Returns whether nothing was.
async fn archive_once(end: i64, bench: &mut Bench) -> Result<bool> {
    bench.archive.refresh().await?;
    let next = bench.next(&id());
    if next < end {
        bench.try_to_archive(LOG, &records(next..end)).await?;
    }
    Ok(next == end)
}

/// Counts up to that offset as reconciles do that start again and again.
async fn count_up_to(end: i64, bench: &mut Bench, server: &S3Server) {
    for _ in 0..ATTEMPTS {
        match count_once(end, bench).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => server.heal(),
        }
    }
    panic!("not counted up to {end} after {ATTEMPTS} attempts");
}

/// Adds what is missing up to that offset. Returns whether nothing was.
async fn count_once(end: i64, bench: &mut Bench) -> Result<bool> {
    let Bench { reconciler, archive, .. } = bench;
    let metric = &reconciler.catalog.metrics["m"];
    let mut view = view::create(&reconciler.storage, &reconciler.catalog, metric).await?;
    if view.note().is_some_and(|note| note.cut.get(&id()) == Some(end)) {
        return Ok(true);
    }
    archive.refresh().await?;
    let counted = reconciler.counted(metric, &view, archive, true).await?.unwrap_or(Counted::Nothing);
    let rotated = Rotated::from([(id(), vec![end])]);
    let (plan, done) = reconciler.recount(metric, &view, &counted, archive, &rotated).await?;
    reconciler.commit(metric, &mut view, plan, done).await?;
    Ok(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_cannot_read_a_view_stops_at_once() {
    let Tables { server, patient, .. } = Tables::new().await;
    server.befall(1, Fault::Outage);
    let (before, shutdown) = (server.requests(), Shutdown::new());
    let stop = async {
        let asked = wait_for("a look at the view", DEADLINE, async || {
            Ok(Progress::when(server.requests() > before, "no request"))
        })
        .await;
        shutdown.begin("test");
        asked
    };
    let versions = FollowedVersions::fixed(DeployedVersions::clone(&patient.reconciler.versions));
    let scheduled = crate::schedule::run_all(&patient.reconciler, versions, Retiring::none(), shutdown.clone());
    let both = async { tokio::join!(scheduled, stop) };
    let ended = tokio::time::timeout(settings::Store::default().retry_for.get() / 2, both).await;
    let (scheduled, asked) = ended.expect("it does not wait for S3");
    asked.expect("it looks at the view");
    scheduled.expect("stopped in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_a_request_of_an_archive_commit_each_record_is_archived_once() {
    let mut tables = Tables::new().await;
    let mut end = 0;
    for fault in Fault::ALL {
        for request in 1.. {
            end += 2;
            tables.server.befall(request, fault);
            archive_up_to(end, &mut tables.hurried, &tables.server).await;
            let has_befallen = tables.server.spare();
            tables.server.settled().await.expect("idle");
            assert_eq!(tables.archived().await, end as u64, "{fault:?} of request {request}");
            if !has_befallen {
                assert!(request > REQUESTS_MIN, "a commit took {request} requests");
                break;
            }
        }
        assert_eq!(tables.archived_offsets().await, (0..end).collect::<Vec<_>>(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_a_request_of_a_view_commit_each_event_is_counted_once() {
    let seed = first_seed();
    println!("SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut tables = Tables::new().await;
    let (runs, mut befallen) = (repetitions(28, 280), 0);
    let mut requests = 0;
    for run in 0..=runs {
        let end = 2 + 2 * run as i64;
        archive_up_to(end, &mut tables.patient, &tables.server).await;
        if run == 0 {
            // Without a fault: so many requests it takes.
            let before = tables.server.requests();
            count_up_to(end, &mut tables.hurried, &tables.server).await;
            requests = tables.server.requests() - before;
            assert!(requests > REQUESTS_MIN, "a commit took {requests} requests");
            continue;
        }
        let (request, fault) = (1 + dice.below(requests as usize) as u64, Fault::ALL[run % Fault::ALL.len()]);
        tables.server.befall(request, fault);
        count_up_to(end, &mut tables.hurried, &tables.server).await;
        befallen += usize::from(tables.server.spare());
        tables.server.settled().await.expect("idle");
        let (_, cut, events) = tables.patient.read().await;
        assert_eq!((cut, events), (Some(end), end), "{fault:?} of request {request}");
    }
    assert!(befallen > runs / 2, "{befallen} faults of {runs} befell a request");
}
