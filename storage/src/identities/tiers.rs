//! When small files are merged into larger ones.
//!
//! Each reconcile writes small files, and readers look into every one of them. Merging at once would write each row again
//! with every reconcile; so files are merged as in a log-structured tree, each with others of about its size.

/// Fewer files than this are left alone.
const FILES_MIN: usize = 4;
/// A file is merged with smaller ones if it is at most so many times as large as these together.
const RATIO: u64 = 2;

/// How many of the smallest files to merge into one, given the rows of all of them in ascending order; 0: none.
///
/// Where it is 0, each file but the first three is more than twice as large as all smaller ones together. So their number grows
/// with the logarithm of the rows, by about two for every factor of ten. Of 144 files of one size, one every ten minutes of a
/// day, six are left at most, and each row is written six times.
pub fn to_merge(rows: &[u64]) -> usize {
    let (mut smaller, mut merged) = (0_u64, 0);
    for (at, rows) in rows.iter().enumerate() {
        if at + 1 >= FILES_MIN && *rows <= smaller.saturating_mul(RATIO) {
            merged = at + 1;
        }
        smaller = smaller.saturating_add(*rows);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_about_one_size_are_merged_and_much_larger_ones_are_left_alone() {
        let cases: [(&[u64], usize); 7] = [
            (&[], 0),
            (&[5, 5, 5], 0),
            (&[5, 5, 5, 5], 4),
            (&[1, 1, 1, 6], 4),
            (&[1, 1, 1, 7], 0),
            (&[1, 1, 1, 1, 9], 4),
            (&[1, 1, 1, 7, 20, 1_000], 5),
        ];
        for (rows, merged) in cases {
            assert_eq!(to_merge(rows), merged, "{rows:?}");
        }
    }

    #[test]
    fn however_files_are_added_there_are_few_of_them_and_rows_are_rarely_written_again() {
        let (mut files, mut written, mut most) = (Vec::new(), 0, 0);
        for n in 0..10_000_u64 {
            let added = 100 + n % 37;
            files.push(added);
            files.sort_unstable();
            let merged: u64 = files.drain(..to_merge(&files)).sum();
            if merged > 0 {
                files.push(merged);
            }
            written += added + merged;
            most = most.max(files.len());
        }
        let rows: u64 = files.iter().sum();
        assert!(most <= 10, "{most} files");
        assert!(written <= 12 * rows, "each row was written {} times", written / rows);
    }
}
