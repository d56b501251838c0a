//! What tells a shard from an earlier one of the same partition.

use std::fmt;
use std::str::FromStr;

/// Names one life of a shard, from when it was opened or reopened: 16 lower-case hexadecimal digits, chosen at random when
/// it is opened. Every counter's key holds it, so counters of an earlier life can neither be read nor added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(u64);

/// The text is not an [`Instance`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no instance of 16 lower-case hexadecimal digits")]
pub struct NotAnInstance(String);

impl Instance {
    /// The instance that a random number names.
    pub fn new(random: u64) -> Instance {
        Instance(random)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Instance {
    type Err = NotAnInstance;

    fn from_str(text: &str) -> Result<Instance, NotAnInstance> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(Instance).ok_or_else(|| NotAnInstance(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for number in [0, 10, u64::MAX, 1 << 63] {
            let instance = Instance::new(number);
            assert_eq!(instance.to_string().parse(), Ok(instance));
        }
        for strange in ["", "0", "00000000000000AA", "+000000000000001", "00000000000000000"] {
            assert_eq!(strange.parse::<Instance>(), Err(NotAnInstance(strange.to_owned())));
        }
    }
}
