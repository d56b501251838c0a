//! The names of files on a command line → files: paths and `file://` addresses on local disk, and addresses in S3 buckets.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use input::file::{InputFile, Kind, Remote};
use platform::settings;
use platform::store::S3File;
use platform::telemetry::error_text;
use tokio::runtime::Handle;
use url::Url;

use super::ImportError;

/// The files of these names, in their order. A prefix in an S3 bucket stands for all files below it.
///
/// # Errors
/// If one is not there, or cannot be read.
pub(super) async fn open(
    names: &[PathBuf],
    kind: Option<Kind>,
    store: &settings::Store,
) -> Result<Vec<InputFile>, ImportError> {
    let mut files = Vec::new();
    for name in names {
        match name.to_str().filter(|name| name.starts_with("s3://")) {
            None => files.push(InputFile::open(&on_disk(name)?, kind)?),
            Some(url) => {
                for file in S3File::find(store, url).await? {
                    let begin = file.begin().to_vec();
                    let remote = Arc::new(InS3 { file, runtime: Handle::current() });
                    files.push(InputFile::remote(remote, &begin, kind)?);
                }
            }
        }
    }
    Ok(files)
}

/// Where a file lies on local disk: a path stands for itself.
fn on_disk(name: &Path) -> Result<PathBuf, ImportError> {
    let Some(address) = name.to_str().filter(|name| name.starts_with("file://")) else { return Ok(name.to_owned()) };
    let path = Url::parse(address).ok().and_then(|url| url.to_file_path().ok());
    path.ok_or_else(|| ImportError::NotOnDisk { address: address.to_owned() })
}

/// A file in an S3 bucket, for threads that may block.
#[derive(Debug)]
struct InS3 {
    file: S3File,
    /// What runs the requests.
    runtime: Handle,
}

impl Remote for InS3 {
    fn name(&self) -> String {
        self.file.url().to_owned()
    }

    fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let read = self.runtime.block_on(self.file.read(range));
        read.map(Vec::from).map_err(|error| io::Error::other(error_text(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_on_this_machine_is_a_path() {
        let path = |name: &str| on_disk(Path::new(name)).map(|path| path.display().to_string());
        for (name, expected) in [
            ("file:///var/log/access.log", "/var/log/access.log"),
            ("file:///exports/a%20b.csv", "/exports/a b.csv"),
            ("file://localhost/exports/a.csv", "/exports/a.csv"),
            ("exports/a%20b.csv", "exports/a%20b.csv"),
        ] {
            assert_eq!(path(name).expect("a path"), expected, "{name}");
        }
        let refused = path("file://exports/a.csv").expect_err("another machine's");
        assert!(refused.to_string().contains("file:///path"), "{refused}");
    }
}
