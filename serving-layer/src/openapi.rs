//! The words with which handlers describe themselves for OpenAPI: what several of them share. `document` makes one description of all.
//!
//! - `parameters`: parameters that several paths share;
//! - `refusals`: what is answered instead of what was asked for;
//! - `stand_in`: schemas for which a catalog's own are put in.

mod parameters;
mod refusals;
mod stand_in;

pub(crate) use parameters::{
    EVERY_COLUMN, EveryColumn, FIELDS, Fields, KnownAnswer, MetricName, OTHER_COLUMNS, OtherColumns, Require,
    SEVERAL_COLUMNS, STAND_INS, SeveralColumns, Steps, Times, WhichVersion,
};
pub(crate) use refusals::{AnswerRefusals, Refusals, Unavailable, Unready, Unversioned, components};
pub(crate) use stand_in::{Document, EventText, Key, Output, ReportColumns, Row, Values};
