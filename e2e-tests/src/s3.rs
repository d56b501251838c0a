//! The S3 server that a stage's tables lie on: one inside the test's process, or SeaweedFS, if the environment names
//! that (`make test-s3`; `e2e-tests/s3-server.sh` builds it).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig};
use test_kit::{DEADLINE, Process, Progress, S3Server, free_port, wait_for};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Names SeaweedFS's program, `weed`.
const WEED: &str = "BRAID_TEST_S3";
const BUCKET: &str = "lake";
const KEYS: (&str, &str) = ("test", "testsecret");

/// An S3 server of a stage's own, with one bucket.
pub enum S3 {
    /// Its objects are files.
    InProcess(S3Server),
    /// Its objects are anything.
    SeaweedFs(SeaweedFs),
}

/// A SeaweedFS of a stage's own, in one process. Dropping it kills it.
pub struct SeaweedFs {
    process: Process,
    endpoint: String,
    objects: AmazonS3,
    copy: PathBuf,
}

impl S3 {
    /// Starts an empty one, whose files lie in that folder.
    pub async fn start(folder: &Path) -> Result<S3> {
        match std::env::var_os(WEED) {
            None => Ok(S3::InProcess(S3Server::start_in(folder).await?)),
            Some(weed) => Ok(S3::SeaweedFs(SeaweedFs::start(Path::new(&weed), folder).await?)),
        }
    }

    /// The settings of a deployment whose tables lie on it: `section.key` and value.
    pub fn settings(&self) -> Vec<(String, String)> {
        match self {
            S3::InProcess(server) => server.settings(),
            S3::SeaweedFs(server) => {
                let settings = [
                    ("store.url", format!("s3://{BUCKET}/tables")),
                    ("store.endpoint", server.endpoint.clone()),
                    ("store.access_key", KEYS.0.to_owned()),
                    ("store.secret_key", KEYS.1.to_owned()),
                    ("store.allow_http", true.to_string()),
                ];
                settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }
        }
    }

    /// The folder in which its tables can be read as files, once they were [shown](S3::show).
    pub fn tables(&self) -> PathBuf {
        match self {
            S3::InProcess(server) => server.tables(),
            S3::SeaweedFs(server) => server.copy.join("tables"),
        }
    }

    /// Lets what is there now be read as files.
    pub fn show(&self) -> Result<()> {
        match self {
            S3::InProcess(_) => Ok(()),
            S3::SeaweedFs(server) => block_in_place(|| Handle::current().block_on(server.copied())),
        }
    }
}

impl SeaweedFs {
    async fn start(weed: &Path, folder: &Path) -> Result<SeaweedFs> {
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        let mut command = Command::new(weed);
        command.args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false"]);
        command.args(["-s3.port.iceberg=0".to_owned(), format!("-dir={}", data.display())]);
        for port in ["master.port", "volume.port", "filer.port"] {
            command.args([format!("-{port}={}", free_port()?), format!("-{port}.grpc={}", free_port()?)]);
        }
        let port = free_port()?;
        command.args([format!("-s3.port={port}"), format!("-s3.port.grpc={}", free_port()?)]);
        command.env("AWS_ACCESS_KEY_ID", KEYS.0).env("AWS_SECRET_ACCESS_KEY", KEYS.1).env("S3_BUCKET", BUCKET);
        command.current_dir(folder);
        let process = Process::start("seaweedfs", command, &folder.join("seaweedfs.out"))?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let objects = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_allow_http(true)
            .with_bucket_name(BUCKET)
            .with_access_key_id(KEYS.0)
            .with_secret_access_key(KEYS.1)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .build()?;
        let server = SeaweedFs { process, endpoint, objects, copy: folder.join("copy") };
        wait_for("seaweedfs to have its bucket", DEADLINE, async || {
            ensure!(server.process.ended()?.is_none(), "seaweedfs ended");
            let listed = server.objects.list_with_delimiter(None).await;
            Ok(Progress::when(listed.is_ok(), format_args!("{listed:?}")))
        })
        .await?;
        Ok(server)
    }

    /// Copies all objects into files.
    async fn copied(&self) -> Result<()> {
        let mut objects = self.objects.list(None);
        while let Some(object) = objects.try_next().await? {
            let path = self.copy.join(object.location.as_ref());
            std::fs::create_dir_all(path.parent().context("an object lies in a folder")?)?;
            std::fs::write(path, self.objects.get(&object.location).await?.bytes().await?)?;
        }
        Ok(())
    }
}
