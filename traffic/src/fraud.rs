//! Frauds among payments: a few payments each, of a user who pays nothing else, so that it is known which of them a detector with the
//! rules of the sample catalog must alert of. All other payments are calm: none is an alert.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rand::Rng;
use rand::rngs::StdRng;
use shared_logic::catalog::Source;
use shared_logic::schema::{Field, FieldType};
use shared_logic::time::SECOND_US;

use crate::cell::{Cell, Row};
use crate::mix::Mix;
use crate::rows::{cents, far_from_home};

/// How many payments of a user fall into any minute around one of them, at most.
const CALM: usize = 4;
const MINUTE_US: i64 = 60 * SECOND_US;
/// How often another user is looked for.
const TRIES: usize = 8;
/// How many payments are remembered, and how many may be planned: with more a second than this, payments are calm for a shorter time,
/// and frauds are rarer.
const REMEMBERED: usize = 1_000_000;
const PLANNED_MAX: usize = 10_000;
/// A burst is so many payments in five seconds.
const BURST: i64 = 6;

/// Plans the frauds of a source.
#[derive(Debug)]
pub(crate) struct Frauds {
    fields: Fields,
    /// By the moment at which they happen, and a running number.
    waiting: BTreeMap<(i64, u64), Planned>,
    planned: u64,
    /// The number of the last user that was made up besides the usual ones.
    last_user: i64,
    spread_us: i64,
    recent: VecDeque<(i64, i64)>,
    times: HashMap<i64, Vec<i64>>,
}

/// Where the row of a payment has what frauds are about.
#[derive(Debug, Clone, Copy)]
struct Fields {
    amount: usize,
    lat: usize,
    lon: usize,
}

/// A payment of a fraud.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// The number of its user.
    pub(crate) rank: i64,
    /// When it happens.
    pub(crate) time_us: i64,
    /// The rule that must alert of it.
    pub(crate) alert: Option<&'static str>,
    /// What is not usual about it.
    cells: Vec<(usize, Cell)>,
}

impl Planned {
    /// Makes a usual row one of this payment.
    pub(crate) fn change(&self, row: &mut Row) {
        for (at, cell) in &self.cells {
            row[*at] = Some(cell.clone());
        }
    }
}

impl Frauds {
    /// The frauds of a source; `None` if its records are no payments of users, or there are to be none.
    pub(crate) fn of(source: &Source, mix: &Mix) -> Option<Frauds> {
        let number = |name: &str| {
            let is_number = |field: &Field| field.kind == FieldType::Float && !field.optional;
            source.fields.iter().position(|field| field.name == name && is_number(field))
        };
        let fields = Fields { amount: number("amount")?, lat: number("lat")?, lon: number("lon")? };
        (source.key.is_some() && mix.fraud > 0.0).then(|| Frauds {
            fields,
            waiting: BTreeMap::new(),
            planned: 0,
            last_user: i64::try_from(mix.keys).unwrap_or(i64::MAX / 2),
            spread_us: mix.spread,
            recent: VecDeque::new(),
            times: HashMap::new(),
        })
    }

    /// A planned payment whose moment has come.
    pub(crate) fn due(&mut self, now_us: i64) -> Option<Planned> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now_us)?;
        Some(first.remove())
    }

    /// Begins one of the frauds, and gives its first payment; none if too many are under way.
    pub(crate) fn begin(&mut self, rng: &mut StdRng, now_us: i64) -> Option<Planned> {
        if self.waiting.len() >= PLANNED_MAX {
            return None;
        }
        let rank = self.new_user();
        let Fields { amount, lat, lon } = self.fields;
        match rng.random_range(0..3) {
            0 => {
                for n in 0..BURST {
                    let alert = (n + 1 == BURST).then_some("high_velocity");
                    self.plan(rank, now_us + n * SECOND_US, alert, Vec::new());
                }
            }
            1 => {
                let (there_lat, there_lon) = far_from_home(rank);
                let cells = vec![(lat, Cell::Float(there_lat)), (lon, Cell::Float(there_lon))];
                self.plan(rank, now_us, None, Vec::new());
                self.plan(rank, now_us + 20 * SECOND_US, Some("impossible_travel"), cells);
            }
            _ => {
                let much = cents(rng.random_range(500.0..900.0));
                self.plan(rank, now_us, None, Vec::new());
                self.plan(rank, now_us + 10 * SECOND_US, None, Vec::new());
                let cells = vec![(amount, Cell::Float(much))];
                self.plan(rank, now_us + 20 * SECOND_US, Some("amount_anomaly"), cells);
            }
        }
        self.due(now_us)
    }

    fn plan(&mut self, rank: i64, time_us: i64, alert: Option<&'static str>, cells: Vec<(usize, Cell)>) {
        self.planned += 1;
        self.waiting.insert((time_us, self.planned), Planned { rank, time_us, alert, cells });
    }

    /// A user who may pay at that moment without an alert: the one with that number, another one that `draw` gives, or a new one.
    pub(crate) fn calm(&mut self, rank: i64, time_us: i64, mut draw: impl FnMut() -> i64) -> i64 {
        self.forget_before(time_us - self.spread_us - MINUTE_US);
        let mut rank = rank;
        for _ in 0..TRIES {
            if self.is_calm(rank, time_us) {
                break;
            }
            rank = draw();
        }
        if !self.is_calm(rank, time_us) {
            rank = self.new_user();
        }
        self.recent.push_back((rank, time_us));
        self.times.entry(rank).or_default().push(time_us);
        rank
    }

    /// Whether no minute around a moment would hold too many payments of a user.
    fn is_calm(&self, rank: i64, time_us: i64) -> bool {
        let times = self.times.get(&rank).map(Vec::as_slice).unwrap_or_default();
        times.iter().filter(|other| (*other - time_us).abs() < MINUTE_US).count() < CALM
    }

    fn forget_before(&mut self, oldest_us: i64) {
        while let Some((rank, time_us)) = self.recent.front().copied()
            && (time_us < oldest_us || self.recent.len() >= REMEMBERED)
        {
            self.recent.pop_front();
            if let Some(times) = self.times.get_mut(&rank) {
                if let Some(at) = times.iter().position(|known| *known == time_us) {
                    times.swap_remove(at);
                }
                if times.is_empty() {
                    self.times.remove(&rank);
                }
            }
        }
    }

    fn new_user(&mut self) -> i64 {
        self.last_user += 1;
        self.last_user
    }
}
