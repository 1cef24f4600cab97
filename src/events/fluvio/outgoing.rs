//! From the outbox to the topic, in the order of the log.

use std::time::Duration;

use ::fluvio::{Fluvio, RecordKey, TopicProducerConfigBuilder, TopicProducerPool};

use super::record::encode;
use super::{Fault, Shared, patiently, waiting};
use crate::events::{Outbox, Unsent};

/// Entries that are on their way at once. The client spins once its own queue is full, so that one is longer.
const WINDOW: usize = 10_000;
const QUEUE: usize = 100_000;
/// How often an outbox that was empty is looked into.
const POLL: Duration = Duration::from_millis(10);

/// Publishes until it is dropped.
pub(super) async fn run(shared: &Shared, mut outbox: Outbox) {
    let publish = async |progress: &mut bool| {
        let fluvio = shared.connect().await?;
        shared.partitions(&fluvio).await?;
        let producer = producer(shared, &fluvio).await?;
        loop {
            outbox = drain(shared, outbox.clone(), &producer).await?;
            *progress = true;
            tokio::time::sleep(POLL).await;
        }
    };
    shared.persistently("publishing", publish).await;
}

async fn producer(shared: &Shared, fluvio: &Fluvio) -> Result<TopicProducerPool, Fault> {
    let config = TopicProducerConfigBuilder::default()
        .linger(Duration::from_millis(shared.config.linger_ms))
        .batch_size(shared.config.batch_kib << 10)
        .max_request_size((2 * shared.config.batch_kib) << 10)
        .batch_queue_size(QUEUE)
        .build()?;
    patiently(fluvio.topic_producer_with_config(shared.config.topic.clone(), config)).await
}

/// Publishes what is in the outbox. A window is done when every record of it is acknowledged; after a failure all of it is
/// sent again, and the others drop what they have.
async fn drain(shared: &Shared, mut outbox: Outbox, producer: &TopicProducerPool) -> Result<Outbox, Fault> {
    loop {
        let (log, from) = (shared.log.clone(), outbox.sent());
        shared.metrics.unsent.set(i64::try_from(log.end().saturating_sub(from)).unwrap_or(i64::MAX));
        if log.end() <= from {
            return Ok(outbox);
        }
        let Unsent { entries, next } = waiting(move || log.unsent(from, WINDOW)).await?;
        if next == from {
            return Err("the log's newest entries cannot be read; a restart repairs them".into());
        }
        let mut waits = Vec::with_capacity(entries.len());
        for (key, record) in entries.iter().filter_map(|(_, entry)| encode(&shared.node, entry)) {
            waits.push(patiently(producer.send(RecordKey::from(key), record)).await?);
        }
        let count = waits.len() as u64;
        for wait in waits {
            patiently(wait.wait()).await?;
        }
        let log = shared.log.clone();
        outbox = waiting(move || outbox.reached(&log, next)).await?;
        shared.metrics.sent.inc_by(count);
    }
}
