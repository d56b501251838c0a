//! A `redis-server` of its own, on a socket in a folder, so that no port can be taken.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::redis::Connection;

/// Killed when dropped, and its files with it.
pub(crate) struct Redis {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Redis {
    pub(crate) fn start() -> Redis {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis-server is installed");
        Redis { child, url: format!("redis+unix://{}", socket.display()), _folder: folder }
    }

    pub(crate) fn connect(&self) -> Connection {
        let client = ::redis::Client::open(self.url.as_str()).expect("a url");
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match client.get_connection() {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "redis-server does not answer: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
