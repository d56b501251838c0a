use std::io::Write;
use std::os::unix::fs::MetadataExt;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use shared_logic::catalog::Catalog;

use super::*;
use crate::blocks::tests::Held;

fn source(format: &str) -> Source {
    let text = format!(
        "[sources.s]\nformat = \"{format}\"\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\nn = \"int?\"\n"
    );
    let mut catalog = Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    catalog.sources.remove("s").expect("its source")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("finished")
}

/// A folder, in which a file of that name holds these bytes.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn records(name: &str, bytes: &[u8], source: &Source) -> Result<Vec<(usize, String)>, InputError> {
    let (_folder, path) = file(name, bytes);
    let mut records = InputFile::open(&path, None)?.records(source, &RowArgs::default())?;
    let mut all = Vec::new();
    while let Some(Line { number, text }) = records.read()? {
        all.push((number, String::from_utf8(text).expect("UTF-8")));
    }
    Ok(all)
}

fn are(name: &str, bytes: &[u8], source: &Source, expected: &[(usize, &str)]) {
    let expected: Vec<(usize, String)> = expected.iter().map(|(number, text)| (*number, (*text).to_owned())).collect();
    assert_eq!(records(name, bytes, source).expect("readable"), expected, "{name}");
}

#[test]
fn records_are_what_the_files_format_and_the_sources_make_of_them() {
    let (json, csv, tsv) = (source("json"), source("csv"), source("tsv"));
    are("a.ndjson", b"{\"at\":1}\n\n{\"at\":2}", &json, &[(1, "{\"at\":1}"), (3, "{\"at\":2}")]);
    are("a.jsonl.gz", &gzip(b"{\"at\":1}\n"), &json, &[(1, "{\"at\":1}")]);
    are("a.csv", b"n,at\n7,1\n", &json, &[(2, "{\"n\":7,\"at\":\"1\"}")]);
    are("a.tsv", b"at\tn\n1\t\n", &json, &[(2, "{\"at\":\"1\"}")]);
    are("A.CSV.ZST", &zstd::encode_all(&b"n,at\n7,1\n"[..], 3).expect("packed"), &csv, &[(2, "1,7")]);
    are("a.tab", b"1\t7\n", &tsv, &[(1, "1\t7")]);
    are("a", b"1,7\n", &csv, &[(1, "1,7")]);
    let log = source_of_logs();
    are("access.log", b"a line\n", &log, &[(1, "a line")]);
}

fn source_of_logs() -> Source {
    let text = "[sources.s]\nformat = \"combined\"\nevent_time = \"time\"\n[sources.s.fields]\ntime = \"timestamp\"\n";
    let mut catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    catalog.sources.remove("s").expect("its source")
}

#[test]
fn other_formats_are_refused_with_the_way_out() {
    for (name, bytes, format, way_out) in [
        ("a.ndjson", &b"{}"[..], "csv", "CSV, with a header"),
        ("a.csv", &b"1,2"[..], "tsv", "TSV, with a header"),
        ("a", &b"PAR1"[..], "csv", "CSV, with a header"),
        ("a.tsv", &b"1"[..], "csv", "CSV, with a header"),
    ] {
        let refused = records(name, bytes, &source(format)).expect_err("refused").to_string();
        assert!(refused.contains(way_out) && refused.contains("source `s`"), "{name}: {refused}");
    }
    let refused = records("a.json", b"{}", &source_of_logs()).expect_err("refused").to_string();
    assert!(refused.contains("source of JSON"), "{refused}");
}

#[test]
fn a_file_that_is_not_on_local_disk_is_refused() {
    let signed = "https://example.org/a.csv?X-Amz-Signature=hunter2";
    let refused = InputFile::open(Path::new(signed), None).expect_err("refused").to_string();
    assert_eq!(refused, "files are not read from https://: give a path on local disk, or s3://bucket/path");
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(InputFile::open(folder.path(), None), Err(InputError::NotAFile { .. })));
    let missing = folder.path().join("none.csv");
    assert!(matches!(InputFile::open(&missing, None), Err(InputError::Open { .. })));
}

#[test]
fn a_file_that_is_packed_in_another_way_is_refused_and_not_read_as_lines() {
    for (begin, packed) in [
        (&b"BZh91AY&SY"[..], "bzip2"),
        (&b"\xfd7zXZ\0\0"[..], "xz"),
        (&b"PK\x03\x04\x14"[..], "zip"),
        (&b"\x04\x22\x4d\x18"[..], "lz4"),
        (&b"\x50\x2a\x4d\x18\x04\0\0\0"[..], "pzstd"),
    ] {
        let (_folder, path) = file("a.csv", begin);
        let refused = InputFile::open(&path, Some(Kind::Csv)).expect_err("refused").to_string();
        assert!(refused.contains(packed) && refused.contains("unpack it first"), "{refused}");
    }
    for text in [&b"BZh,1\n"[..], b"PK,1\n", b"P*M,1\n", b"", b"1"] {
        let (_folder, path) = file("a.csv", text);
        assert!(InputFile::open(&path, None).is_ok(), "{text:?}");
    }
}

