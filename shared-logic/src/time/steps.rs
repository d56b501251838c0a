//! How a series cuts time into steps: by fixed lengths, or by what the clocks and calendars of a zone show.
//!
//! - Days begin at midnight by the zone's clocks. Where these are put forward or back, a day has 23 or 25 hours and is one step. A day
//!   that clocks skip altogether is none.
//! - Weeks, and all steps of so many weeks, begin on Mondays; months on their first day, and steps of several months with January.
//! - Steps within a day begin at the same times every day. Those wider than an hour begin when clocks show these times, so a change
//!   makes one of them shorter or longer. Hours and less are counted from midnight on, so such a day has 23 or 25 hours.
//!
//! Each instant lies in one step, and each step ends where the next one begins.

use std::fmt;

use chrono_tz::Tz;

use super::local::{first_instant_at, local_us};
use super::{
    DAY_US, HOUR_US, MAX_INSTANT_US, MIN_INSTANT_US, TimeRange, bucket_start, format_duration_us, month_start, parse,
};

/// 1969-12-29, a Monday; in days since 1970.
const A_MONDAY: i64 = -3;
/// The days of four centuries, after which the calendar repeats.
const FOUR_CENTURIES: i64 = 146_097;

/// How far beyond the years 1 to 9999 there are steps: more than the widest step or window reaches.
const BEYOND_US: i64 = 10_000 * DAY_US;

/// The length of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// So many microseconds, by which a day can be divided.
    Within(i64),
    /// So many days.
    Days(i64),
    /// So many months.
    Months(i64),
}

/// A way to cut all of time into steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Steps {
    width: Width,
    zone: Tz,
}

impl Width {
    /// A length of time as a width; `None` if it neither divides a day nor is a whole number of days.
    pub fn of_us(us: i64) -> Option<Width> {
        match us {
            ..=0 => None,
            us if us % DAY_US == 0 => Some(Width::Days(us / DAY_US)),
            us if DAY_US % us == 0 => Some(Width::Within(us)),
            _ => None,
        }
    }

    /// How many steps of that width this one is long; `None` if it is no whole number, or months are to be measured by days.
    pub fn in_steps(self, step: Width) -> Option<i64> {
        let (long, short) = match (self, step) {
            (Width::Months(long), Width::Months(short)) => (long, short),
            (Width::Months(_), _) | (_, Width::Months(_)) => return None,
            (long, short) => (long.usual_us(), short.usual_us()),
        };
        (long % short == 0).then_some(long / short)
    }

    /// How long it usually is, in microseconds.
    pub fn usual_us(self) -> i64 {
        match self {
            Width::Within(us) => us,
            Width::Days(days) => days.saturating_mul(DAY_US),
            Width::Months(months) => months.saturating_mul(FOUR_CENTURIES * DAY_US / (400 * 12)),
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Width::Months(months) => write!(f, "{months}mo"),
            width => f.write_str(&format_duration_us(width.usual_us())),
        }
    }
}

impl Steps {
    /// Steps of that width, by the clocks of that zone.
    pub fn new(width: Width, zone: Tz) -> Steps {
        Steps { width, zone }
    }

    /// Steps of that width, by UTC.
    pub fn utc(width: Width) -> Steps {
        Steps::new(width, Tz::UTC)
    }

    /// Their width.
    pub fn width(self) -> Width {
        self.width
    }

    /// The zone by whose clocks they begin.
    pub fn zone(self) -> Tz {
        self.zone
    }

    /// Whether each step consists of whole days of UTC.
    pub fn are_whole_days(self) -> bool {
        self.zone == Tz::UTC && !matches!(self.width, Width::Within(_))
    }

    /// Where the step begins that holds the instant.
    pub fn start_of(self, instant_us: i64) -> i64 {
        self.around(instant_us).from_us
    }

    /// Where the step ends that holds the instant.
    pub fn end_of(self, instant_us: i64) -> i64 {
        self.around(instant_us).to_us
    }

    /// Where the first step begins that does not begin before the instant.
    pub fn at_or_after(self, instant_us: i64) -> i64 {
        let step = self.around(instant_us);
        if step.from_us >= instant_us { step.from_us } else { step.to_us }
    }

