//! The crate from outside.

mod backlog;
mod init;
mod kafka;
mod redis;
mod send;
mod send_input;
mod without_java;
