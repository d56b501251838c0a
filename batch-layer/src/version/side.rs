//! Which offsets a version has counted, and how: up to a view's cut as the batch layer does, and from there on in slices.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::redis::Connection;
use platform::registry::Registry;
use platform::settings::Settings;
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, DefinitionHash, Metric, Source};
use shared_logic::complete;
use shared_logic::contracts::archive::Facts;
use shared_logic::contracts::batch_view::Note;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Instance, Shard, ShardKeys};
use shared_logic::drift;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use storage::{Archive, BatchView, Schemas, ShardClient, ShardError, Storage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::VerifyError;

/// One source as a version counts it.
pub(super) struct Side {
    pub(super) catalog: Arc<Catalog>,
    pub(super) source: Source,
    pub(super) storage: Storage,
    pub(super) archive: Archive,
    pub(super) schemas: Schemas,
    pub(super) shards: BTreeMap<PartitionId, Shard>,
    pub(super) client: ShardClient,
    pub(super) redis: Connection,
}

/// The offsets of a partition that are compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    pub(super) id: PartitionId,
    /// The view holds what lies below; copies are judged there as the batch layer does.
    pub(super) base: i64,
    /// The slices hold what lies between, judged by the speed layer's window.
    pub(super) to: i64,
    /// The slices.
    pub(super) slices: Vec<i64>,
    /// The instance that they belong to; `None` if there are none.
    pub(super) instance: Option<Instance>,
}

/// What of a metric is compared.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) definition: DefinitionHash,
    /// The view, if there is one of this definition.
    pub(super) view: Option<BatchView>,
    pub(super) stretches: Vec<Stretch>,
    /// The first day that is compared, in days since 1970: rows of earlier ones are retired.
    pub(super) from_day: i64,
}

impl Side {
    /// Rotates the shards of a source, so that slices end where everything is compared. Returns `None` if nothing is archived.
    pub(super) async fn open(
        settings: &Settings,
        catalog: &Arc<Catalog>,
        source: &str,
    ) -> Result<Option<Side>, VerifyError> {
        let storage = Storage::new(&settings.store, &catalog.deployment)?;
        let Some(archive) = storage.archive(source).await? else { return Ok(None) };
        let schemas = Schemas::new(&storage, source, &Registry::new(&settings.registry));
        let mut side = Side {
            catalog: Arc::clone(catalog),
            source: catalog.sources[source].clone(),
            storage,
            archive,
            schemas,
            shards: BTreeMap::new(),
            client: ShardClient::default(),
            redis: platform::redis::connect(&settings.redis).await?,
        };
        side.rotate(settings.speed.max_slices).await?;
        Ok(Some(side))
    }

    pub(super) fn keys(&self, id: &PartitionId) -> ShardKeys {
        ShardKeys::new(&self.catalog.deployment, &self.source.name, id)
    }

    /// R3: of a shard with too many slices, the last one begins earlier, and less is compared.
    pub(super) async fn rotate(&mut self, max_slices: usize) -> Result<(), ShardError> {
        let (facts, version) = (self.archive.facts(), self.catalog.deployment.version.clone());
        for (id, _) in facts.partitions() {
            if facts.log(&id.log).is_some_and(|log| log.is_over(&version)) {
                continue;
            }
            let keys = self.keys(&id);
            let shard = if facts.is_ended(&id) {
                self.client.positions(&mut self.redis, &keys).await?
            } else {
                match self.client.rotate(&mut self.redis, &keys, max_slices).await? {
                    Reply::Done(shard) => Some(shard),
                    Reply::Refused(_) => None,
                }
            };
            if let Some(shard) = shard {
                self.shards.insert(id, shard);
            }
        }
        Ok(())
    }

