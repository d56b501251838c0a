//! A whole file for a source: which format it has, the digest of its content, and its records.
//!
//! A file is read twice: once for its digest, and once for its records. The digest is of what the file holds once it is unpacked, so
//! a file and its compressed copy have the same. Both times it holds the same: what tells that is the file's inode and times on local
//! disk, and elsewhere whoever reads it ([`Remote`]).

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use shared_logic::catalog::Source;
use shared_logic::format::Format;
use xxhash_rust::xxh3::Xxh3;

use crate::InputError;
use crate::blocks::Blocks;
use crate::parquet_rows::ParquetRows;
use crate::plain::plain;
use crate::rows::{Line, RowArgs, Rows, Separated, is_blank};

pub use crate::blocks::Remote;

/// With these bytes a Parquet file begins.
const PARQUET: &[u8] = b"PAR1";
/// How many first bytes say whether a file can be read.
const BEGIN_BYTES: u64 = 8;
const BUFFER_BYTES: usize = 1 << 20;
/// Endings of names that say how a file is packed, which its first bytes say, too.
const PACKED: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Columns, in row groups
    Parquet,
    /// Rows of columns that commas separate (RFC 4180)
    Csv,
    /// Rows of columns that tabs separate
    Tsv,
    /// One JSON object a line
    Ndjson,
    /// An access log of Apache httpd or nginx
    Combined,
}

/// A file that does not change while it is read.
#[derive(Debug, Clone)]
pub struct InputFile {
    place: Place,
    kind: Option<Kind>,
}

/// Where a file lies.
#[derive(Debug, Clone)]
enum Place {
    /// On local disk.
    Disk(PathBuf, Stamp),
    /// Anywhere else.
    Remote(Arc<dyn Remote>),
}

