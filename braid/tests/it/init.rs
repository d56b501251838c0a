//! `braid init` as it is typed: where the catalog goes, and what a person is told.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

fn braid(dir: &Path, arguments: &[&str], input: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.current_dir(dir).args(arguments).stdin(input).output().expect("it starts")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sales of the last minutes, one of which is broken.
fn sales() -> String {
    let now_us = platform::clock::now_us();
    let sale = |n: i64| {
        let at = shared_logic::time::format_rfc3339(now_us - n * 1_000_000);
        format!(
            "{{\"id\":\"s-{n}\",\"at\":\"{at}\",\"shop\":\"{}\",\"amount\":{n}}}\n",
            ["north", "south"][n as usize % 2]
        )
    };
    (0..200).map(sale).chain(["not json\n".to_owned()]).collect()
}

#[test]
fn a_catalog_is_written_once_and_is_valid() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("sales.ndjson"), sales()).expect("written");
    let written = braid(dir.path(), &["init", "sales.ndjson"], Stdio::null());
    let summary = "wrote catalog.toml
source sales (json, 4 fields), metric sales (by shop)
it accepts 200 of 201 records; the catalog rejects 1: 1 not_json (first on line 201)

next:
  braid catalog check catalog.toml
  braid up --no-traffic --catalog catalog.toml
  braid send --source sales --catalog catalog.toml --kafka ADDRESS sales.ndjson
  # ADDRESS is what `braid up` prints behind kafka=
  braid query sales
  braid query sales shop=";
    assert!(written.status.success() && told(&written).starts_with(summary), "{}", told(&written));
    assert_eq!(written.stdout, b"");
    let checked = braid(dir.path(), &["catalog", "check", "catalog.toml"], Stdio::null());
    assert!(checked.status.success(), "{}", told(&checked));

    std::fs::write(dir.path().join("catalog.toml"), "mine").expect("written");
    let refused = braid(dir.path(), &["init", "sales.ndjson"], Stdio::null());
    assert_eq!(refused.status.code(), Some(1));
    assert!(told(&refused).starts_with("error: catalog.toml exists: "), "{}", told(&refused));
    assert_eq!(std::fs::read_to_string(dir.path().join("catalog.toml")).expect("kept"), "mine");
    let replaced = braid(dir.path(), &["init", "sales.ndjson", "--force", "--source", "other"], Stdio::null());
    assert!(replaced.status.success(), "{}", told(&replaced));
    let text = std::fs::read_to_string(dir.path().join("catalog.toml")).expect("replaced");
    assert!(text.contains("[sources.other]\ntopic = \"other\"\n"), "{text}");
}

#[test]
fn a_pipe_is_read_and_standard_output_holds_nothing_but_the_catalog() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(sales().as_bytes()).expect("packed");
    std::fs::write(dir.path().join("packed"), packed.finish().expect("packed")).expect("written");
    let input = || Stdio::from(File::open(dir.path().join("packed")).expect("readable"));
    let arguments = ["init", "-", "--output", "-", "--source", "sales", "--sample", "50"];
    let printed = braid(dir.path(), &arguments, input());
    assert!(printed.status.success(), "{}", told(&printed));
    let text = String::from_utf8(printed.stdout.clone()).expect("a text");
    assert!(text.starts_with("# What `braid init` made of the first 50 records of standard input."), "{text}");
    shared_logic::catalog::Catalog::parse(&text).expect("a valid catalog");
    assert!(
        told(&printed).contains("\n  braid send --source sales --catalog CATALOG --kafka ADDRESS FILE\n"),
        "{}",
        told(&printed)
    );
    assert!(!dir.path().join("catalog.toml").exists());

    let refused = braid(dir.path(), &["init", "-", "--source", "My Sales"], input());
    assert_eq!(told(&refused), "error: `My Sales` is no name for a source: use a-z, 0-9 and _, such as `my_sales`\n");
    let refused = braid(dir.path(), &["init"], Stdio::null());
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
}
