//! A place for tables: a folder, or an S3 bucket.

use tempfile::TempDir;
use test_kit::S3Server;

use super::*;
use crate::settings::Settings;

pub(super) enum Place {
    Folder(TempDir),
    S3(S3Server),
}

impl Place {
    /// One of each, both empty.
    pub(super) async fn each() -> [Place; 2] {
        let folder = tempfile::tempdir().expect("a folder");
        [Place::Folder(folder), Place::S3(S3Server::start().await.expect("a server"))]
    }

    /// The store of a deployment of that name.
    pub(super) fn store(&self, name: &str) -> Store {
        self.at("", name)
    }

    /// The same, if `store.url` ends so.
    pub(super) fn at(&self, ending: &str, name: &str) -> Store {
        let mut settings = match self {
            Place::Folder(folder) => {
                settings::Store { url: folder.path().display().to_string(), ..settings::Store::default() }
            }
            Place::S3(server) => settings_of(server),
        };
        settings.url += ending;
        Store::new(&settings, name).expect("a store")
    }
}

/// The settings of a store in that server's bucket.
pub(super) fn settings_of(server: &S3Server) -> settings::Store {
    Settings::load(None, std::iter::empty(), &server.settings()).expect("valid settings").store
}
