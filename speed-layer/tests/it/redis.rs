//! A `redis-server` of its own, on a socket in a folder, so that no port can be taken.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

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
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("redis-server is installed");
        let mut log = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let redis = Redis { child, url: format!("redis+unix://{}", socket.display()), _folder: folder };
        let ready = log.any(|line| line.to_lowercase().contains("ready to accept connections"));
        assert!(ready, "redis-server ended at its start");
        redis
    }

    pub(crate) fn connect(&self) -> Connection {
        let client = ::redis::Client::open(self.url.as_str()).expect("a url");
        client.get_connection().expect("redis answers")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
