//! From the topic to the log and the live state: one reader a partition.

use std::time::Duration;

use ::fluvio::consumer::ConsumerConfig;
use ::fluvio::dataplane::link::ErrorCode;
use ::fluvio::{Fluvio, Offset};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::record::{Sent, decode};
use super::{Fault, Shared, patiently, waiting};
use crate::events::{Foreign, Position};

/// Largest answer that is asked for, bytes.
const MOST_BYTES: i32 = 512 << 20;

/// Longest silence of a partition before it is opened again.
const IDLE: Duration = Duration::from_secs(30);

/// Reads until it is dropped.
pub(super) async fn run(shared: &Shared) {
    let mut positions = Vec::new();
    let begin = async |_: &mut bool| {
        let partitions = shared.partitions(&shared.connect().await?).await?;
        let log = shared.log.clone();
        let known = waiting(move || log.positions()).await?;
        let stream = &shared.config.topic;
        positions.extend((0..partitions).map(|partition| {
            let held = known.iter().find(|held| held.stream == *stream && held.partition == partition);
            Position { stream: stream.clone(), partition, next: held.map_or(0, |held| held.next) }
        }));
        Ok(())
    };
    shared.persistently("looking at the topic", begin).await;
    join_all(positions.into_iter().map(|position| read(shared, position))).await;
}

/// Reads one partition.
async fn read(shared: &Shared, position: Position) {
    let mut reader = Reader { at: position, max_bytes: (shared.config.fetch_kib << 10) as i32 };
    let once = async |progress: &mut bool| {
        let fluvio = shared.connect().await?;
        loop {
            reader.follow(shared, &fluvio, progress).await?;
        }
    };
    shared.persistently("reading", once).await;
}

struct Reader {
    at: Position,
    max_bytes: i32,
}

impl Reader {
    /// Follows the partition until an answer is cut inside a batch, from where it has to be asked for again: the client
    /// would go on behind that batch and lose the rest of it.
    #[expect(deprecated, reason = "what replaces it loses records, see docs/fluvio.md")]
    async fn follow(&mut self, shared: &Shared, fluvio: &Fluvio, progress: &mut bool) -> Result<(), Fault> {
        let partition = self.at.partition;
        let consumer = patiently(fluvio.partition_consumer(self.at.stream.clone(), partition)).await?;
        let config = ConsumerConfig::builder().max_bytes(self.max_bytes).build()?;
        let from = Offset::absolute(i64::try_from(self.at.next)?)?;
        let mut batches = Box::pin(patiently(consumer.stream_batches_with_config(from, config)).await?);
        let began = self.at.next;
        loop {
            // A server that vanished says nothing either: where nothing comes for long, it is asked again.
            let Ok(answer) = timeout(IDLE, batches.next()).await else { return Ok(()) };
            let batch = match answer {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return self.settle(shared, error, began),
                None => return Err("the connection ended".into()),
            };
            let is_cut = batch.records().len() < batch.records_len();
            let next = self.at.next;
            let records = batch.into_consumer_records_iter(partition).filter_map(|record| {
                let at = u64::try_from(record.offset()).ok().filter(|at| *at >= next)?;
                Some((at, read_one(shared, record.value())))
            });
            let records: Vec<_> = records.collect();
            self.take(shared, records, progress).await?;
            if is_cut {
                return if self.widen(began) { Ok(()) } else { Err(self.too_large()) };
            }
        }
    }

    async fn take(&mut self, shared: &Shared, records: Vec<(u64, Foreign)>, progress: &mut bool) -> Result<(), Fault> {
        let Some((last, _)) = records.last() else { return Ok(()) };
        let (next, ingest, mut at) = (last + 1, shared.ingest.clone(), self.at.clone());
        let taken = waiting(move || {
            at.next = next;
            ingest.absorb(&at, records, jiff::Timestamp::now().as_millisecond())
        });
        let taken = taken.await?;
        self.at.next = next;
        *progress = true;
        shared.metrics.taken.inc_by(taken.events);
        shared.metrics.repeated.inc_by(taken.repeated);
        Ok(())
    }

    /// What an error of the partition means: some are answered by reading on elsewhere.
    fn settle(&mut self, shared: &Shared, error: ErrorCode, began: u64) -> Result<(), Fault> {
        let (topic, partition, next) = (&self.at.stream, self.at.partition, self.at.next);
        if let ErrorCode::OffsetEvicted { next_available, .. } = error {
            let on = u64::try_from(next_available)?.max(next);
            shared.metrics.evicted.inc_by(on - next);
            tracing::error!(topic, partition, lost = on - next, "the topic's retention was faster than this node");
            self.at.next = on;
            return Ok(());
        }
        if next > 0 && is_beyond(&error) {
            tracing::error!(topic, partition, next, "the topic is shorter than what was read of it: reading it anew");
            self.at.next = 0;
            return Ok(());
        }
        let fault = format!("partition {partition} at {next}: {error:?}");
        // A compressed batch that was cut cannot be decoded at all.
        self.widen(began);
        Err(fault.into())
    }

    /// Asks for more at once where an answer brought nothing; `false` where it asks for the most already.
    fn widen(&mut self, began: u64) -> bool {
        let stuck = self.at.next == began;
        let most = stuck && self.max_bytes >= MOST_BYTES;
        if stuck {
            self.max_bytes = self.max_bytes.saturating_mul(2).min(MOST_BYTES);
        }
        !most
    }

    fn too_large(&self) -> Fault {
        format!("partition {}: the batch at {} is larger than {MOST_BYTES} bytes", self.at.partition, self.at.next)
            .into()
    }
}

fn is_beyond(error: &ErrorCode) -> bool {
    matches!(error, ErrorCode::OffsetOutOfRange) || format!("{error:?}").contains("greater than leo")
}

fn read_one(shared: &Shared, bytes: &[u8]) -> Foreign {
    match decode(&shared.node, bytes) {
        Ok(Sent::Event(event)) => Foreign::Event(event),
        Ok(Sent::Erase(user)) => Foreign::Erase(user),
        Ok(Sent::Own) => Foreign::Own,
        Err(reason) => Foreign::Poison { body: String::from_utf8_lossy(bytes).into_owned(), reason },
    }
}
