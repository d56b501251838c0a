//! What the check of an index found (I5). It is a row among the reconciliations.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Of how many ids a check names the difference.
pub const NAMED_MAX: usize = 20;

/// An index, compared with its table at one vector of offsets, those of the materialised table. `missing`, `extra` and `different` are zero as
/// long as every document is what its row says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndexCheck {
    /// The number of the build.
    pub build: u64,
    /// The version of the materialised table.
    pub table_version: u64,
    /// How many rows of the table were compared.
    pub rows: u64,
    /// How many documents were compared.
    pub documents: u64,
    /// How many ids were left out, as they had changed behind the offsets of the table.
    pub moved: u64,
    /// How many ids were left out, as the server had refused their documents.
    pub refused: u64,
    /// How many rows have no document.
    pub missing: u64,
    /// How many documents have no row.
    pub extra: u64,
    /// How many documents are not what their row says.
    pub different: u64,
    /// The slices in which there are such.
    pub slices: Vec<u32>,
    /// The first of these ids, by slice and id.
    pub first: Vec<IndexDifference>,
    /// Why nothing was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub not_checked: Option<NotChecked>,
}

/// An id whose document is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndexDifference {
    /// The id.
    pub id: String,
    /// What is wrong.
    pub kind: IndexDifferenceKind,
}

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IndexDifferenceKind {
    /// It is not there.
    Missing,
    /// It should not be there.
    Extra,
    /// It has another content.
    Different,
}

/// Why an index was not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IndexNotChecked))]
#[serde(rename_all = "snake_case")]
pub enum NotChecked {
    /// Its lanes had not come to the table's offsets in time.
    Behind,
    /// The archive had not come, in time, to what the index may have held.
    NotArchived,
    /// The server did not answer, or gave the search up.
    Unreachable,
    /// It is being built.
    Building,
}

impl NotChecked {
    /// The reason as a word.
    pub fn name(self) -> &'static str {
        match self {
            NotChecked::Behind => "behind",
            NotChecked::NotArchived => "not_archived",
            NotChecked::Unreachable => "unreachable",
            NotChecked::Building => "building",
        }
    }
}

/// For who looks at it.
impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotChecked::Behind => "the lanes of the index had not come to the offsets of its table in time",
            NotChecked::NotArchived => "the archive had not come, in time, to what the index may have held",
            NotChecked::Unreachable => "the search server did not answer, or gave the reading up",
            NotChecked::Building => "the index is being built",
        })
    }
}

impl IndexCheck {
    /// How many ids are not as they should be.
    pub fn differences(&self) -> u64 {
        self.missing + self.extra + self.different
    }

    /// Whether it was compared, and nothing differs.
    pub fn is_equal(&self) -> bool {
        self.not_checked.is_none() && self.differences() == 0
    }
}