    /// Waits until the archive holds everything below the last slices. Returns the partitions that it does not reach by the deadline.
    pub(super) async fn wait_for_archive(
        &mut self,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Result<Vec<String>, StoreError> {
        let deadline = Instant::now() + settings.reconcile.wait.get();
        loop {
            self.archive.refresh().await?;
            let facts = self.archive.facts();
            let open = self.shards.iter().filter(|(id, _)| !facts.is_ended(id));
            let behind = open.filter_map(|(id, shard)| {
                let archived = facts.partition(id).map_or(0, |known| known.next);
                let wanted = shard.last_slice();
                (archived < wanted).then(|| format!("{id} is archived up to {archived}, and counted up to {wanted}"))
            });
            let behind: Vec<String> = behind.collect();
            if behind.is_empty() || Instant::now() >= deadline || stop.is_cancelled() {
                return Ok(behind);
            }
            tokio::select! {
                () = tokio::time::sleep(settings.reconcile.poll.get()) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// What of a metric can be compared, or why not all of it can.
    pub(super) async fn counted(&self, metric: &Metric) -> Result<Result<Counted, Vec<String>>, StoreError> {
        let (definition, rules) = (self.catalog.definition(metric), self.source.rules());
        let facts = self.archive.facts();
        let view = self.storage.batch_view(&metric.name).await?;
        let note = view.as_ref().and_then(BatchView::note).map(AsRef::as_ref);
        let own = complete::own_view(note, &definition, &rules, Some(&facts)).cloned();
        if note.is_some() && own.is_none() {
            return Ok(Err(vec![
                "its view counts another definition, or an older archive; reconcile first".to_owned(),
            ]));
        }
        if own.as_ref().is_some_and(|own| facts.erased_since(own.archive_version).next().is_some()) {
            return Ok(Err(vec!["events were erased since its view was counted; reconcile first".to_owned()]));
        }
        let retired = facts.retired_before.max(own.as_ref().and_then(|own| own.retired_before));
        let stretches = stretches(&self.source, &definition, own.as_ref(), &facts, &self.shards);
        let counted = |stretches| Counted {
            definition,
            view: view.filter(|_| own.is_some()),
            stretches,
            from_day: retired.unwrap_or(i64::MIN),
        };
        Ok(stretches.map(counted))
    }
}

/// What is compared of each partition.
///
/// # Errors
/// What cannot be compared, and why.
fn stretches(
    source: &Source,
    definition: &DefinitionHash,
    view: Option<&Note>,
    facts: &Facts,
    shards: &BTreeMap<PartitionId, Shard>,
) -> Result<Vec<Stretch>, Vec<String>> {
    let (mut stretches, mut why) = (Vec::new(), Vec::new());
    for (id, known) in facts.partitions() {
        let base = view.and_then(|view| view.cut.get(&id)).unwrap_or(known.begin);
        let (is_ended, shard) = (facts.is_ended(&id), shards.get(&id));
        if is_ended && base >= known.next {
            stretches.push(Stretch { id, base, to: base, slices: Vec::new(), instance: None });
            continue;
        }
        if is_ended && shard.is_none() {
            why.push(format!("{id} has ended and is not counted; `braid version replay` counts it"));
            continue;
        }
        let to = if is_ended { known.next } else { shard.map_or(base, Shard::last_slice) };
        let range = OffsetRange { id: id.clone(), from: base, to };
        let window = if source.event_id.is_empty() { 0 } else { source.dedup_window };
        let slices = drift::slices(shard, definition, &range).and_then(|slices| {
            if base < to {
                drift::whole(&range, window, &source.decoding_rules(), facts)?;
            }
            Ok(slices)
        });
        match slices {
            Ok(slices) => {
                let instance = shard.map(|shard| shard.instance);
                stretches.push(Stretch { id, base, to, slices, instance });
            }
            Err(error) => why.push(format!("offsets {base} to {to} of {id}: {error}")),
        }
    }
    if why.is_empty() { Ok(stretches) } else { Err(why) }
}

/// Up to which offsets these reach.
pub(super) fn upto(stretches: &[Stretch]) -> Offsets {
    stretches.iter().map(|stretch| (stretch.id.clone(), stretch.to)).collect()
}
