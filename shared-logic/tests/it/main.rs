//! The core as a whole: what the layers must agree on, whatever the order of events.
//!
//! - `braid`: any split into batch, slices and micro-batches answers like one plan over everything, and like a fold by hand;
//! - `pages`: what pages for readers say of catalogs and figures holds;
//! - `seeds`: decoders and the catalog parser keep their promises for the fuzz targets' seeds and mutations of them;
//! - `streams`: what lanes decide is a function of the log;
//! - `rules`: any order of steps of all processes, faults included, gives exact answers or says that there is a gap.

mod braid;
mod pages;
mod rules;
mod seeds;
mod streams;
