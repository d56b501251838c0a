//! What an archiver refuses to go on with.

use platform::settings;
use platform::store::Committed;
use shared_logic::catalog::Catalog;
use shared_logic::decode::Decoder;
use shared_logic::log::PartitionId;
use storage::Storage;

use super::*;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;

fn catalog(k: &str, raw: &str) -> Catalog {
    let source = format!("[sources.s]\nevent_time = \"at\"\nraw = \"{raw}\"\n");
    let fields = format!("[sources.s.fields]\nat = \"timestamp\"\nk = \"{k}\"\n");
    Catalog::parse(&format!("{source}{fields}")).expect("a valid catalog")
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rules_are_refused_where_neither_the_archive_nor_the_log_has_the_bytes_of_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
    let own = catalog("string", "rejected");
    let source = &own.sources["s"];
    let storage = Storage::new(&store, &own.deployment).expect("a store");
    let mut archive = crate::archive::create(&storage, source).await.expect("created");
    let begin = |facts: &mut Facts| {
        facts.keep_bytes(&source.rules(), None);
        facts.begin(&PartitionId::new("log", 0), 0);
    };
    archive.change("BEGIN", begin).await.expect("begun");
    let other = catalog("int", "rejected");
    assert!(!lacks_bytes(&archive.facts(), &other.sources["s"]), "nothing is archived yet");

    let declared = archive.columns().expect("read");
    let mut buffer = Buffer::new(source, &declared, "log", &BTreeMap::from([(0, 0)]));
    let payload: Option<&[u8]> = Some(br#"{"at": 1000, "k": "a"}"#);
    let record = Incoming { partition: 0, offset: 0, timestamp_us: None, key: None, payload, headers: None };
    buffer.push(record, &mut Decoder::new(source));
    let committed = commit::rows(&mut archive, source, buffer, &BTreeMap::new()).await.expect("written");
    assert!(matches!(committed, Committed::At(_)), "there is no other writer");

    for (k, raw, lacks) in [("string", "rejected", false), ("int", "rejected", true), ("int", "all", false)] {
        assert_eq!(lacks_bytes(&archive.facts(), &catalog(k, raw).sources["s"]), lacks, "{k}, raw = {raw}");
    }
    let (facts, rules, starts) = (archive.facts(), other.sources["s"].decoding_rules(), BTreeMap::from([(0, 1)]));
    let not_held = facts.held_by(TopicLog { log: "log", starts: &starts, has_holes: false }, &rules);
    let text = refused(not_held.expect_err("the log starts behind it")).to_string();
    let parts =
        ["offsets 0 to 1 of log/0", "raw = \"rejected\"", source.rules().as_str(), "starts at offset 1", "lost accept"]
            .map(|part| text.contains(part));
    assert_eq!(parts, [true; 5], "{text}");

    let accept = |facts: &mut Facts| facts.accept_not_decodable(&rules);
    assert_eq!(archive.change("ACCEPT LOSSES", accept).await.expect("committed"), 1);
    assert!(!lacks_bytes(&archive.facts(), &other.sources["s"]), "an operator has accepted that they are left out");
}