    /// Where that step begins that lies so many steps before the one which begins there.
    pub fn before(self, start_us: i64, steps: i64) -> i64 {
        (0..steps).fold(start_us, |start_us, _| self.around(start_us.saturating_sub(1)).from_us)
    }

    /// Where that step begins that lies so many steps behind the one which begins there.
    pub fn after(self, start_us: i64, steps: i64) -> i64 {
        (0..steps).fold(start_us, |start_us, _| self.around(start_us).to_us)
    }

    /// The smallest range of whole steps that covers this one.
    pub fn widened(self, range: TimeRange) -> TimeRange {
        TimeRange { from_us: self.start_of(range.from_us), to_us: self.at_or_after(range.to_us) }
    }

    /// About how many steps the range has: exactly, where all are equally long.
    pub fn count(self, range: TimeRange) -> i64 {
        range.to_us.saturating_sub(range.from_us) / self.width.usual_us()
    }

    /// The steps of a range of whole steps, as the instants between them: one more than there are steps.
    pub fn boundaries(self, range: TimeRange) -> Vec<i64> {
        let mut all = vec![range.from_us];
        let mut last = range.from_us;
        while last < range.to_us {
            let next = self.end_of(last);
            // Only outside of the years 1 to 9999, of which nothing is asked.
            if next <= last {
                break;
            }
            all.push(next);
            last = next;
        }
        all
    }

    /// The step that holds the instant.
    fn around(self, instant_us: i64) -> TimeRange {
        let instant_us = instant_us.clamp(MIN_INSTANT_US - BEYOND_US, MAX_INSTANT_US + BEYOND_US);
        match self.width {
            Width::Within(us) if self.zone == Tz::UTC => {
                let from_us = bucket_start(instant_us, us);
                TimeRange { from_us, to_us: from_us + us }
            }
            Width::Within(us) if us <= HOUR_US => {
                let day = Steps { width: Width::Days(1), ..self }.around(instant_us);
                let from_us = day.from_us + bucket_start(instant_us - day.from_us, us);
                TimeRange { from_us, to_us: (from_us + us).min(day.to_us) }
            }
            _ => self.by_the_clock(instant_us),
        }
    }

    /// The same of steps that begin when clocks show a certain time for the first time.
    fn by_the_clock(self, instant_us: i64) -> TimeRange {
        let mut index = self.index(local_us(instant_us, self.zone));
        let begin = |index: i64| first_instant_at(self.local(index), self.zone);
        let mut from_us = begin(index);
        loop {
            let to_us = begin(index + 1);
            if to_us > instant_us {
                return TimeRange { from_us, to_us };
            }
            // Clocks that were put back show again what belongs to the step before, and those that were put forward skip steps.
            (index, from_us) = (index + 1, to_us);
        }
    }

    /// The number of the step in which clocks show that time.
    fn index(self, local_us: i64) -> i64 {
        match self.width {
            Width::Within(us) => local_us.div_euclid(us),
            Width::Days(days) => (local_us.div_euclid(DAY_US) - first_day(days)).div_euclid(days),
            Width::Months(months) => {
                let (year, month, _) = parse::civil(local_us.div_euclid(DAY_US));
                (year * 12 + month - 1).div_euclid(months)
            }
        }
    }

    /// What clocks show when the step of that number begins.
    fn local(self, index: i64) -> i64 {
        match self.width {
            Width::Within(us) => index * us,
            Width::Days(days) => (first_day(days) + index * days) * DAY_US,
            Width::Months(months) => first_of_month(index * months) * DAY_US,
        }
    }
}

/// The day from which steps of so many days are counted.
fn first_day(days: i64) -> i64 {
    if days % 7 == 0 { A_MONDAY } else { 0 }
}

/// The first day of a month, by the number of the month since January of the year 0.
fn first_of_month(month: i64) -> i64 {
    // A day of the month's middle third, from the mean length of months.
    let of_year_0 = -719_528;
    month_start(of_year_0 + (month * FOUR_CENTURIES).div_euclid(400 * 12) + 15)
}

#[cfg(test)]
mod tests;
