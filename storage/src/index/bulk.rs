//! Documents, written together, and what became of each (I1, I3).

use platform::failpoints;

use super::items::{BulkOutcome, Lines, Unless, unfit};
use super::{SearchClient, SearchError};

/// A document to write, or to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkItem {
    /// The id.
    pub id: String,
    /// The version (`version_type=external`): a document of an equal or greater version stays.
    pub version: u64,
    /// The document, one JSON object in one line; `None`: the id is deleted.
    pub document: Option<Vec<u8>>,
}

impl BulkItem {
    /// About how many bytes of a request it takes.
    pub fn bytes(&self) -> usize {
        128 + self.id.len() + self.document.as_ref().map_or(0, Vec::len)
    }
}

impl SearchClient {
    /// Writes documents to an index by one `_bulk` request; what became of each, in their order. There are no two of one id, so the order
    /// in which the server takes them does not matter. Fail points: `search::before_bulk`, `search::after_bulk`.
    ///
    /// # Errors
    /// [`SearchError`], if the request as a whole was not answered, or refused. Items may have been written all the same.
    pub async fn bulk(&self, index: &str, items: &[BulkItem]) -> Result<Vec<BulkOutcome>, SearchError> {
        self.bulk_of(index, &items.iter().collect::<Vec<_>>()).await
    }

    /// The same for items that do not lie beside each other.
    pub(super) async fn bulk_of(&self, index: &str, items: &[&BulkItem]) -> Result<Vec<BulkOutcome>, SearchError> {
        let mut outcomes: Vec<Option<BulkOutcome>> = items.iter().map(|item| unfit(&item.id)).collect();
        let fit = |at: &usize| outcomes[*at].is_none();
        let sent: Vec<usize> = (0..items.len()).filter(fit).collect();
        let mut lines = Lines::of(sent.iter().map(|at| items[*at].bytes()).sum());
        for at in &sent {
            let BulkItem { id, version, document } = items[*at];
            lines.push(id, Unless::EqualOrNewer(*version), document.as_deref());
        }
        failpoints::pass("search::before_bulk");
        let answered = self.send("write documents", index, lines).await?;
        failpoints::pass("search::after_bulk");
        for (at, outcome) in sent.into_iter().zip(answered) {
            outcomes[at] = Some(outcome);
        }
        // The lines had an answer each.
        Ok(outcomes.into_iter().flatten().collect())
    }
}
