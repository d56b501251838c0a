//! A stranger has a file that was not made for Braid, and an hour. What is typed is `braid init`, `braid up`, `braid send` and
//! `braid query`, and nothing is written by hand. Every answer equals a count that knows the files only, and none of Braid's code.
//!
//! - `tracker`: 300,000 nested events with odd names, duplicates and broken lines, on the Kafka that `braid up` brings;
//! - `access_log`: a web server's log, in which clients write what they like;
//! - `export`: a table that a database wrote, in two files whose columns have another order.

mod access_log;
mod export;
mod tracker;