/// What tells that a file is the same and has not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    /// When it was changed in any way. A program may set back when it was modified, and this not.
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Stamp {
        Stamp {
            place: (file.dev(), file.ino()),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

impl InputFile {
    /// The file at that path. Its kind is the one given, or else what its first bytes or its name say.
    ///
    /// # Errors
    /// If it is not a file on local disk that can be read.
    pub fn open(path: &Path, kind: Option<Kind>) -> Result<InputFile, InputError> {
        let name = || path.display().to_string();
        if let Some((scheme, _)) = name().split_once("://") {
            return Err(InputError::NotLocal { scheme: scheme.to_owned() });
        }
        let unreadable = |source| InputError::Open { name: name(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(InputError::NotAFile { name: name() });
        }
        let mut begin = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(BEGIN_BYTES).read_to_end(&mut begin).map_err(unreadable)?;
        let place = Place::Disk(path.to_owned(), Stamp::of(&metadata));
        InputFile::of(place, path, &begin, kind)
    }

    /// A file that lies elsewhere; `begin` is its first bytes: eight or more, or all that it has. Its kind is found in the same way.
    ///
    /// # Errors
    /// If it is packed in a way that is not read.
    pub fn remote(remote: Arc<dyn Remote>, begin: &[u8], kind: Option<Kind>) -> Result<InputFile, InputError> {
        let name = remote.name();
        InputFile::of(Place::Remote(remote), Path::new(&name), begin, kind)
    }

    fn of(place: Place, path: &Path, begin: &[u8], kind: Option<Kind>) -> Result<InputFile, InputError> {
        if let Some(packed) = packed_otherwise(begin) {
            return Err(InputError::Packed { name: path.display().to_string(), packed });
        }
        let kind = if begin.starts_with(PARQUET) { Some(Kind::Parquet) } else { kind.or_else(|| named(path)) };
        Ok(InputFile { place, kind })
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Disk(path, _) => path.display().to_string(),
            Place::Remote(remote) => remote.name(),
        }
    }

    /// How many bytes it has where it lies.
    pub fn bytes(&self) -> u64 {
        match &self.place {
            Place::Disk(_, stamp) => stamp.bytes,
            Place::Remote(remote) => remote.bytes(),
        }
    }

    /// The digest of what it holds, unpacked: 128 bits of XXH3. The calling thread may block, as everywhere here.
    ///
    /// # Errors
    /// If it cannot be read, or changed meanwhile.
    pub fn digest(&self) -> Result<u128, InputError> {
        let file = self.reopen()?;
        let input: io::Result<Box<dyn BufRead + Send>> = if self.kind == Some(Kind::Parquet) {
            Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
        } else {
            plain(file)
        };
        let digest = input.and_then(digest_of).map_err(|source| InputError::Open { name: self.name(), source })?;
        self.is_unchanged()?;
        Ok(digest)
    }

    /// Its records, as payloads of that source.
    ///
    /// # Errors
    /// If its format does not fit the source's, or it cannot be read.
    pub fn records(&self, source: &Source, args: &RowArgs) -> Result<Records, InputError> {
        let name = self.name();
        let reading = match self.content_for(source)? {
            Content::Parquet => Reading::Parquet(match &self.place {
                Place::Disk(path, stamp) => ParquetRows::open(unchanged(path, stamp)?, source, &name)?,
                Place::Remote(remote) => ParquetRows::open_remote(remote, source, &name)?,
            }),
            content => {
                let rows = match content {
                    Content::Objects(separated) => Rows::as_objects(source, separated, args),
                    _ => Rows::of(source, args)?,
                };
                let input = plain(self.reopen()?).map_err(|source| InputError::Open { name: name.clone(), source })?;
                Reading::Rows(rows, Unpacked(input))
            }
        };
        Ok(Records { name, reading })
    }

    /// Fails if another process has changed it since it was opened, so that what was read of it may be of two contents. Of a file that
    /// lies elsewhere, that was found out with each read.
    ///
    /// # Errors
    /// [`InputError::Changed`], or if it is not there any more.
    pub fn is_unchanged(&self) -> Result<(), InputError> {
        match &self.place {
            Place::Disk(path, stamp) => unchanged(path, stamp).map(drop),
            Place::Remote(_) => Ok(()),
        }
    }

    /// Its bytes from its begin on.
    fn reopen(&self) -> Result<Box<dyn Read + Send>, InputError> {
        let bytes: Box<dyn Read + Send> = match &self.place {
            Place::Disk(path, stamp) => Box::new(unchanged(path, stamp)?),
            Place::Remote(remote) => Box::new(Blocks::in_order(remote).reader(0)),
        };
        Ok(bytes)
    }

    /// How its records become payloads of the source.
    fn content_for(&self, source: &Source) -> Result<Content, InputError> {
        if source.format.names_schemas() {
            return Err(self.other_format(
                source,
                "their schemas are in a registry, which files do not name: send them with a producer that uses the registry",
            ));
        }
        // A file that does not say what it is holds what the source's records are.
        let Some(kind) = self.kind else { return Ok(Content::Rows) };
        match (kind, source.format) {
            (Kind::Parquet, Format::Json) => Ok(Content::Parquet),
            (Kind::Ndjson, Format::Json)
            | (Kind::Csv, Format::Csv)
            | (Kind::Tsv, Format::Tsv)
            | (Kind::Combined, Format::Combined) => Ok(Content::Rows),
            (Kind::Csv, Format::Json) => Ok(Content::Objects(Separated::ByCommas)),
            (Kind::Tsv, Format::Json) => Ok(Content::Objects(Separated::ByTabs)),
            (_, Format::Csv) => Err(self.other_format(source, "write the file as CSV, with a header")),
            (_, Format::Tsv) => Err(self.other_format(source, "write the file as TSV, with a header")),
            (_, Format::Combined) => Err(self.other_format(
                source,
                "only lines of such a log can be imported; for other files, declare a source of JSON with the same fields",
            )),
            _ => Err(self.other_format(source, "write the file as NDJSON, CSV with a header, or Parquet")),
        }
    }

    fn other_format(&self, source: &Source, way_out: &'static str) -> InputError {
        InputError::OtherFormat {
            name: self.name(),
            kind: self.kind.map_or("lines", Kind::in_words),
            source_name: source.name.clone(),
            format: source.format.name(),
            way_out,
        }
    }
}

/// A file on local disk, if it is the same and has not changed.
fn unchanged(path: &Path, stamp: &Stamp) -> Result<File, InputError> {
    let name = || path.display().to_string();
    let unreadable = |source| InputError::Open { name: name(), source };
    let file = File::open(path).map_err(unreadable)?;
    if Stamp::of(&file.metadata().map_err(unreadable)?) != *stamp {
        return Err(InputError::Changed { name: name() });
    }
    Ok(file)
}

/// How records of a file become payloads.
enum Content {
    /// Lines or rows, as they are written.
    Rows,
    /// Rows of a table become objects.
    Objects(Separated),
    /// Rows of Parquet columns become objects.
    Parquet,
}

/// The records of one file, in their order.
pub struct Records {
    name: String,
    reading: Reading,
}

enum Reading {
    Rows(Rows, Unpacked),
    Parquet(ParquetRows),
}

/// The unpacked lines of a file.
struct Unpacked(Box<dyn BufRead + Send>);

impl Records {
    /// The next record; nothing at the end. Empty lines are left out.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&mut self) -> Result<Option<Line>, InputError> {
        match &mut self.reading {
            Reading::Parquet(rows) => rows.next(),
            Reading::Rows(rows, input) => loop {
                match rows.next(&mut input.0, &self.name)? {
                    Some(line) if is_blank(&line.text) => {}
                    line => return Ok(line),
                }
            },
        }
    }
}

impl Kind {
    fn in_words(self) -> &'static str {
        match self {
            Kind::Parquet => "Parquet",
            Kind::Csv => "CSV",
            Kind::Tsv => "TSV",
            Kind::Ndjson => "NDJSON",
            Kind::Combined => "an access log",
        }
    }
}

fn digest_of(mut input: Box<dyn BufRead + Send>) -> io::Result<u128> {
    let mut hash = Xxh3::new();
    loop {
        let bytes = input.fill_buf()?;
        let count = bytes.len();
        if count == 0 {
            return Ok(hash.digest128());
        }
        hash.update(bytes);
        input.consume(count);
    }
}

/// How a file is packed, if that is not read. Its lines would be invalid records, all of which stay in the archive.
fn packed_otherwise(begin: &[u8]) -> Option<&'static str> {
    match begin {
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => Some("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        [b'P', b'K', 3, 4, ..] => Some("zip"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some("lz4"),
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some("zstd as pzstd writes it"),
        _ => None,
    }
}

/// What a file's name says that it is.
fn named(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let mut endings = name.split('.').rev().filter(|ending| !PACKED.contains(ending));
    match endings.next()? {
        "csv" => Some(Kind::Csv),
        "tsv" | "tab" => Some(Kind::Tsv),
        "ndjson" | "jsonl" | "json" => Some(Kind::Ndjson),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
