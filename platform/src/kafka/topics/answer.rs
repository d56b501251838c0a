//! Reads the brokers' answers out of librdkafka's events.

use std::collections::BTreeMap;
use std::ptr;

use rdkafka::bindings as raw;
use rdkafka::types::RDKafkaRespErr;

use super::super::native::{NO_ERROR, description, slice_of, text_of};
use super::question::{Answer, Question};
use super::{KafkaError, Topic};

/// The id that a broker without topic ids returns.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// The topic's id and partitions; nothing if the broker does not know the topic.
pub(super) fn described(question: &Question, answer: &Answer) -> Result<Option<Topic>, KafkaError> {
    let mut count = 0;
    // SAFETY: the answer is live and of this kind, or the result is null; what is taken from it lives as long.
    let (code, log, partitions, replicas) = unsafe {
        let result = raw::rd_kafka_event_DescribeTopics_result(answer.ptr());
        let topics = slice_of(raw::rd_kafka_DescribeTopics_result_topics(result, &raw mut count), count);
        let Some(&topic) = topics.first() else { return Err(question.nothing()) };
        let error = raw::rd_kafka_TopicDescription_error(topic);
        let code = if error.is_null() { NO_ERROR } else { raw::rd_kafka_error_code(error) };
        let partitions = slice_of(raw::rd_kafka_TopicDescription_partitions(topic, &raw mut count), count);
        let mut replicas = 0;
        if let Some(&first) = partitions.first() {
            raw::rd_kafka_TopicPartitionInfo_replicas(first, &raw mut replicas);
        }
        let id = raw::rd_kafka_TopicDescription_topic_id(topic);
        (code, text_of(raw::rd_kafka_Uuid_base64str(id)), partitions.len(), replicas)
    };
    match code {
        NO_ERROR if log.is_empty() || log == NO_ID => Err(question.unsupported()),
        NO_ERROR => Ok(Some(Topic {
            // librdkafka uses the alphabet with `+` and `/`; Kafka's own tools print the one with `-` and `_`.
            log: log.replace('+', "-").replace('/', "_"),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            replicas: i32::try_from(replicas).unwrap_or(i32::MAX),
        })),
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => Ok(None),
        code => Err(question.refused(code, description(code))),
    }
}

/// The offset of every requested partition.
pub(super) fn listed(question: &Question, answer: &Answer) -> Result<BTreeMap<i32, i64>, KafkaError> {
    let mut count = 0;
    // SAFETY: the answer is live and of this kind; the infos and their partitions live as long.
    let partitions: Vec<&raw::rd_kafka_topic_partition_t> = unsafe {
        let result = raw::rd_kafka_event_ListOffsets_result(answer.ptr());
        let infos = slice_of(raw::rd_kafka_ListOffsets_result_infos(result, &raw mut count), count);
        infos.iter().map(|info| &*raw::rd_kafka_ListOffsetsResultInfo_topic_partition(*info)).collect()
    };
    let mut offsets = BTreeMap::new();
    for found in partitions {
        if found.err != NO_ERROR {
            return Err(question.refused_partition(found.partition, found.err));
        }
        offsets.insert(found.partition, found.offset);
    }
    Ok(offsets)
}

/// Succeeds if the topic exists now.
pub(super) fn created(question: &Question, answer: &Answer) -> Result<(), KafkaError> {
    let mut count = 0;
    // SAFETY: the answer is live and of this kind; the results live as long.
    let (code, reason) = unsafe {
        let result = raw::rd_kafka_event_CreateTopics_result(answer.ptr());
        let topics = slice_of(raw::rd_kafka_CreateTopics_result_topics(result, &raw mut count), count);
        let Some(&topic) = topics.first() else { return Err(question.nothing()) };
        (raw::rd_kafka_topic_result_error(topic), text_of(raw::rd_kafka_topic_result_error_string(topic)))
    };
    match code {
        NO_ERROR | RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS => Ok(()),
        code => Err(question.refused(code, reason)),
    }
}

/// Succeeds if the topic has as many partitions as it was to have, or more.
pub(super) fn grown(question: &Question, answer: &Answer) -> Result<(), KafkaError> {
    let mut count = 0;
    // SAFETY: the answer is live and of this kind; the results live as long.
    let (code, reason) = unsafe {
        let result = raw::rd_kafka_event_CreatePartitions_result(answer.ptr());
        let topics = slice_of(raw::rd_kafka_CreatePartitions_result_topics(result, &raw mut count), count);
        let Some(&topic) = topics.first() else { return Err(question.nothing()) };
        (raw::rd_kafka_topic_result_error(topic), text_of(raw::rd_kafka_topic_result_error_string(topic)))
    };
    match code {
        // It has that many, or more.
        NO_ERROR | RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PARTITIONS => Ok(()),
        code => Err(question.refused(code, reason)),
    }
}

/// Names and values, without values that the broker keeps secret.
pub(super) fn configured(question: &Question, answer: &Answer) -> Result<BTreeMap<String, String>, KafkaError> {
    let mut count = 0;
    // SAFETY: the answer is live and of this kind; resources, entries and their texts live as long, and are copied.
    unsafe {
        let result = raw::rd_kafka_event_DescribeConfigs_result(answer.ptr());
        let resources = slice_of(raw::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count), count);
        let Some(&resource) = resources.first() else { return Err(question.nothing()) };
        let code = raw::rd_kafka_ConfigResource_error(resource);
        if code != NO_ERROR {
            return Err(question.refused(code, text_of(raw::rd_kafka_ConfigResource_error_string(resource))));
        }
        let entries = slice_of(raw::rd_kafka_ConfigResource_configs(resource, &raw mut count), count);
        let values = entries.iter().filter_map(|entry| {
            let value = raw::rd_kafka_ConfigEntry_value(*entry);
            (!ptr::eq(value, ptr::null())).then(|| (text_of(raw::rd_kafka_ConfigEntry_name(*entry)), text_of(value)))
        });
        Ok(values.collect())
    }
}
