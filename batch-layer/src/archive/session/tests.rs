//! What an archiver refuses to go on with.

use shared_logic::catalog::Catalog;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::PartitionId;

use super::*;
use crate::archive::buffer::Buffer;
use crate::archive_rows::record_rows::Incoming;

fn catalog(k: &str, raw: &str) -> Catalog {
    let source = format!("[sources.s]\nevent_time = \"at\"\nraw = \"{raw}\"\n");
    let fields = format!("[sources.s.fields]\nat = \"timestamp\"\nk = \"{k}\"\n");
    Catalog::parse(&format!("{source}{fields}")).expect("a valid catalog")
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rules_are_refused_where_events_are_archived_without_their_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = settings::Store { url: folder.path().display().to_string(), ..Default::default() };
    let own = catalog("string", "rejected");
    let source = &own.sources["s"];
    let storage = Storage::new(&store, &own.deployment).expect("a store");
    let mut archive = crate::archive::create(&storage, source).await.expect("created");
    let begin = |facts: &mut Facts| {
        facts.keep_bytes(&source.rules());
        facts.begin(&PartitionId::new("log", 0), 0);
    };
    archive.change("BEGIN", begin).await.expect("begun");
    let other = catalog("int", "rejected");
    assert!(refuse_changed_rules(&archive, &other.sources["s"]).is_ok(), "nothing is archived yet");

    let mut buffer = Buffer::new(source, "log", &BTreeMap::from([(0, 0)]));
    let payload: Option<&[u8]> = Some(br#"{"at": 1000, "k": "a"}"#);
    let record = Incoming { partition: 0, offset: 0, timestamp_us: None, key: None, payload, headers: None };
    buffer.push(record, &mut Decoder::new(source));
    let committed = commit::rows(&mut archive, source, "log", buffer, &BTreeMap::new()).await.expect("written");
    assert!(matches!(committed, Committed::At(_)), "there is no other writer");

    for (k, raw, is_refused) in [("string", "rejected", false), ("int", "rejected", true), ("int", "all", false)] {
        let tried = refuse_changed_rules(&archive, &catalog(k, raw).sources["s"]);
        assert_eq!(tried.is_err(), is_refused, "{k}, raw = {raw}");
        if let Err(refused) = tried {
            let text = refused.to_string();
            let named = ["offsets 0 to 1 of log/0", "raw = \"rejected\"", source.rules().as_str()]
                .map(|part| text.contains(part));
            assert_eq!(named, [true; 3], "{text}");
        }
    }
}