#[test]
fn a_file_that_lies_elsewhere_gives_what_one_on_local_disk_does() {
    let (json, csv) = (source("json"), source("csv"));
    let parquet = {
        let columns: [(&str, ArrayRef); 2] =
            [("at", Arc::new(Int64Array::from(vec![1, 2]))), ("n", Arc::new(Int64Array::from(vec![7, 8])))];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a schema for Parquet");
        writer.write(&batch).expect("written");
        writer.into_inner().expect("closed")
    };
    let packed = zstd::encode_all(&b"n,at\n7,1\n"[..], 3).expect("packed");
    for (name, bytes, source) in [
        ("a.ndjson", &b"{\"at\":1}\n\n{\"at\":2}"[..], &json),
        ("a.csv.gz", &gzip(b"n,at\n7,1\n")[..], &json),
        ("a.csv.zst", &packed[..], &csv),
        ("a", &parquet[..], &json),
        ("a", &b""[..], &csv),
    ] {
        let (_folder, path) = file(name, bytes);
        let (own, held) = (InputFile::open(&path, None).expect("opened"), Held::named(name, bytes));
        let begin = &bytes[..bytes.len().min(BEGIN_BYTES as usize)];
        let other = InputFile::remote(Arc::new(held), begin, None).expect("opened");
        assert_eq!((other.kind, other.bytes()), (own.kind, own.bytes()), "{name}");
        assert_eq!(other.digest().expect("read"), own.digest().expect("read"), "{name}");
        let all = |file: &InputFile| {
            let mut records = file.records(source, &RowArgs::default()).expect("readable");
            std::iter::from_fn(|| records.read().expect("read")).collect::<Vec<Line>>()
        };
        assert_eq!(all(&other), all(&own), "{name}");
        assert!(!all(&other).is_empty() || bytes.is_empty(), "{name}");
    }
    let refused = InputFile::remote(Arc::new(Held::named("a.csv", b"BZh91AY&SY")), b"BZh91AY&", None);
    assert!(matches!(refused, Err(InputError::Packed { packed: "bzip2", .. })), "{refused:?}");
}

#[test]
fn the_digest_is_that_of_the_content_however_it_is_packed() {
    let digest = |name: &str, bytes: &[u8]| {
        let (_folder, path) = file(name, bytes);
        InputFile::open(&path, None).expect("opened").digest().expect("read")
    };
    let plain = digest("a.csv", b"1,2\n");
    assert_eq!(digest("b.csv.gz", &gzip(b"1,2\n")), plain);
    assert_eq!(digest("c", &zstd::encode_all(&b"1,2\n"[..], 3).expect("packed")), plain);
    assert_ne!(digest("a.csv", b"1,3\n"), plain);
    assert_ne!(digest("a.csv", b"1,2"), plain);
}

#[test]
fn a_file_that_changes_is_not_read_on() {
    let (_folder, path) = file("a.csv", b"1,2\n");
    let input = InputFile::open(&path, None).expect("opened");
    assert!(input.is_unchanged().is_ok());
    std::fs::OpenOptions::new().append(true).open(&path).expect("opened").write_all(b"3,4\n").expect("written");
    assert!(matches!(input.is_unchanged(), Err(InputError::Changed { .. })));
    assert!(matches!(input.digest(), Err(InputError::Changed { .. })));
    assert!(matches!(input.records(&source("csv"), &RowArgs::default()), Err(InputError::Changed { .. })));
}

#[test]
fn a_file_of_other_bytes_has_changed_though_its_time_was_set_back() {
    let (_folder, path) = file("a.csv", b"1,2\n");
    let modified = std::fs::metadata(&path).expect("looked at").modified().expect("a time");
    let input = InputFile::open(&path, None).expect("opened");
    let changed_at = || std::fs::metadata(&path).map(|file| (file.ctime(), file.ctime_nsec())).expect("looked at");
    let before = changed_at();
    // Times of files advance in steps of some milliseconds.
    while changed_at() == before {
        std::fs::write(&path, b"1,3\n").expect("written");
    }
    std::fs::File::options().write(true).open(&path).expect("opened").set_modified(modified).expect("set back");
    assert!(matches!(input.is_unchanged(), Err(InputError::Changed { .. })));
}
