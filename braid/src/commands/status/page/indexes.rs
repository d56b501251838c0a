//! Search indexes as a person reads them.

use super::{Page, UNKNOWN, known};
use crate::commands::status::report::{Build, Index, IndexCheck, Reconciliation};
use crate::number::integer;
use crate::table::{Cell, Column, Table};

impl Page {
    pub(super) fn indexes(&mut self, indexes: &[Index], reconciliations: &[Reconciliation]) {
        if indexes.is_empty() {
            return;
        }
        self.line("");
        self.text.push_str(&table(indexes).text(self.screen));
        for Index { index, serving, builds, refused, error, .. } in indexes {
            if let Some(error) = error {
                self.trouble(&format!("{index}: {error}"));
            } else if serving.is_none() {
                self.trouble(&format!("{index}: nothing can be searched, until a build is equal to its table"));
            }
            for Build { number, loaded, rows, .. } in builds.iter().filter(|build| build.stage == "loading") {
                let (loaded, rows) = (integer(*loaded), integer(*rows));
                self.line(&format!("{index}: build {number} is loaded, {loaded} of {rows} rows are written"));
            }
            if let Some(refused) = refused.as_ref().filter(|refused| refused.count > 0) {
                let count = integer(refused.count);
                self.trouble(&format!(
                    "{index}: the search server has refused {count} documents; `braid index retry {index}` sends them again"
                ));
            }
        }
        for Reconciliation { metric, index_check, .. } in reconciliations {
            if let Some(IndexCheck { missing, extra, different }) = index_check
                && missing + extra + different > 0
            {
                let [missing, extra, different] = [missing, extra, different].map(|count| integer(*count));
                self.trouble(&format!(
                    "{metric}: the last check found {missing} documents missing, {extra} extra and {different} different"
                ));
            }
        }
    }
}

/// What is searched of each index, and how far that is behind.
fn table(indexes: &[Index]) -> Table {
    let mut table = Table::new(vec![
        Column::left("index"),
        Column::right("build"),
        Column::right("behind"),
        Column::right("refused"),
        Column::left("builds"),
    ]);
    for Index { index, serving, builds, records_behind, refused, .. } in indexes {
        let serving = serving.map_or_else(|| UNKNOWN.to_owned(), integer);
        let refused = refused.as_ref().map_or_else(|| UNKNOWN.to_owned(), |refused| integer(refused.count));
        let builds: Vec<String> = builds.iter().map(|build| format!("{} {}", build.number, build.stage)).collect();
        table.push(vec![
            Cell::new(index),
            Cell::new(&serving),
            known(*records_behind),
            Cell::new(&refused),
            Cell::new(&builds.join(", ")),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Report;
    use super::super::page;
    use crate::terminal::Screen;

    #[test]
    fn an_index_has_its_row_and_what_is_wrong_with_it_is_said() {
        let both = json!({
            "status": {
                "deployment": {"name": "braid", "version": "v1"}, "braid": "0.1.0", "sources": [],
                "indexes": [
                    {"index": "users", "definition": "00", "serving": 2, "records_behind": 1_204,
                     "builds": [{"number": 1, "stage": "kept", "rows": 9, "loaded": 9},
                                {"number": 2, "stage": "serving", "rows": 9, "loaded": 9}],
                     "refused": {"count": 3, "first": []}, "last_check": null},
                    {"index": "videos", "definition": "00", "serving": null, "records_behind": null,
                     "builds": [{"number": 1, "stage": "loading", "rows": 12_000, "loaded": 5_000}],
                     "refused": null, "last_check": null},
                    {"index": "notes", "definition": "00", "serving": null, "records_behind": null, "builds": [],
                     "refused": null, "last_check": null, "error": "no search server is named; set search.url"}],
                "dependencies": {"redis": {"ok": true}, "kafka": {"ok": true}, "store": {"ok": true}}},
            "metrics": [],
            "reconciliations": [{"metric": "users", "drift": null,
                                 "index_check": {"build": 2, "missing": 1, "extra": 0, "different": 2}}]});
        let report = Report::parse(&both).expect("a report");
        let expected = "\
deployment braid v1, braid 0.1.0

index   build  behind  refused  builds
users       2   1,204        3  1 kept, 2 serving
videos      -       -        -  1 loading
notes       -       -        -
users: the search server has refused 3 documents; `braid index retry users` sends them again
videos: nothing can be searched, until a build is equal to its table
videos: build 1 is loaded, 5,000 of 12,000 rows are written
notes: no search server is named; set search.url
users: the last check found 1 documents missing, 0 extra and 2 different
";
        let page = page(&report, Screen::NONE);
        assert!(page.starts_with(expected), "{page}");
    }
}
