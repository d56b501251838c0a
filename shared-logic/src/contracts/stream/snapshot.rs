//! Snapshots of lanes (T2), beside the archive of the source that they read:
//!
//! ```text
//! _lanes/<definitions>/<log>/<partition>/<piece>-<checksum>.bin     a piece of the state
//! _lanes/<definitions>/<log>/<partition>/<cursor>.json              the manifest, written last
//! _lanes/<definitions>/<log>/<partition>/spared.json                the cursor of the snapshot that the next check needs
//! ```
//!
//! What a snapshot holds is a function of what it is named by. So it does no harm if it is written twice, by whomever, or is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::DefinitionHash;
use crate::log::PartitionId;
use crate::stream::Fronts;

/// Raise this when a change of this crate makes other pieces of the same state. Snapshots of other formats are ignored.
const FORMAT: u32 = 1;

/// The definitions of the streams of a lane, by their names.
pub type Definitions = BTreeMap<String, DefinitionHash>;

/// What makes pieces a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The log, with its incarnation.
    pub log: String,
    /// The partition's number.
    pub partition: i32,
    /// The first offset that the state does not include.
    pub cursor: i64,
    /// The fronts before that offset.
    pub fronts: Fronts,
    /// The definitions of the lane's streams.
    pub definitions: Definitions,
    /// The pieces.
    pub pieces: Vec<PieceNote>,
}

/// A piece, as the manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceNote {
    /// Its name within the lane's state.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// A hash of its bytes, 16 hexadecimal digits.
    pub checksum: String,
}

impl PieceNote {
    /// The note of a piece with those bytes.
    pub fn of(name: &str, bytes: &[u8]) -> PieceNote {
        let checksum = format!("{:016x}", xxh3_64(bytes));
        PieceNote { name: name.to_owned(), bytes: bytes.len() as u64, checksum }
    }

    /// Whether these are its bytes.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        *self == PieceNote::of(&self.name, bytes)
    }
}

/// Names a lane's definitions together: 16 hexadecimal digits.
pub fn definitions_key(definitions: &Definitions) -> String {
    let lines = definitions.iter().map(|(stream, definition)| format!("{stream} {definition}\n"));
    let text = format!("snapshot {FORMAT}\n{}", lines.collect::<String>());
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

/// The folder of the snapshots of a partition under those definitions.
pub fn lanes_folder(definitions: &Definitions, id: &PartitionId) -> String {
    format!("_lanes/{}/{}/{}", definitions_key(definitions), id.log, id.partition)
}

/// The path of the manifest at that cursor. Paths sort as cursors do.
pub fn manifest_path(folder: &str, cursor: i64) -> String {
    format!("{folder}/{cursor:020}.json")
}

/// The path of the note that says which snapshot is spared when old ones are removed.
pub fn spared_path(folder: &str) -> String {
    format!("{folder}/spared.json")
}

/// The path of a piece. Its name holds the checksum, so no two writers can disagree about what it holds.
pub fn piece_path(folder: &str, piece: &PieceNote) -> String {
    format!("{folder}/{}-{}.bin", piece.name, piece.checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_a_snapshot_is_a_function_of() {
        let definition = |text: &str| text.parse::<DefinitionHash>().expect("a hash");
        let one = Definitions::from([("a".to_owned(), definition("0123456789abcdef"))]);
        let mut two = one.clone();
        two.insert("b".to_owned(), definition("0123456789abcdef"));
        let id = PartitionId::new("topic-id.1", 3);
        let folder = lanes_folder(&one, &id);
        assert_ne!(folder, lanes_folder(&two, &id));
        assert!(folder.ends_with("/topic-id.1/3"));
        assert!(manifest_path(&folder, 9) < manifest_path(&folder, 10));
        let note = PieceNote::of("window", b"bytes");
        assert!(note.fits(b"bytes") && !note.fits(b"byte") && !note.fits(b"bytfs"));
        assert!(piece_path(&folder, &note).ends_with(&format!("/window-{}.bin", note.checksum)));
    }
}
