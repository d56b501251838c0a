//! K9: removes what a version that is retired has in Kafka and Redis.
//!
//! Every step can be repeated, so whoever is killed, or fails, is called again and goes on:
//!
//! 1. the pointer says that it is being retired: from then on no process that reads it counts or answers for it;
//! 2. its consumer groups are removed, once every process has had time to read the pointer: a group with members says that one of them
//!    still hosts the version;
//! 3. its shards, and rows of tables that no other version uses, are removed in bounded steps;
//! 4. the pointer says that it is retired.
//!
//! Views, reconciles and reports of verifications stay in the store: they cost no memory, and say what the version has answered.

use std::collections::BTreeSet;
use std::time::Duration;

use platform::kafka::{KafkaError, RemovedGroup, Topics, remove_group};
use platform::redis::{Connection, RedisError};
use platform::settings::Settings;
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, Deployment, Source};
use shared_logic::contracts::archive;
use shared_logic::contracts::speed_view::ShardKeys;
use shared_logic::contracts::table_rows::RowsKey;
use shared_logic::log::PartitionId;
use shared_logic::version::{DeployedVersions, Pointer};
use storage::{ShardClient, ShardError, Storage, TableRowsClient, TableRowsError, VersionStore, VersionsError};
use tokio::time::Instant;
use tracing::info;

use crate::progress::Progress;

/// After so many times `versions.refresh` every process that can read the pointer has done so.
const REFRESHES: u32 = 10;
/// How much longer members of a group are waited for: a process that has died leaves it after its session.
const MEMBERS_WITHIN: Duration = Duration::from_secs(60);
/// How often shards are looked for again that a process has opened after they were removed.
const ROUNDS: u32 = 5;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    /// Consumer groups.
    pub groups: usize,
    /// Shards that were looked for.
    pub shards: usize,
    /// Keys in Redis, those of rows of tables too.
    pub keys: u64,
}

/// Why a version is not retired. What was removed is gone; called again, it goes on.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The pointer could not be read, or does not allow it.
    #[error(transparent)]
    Versions(#[from] VersionsError),
    /// It is not known what the version has.
    #[error("the catalog of version {version} cannot be used: {why}")]
    Catalog {
        /// The version.
        version: String,
        /// What is wrong.
        why: String,
    },
    /// It is not known what another version uses.
    #[error(
        "the catalog of version {version} cannot be used here, so what it shares is not known ({why}): retire by a build that reads it"
    )]
    UnknownShares {
        /// The other version.
        version: String,
        /// What is wrong.
        why: String,
    },
    /// A process still hosts it.
    #[error(
        "group {group} has members: a process still hosts version {version}, as it has not read the pointer or is of an older build; stop \
         it, and retire the version again"
    )]
    HasMembers {
        /// The group.
        group: String,
        /// The version.
        version: String,
    },
    /// A process opens shards of it again and again.
    #[error(
        "shards of version {0} were opened again after they had been removed: a process still counts for it; stop it, and retire the version again"
    )]
    OpenedAgain(String),
    /// Kafka could not be asked.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The archive could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Redis could not be reached.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// A shard could not be removed.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// Rows of a table could not be removed.
    #[error(transparent)]
    Rows(#[from] TableRowsError),
}

/// Retires a version. `file` is the catalog file, and `by` says who does it. How far it has come is said to `progress`.
///
/// # Errors
/// [`RetireError`].
pub async fn retire(
    settings: &Settings,
    file: &Catalog,
    version: &str,
    by: &str,
    progress: &Progress,
) -> Result<Retired, RetireError> {
    let store = VersionStore::new(&settings.store, &file.deployment)?;
    let first = file.deployment.version.clone();
    let (_, pointer) =
        store.step(&first, by, &format!("retire {version}"), |pointer, change| pointer.retire(version, change)).await?;
    platform::failpoints::pass("retire::after_retiring");
    let catalog = catalog(&store, &pointer, file, version).await?;
    let living = store.deployed(file).await?;
    if let Some((version, why)) = living.unreadable().iter().next() {
        return Err(RetireError::UnknownShares { version: version.clone(), why: why.clone() });
    }
    let refresh = settings.versions.refresh.get();
    progress.say(format_args!("waiting until every process has heard of it"));
    tokio::time::sleep(refresh * REFRESHES).await;
    let mut retired =
        Retired { groups: remove_groups(settings, &catalog, &living, progress).await?, ..Retired::default() };
    platform::failpoints::pass("retire::after_groups");
    remove_counts(settings, &catalog, &living, progress, &mut retired).await?;
    platform::failpoints::pass("retire::after_shards");
    store.step(&first, by, &format!("retired {version}"), |pointer, change| pointer.retired(version, change)).await?;
    info!(version, groups = retired.groups, shards = retired.shards, keys = retired.keys, "retired a version");
    Ok(retired)
}

