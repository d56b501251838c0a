//! Least squares.

use anyhow::{Context, Result};

/// What is there in any case, and what each of something adds, of pairs of how many there were and what was measured.
/// Nothing is there in any case if it would have to be less than that; what each adds follows from that, then.
///
/// # Errors
/// As those of [`fit`].
pub(super) fn line(pairs: &[(f64, f64)]) -> Result<(f64, f64)> {
    let rows: Vec<_> = pairs.iter().map(|(many, measured)| ([1.0, *many], *measured)).collect();
    let [in_any_case, each] = fit(&rows)?;
    if in_any_case >= 0.0 {
        return Ok((in_any_case, each));
    }
    let rows: Vec<_> = pairs.iter().map(|(many, measured)| ([*many], *measured)).collect();
    let [each] = fit(&rows)?;
    Ok((0.0, each))
}

/// The factors with which the sums over each row's terms come closest to what was measured of it.
///
/// # Errors
/// If the rows do not decide that: there are fewer than factors, or they say the same.
pub(super) fn fit<const N: usize>(rows: &[([f64; N], f64)]) -> Result<[f64; N]> {
    // The normal equations, each with its right side as the last column.
    let mut equations = [[0.0; N]; N];
    let mut sides = [0.0; N];
    for (terms, measured) in rows {
        for (equation, (side, term)) in equations.iter_mut().zip(sides.iter_mut().zip(terms)) {
            for (sum, other) in equation.iter_mut().zip(terms) {
                *sum += term * other;
            }
            *side += term * measured;
        }
    }
    for at in 0..N {
        let pivot = (at..N).max_by(|one, other| equations[*one][at].abs().total_cmp(&equations[*other][at].abs()));
        let pivot = pivot.filter(|row| equations[*row][at].abs() > f64::EPSILON).context("the rows say the same")?;
        equations.swap(at, pivot);
        sides.swap(at, pivot);
        let (eliminating, side) = (equations[at], sides[at]);
        for row in (0..N).filter(|row| *row != at) {
            let factor = equations[row][at] / eliminating[at];
            for (term, of) in equations[row].iter_mut().zip(eliminating) {
                *term -= factor * of;
            }
            sides[row] -= factor * side;
        }
    }
    let mut factors = [0.0; N];
    for (at, factor) in factors.iter_mut().enumerate() {
        *factor = sides[at] / equations[at][at];
    }
    Ok(factors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_at_nothing_rather_than_below() {
        let (in_any_case, each) = line(&[(1.0, 3.0), (2.0, 5.0), (4.0, 9.0)]).expect("three points");
        assert!((in_any_case - 1.0).abs() < 1e-9 && (each - 2.0).abs() < 1e-9, "{in_any_case} and {each}");
        // Increments of 0.1, 0.2, 0.4 and 0.8 million rows: alone, the fit says -0.08 s and 2.27 s for a million.
        let pairs = [(0.1, 0.21), (0.2, 0.37), (0.4, 0.73), (0.8, 1.78)];
        let (in_any_case, each) = line(&pairs).expect("four points");
        assert_eq!(in_any_case, 0.0);
        assert!((each - 2.1306).abs() < 1e-3, "{each}");
    }
}
