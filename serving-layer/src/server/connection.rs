//! One client's connection, with limits on how much it may send, how slowly, and how slowly it may read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::router::Answers;

/// How long a client may take to send the head of a request, or be silent between two requests.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long a client may read nothing of an answer.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// The maximum size of a request's line and headers together. Bodies are never read. A line may have 64 KiB, which hyper
/// does not exceed: room for two group-key columns of 8 KiB each of which every byte is percent-encoded.
const MAX_HEAD_BYTES: usize = 96 * 1_024;

/// One client's connection, being served.
pub(super) type Connection = http1::Connection<TokioIo<Client>, TowerToHyperService<Answers>>;

/// How connections are served. Hyper itself takes at most 100 headers; to set another number, or the same, would have it fill room for so many
/// before each request.
pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    builder.max_buf_size(MAX_HEAD_BYTES);
    builder
}

/// Serves one client.
pub(super) fn connection(builder: &http1::Builder, stream: TcpStream, service: Answers) -> Connection {
    // Without this, a small answer may wait until the client acknowledges the one before.
    let _ = stream.set_nodelay(true);
    builder.serve_connection(TokioIo::new(Client { stream, stalled: None }), TowerToHyperService::new(service))
}

/// A stream that fails if its reader takes nothing for too long.
pub(super) struct Client {
    stream: TcpStream,
    /// The time limit of a write that waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Client {
    /// Fails a write that has waited too long.
    fn watch<T>(&mut self, context: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + READ_WITHIN)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, shutdown)
    }
}
