//! `seconds_between(earlier, later)`: how much time lies between two instants.

use super::PureFunction;
use crate::expression::Scalar;
use crate::schema::FieldType;

/// The seconds from one instant to another.
pub(super) const SECONDS_BETWEEN: PureFunction = PureFunction {
    name: "seconds_between",
    takes: &[FieldType::Timestamp; 2],
    gives: FieldType::Float,
    is_total: true,
    about: "how many seconds the second instant is after the first, with fractions; negative if it is before",
    apply,
};

fn apply<'a>(arguments: &[Scalar<'a>]) -> Scalar<'a> {
    match arguments {
        // Instants lie in the years 1 to 9999, so no difference leaves 64 bits.
        [Scalar::Timestamp(from), Scalar::Timestamp(to)] => Scalar::float(to.saturating_sub(*from) as f64 / 1e6),
        _ => Scalar::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{MAX_INSTANT_US, MIN_INSTANT_US};

    #[test]
    fn seconds_have_fractions_and_a_sign() {
        let between = |from, to| apply(&[Scalar::Timestamp(from), Scalar::Timestamp(to)]);
        assert_eq!(between(0, 1_500_000), Scalar::Float(1.5));
        assert_eq!(between(3_600_000_000, 0), Scalar::Float(-3_600.0));
        assert_eq!(between(7, 7), Scalar::Float(0.0));
        assert_eq!(between(MIN_INSTANT_US, MAX_INSTANT_US), Scalar::Float(315_537_897_600.0));
        assert_eq!(apply(&[Scalar::Null, Scalar::Timestamp(0)]), Scalar::Null);
    }
}
