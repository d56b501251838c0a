//! A series as a line of blocks.
//!
//! The scale is honest: it begins at zero, and the highest block is the largest value. A blank is a value that there is not
//! (null), and `-` one below zero, for which there is no block.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const MISSING: char = ' ';
const BELOW_ZERO: char = '-';

/// A line of blocks, and what it takes to read it.
#[derive(Debug)]
pub(super) struct Sparkline {
    pub(super) line: String,
    /// How many consecutive values a block stands for: it shows the largest of them.
    pub(super) values_per_block: usize,
}

impl Sparkline {
    /// The line of these values, with at most so many blocks (at least one).
    pub(super) fn of(values: &[Option<f64>], max_blocks: usize) -> Sparkline {
        let values_per_block = values.len().div_ceil(max_blocks.max(1)).max(1);
        let largest = |values: &[Option<f64>]| values.iter().flatten().copied().reduce(f64::max);
        let heights: Vec<Option<f64>> = values.chunks(values_per_block).map(largest).collect();
        let top = heights.iter().flatten().copied().fold(0.0, f64::max);
        let line = heights.into_iter().map(|height| height.map_or(MISSING, |height| block(height, top))).collect();
        Sparkline { line, values_per_block }
    }
}

fn block(height: f64, top: f64) -> char {
    if height < 0.0 {
        return BELOW_ZERO;
    }
    // Without a value above zero, all that are left are zero.
    let share = if top > 0.0 { height / top } else { 0.0 };
    let step = (share * (BLOCKS.len() - 1) as f64).round() as usize;
    BLOCKS[step.min(BLOCKS.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[Option<f64>]) -> String {
        Sparkline::of(values, 80).line
    }

    #[test]
    fn zero_is_the_baseline() {
        assert_eq!(line(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(Some)), "▁▂▃▄▅▆▇█");
        assert_eq!(line(&[Some(100.0), Some(101.0)]), "██", "a small difference looks small");
        assert_eq!(line(&[Some(0.0), Some(0.0)]), "▁▁");
        assert_eq!(line(&[]), "");
    }

    #[test]
    fn null_is_blank_and_what_is_below_zero_is_no_block() {
        assert_eq!(line(&[None, Some(-5.0), Some(0.0), Some(2.0)]), " -▁█");
        assert_eq!(line(&[Some(-5.0), None, Some(0.0)]), "- ▁");
    }

    #[test]
    fn a_long_series_shows_its_peaks() {
        let values: Vec<Option<f64>> =
            (0..100).map(|at| (at != 99).then_some(if at == 50 { 7.0 } else { 1.0 })).collect();
        let sparkline = Sparkline::of(&values, 10);
        assert_eq!((sparkline.line.as_str(), sparkline.values_per_block), ("▂▂▂▂▂█▂▂▂▂", 10));
        assert_eq!(Sparkline::of(&values[..11], 10).line.chars().count(), 6, "no more blocks than there is room for");
        assert_eq!(Sparkline::of(&[None, None], 1).line, " ");
    }
}
