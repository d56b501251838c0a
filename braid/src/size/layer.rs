//! What one layer needs, and what each part of that is for.

use serde::Serialize;

/// What a driver takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resource {
    /// Processors that are busy all the time.
    Cores,
    /// Bytes of memory.
    Memory,
    /// Bytes that are kept on disk or on S3.
    Disk,
}

impl Resource {
    /// Its name in the page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Resource::Cores => "cores",
            Resource::Memory => "memory",
            Resource::Disk => "disk",
        }
    }
}

/// Why a layer needs something.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Driver {
    /// What of.
    pub(crate) of: Resource,
    /// What it is for.
    pub(crate) what: &'static str,
    /// How much.
    pub(crate) amount: f64,
    /// How much of what the layer needs of it, from 0 to 1.
    pub(crate) share: f64,
}

/// What a layer needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Layer {
    /// Its name.
    pub(crate) name: &'static str,
    /// How many processes it is taken to have.
    pub(crate) processes: f64,
    /// Processors that are busy all the time.
    pub(crate) cores: f64,
    /// Bytes of memory, of all its processes.
    pub(crate) memory_bytes: f64,
    /// Bytes that it keeps.
    pub(crate) disk_bytes: f64,
    /// Bytes per second that it receives at the busiest time.
    pub(crate) receives_bytes_per_second: f64,
    /// The same for those that it sends.
    pub(crate) sends_bytes_per_second: f64,
    /// What that follows from, the largest first of each.
    pub(crate) drivers: Vec<Driver>,
}

impl Layer {
    /// A layer that needs what its drivers say.
    pub(crate) fn of(name: &'static str, processes: f64, drivers: &[(Resource, &'static str, f64)]) -> Layer {
        let sum = |resource: Resource| -> f64 {
            drivers.iter().filter(|(of, ..)| *of == resource).map(|(_, _, amount)| amount).sum()
        };
        let driver = |&(of, what, amount): &(Resource, &'static str, f64)| {
            let all = sum(of);
            let share = if all > 0.0 { amount / all } else { 0.0 };
            Driver { of, what, amount, share }
        };
        let mut named: Vec<Driver> = drivers.iter().map(driver).collect();
        named.sort_by(|one, other| one.of.cmp(&other.of).then(other.amount.total_cmp(&one.amount)));
        Layer {
            name,
            processes,
            cores: sum(Resource::Cores),
            memory_bytes: sum(Resource::Memory),
            disk_bytes: sum(Resource::Disk),
            receives_bytes_per_second: 0.0,
            sends_bytes_per_second: 0.0,
            drivers: named,
        }
    }

    /// The same with what it receives and sends.
    pub(crate) fn with_network(self, receives: f64, sends: f64) -> Layer {
        Layer { receives_bytes_per_second: receives, sends_bytes_per_second: sends, ..self }
    }

    /// What drives the most of that resource.
    pub(crate) fn greatest(&self, of: Resource) -> Option<&Driver> {
        self.drivers.iter().find(|driver| driver.of == of && driver.amount > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_the_sum_of_its_drivers_and_names_the_greatest() {
        let drivers = [
            (Resource::Disk, "logs", 4.0),
            (Resource::Cores, "events", 1.0),
            (Resource::Cores, "counters", 3.0),
            (Resource::Disk, "views", 0.0),
        ];
        let layer = Layer::of("a", 2.0, &drivers).with_network(5.0, 6.0);
        assert_eq!((layer.cores, layer.memory_bytes, layer.disk_bytes), (4.0, 0.0, 4.0));
        assert_eq!((layer.receives_bytes_per_second, layer.sends_bytes_per_second), (5.0, 6.0));
        let greatest = layer.greatest(Resource::Cores).expect("two");
        assert_eq!((greatest.what, greatest.share), ("counters", 0.75));
        assert_eq!(layer.greatest(Resource::Memory), None);
        let order: Vec<&str> = layer.drivers.iter().map(|driver| driver.what).collect();
        assert_eq!(order, ["counters", "events", "logs", "views"]);
    }
}
