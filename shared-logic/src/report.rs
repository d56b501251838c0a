//! Reports: which days a report writes and when, and what the rows of a day are.
//!
//! - `days`: which days are due, and how long they are revised (P3, P2);
//! - `settled`: whether a view holds what had arrived when a day was settled (P2);
//! - `erased`: whether the rows of a day may hold what was erased since (P1);
//! - `layout`: the columns of a report;
//! - `rows`: partials, and the rows of tables → the rows of a day; and whether two of them say the same (P1).

mod days;
mod erased;
mod layout;
mod rows;
mod settled;
#[cfg(test)]
mod tests;

pub use days::{CATCH_UP_DAYS, due, revisable_until, revised, settled_at};
pub use erased::{TakenOut, is_free_of, may_hold_erased};
pub use layout::{Joined, Layout};
pub use rows::{json, same_rows};
pub use settled::{Lacking, lacking};
