//! Streams as a person reads them: a line for each, and below it what stops it or is not as it should be.

use std::fmt::Write;

use batch_layer::stream::standing::Standing;
use shared_logic::contracts::reconciliation::StreamCheck;

use crate::number::integer;
use crate::table::{Cell, Column, Table};
use crate::terminal::{Screen, Tint, printable};

/// What stands for something that is not known.
const UNKNOWN: &str = "-";

/// The page, as it fits on the screen.
pub(super) fn page(standings: &[Standing], screen: Screen) -> String {
    let mut table = Table::new(vec![
        Column::left("stream"),
        Column::left("reads"),
        Column::left("topic"),
        Column::right("partitions"),
        Column::right("behind"),
        Column::right("most behind"),
        Column::left("well"),
        Column::right("checked"),
        Column::right("wrong"),
    ]);
    for standing in standings {
        let behind = || standing.partitions.iter().map(|partition| partition.behind);
        let of_check = |of: fn(&StreamCheck) -> u64| {
            standing.check.as_ref().map_or_else(|| UNKNOWN.to_owned(), |check| integer(of(check)))
        };
        let mut row: Vec<Cell> = [&standing.stream, &standing.from, &standing.topic].map(|text| Cell::new(text)).into();
        row.push(Cell::new(&integer(standing.partitions.len())));
        // What is not known of one partition is not known of all.
        let all: Option<Vec<i64>> = behind().collect();
        let number = |number: Option<i64>| number.map_or_else(|| UNKNOWN.to_owned(), integer);
        row.push(Cell::new(&number(all.as_ref().map(|all| all.iter().sum()))));
        row.push(Cell::new(&number(all.map(|all| all.into_iter().max().unwrap_or_default()))));
        row.push(Cell::yes_or_no(super::is_well(standing)));
        row.push(Cell::new(&of_check(|check| check.outputs)));
        row.push(Cell::new(&of_check(StreamCheck::differences)));
        table.push(row);
    }
    let mut text = table.text(screen);
    for standing in standings {
        for trouble in troubles(standing) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", screen.paint(Some(Tint::Bad), &printable(&trouble)));
        }
    }
    text
}

/// What an operator has to know of a stream.
fn troubles(standing: &Standing) -> Vec<String> {
    let name = &standing.stream;
    let mut troubles: Vec<String> = standing.stopped.iter().map(|why| format!("{name}: {why}")).collect();
    let incomplete = standing.partitions.iter().filter(|partition| partition.incomplete).count();
    if incomplete > 0 {
        troubles.push(format!("{name}: outputs of {incomplete} partitions are decided from an incomplete past"));
    }
    let Some(check) = &standing.check else { return troubles };
    if check.differences() > 0 {
        let StreamCheck { missing, extra, different, .. } = check;
        troubles.push(format!(
            "{name}: the last check has found {missing} outputs missing, {extra} extra and {different} different"
        ));
        troubles.extend(check.first.iter().map(|output| format!("{name}: {} {}", output.kind.name(), output.id)));
    }
    if let Some(record) = &check.split_record {
        let keys = integer(check.split_keys);
        troubles.push(format!(
            "{name}: {keys} keys lie in several partitions, that of the record {record} for example; re-key with a map"
        ));
    }
    troubles
}

#[cfg(test)]
mod tests {
    use batch_layer::stream::standing::StandingPartition;
    use shared_logic::contracts::reconciliation::{DifferenceKind, OutputDifference};

    use super::*;

    fn standing() -> Standing {
        let partition = |partition, behind| StandingPartition {
            partition,
            published: Some(40),
            end: Some(40 + behind),
            behind: Some(behind),
            incomplete: false,
        };
        Standing {
            stream: "alerts".to_owned(),
            from: "transactions".to_owned(),
            topic: "alerts".to_owned(),
            definition: "0123456789abcdef".parse().expect("a hash"),
            partitions: vec![partition(0, 7), partition(1, 1_200)],
            stopped: Vec::new(),
            check: None,
        }
    }

    #[test]
    fn a_line_says_how_far_behind_a_stream_is() {
        let text = page(&[standing()], Screen::NONE);
        let line: Vec<&str> = text.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(line, ["alerts", "transactions", "alerts", "2", "1,207", "1,200", "yes", "-", "-"]);
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn what_is_not_known_of_one_partition_is_not_known_of_the_stream() {
        let mut standing = standing();
        standing.partitions[0].behind = None;
        let text = page(&[standing], Screen::NONE);
        let line: Vec<&str> = text.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(line, ["alerts", "transactions", "alerts", "2", "-", "-", "yes", "-", "-"]);
    }

    #[test]
    fn what_is_wrong_stands_below() {
        let first = vec![OutputDifference { id: "alerts/v1/log/0/7/0".to_owned(), kind: DifferenceKind::Extra }];
        let check = StreamCheck {
            outputs: 5,
            extra: 1,
            first,
            split_keys: 2,
            split_record: Some("log/0/7".to_owned()),
            ..StreamCheck::default()
        };
        let stopped = vec!["topic alerts.late does not exist".to_owned()];
        let text = page(&[Standing { stopped, check: Some(check), ..standing() }], Screen::NONE);
        for expected in [
            "alerts: topic alerts.late does not exist",
            "1 extra and 0 different",
            "alerts: extra alerts/v1/log/0/7/0",
            "2 keys lie in several partitions, that of the record log/0/7 for example",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }
}
