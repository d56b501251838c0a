//! What `braid send` makes of its input: the same records, however it is packed, and a summary of what is wrong with them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::send::{broker, catalog, read_all};

fn send(brokers: &str, dir: &Path, file: &str, input: Stdio) -> Output {
    // This folder has no catalog, so the shipped one is used.
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.current_dir(dir).args(["send", "--source", "views", "--kafka", brokers, file]);
    command.stdin(input).output().expect("it starts")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("finished")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_records_arrive_however_the_input_is_packed() {
    let catalog = catalog();
    let (_kafka, settings) = broker(&catalog);
    let dir = tempfile::tempdir().expect("a folder");

    let now_ms = platform::clock::now_us() / 1_000;
    let valid =
        format!(r#"{{"event_id":"e","occurred_at":{now_ms},"video_id":"v","user_id":"u","status":200,"dwell_ms":1}}"#);
    let (invalid, incomplete) = ("not json\r", r#"{"video_id":"v"}"#);
    let text = format!("\u{feff}{valid}\n\n{invalid}\n{incomplete}\n");
    // Two members, the second of which begins within a line.
    let members = [gzip(&text.as_bytes()[..20]), gzip(&text.as_bytes()[20..])].concat();
    let frame = zstd::encode_all(text.as_bytes(), 3).expect("packed");
    for (name, bytes) in [("plain", text.as_bytes()), ("packed", members.as_slice()), ("frame.json", frame.as_slice())]
    {
        std::fs::write(dir.path().join(name), bytes).expect("written");
    }

    let inputs = [("plain", None), ("packed", None), ("frame.json", None), ("-", Some("packed"))];
    for (file, stdin) in inputs {
        let stdin = stdin.map_or_else(Stdio::null, |name| File::open(dir.path().join(name)).expect("readable").into());
        let sent = send(&settings.brokers, dir.path(), file, stdin);
        let told = String::from_utf8(sent.stderr).expect("a text");
        assert!(sent.status.success(), "{file}: {told}");
        let summary = told.lines().find(|line| line.starts_with("sent 3 records to topic views in ")).expect(&told);
        let verdicts = "; the catalog rejects 2: 1 not_json (first on line 3), \
                        1 missing_field (first on line 4, field event_id); skipped 1 empty lines";
        assert!(summary.ends_with(verdicts), "{file}: {summary}");
        assert!(!told.contains(['\r', '\x1b']), "no progress where there is no terminal: {told:?}");
        assert_eq!(sent.stdout, b"", "{file}");
    }

    let arrived = read_all(&settings, catalog.sources["views"].partitions, 3 * inputs.len());
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, _, payload) in arrived {
        *times.entry(payload).or_default() += 1;
    }
    let expected = [valid.as_str(), invalid, incomplete].map(|line| (line.to_owned(), inputs.len()));
    assert_eq!(times, BTreeMap::from(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_is_cut_off_is_an_error_and_what_was_read_is_sent() {
    let catalog = catalog();
    let (_kafka, settings) = broker(&catalog);
    let dir = tempfile::tempdir().expect("a folder");
    let whole = gzip(b"{\"video_id\":\"a\"}\n{\"video_id\":\"b\"}\n");
    std::fs::write(dir.path().join("cut.gz"), &whole[..whole.len() - 4]).expect("written");
    let sent = send(&settings.brokers, dir.path(), "cut.gz", Stdio::null());
    let told = String::from_utf8(sent.stderr).expect("a text");
    assert_eq!(sent.status.code(), Some(1), "{told}");
    assert!(told.contains("sent 2 records to topic views"), "{told}");
    assert!(told.contains("error: cannot read cut.gz at line 3"), "{told}");
}
