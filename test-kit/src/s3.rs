//! An S3 server of a test's own, inside the test's process. Its objects are files below a folder, so a test can look at them.
//!
//! - `faults`: what may befall a request.

mod faults;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow, bail};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpResponse};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub use self::faults::{Fault, GIVEN_UP_AFTER};
use self::faults::{Faults, LATE, SLOW};

const BUCKET: &str = "lake";
const ACCESS_KEY: &str = "test";
const SECRET_KEY: &str = "testsecret";
/// How many objects may be asked for at once; those that share a lock wait for each other.
const LOCKS: usize = 64;
/// The largest request body, in bytes.
const BODY_MAX: usize = 1 << 30;

/// An S3 server with one bucket. Dropping it stops it.
pub struct S3Server {
    address: SocketAddr,
    folder: PathBuf,
    server: Arc<Server>,
    serving: JoinHandle<()>,
    /// The folder, if it is to be removed together with this.
    _temporary: Option<TempDir>,
}

struct Server {
    service: S3Service,
    folder: PathBuf,
    faults: Faults,
    /// Whether a put replaces an object, whatever its condition.
    replaces: AtomicBool,
    /// The server looks whether there is an object, and puts it later. Under a lock, both are one step, as with a real one.
    locks: [Mutex<()>; LOCKS],
}

impl S3Server {
    /// Starts one with an empty bucket in a temporary folder, in memory where that is possible.
    pub async fn start() -> Result<S3Server> {
        let temporary = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let folder = temporary.path().to_owned();
        S3Server::launch(folder, Some(temporary)).await
    }

    /// Starts one whose bucket lies in that folder.
    pub async fn start_in(folder: &Path) -> Result<S3Server> {
        S3Server::launch(folder.to_owned(), None).await
    }

    async fn launch(folder: PathBuf, temporary: Option<TempDir>) -> Result<S3Server> {
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let mut service = S3ServiceBuilder::new(FileSystem::new(&folder).map_err(|error| anyhow!("{error:?}"))?);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let locks = std::array::from_fn(|_| Mutex::new(()));
        let (service, faults, replaces) = (service.build(), Faults::default(), AtomicBool::new(false));
        let server = Arc::new(Server { service, folder: folder.clone(), faults, replaces, locks });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(serve(listener, Arc::clone(&server)));
        Ok(S3Server { address, folder, server, serving, _temporary: temporary })
    }

    /// The settings of a store in this bucket: `section.key` and value.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("store.url", format!("s3://{BUCKET}/tables")),
            ("store.endpoint", format!("http://{}", self.address)),
            ("store.access_key", ACCESS_KEY.to_owned()),
            ("store.secret_key", SECRET_KEY.to_owned()),
            ("store.allow_http", true.to_string()),
        ];
        settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The folder that holds the tables of all deployments.
    pub fn tables(&self) -> PathBuf {
        self.bucket().join("tables")
    }

    /// The folder whose files are the objects of the bucket, also those that a test puts there itself.
    pub fn bucket(&self) -> PathBuf {
        self.folder.join(BUCKET)
    }

    /// The address of an object.
    pub fn url(&self, path: &str) -> String {
        format!("s3://{BUCKET}/{path}")
    }

    /// From now on, a put replaces an object even if it says that it must not. Such servers exist.
    pub fn replace_objects(&self) {
        self.server.replaces.store(true, Ordering::Relaxed);
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        self.server.faults.seen()
    }

    /// How many of them came while no other was under way: about how many times a single client has waited for a reply. Those that it sent side
    /// by side count once.
    pub fn waits(&self) -> u64 {
        self.server.faults.alone()
    }

    /// From now on, keeps what each request asks for.
    pub fn listen(&self) {
        self.server.faults.listen();
    }

    /// What each request has asked for since [`S3Server::listen`], such as `GET archive/s/_delta_log/0.json`, in the order in which they came. No
    /// more is kept from then on.
    pub fn heard(&self) -> Vec<String> {
        self.server.faults.heard()
    }

    /// Lets a fault befall the `nth` request from now on, counted from 1.
    pub fn befall(&self, nth: u64, fault: Fault) {
        self.server.faults.befall(nth, fault);
    }

    /// Does something right before the `nth` request from now on, counted from 1.
    pub fn before(&self, nth: u64, act: impl FnOnce() + Send + 'static) {
        self.server.faults.before(nth, Box::new(act));
    }

    /// Ends an outage.
    pub fn heal(&self) {
        self.server.faults.heal();
    }

    /// Ends an outage, and lets the fault befall no request any more. Returns whether it had befallen one.
    pub fn spare(&self) -> bool {
        self.server.faults.spare()
    }

    /// Waits until every request that came is done, also those whose client has given up.
    pub async fn settled(&self) -> Result<()> {
        self.server.faults.settled().await
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers all connections.
async fn serve(listener: TcpListener, server: Arc<Server>) {
    while let Ok((connection, _)) = listener.accept().await {
        // As servers do. Otherwise the second part of a reply waits until the client has acknowledged the first one, for up to 40 ms.
        let _ = connection.set_nodelay(true);
        let server = Arc::clone(&server);
        let answers = service_fn(move |request| {
            // A task of its own, so that it goes on when the client has given up.
            let answered = tokio::spawn(Arc::clone(&server).answer(request));
            async move { answered.await.unwrap_or_else(|panicked| Err(panicked.into())) }
        });
        tokio::spawn(async move {
            // An error closes the connection, which the client notices.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), answers).await;
        });
    }
}

impl Server {
    /// The reply; an error closes the connection without one.
    async fn answer(self: Arc<Server>, request: Request<Incoming>) -> Result<HttpResponse> {
        let _pending = self.faults.pending();
        let (head, body) = request.into_parts();
        // Before anything else, since a client that gives up sends no more of it.
        let body = Body::from(body).store_all_limited(BODY_MAX).await.map_err(|error| anyhow!("{error}"))?;
        self.faults.hear(|| format!("{} {}", head.method, head.uri));
        let request = Request::from_parts(head, Body::from(body));
        match self.faults.of_this_request() {
            None => self.done(request).await,
            Some(Fault::Error | Fault::Outage) => {
                Ok(Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).body(Body::empty())?)
            }
            Some(Fault::ReplyLost | Fault::LastWords) => {
                self.done(request).await?;
                bail!("the reply is lost on purpose")
            }
            Some(Fault::TimedOut) => {
                let reply = self.done(request).await;
                sleep(LATE).await;
                reply
            }
            Some(Fault::Late) => {
                sleep(LATE).await;
                self.done(request).await
            }
            Some(Fault::Slow) => {
                sleep(SLOW).await;
                self.done(request).await
            }
        }
    }

    async fn done(&self, request: Request<Body>) -> Result<HttpResponse> {
        let mut hasher = DefaultHasher::new();
        request.uri().path().hash(&mut hasher);
        let lock = hasher.finish() % LOCKS as u64;
        let _alone = self.locks[lock as usize].lock().await;
        if self.replaces.load(Ordering::Relaxed) && request.method() == Method::PUT {
            // It is not there, so the condition holds.
            let _ = std::fs::remove_file(self.folder.join(request.uri().path().trim_start_matches('/')));
        }
        self.service.call(request).await.map_err(|error| anyhow!("{error:?}"))
    }
}
