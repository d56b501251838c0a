//! How much of the days that are counted is in memory at a time.
//!
//! Parts of days share the room of two large ones. Of small parts there are more at a time: what these take is mostly the time in which
//! a store answers. What is read again of a day, or carried over, may be much even where little is new. So at most two days at a
//! time do that, and days to which much is added wait for their turn from the beginning.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::PARTS_AT_ONCE;

/// How many days are counted at a time, at most. Unless they are small, they wait for each other.
pub(super) const DAYS_AT_ONCE: usize = 8;
/// Into how many places the room of a large part is divided.
const PLACES: u32 = 64;
/// A small day has at most so many of them, so all that are counted at a time have no more than one large part.
const SMALL: u32 = PLACES / DAYS_AT_ONCE as u32;

/// Room for the parts of days, and the turns of days.
#[derive(Debug)]
pub(super) struct Room {
    rows_max: usize,
    places: Semaphore,
    turns: Semaphore,
}

impl Room {
    /// For two parts of about so many rows at most, or for more smaller ones.
    pub(super) fn new(rows_max: usize) -> Room {
        let (places, turns) = (Semaphore::new(PARTS_AT_ONCE * PLACES as usize), Semaphore::new(PARTS_AT_ONCE));
        Room { rows_max, places, turns }
    }

    /// About how many rows a part has at most.
    pub(super) fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// Waits until there is room for so many rows of a part. It is taken until what is returned is dropped.
    pub(super) async fn of_part(&self, rows: u64) -> Option<SemaphorePermit<'_>> {
        self.places.acquire_many(places(rows, self.rows_max)).await.ok()
    }

    /// Waits for the turn of a day. It lasts until what is returned is dropped.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Whether a day to which so many rows are added is small.
    pub(super) fn is_small(&self, rows: u64) -> bool {
        places(rows, self.rows_max) <= SMALL
    }
}

/// How many places so many rows take: at least one, and at most those of a large part.
fn places(rows: u64, rows_max: usize) -> u32 {
    let needed = rows.saturating_mul(PLACES.into()).div_ceil((rows_max as u64).max(1));
    u32::try_from(needed).unwrap_or(PLACES).clamp(1, PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_places_by_its_rows_and_every_part_finds_room() {
        let cases = [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (63_001, 64), (64_000, 64), (64_001, 64), (u64::MAX, 64)];
        for (rows, expected) in cases {
            assert_eq!(places(rows, 64_000), expected, "{rows} rows");
        }
        assert_eq!([places(0, 0), places(9, 0), places(1, 1)], [1, 64, 64], "whatever a part may have");
    }

    #[tokio::test]
    async fn two_large_parts_fill_the_room_and_many_small_ones_do() {
        let room = Room::new(64_000);
        let large = (room.of_part(64_000).await, room.of_part(70_000).await);
        assert_eq!(room.places.available_permits(), 0);
        drop(large);
        let mut small = Vec::new();
        for _ in 0..DAYS_AT_ONCE {
            assert!(room.is_small(8_000) && !room.is_small(8_001));
            small.push(room.of_part(8_000).await);
        }
        assert_eq!(room.places.available_permits(), 64, "all small days together have one large part");
    }
}
