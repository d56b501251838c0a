//! Segments that are torn, changed or foreign are built again, and never give a wrong answer.

use super::*;

/// Two days of one month.
fn two_days() -> Vec<Row> {
    vec![call("2026-04-01T10:00:00Z", "Bonn"), call("2026-04-02T11:00:00Z", "Ulm")]
}

async fn is_served(table: &Table, built: u64) {
    let mut reader = table.reader(PLENTY);
    let view = loaded(&mut reader).await;
    assert_eq!((calls(&view).await, reader.loader.shelf.built()), (Value::Int(2), built));
}

#[tokio::test]
async fn a_segment_that_is_torn_or_foreign_is_built_again_at_the_next_start() {
    let table = Table::new();
    table.replace(&two_days()).await;
    is_served(&table, 3).await;
    is_served(&table, 0).await;
    for number in 0..3 {
        let whole = std::fs::read(table.segments().remove(number)).expect("read");
        for torn in [&whole[..whole.len() / 2], &whole[..whole.len() - 1], b"", b"something else"] {
            std::fs::write(table.segments().remove(number), torn).expect("written");
            is_served(&table, 1).await;
        }
    }
    // A segment of another version of the format.
    let path = table.segments().remove(0);
    let mut other = std::fs::read(&path).expect("read");
    let magic = other.len() - 1;
    other[magic] = b'0';
    std::fs::write(path, other).expect("written");
    is_served(&table, 1).await;
}

#[tokio::test]
async fn a_block_that_is_damaged_makes_the_view_load_again() {
    let table = Table::new();
    table.replace(&two_days()).await;
    drop(loaded(&mut table.reader(PLENTY)).await);
    for path in table.segments() {
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[20] ^= 1;
        std::fs::write(path, bytes).expect("written");
    }
    let mut reader = table.reader(PLENTY);
    let view = loaded(&mut reader).await;
    assert_eq!(reader.loader.shelf.built(), 0, "the damage shows when a block is read");
    let failed = view.cells(&key(None, None), TimeRange::ALL, Fold::Whole).await.expect_err("damaged");
    assert!(failed.to_string().contains("is damaged"), "{failed}");
    // The month is built again, from days that turn out to be damaged as well. A load that fails is tried again.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Ok(Refreshed::View(view)) = reader.refresh().await
            && let Ok(cells) = view.cells(&key(None, None), TimeRange::ALL, Fold::Whole).await
        {
            assert_eq!(cells.iter().next().map(|(_, values)| values[0].clone()), Some(Value::Int(2)));
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the view is still damaged");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(reader.loader.shelf.built(), 3);
}

#[tokio::test]
async fn a_load_that_fails_goes_on_from_what_it_had_built() {
    let table = Table::new();
    table.replace(&two_days()).await;
    // The second day cannot be read.
    let mut files = table.table().await.files().await.expect("listed");
    files.sort_by(|a, b| a.partition.cmp(&b.partition));
    let file = files.remove(1);
    let path = table.folder.path().join("store/braid/views/v1/calls").join(&file.path);
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).expect("renamed");
    let mut reader = table.reader(PLENTY);
    assert!(reader.refresh().await.is_err());
    assert_eq!(reader.loader.shelf.built(), 1);
    std::fs::rename(&aside, &path).expect("renamed");
    let view = loaded(&mut reader).await;
    assert_eq!((calls(&view).await, reader.loader.shelf.built()), (Value::Int(2), 3));
}
