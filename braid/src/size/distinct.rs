//! How many different keys there are among so many events, if some keys come more often than others.

/// Keys up to this rank are looked at one by one; rarer ones, which are alike, in blocks.
const ONE_BY_ONE: f64 = 1_000.0;
/// How much further in rank the last key of a block is than its first.
const BLOCK: f64 = 1.01;

/// The expected number of different keys among so many draws. The key of rank k comes with a probability proportional to `k^-skew`
/// (Zipf's law), so with a skew of 0 all come equally often. There is at least one key.
pub(crate) fn distinct(draws: f64, keys: f64, skew: f64) -> f64 {
    if draws <= 0.0 {
        return 0.0;
    }
    let weights: Vec<(f64, f64)> =
        blocks(keys.round().max(1.0)).map(|(count, rank)| (count, rank.powf(-skew))).collect();
    let all: f64 = weights.iter().map(|(count, weight)| count * weight).sum();
    // A key is among them with the probability 1 - (1 - p)^draws, which is 1 - e^(-p · draws) but for a trifle.
    weights.iter().map(|(count, weight)| -count * (-draws * weight / all).exp_m1()).sum()
}

/// So many keys, and their rank, until all keys are named.
fn blocks(keys: f64) -> impl Iterator<Item = (f64, f64)> {
    let mut first = 1.0_f64;
    std::iter::from_fn(move || {
        if first > keys {
            return None;
        }
        let next = if first < ONE_BY_ONE { first + 1.0 } else { (first * BLOCK).ceil().min(keys + 1.0) };
        let block = (next - first, (first * (next - 1.0)).sqrt());
        first = next;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without blocks.
    fn by_hand(draws: f64, keys: u32, skew: f64) -> f64 {
        let all: f64 = (1..=keys).map(|rank| f64::from(rank).powf(-skew)).sum();
        (1..=keys).map(|rank| 1.0 - (1.0 - f64::from(rank).powf(-skew) / all).powf(draws)).sum()
    }

    #[test]
    fn blocks_are_as_good_as_every_key() {
        for (draws, keys, skew) in [
            (100.0, 1, 1.1),
            (1_000.0, 1_000, 1.1),
            (50_000.0, 100_000, 1.1),
            (50_000.0, 100_000, 0.0),
            (9_000.0, 30_000, 2.0),
        ] {
            let (found, expected) = (distinct(draws, f64::from(keys), skew), by_hand(draws, keys, skew));
            assert!((found / expected - 1.0).abs() < 0.01, "{draws} of {keys} by {skew}: {found} and {expected}");
        }
    }

    #[test]
    fn it_grows_with_draws_and_never_beyond_draws_or_keys() {
        let mut last = 0.0;
        for draws in [0.0, 0.5, 1.0, 1e2, 1e4, 1e6, 1e9, 1e13] {
            let found = distinct(draws, 1e6, 1.1);
            assert!(found >= last && found <= draws.min(1e6) * 1.000_001, "{draws}: {found}");
            last = found;
        }
        assert!(last > 999_999.0, "{last}");
    }

    #[test]
    fn all_keys_are_in_one_block() {
        for keys in [1.0, 999.0, 1_000.0, 1_001.0, 123_456.0] {
            let counted: f64 = blocks(keys).map(|(count, _)| count).sum();
            assert_eq!(counted, keys);
        }
    }
}
