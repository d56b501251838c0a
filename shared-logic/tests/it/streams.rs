//! Streams: what a lane decides, whatever portions it is given, wherever it begins.
//!
//! - `log`: a partition's records as a test writes them, and as a lane takes them;
//! - `oracle`: what streams mean, said once more by code that keeps everything and is slow;
//! - `random`: any streams over any log, in any portions, with snapshots anywhere (T1, T2, T9, T10);
//! - `seed`: the examples of the specification, to the letter;
//! - `fraud`: a fraud detector as one would write it by hand;
//! - `warming`: a lane that begins late writes the same (T8);
//! - `marks`: nothing is late because another lane is ahead;
//! - `lookups`: maps that look rows up (B4, B5);
//! - `absent`: events without a value of what a stream groups by;
//! - `bounds`: steps and memory are bounded (T10, T11).

mod absent;
mod bounds;
mod fraud;
mod log;
mod lookups;
mod marks;
mod oracle;
mod random;
mod seed;
mod warming;
