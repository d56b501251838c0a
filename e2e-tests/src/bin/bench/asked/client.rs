//! Clients that ask the same all the time, each over one connection. They read no more of an answer than its length, and that takes them about
//! as long however many headers there are, so that the machine is left to those who answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often clients are told what is due.
const PACE: Duration = Duration::from_micros(200);

/// What the clients ask of a server.
pub(crate) struct Clients {
    address: Arc<str>,
    /// How many there are.
    count: usize,
    /// The requests, which each client sends in turn.
    requests: Arc<[Vec<u8>]>,
}

impl Clients {
    /// So many clients that ask for these paths.
    pub(crate) fn of(address: &str, count: usize, paths: &[String]) -> Result<Clients> {
        ensure!(!paths.is_empty(), "clients ask for something");
        let request = |path: &String| format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
        Ok(Clients { address: address.into(), count, requests: paths.iter().map(request).collect() })
    }

    /// As many clients that ask another server for the same.
    pub(crate) fn of_other(&self, server: SocketAddr) -> Clients {
        Clients { address: server.to_string().into(), count: self.count, requests: Arc::clone(&self.requests) }
    }

    /// The body of one answer.
    pub(crate) async fn body(&self) -> Result<Vec<u8>> {
        let mut connection = Connection::open(&self.address).await?;
        connection.ask(&self.requests[0]).await?;
        let head = head(&connection.answer).context("an answer without a head")?;
        Ok(connection.answer[head..].to_vec())
    }

    /// How many answers all clients get in a second, if each asks as soon as it has an answer.
    pub(crate) async fn per_second(&self, measured: Duration) -> Result<f64> {
        let began = Instant::now();
        let answers = self.each(move |mut connection, requests, client| async move {
            let mut answers = 0_usize;
            while began.elapsed() < measured {
                connection.ask(&requests[(client + answers) % requests.len()]).await?;
                answers += 1;
            }
            Ok::<_, anyhow::Error>(answers)
        });
        let answers: usize = answers.await?.into_iter().sum();
        Ok(answers as f64 / began.elapsed().as_secs_f64())
    }

    /// How long each answer takes, in milliseconds, if clients ask that often in a second. A question counts from when it is due, also
    /// while its client still waits for the answer before.
    pub(crate) async fn took_ms(&self, per_second: f64, measured: Duration) -> Result<Vec<f64>> {
        let (tell, dues): (Vec<_>, Vec<_>) = (0..self.count).map(|_| mpsc::unbounded_channel()).unzip();
        let questions = (per_second * measured.as_secs_f64()) as usize;
        let pace = std::thread::spawn(move || pace(&tell, per_second, questions));
        let dues = Mutex::new(dues.into_iter().map(Some).collect::<Vec<_>>());
        let took = self.each(move |mut connection, requests, client| {
            let dues = dues.lock().unwrap_or_else(PoisonError::into_inner)[client].take();
            async move {
                let (mut dues, mut took) = (dues.context("a client of its own")?, Vec::new());
                while let Some(due) = dues.recv().await {
                    connection.ask(&requests[took.len() % requests.len()]).await?;
                    took.push(due.elapsed().as_secs_f64() * 1e3);
                }
                Ok::<_, anyhow::Error>(took)
            }
        });
        let took = took.await?.concat();
        pace.join().expect("it does not panic");
        Ok(took)
    }

    /// Runs all clients at the same time.
    async fn each<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        run: impl Fn(Connection, Arc<[Vec<u8>]>, usize) -> F,
    ) -> Result<Vec<T>> {
        let mut clients = JoinSet::new();
        for client in 0..self.count {
            let connection = Connection::open(&self.address).await?;
            clients.spawn(run(connection, Arc::clone(&self.requests), client));
        }
        let mut results = Vec::with_capacity(self.count);
        while let Some(ended) = clients.join_next().await {
            results.push(ended??);
        }
        Ok(results)
    }
}

/// Tells one client after the other when its next question is due, so many of them in a second. A thread that sleeps is exact to a fraction of a
/// millisecond, and timers of tokio to a whole one, in which each client would have more than one question.
fn pace(clients: &[mpsc::UnboundedSender<Instant>], per_second: f64, questions: usize) {
    let began = Instant::now();
    let mut told = 0;
    while told < questions {
        let due = ((began.elapsed().as_secs_f64() * per_second) as usize).min(questions);
        for question in told..due {
            let at = began + Duration::from_secs_f64(question as f64 / per_second);
            // A client that failed waits for nothing; its error ends the benchmark.
            let _ = clients[question % clients.len()].send(at);
        }
        told = due;
        std::thread::sleep(PACE);
    }
}

/// One client's connection.
struct Connection {
    stream: TcpStream,
    /// The last answer.
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, answer: Vec::with_capacity(4_096) })
    }

    /// Sends a request and waits for the whole answer.
    async fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.answer.clear();
        self.stream.write_all(request).await?;
        while !is_whole(&self.answer)? {
            ensure!(self.stream.read_buf(&mut self.answer).await? > 0, "the server has closed the connection");
        }
        Ok(())
    }
}

/// Whether all of an answer is there.
///
/// # Errors
/// If it is none, or does not say how long it is.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(head) = head(answer) else { return Ok(false) };
    let (head, body) = answer.split_at(head);
    ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(head));
    Ok(body.len() >= length(head).context("no length")?)
}

/// Where the head of an answer ends, if it does.
fn head(answer: &[u8]) -> Option<usize> {
    memmem::find(answer, b"\r\n\r\n").map(|at| at + 4)
}

/// How long the body is, as the head says: both servers write the names of headers in lower case.
fn length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let value = &head[memmem::find(head, NAME)? + NAME.len()..];
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&value[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\netag: W/\"1\"\r\ncontent-length: 12\r\ndate: now\r\n\r\n{\"views\": 1}";
        for length in 0..answer.len() {
            assert!(!is_whole(&answer[..length]).expect("a part of an answer"), "{length} bytes");
        }
        assert!(is_whole(answer).expect("an answer"));
    }

    #[test]
    fn what_is_no_answer_is_a_mistake() {
        for other in ["HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\ndate: now\r\n\r\n"] {
            assert!(is_whole(other.as_bytes()).is_err(), "{other}");
        }
    }
}
