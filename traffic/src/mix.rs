//! What a stream of records consists of.

use shared_logic::time::parse_duration_us;

/// What a stream of records consists of.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Mix {
    /// How many different keys there are
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub keys: u64,
    /// How much more popular the first keys are: the exponent of a Zipf distribution; 0 makes all equal
    #[arg(long, value_name = "EXPONENT", default_value_t = 1.1)]
    pub zipf: f64,
    /// The share of records that are copies of an earlier one, if the source names an event id
    #[arg(long, value_name = "SHARE", default_value = "3%", value_parser = share)]
    pub duplicates: f64,
    /// The share of records whose event happened hours or days ago
    #[arg(long, value_name = "SHARE", default_value = "2%", value_parser = share)]
    pub late: f64,
    /// The share of records that must be rejected
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share)]
    pub broken: f64,
    /// The share of records that begin a fraud, if the source has payments: an amount, lat and lon
    #[arg(long, value_name = "SHARE", default_value = "0.2%", value_parser = share)]
    pub fraud: f64,
    /// How long before sending all other events happened, at most
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub spread: i64,
}

/// Why a mix is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// The shares exceed the whole.
    #[error("--duplicates, --late, --broken and --fraud exceed 100% together")]
    Shares,
    /// The keys cannot be distributed like this.
    #[error("--keys is at least 1 and --zipf at least 0")]
    Popularity,
    /// Payloads of the source's format cannot be made up.
    #[error(
        "records of the format {0} name a schema that belongs to their producers, so they cannot be made up: name a source of \
         another format"
    )]
    Format(&'static str),
}

/// A share such as `3%` or `0.03`.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..=whole).contains(&number) => Ok(number / whole),
        _ => Err("expected a share, such as 3% or 0.03".to_owned()),
    }
}

/// A duration such as `10m`, in microseconds.
fn duration(text: &str) -> Result<i64, String> {
    parse_duration_us(text).ok_or_else(|| "expected a duration, such as 500ms, 10m or 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_durations_are_read() {
        assert_eq!(share("3%"), Ok(0.03));
        assert_eq!(share("0.25"), Ok(0.25));
        assert!(share("101%").is_err() && share("2").is_err() && share("-1%").is_err() && share("NaN").is_err());
        assert_eq!(duration("10m"), Ok(600_000_000));
    }
}
