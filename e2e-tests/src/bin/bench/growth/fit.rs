//! Least squares.

use anyhow::{Context, Result};

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
