//! What a backtest has found, as an operator reads it.

use std::fmt;

use serde::Serialize;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::reconciliation::OutputDifference;

/// What a stream would have written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BacktestReport {
    /// The stream's name.
    pub stream: String,
    /// Its definition.
    pub definition: DefinitionHash,
    /// The table that holds the outputs, below the deployment's folder.
    pub table: String,
    /// The table's version that holds them.
    pub version: u64,
    /// What each partition gave.
    pub partitions: Vec<PartitionReport>,
    /// How that differs from what was published; `None` if nothing of the stream is archived.
    pub compared: Option<Compared>,
}

/// What a partition gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// The log.
    pub log: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that was decided.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
    /// How many outputs there are.
    pub outputs: u64,
    /// How many events were late.
    pub late: u64,
    /// Why not everything was decided, as a word.
    pub left_out: Option<&'static str>,
}

/// How what would have been written differs from what was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// How many outputs are in both.
    pub outputs: u64,
    /// How many would have been written, and were not published.
    pub missing: u64,
    /// How many were published, and would not have been written.
    pub extra: u64,
    /// How many of those in both have another key or content.
    pub different: u64,
    /// The first of those that differ.
    pub first: Vec<OutputDifference>,
}

impl BacktestReport {
    /// How many outputs there are.
    pub fn outputs(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.outputs).sum()
    }

    /// How many events were late.
    pub fn late(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.late).sum()
    }
}

impl fmt::Display for BacktestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BacktestReport { stream, definition, table, version, partitions, compared } = self;
        let (outputs, late) = (self.outputs(), self.late());
        writeln!(f, "{stream}: {outputs} outputs, {late} late events (definition {definition})")?;
        writeln!(f, "  in the table {table}, version {version}")?;
        for PartitionReport { log, partition, from, to, outputs, late, left_out } in partitions {
            write!(f, "  {log}/{partition} [{from}, {to}): {outputs} outputs, {late} late events")?;
            match left_out {
                Some(why) => writeln!(f, "; not all of it could be decided: {why}")?,
                None => writeln!(f)?,
            }
        }
        let Some(Compared { outputs, missing, extra, different, first }) = compared else {
            return writeln!(f, "  nothing of the stream is archived, so there is nothing to compare with");
        };
        writeln!(
            f,
            "  against what was published: {outputs} in both, {missing} missing there, {extra} only there, {different} different"
        )?;
        for output in first {
            writeln!(f, "  {} {}", output.kind.name(), output.id)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::reconciliation::DifferenceKind;

    use super::*;

    fn report() -> BacktestReport {
        let partition = |partition, left_out| PartitionReport {
            log: "log".to_owned(),
            partition,
            from: 0,
            to: 100,
            outputs: 5,
            late: 1,
            left_out,
        };
        BacktestReport {
            stream: "alerts".to_owned(),
            definition: "0123456789abcdef".parse().expect("a hash"),
            table: "backtest/alerts".to_owned(),
            version: 3,
            partitions: vec![partition(0, None), partition(1, Some("erased"))],
            compared: None,
        }
    }

    #[test]
    fn a_person_reads_what_would_have_been_written_and_how_it_differs() {
        let text = report().to_string();
        assert!(text.starts_with("alerts: 10 outputs, 2 late events"), "{text}");
        assert!(text.contains("log/1 [0, 100): 5 outputs, 1 late events; not all of it"), "{text}");
        assert!(text.ends_with("nothing to compare with\n"), "{text}");
        let id = "alerts/v1/log/0/7/0".to_owned();
        let first = vec![OutputDifference { id, kind: DifferenceKind::Missing }];
        let compared = Compared { outputs: 9, missing: 1, extra: 0, different: 0, first };
        let text = BacktestReport { compared: Some(compared), ..report() }.to_string();
        assert!(text.ends_with("0 different\n  missing alerts/v1/log/0/7/0\n"), "{text}");
    }
}