/// The catalog of a version that does not live any more.
async fn catalog(
    store: &VersionStore,
    pointer: &Pointer,
    file: &Catalog,
    version: &str,
) -> Result<Catalog, RetireError> {
    let recorded = pointer.recorded(version).map_err(VersionsError::from)?;
    let unusable = |why: String| RetireError::Catalog { version: version.to_owned(), why };
    let catalog = match &recorded.catalog {
        None => file.clone(),
        Some(hash) => {
            let text = store.catalog(version, hash).await?;
            let text = text.ok_or_else(|| unusable("its text is not in the store".to_owned()))?;
            let said = |mistakes: Vec<shared_logic::catalog::Mistake>| {
                unusable(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            };
            Catalog::parse(&text).map_err(said)?
        }
    };
    Ok(catalog.as_version(version, &pointer.first, &recorded.changed))
}

/// The consumer groups of a version that no version that lives uses.
fn groups(catalog: &Catalog, living: &DeployedVersions) -> BTreeSet<String> {
    let used: BTreeSet<String> = living.living().flat_map(|(_, catalog)| shared_groups(catalog)).collect();
    let Deployment { name, version, .. } = &catalog.deployment;
    let own = catalog.sources.keys().map(|source| format!("braid.{name}.{version}.{source}"));
    let mut groups: BTreeSet<String> = own.chain(shared_groups(catalog)).collect();
    groups.retain(|group| !used.contains(group));
    groups
}

/// The groups that are called after generations: those of archives, of lanes, and of rows of tables.
fn shared_groups(catalog: &Catalog) -> Vec<String> {
    let deployment = &catalog.deployment;
    let name = &deployment.name;
    let mut groups = Vec::new();
    for source in catalog.sources.keys() {
        groups.push(archive::group(name, &deployment.archive_name(source)));
        let lanes = catalog.generations_over(source).into_iter();
        groups.extend(lanes.map(|generation| format!("braid.{name}.{generation}.{source}.streams")));
    }
    let tables = catalog.tables.keys();
    groups.extend(tables.map(|table| format!("braid.{name}.{}.{table}", deployment.table_generation(table))));
    groups
}

async fn remove_groups(
    settings: &Settings,
    catalog: &Catalog,
    living: &DeployedVersions,
    progress: &Progress,
) -> Result<usize, RetireError> {
    let (groups, deadline) = (groups(catalog, living), Instant::now() + MEMBERS_WITHIN);
    for group in &groups {
        progress.say(format_args!("removing the group {group}"));
        while !is_left(remove_group(&settings.kafka, group).await?) {
            if Instant::now() >= deadline {
                let (group, version) = (group.clone(), catalog.deployment.version.clone());
                return Err(RetireError::HasMembers { group, version });
            }
            tokio::time::sleep(settings.versions.refresh.get()).await;
        }
    }
    Ok(groups.len())
}

/// K9: whether no process hosts a version any more, by what became of one of its groups. Only then its shards may go: whoever still counted would
/// open them again.
fn is_left(group: RemovedGroup) -> bool {
    match group {
        RemovedGroup::HasMembers => false,
        // The broker of this process ends with it, and its groups too.
        RemovedGroup::Gone | RemovedGroup::NotSupported => true,
    }
}

/// Removes shards, and rows of tables that no version that lives uses.
async fn remove_counts(
    settings: &Settings,
    catalog: &Catalog,
    living: &DeployedVersions,
    progress: &Progress,
    retired: &mut Retired,
) -> Result<(), RetireError> {
    let storage = Storage::new(&settings.store, &catalog.deployment)?;
    let topics = Topics::new(&settings.kafka)?;
    let mut redis = platform::redis::connect(&settings.redis).await?;
    for source in catalog.sources.values() {
        let ids = partitions(&storage, &topics, source).await?;
        progress.say(format_args!("removing what is counted of {}", source.name));
        let keys = ids.iter().map(|id| ShardKeys::new(&catalog.deployment, &source.name, id)).collect::<Vec<_>>();
        remove_shards(&mut redis, &catalog.deployment.version, &keys, retired).await?;
        let generation = catalog.deployment.table_generation(&source.name);
        let is_used = living.living().any(|(_, other)| {
            other.tables.contains_key(&source.name) && other.deployment.table_generation(&source.name) == generation
        });
        if catalog.tables.contains_key(&source.name) && !is_used {
            for id in &ids {
                let key = RowsKey::new(&catalog.deployment, &source.name, id);
                retired.keys += TableRowsClient::default().remove(&mut redis, &key).await?;
            }
        }
    }
    Ok(())
}

/// Removes shards until none is there: a process that was slow may have opened one again.
async fn remove_shards(
    redis: &mut Connection,
    version: &str,
    keys: &[ShardKeys],
    retired: &mut Retired,
) -> Result<(), RetireError> {
    let client = ShardClient::default();
    retired.shards += keys.len();
    for _ in 0..ROUNDS {
        let mut is_gone = true;
        for keys in keys {
            client.remove(redis, keys, |removed| retired.keys += removed).await?;
            is_gone &= client.is_gone(redis, keys).await?;
        }
        if is_gone {
            return Ok(());
        }
    }
    Err(RetireError::OpenedAgain(version.to_owned()))
}

/// Every partition of a source that there may be a shard of: those that are archived, and those that the topic has.
async fn partitions(storage: &Storage, topics: &Topics, source: &Source) -> Result<BTreeSet<PartitionId>, RetireError> {
    let archive = storage.archive(&source.name).await?;
    let archived =
        archive.iter().flat_map(|archive| archive.facts().partitions().map(|(id, _)| id).collect::<Vec<_>>());
    let mut ids: BTreeSet<PartitionId> = archived.collect();
    if let Some(topic) = topics.describe(&source.topic).await? {
        ids.extend((0..topic.partitions).map(|partition| PartitionId::new(topic.log.clone(), partition)));
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use shared_logic::catalog::Changed;

    use super::*;

    const CATALOG: &str = r#"
[pipeline]
name = "shop"
version = "v1"
[sources.s]
event_id = "id"
event_time = "at"
key = "id"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int"
[streams.few]
from = "s"
where = "n < 5"
[streams.many]
from = "s"
where = "n > 5"
"#;

    #[test]
    fn a_group_with_members_is_waited_for() {
        assert!(!is_left(RemovedGroup::HasMembers));
        assert!(is_left(RemovedGroup::Gone) && is_left(RemovedGroup::NotSupported));
    }

    #[test]
    fn groups_that_another_version_uses_stay() {
        let file = Catalog::parse(CATALOG).expect("a valid catalog");
        let changed = Changed { streams: [("many".to_owned(), "v2".to_owned())].into(), ..Changed::default() };
        let second = file.clone().as_version("v2", "v1", &changed);
        let names = groups(&second, &DeployedVersions::alone(file));
        let expected = ["few", "many", "s"].map(|source| format!("braid.shop.v2.{source}"));
        let changed = ["braid.shop.v2.s.streams", "braid.shop.archive.many.v2.records"].map(str::to_owned);
        let expected: BTreeSet<String> = expected.into_iter().chain(changed).collect();
        assert_eq!(names, expected, "the lanes of v1 go on, and so do the archives that are shared");
    }
}
