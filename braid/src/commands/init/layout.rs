//! How the records of a sample are written, as their first lines show.

use anyhow::{Context, Result, anyhow, bail, ensure};
use shared_logic::catalog::{Catalog, Source};
use shared_logic::decode::Decoder;

/// So many lines are looked at.
const LINES: usize = 50;
/// Delimiters of tables that Braid does not read, and how they can be converted.
const OTHER_DELIMITERS: [(char, &str); 2] = [
    (
        ';',
        "columns are separated by `;`, and Braid reads commas and tabs: convert it, for example with `mlr --icsv --ifs ';' --ocsv cat`",
    ),
    (
        '|',
        "columns are separated by `|`, and Braid reads commas and tabs: convert it, for example with `mlr --icsv --ifs '|' --ocsv cat`",
    ),
];

/// The event time and the fields of a log.
const LOG: (&str, &str) = (
    "time",
    "remote_host = \"string\"\nuser = \"string?\"\ntime = \"timestamp\"\nmethod = \"string?\"\ntarget = \"string?\"\n\
     protocol = \"string?\"\nstatus = \"int\"\nbytes = \"int?\"\nreferer = \"string?\"\nuser_agent = \"string?\"",
);

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Layout {
    /// One JSON object on each line
    Json,
    /// Comma-separated values
    Csv,
    /// Tab-separated values
    Tsv,
    /// The access log of Apache or nginx
    Combined,
}

impl Layout {
    /// Its name in a catalog.
    pub(super) fn name(self) -> &'static str {
        match self {
            Layout::Json => "json",
            Layout::Csv => "csv",
            Layout::Tsv => "tsv",
            Layout::Combined => "combined",
        }
    }

    /// Whether records have columns, in which every value is a text.
    pub(super) fn has_columns(self) -> bool {
        self != Layout::Json
    }

    /// Whether columns have no names but those that a header gives them.
    pub(super) fn is_table(self) -> bool {
        matches!(self, Layout::Csv | Layout::Tsv)
    }

    /// A source of such records, to tell them apart. It declares the columns of a log; of a table, none that one could have.
    ///
    /// # Errors
    /// None, as a test shows.
    pub(super) fn source(self) -> Result<Source> {
        let (event_time, fields) =
            if self == Layout::Combined { LOG } else { ("moment_of_it", "moment_of_it = \"timestamp\"") };
        let text = format!(
            "[sources.sample]\nformat = \"{}\"\nevent_time = \"{event_time}\"\n[sources.sample.fields]\n{fields}\n",
            self.name()
        );
        let mut catalog = Catalog::parse(&text).map_err(|mistakes| anyhow!("{mistakes:?}"))?;
        catalog.sources.remove("sample").context("the source is not in its catalog")
    }

    /// The layout of a text.
    ///
    /// # Errors
    /// If it is none of them: what it looks like, and what can be done.
    pub(super) fn of(text: &[u8]) -> Result<Layout> {
        let is_blank = |line: &&[u8]| line.trim_ascii().is_empty();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !is_blank(line)).take(LINES).collect();
        let Some(first) = lines.first().map(|line| line.trim_ascii()) else { bail!("it holds no records") };
        ensure!(
            first.first() != Some(&0),
            "its records begin with a zero byte, as Avro and Protobuf with a schema registry do: write the catalog by hand, with \
             format = \"avro\" or \"protobuf\" and the fields that you need"
        );
        ensure!(
            !first.contains(&0) && std::str::from_utf8(first).is_ok(),
            "it is no text in UTF-8: Braid reads JSON, CSV, TSV and access logs"
        );
        let mostly =
            |is_one: &mut dyn FnMut(&[u8]) -> bool| lines.iter().filter(|line| is_one(line)).count() * 2 > lines.len();
        if mostly(&mut is_document) {
            return Ok(Layout::Json);
        }
        refuse_other_json(first)?;
        let mut log = Decoder::new(&Layout::Combined.source()?);
        if mostly(&mut |line| log.decode(Some(line), None).is_ok()) {
            return Ok(Layout::Combined);
        }
        if is_table(text, '\t') {
            return Ok(Layout::Tsv);
        }
        if is_table(text, ',') {
            return Ok(Layout::Csv);
        }
        for (delimiter, what) in OTHER_DELIMITERS {
            ensure!(!is_table(text, delimiter), what);
        }
        bail!(
            "its lines are neither JSON objects, nor rows of CSV or TSV, nor those of an access log; if they are, say so with --format"
        )
    }
}

fn is_document(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok()
}

/// Refuses JSON that is not one object a line.
fn refuse_other_json(first: &[u8]) -> Result<()> {
    ensure!(!first.starts_with(b"["), "it is one JSON array: write its elements on a line each, with `jq -c '.[]'`");
    // An object that goes on on the next line.
    let is_open = first.starts_with(b"{") && !first.ends_with(b"}");
    ensure!(!is_open, "its JSON spans several lines: write each object on one line, with `jq -c .`");
    Ok(())
}

/// Whether nearly all of the first rows have as many columns as the first one, and more than one.
fn is_table(text: &[u8], delimiter: char) -> bool {
    let Ok(delimiter) = u8::try_from(delimiter) else { return false };
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(delimiter).quoting(delimiter != b'\t');
    let rows = reader.from_reader(text).into_byte_records().map_while(Result::ok);
    let widths: Vec<usize> = rows.take(LINES).map(|row| row.len()).collect();
    let first = widths.first().copied().unwrap_or_default();
    let same = widths.iter().filter(|width| **width == first).count();
    first > 1 && same * 10 >= widths.len() * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Result<Layout, String> {
        Layout::of(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_layout_has_a_source() {
        for layout in [Layout::Json, Layout::Csv, Layout::Tsv, Layout::Combined] {
            assert_eq!(layout.source().expect("a catalog").format.name(), layout.name());
        }
    }

    #[test]
    fn the_first_lines_show_the_layout() {
        assert_eq!(layout("{\"a\": 1}\n\nbroken, \"\n{\"a\": 2}\n"), Ok(Layout::Json));
        assert_eq!(layout("a,b\n1,\"x\ny\"\n2,z\n"), Ok(Layout::Csv));
        assert_eq!(layout("a\tb, c\n1\t5\" pipe\n"), Ok(Layout::Tsv));
        let log = "203.0.113.7 - - [25/Nov/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 512 \"-\" \"a, b, c\"\n";
        assert_eq!(layout(log), Ok(Layout::Combined));
    }

    #[test]
    fn what_is_not_read_is_named_with_a_way_out() {
        for (text, part) in [
            ("\n \n", "holds no records"),
            ("PAR1\0\0", "no text in UTF-8"),
            ("\0\0\0\0\u{7}\u{2}x\n\0\0\0\0\n", "format = \"avro\" or \"protobuf\""),
            ("[{\"a\": 1}]", "jq -c '.[]'"),
            ("{\n  \"a\": 1\n}\n", "jq -c ."),
            ("a;b\n1;2,5\n", "separated by `;`"),
            ("a|b\n1|2\n", "separated by `|`"),
            ("level=info msg=hello\n", "neither JSON objects"),
        ] {
            let error = layout(text).expect_err(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
