//! Files are read one row group at a time, and groups that cannot hold what is wanted are skipped.

use super::*;

/// So many rows make three row groups.
const ROWS: i64 = 200_000;

/// Reads the groups of a file that may hold numbers from `low` to `high`: the numbers of each.
async fn read(table: &Table, file: &DataFile, (low, high): (i64, i64)) -> Vec<Vec<i64>> {
    let columns =
        Schema::from_iter([Field::new("n".into(), DataType::Int64), Field::new("absent".into(), DataType::String)]);
    let may_hold = |group: &DataFile| group.may_hold("n", low, high);
    let mut read = Vec::new();
    for group in table.row_groups(file, &columns, may_hold).await.expect("described") {
        let announced = group.rows();
        let numbers = group.read(|rows| {
            assert_eq!(rows.column("absent")?.null_count(), rows.height());
            Ok(rows.column("n")?.i64()?.iter().flatten().collect::<Vec<i64>>())
        });
        let numbers = numbers.await.expect("read");
        assert_eq!(numbers.len(), announced);
        read.push(numbers);
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn only_row_groups_that_may_hold_what_is_wanted_are_read() {
    for place in Place::each().await {
        let table = created(&place.store("braid")).await;
        let numbers: Vec<i64> = (0..ROWS).map(|n| n * 7).collect();
        let file = table.write("2026-01-01", frame(&numbers), &[]).await.expect("written");
        assert!(file.size > 256 * 1024, "it is not read whole: {}", file.size);
        let all = read(&table, &file, (0, i64::MAX)).await;
        assert!(all.len() > 2 && all.iter().all(|group| group.len() < 100_000), "{} groups", all.len());
        assert_eq!(all.concat(), numbers);
        let middle = all[1][0];
        assert_eq!(read(&table, &file, (middle, middle)).await, all[1..2]);
        assert_eq!(read(&table, &file, (middle - 7, middle)).await, all[..2]);
        assert!(read(&table, &file, (ROWS * 7, i64::MAX)).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_is_read_whole() {
    for place in Place::each().await {
        let table = created(&place.store("braid")).await;
        let file = table.write("2026-01-01", frame(&[3, 1, 2]), &[]).await.expect("written");
        assert_eq!(read(&table, &file, (2, 2)).await, [[3, 1, 2]]);
        assert!(read(&table, &file, (4, 9)).await.is_empty());
    }
}
