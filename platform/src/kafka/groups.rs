//! Removes consumer groups that nobody needs any more.

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;

use super::{KafkaError, client_config};
use crate::settings;

/// What became of a group that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovedGroup {
    /// It is gone, or there never was one.
    Gone,
    /// It has members, so some process still reads by it.
    HasMembers,
    /// The broker cannot remove groups. That of this process cannot.
    NotSupported,
}

/// What was tried.
const OPERATION: &str = "remove the consumer group of";

/// Removes a consumer group, unless it has members.
///
/// # Errors
///
/// A property of `[kafka.client]` that librdkafka refuses; else the broker's error, or a time-out.
pub async fn remove_group(settings: &settings::Kafka, group: &str) -> Result<RemovedGroup, KafkaError> {
    let config = |source| KafkaError::Config { operation: OPERATION, source };
    let client: AdminClient<DefaultClientContext> = client_config(settings).create().map_err(config)?;
    let within = settings.request_timeout.get();
    let options = AdminOptions::new().request_timeout(Some(within));
    let code = match client.delete_groups(&[group], &options).await {
        Ok(groups) => groups.into_iter().find_map(Result::err).map(|(_, code)| code),
        Err(ClientError::AdminOp(code)) => Some(code),
        Err(error) => return Err(config(error)),
    };
    match code {
        None | Some(RDKafkaErrorCode::GroupIdNotFound) => Ok(RemovedGroup::Gone),
        Some(RDKafkaErrorCode::NonEmptyGroup) => Ok(RemovedGroup::HasMembers),
        Some(RDKafkaErrorCode::UnsupportedFeature | RDKafkaErrorCode::UnsupportedVersion) => {
            Ok(RemovedGroup::NotSupported)
        }
        Some(code) => Err(KafkaError::of_topic(OPERATION, group, within, code, code.to_string())),
    }
}
