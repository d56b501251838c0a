//! An estimate as a person reads it: the layers, what drives them, and the limits.

use crate::number::integer;
use crate::size::{Estimate, Layer, Limit, Resource};
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint};

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
/// Drivers of less than this share are left out.
const SHOWN: f64 = 0.005;

/// The page, as it fits on the screen.
pub(super) fn page(estimate: &Estimate, screen: Screen) -> String {
    let parts = [
        heading(estimate),
        layers(estimate).text(screen),
        drivers(&estimate.layers).text(screen),
        limits(&estimate.limits).text(screen),
        notes(estimate, screen),
    ];
    parts.join("\n")
}

fn heading(estimate: &Estimate) -> String {
    let workload = &estimate.workload;
    format!(
        "{} events/s, {} at the busiest time; group keys {}, metrics {}, columns {}, partitions {}, counters per event {:.2}\n\
         by coefficients of {}\n",
        rounded(workload.events_per_second),
        rounded(workload.events_per_second * workload.peak),
        integer(workload.keys),
        integer(workload.metrics),
        workload.columns,
        rounded(estimate.partitions),
        estimate.counters_per_event,
        estimate.coefficients,
    )
}

fn layers(estimate: &Estimate) -> Table {
    let numbers = ["processes", "cores", "memory", "disk", "receives", "sends"].map(Column::right);
    let mut table =
        Table::new([vec![Column::left("layer")], numbers.into(), vec![Column::left("most cores for")]].concat());
    for layer in &estimate.layers {
        let rates = [layer.receives_bytes_per_second, layer.sends_bytes_per_second];
        let processes = if layer.processes > 0.0 { rounded(layer.processes) } else { String::new() };
        let cells =
            [layer.name.to_owned(), processes, cores(layer.cores), bytes(layer.memory_bytes), bytes(layer.disk_bytes)];
        let greatest = layer.greatest(Resource::Cores).map_or("", |driver| driver.what).to_owned();
        table.push(cells.into_iter().chain(rates.map(rate)).chain([greatest]).map(|cell| Cell::new(&cell)).collect());
    }
    let total = estimate.total;
    let sums = ["all", "", &cores(total.cores), &bytes(total.memory_bytes), &bytes(total.disk_bytes), "", "", ""]
        .map(Cell::new);
    table.push(sums.into());
    table
}

fn drivers(layers: &[Layer]) -> Table {
    let columns = [
        Column::left("layer"),
        Column::left("of"),
        Column::right("share"),
        Column::right("takes"),
        Column::left("for"),
    ];
    let mut table = Table::new(columns.into());
    for layer in layers {
        for driver in layer.drivers.iter().filter(|driver| driver.share >= SHOWN) {
            let takes = if driver.of == Resource::Cores { cores(driver.amount) } else { bytes(driver.amount) };
            let share = format!("{:.0} %", driver.share * 100.0);
            table.push([layer.name, driver.of.name(), &share, &takes, driver.what].map(Cell::new).into());
        }
    }
    table
}

fn limits(limits: &[Limit]) -> Table {
    let columns =
        [Column::right("used"), Column::right("up to events/s"), Column::left("limit"), Column::left("beyond it")];
    let mut table = Table::new(columns.into());
    for limit in limits {
        let used = format!("{} %", rounded(limit.used * 100.0));
        let used = if limit.is_exceeded() { Cell::tinted(&used, Tint::Bad) } else { Cell::new(&used) };
        let up_to = Cell::new(&rounded(limit.events_per_second));
        table.push(vec![used, up_to, Cell::new(limit.what), Cell::new(limit.beyond)]);
    }
    table
}

fn notes(estimate: &Estimate, screen: Screen) -> String {
    let mut notes = vec![
        "cores are busy ones, and Redis takes as much memory again while it rewrites its file: leave room (docs/sizing.md)".to_owned(),
    ];
    if let Some(first) = estimate.limits.first().filter(|limit| limit.is_exceeded()) {
        notes.push(screen.paint(Some(Tint::Bad), &format!("reached first: {}", first.what)));
    }
    notes.extend(estimate.not_measured.iter().map(|what| format!("not in it, as it was not measured: {what}")));
    notes.join("\n") + "\n"
}

/// A whole number, with thousands apart.
fn rounded(number: f64) -> String {
    integer(number.round())
}

/// Cores: small numbers to a hundredth.
fn cores(cores: f64) -> String {
    if cores < 10.0 { format!("{cores:.2}") } else { rounded(cores) }
}

/// An amount in the largest unit of which it has at least one.
fn bytes(amount: f64) -> String {
    let (mut amount, mut unit) = (amount, 0);
    while amount >= 1_024.0 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1_024.0, unit + 1);
    }
    if amount == 0.0 { String::new() } else { format!("{amount:.1} {}", UNITS[unit]) }
}

fn rate(amount: f64) -> String {
    let bytes = bytes(amount);
    if bytes.is_empty() { bytes } else { format!("{bytes}/s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::{Coefficients, Workload};

    const MANUAL: &str = include_str!("../../../../docs/sizing.md");

    fn of(workload: Workload) -> String {
        let coefficients = Coefficients::measured().expect("they are whole");
        page(&Estimate::of(&workload, &coefficients).expect("a workload"), Screen::NONE)
    }

    #[test]
    fn amounts_have_the_unit_that_a_person_would_choose() {
        assert_eq!(
            [0.0, 1.0, 1_023.0, 1_024.0, 1_572_864.0].map(bytes),
            ["", "1.0 B", "1023.0 B", "1.0 KiB", "1.5 MiB"]
        );
        assert_eq!(bytes(3e18), "2664.5 PiB", "nothing is larger");
        assert_eq!([0.004, 9.99, 10.0, 1_234.5].map(cores), ["0.00", "9.99", "10", "1,235"]);
        assert_eq!((rate(0.0), rate(2_048.0)), (String::new(), "2.0 KiB/s".to_owned()));
    }

    #[test]
    fn a_workload_beyond_a_limit_says_which_comes_first() {
        let small = Workload { events_per_second: 1_000.0, keys: 1_000, metrics: 1, ..Workload::USUAL };
        assert!(!of(small.clone()).contains("reached first"), "{}", of(small));
        let large = Workload { events_per_second: 1e7, keys: 1_000_000, metrics: 10, ..Workload::USUAL };
        assert!(of(large.clone()).contains("reached first: one "), "{}", of(large));
    }

    /// What `docs/sizing.md` shows is what the command prints. If coefficients have changed, put this text there.
    #[test]
    fn the_manual_shows_what_is_printed() {
        let million = Workload { events_per_second: 1e6, keys: 1_000_000, metrics: 1, ..Workload::USUAL };
        let ten_million = Workload {
            events_per_second: 1e7,
            keys: 100_000_000,
            metrics: 1,
            peak: 1.0,
            replicas: 3,
            ..Workload::USUAL
        };
        for workload in [million, ten_million] {
            let text = of(workload);
            assert!(MANUAL.contains(&text), "docs/sizing.md does not hold this:\n{text}");
        }
    }
}
