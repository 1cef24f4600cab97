//! A Fluvio cluster in this process, in the published crates of its protocol: the stock client cannot tell. One server
//! (SPU), topics in memory, no disk, no TLS. It cuts answers inside a batch as the real one does, and can be told to
//! refuse, to cut connections after storing, and to go away.

#![expect(clippy::wildcard_enum_match_arm, reason = "whatever else a client asks ends its connection")]

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use fluvio_controlplane_metadata::message::{Message, MsgType};
use fluvio_controlplane_metadata::spu::{IngressPort, SpuStatus, SpuStatusResolution};
use fluvio_controlplane_metadata::topic::{TopicResolution, TopicStatus};
use fluvio_future::net::{TcpListener, TcpStream};
use fluvio_protocol::api::{Request, RequestHeader, ResponseMessage};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::{ApiVersionKey, ApiVersionsResponse, PlatformVersion};
use fluvio_protocol::record::{Batch, RawRecords, RecordSet};
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_sc_schema::objects::{
    CommonCreateRequest, CreateRequest, ListRequest, ListResponse, Metadata, MetadataUpdate, ObjectApiListResponse,
    ObjectApiWatchRequest, ObjectApiWatchResponse, WatchRequest, WatchResponse,
};
use fluvio_sc_schema::partition::{PartitionResolution, PartitionSpec, PartitionStatus, ReplicaStatus};
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_sc_schema::{AdminPublicApiKey, AdminPublicDecodedRequest, AdminSpec, Status, TryEncodableFrom};
use fluvio_socket::{ExclusiveFlvSink, FluvioSocket};
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::produce::{
    DefaultProduceRequest, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartitionResponse, FetchOffsetTopicResponse, FetchOffsetsRequest, FetchOffsetsResponse,
};
use fluvio_spu_schema::server::stream_fetch::{DefaultStreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdateStatus, UpdateOffsetsRequest, UpdateOffsetsResponse};
use fluvio_spu_schema::server::{SpuServerApiKey, SpuServerRequest};
use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

const SPU_ID: i32 = 5001;

/// Encoded batches, cut at a limit of bytes as the real server cuts its file, also inside a batch.
#[derive(Debug, Default)]
struct CutRecords(Vec<u8>);

impl CutRecords {
    fn new(batches: &[Batch<RawRecords>], most: usize) -> Result<Self> {
        let mut out = Vec::new();
        for batch in batches {
            batch.encode(&mut out, 0)?;
            if out.len() >= most {
                out.truncate(most);
                break;
            }
        }
        Ok(Self(out))
    }
}

impl Encoder for CutRecords {
    fn write_size(&self, _: Version) -> usize {
        4 + self.0.len()
    }

    fn encode<T: fluvio_protocol::bytes::BufMut>(&self, to: &mut T, _: Version) -> std::io::Result<()> {
        to.put_i32(self.0.len() as i32);
        to.put_slice(&self.0);
        Ok(())
    }
}

impl Decoder for CutRecords {
    fn decode<T: fluvio_protocol::bytes::Buf>(&mut self, _: &mut T, _: Version) -> std::io::Result<()> {
        Ok(())
    }
}

/// One partition.
struct Part {
    batches: Mutex<Vec<Batch<RawRecords>>>,
    end: watch::Sender<i64>,
}

impl Part {
    fn append(&self, new: Vec<Batch<RawRecords>>) -> i64 {
        let mut batches = self.batches.lock().unwrap();
        let base = *self.end.borrow();
        let mut next = base;
        for mut batch in new {
            batch.base_offset = next;
            next += batch.records_len() as i64;
            batches.push(batch);
        }
        drop(batches);
        self.end.send_replace(next);
        base
    }

    fn read(&self, from: i64, most: usize) -> Vec<Batch<RawRecords>> {
        let batches = self.batches.lock().unwrap();
        let first = batches.partition_point(|batch| batch.computed_last_offset() <= from);
        let mut bytes = 0;
        let fits = |batch: &&Batch<RawRecords>| {
            let before = bytes;
            bytes += batch.records().0.len() + 61;
            before < most
        };
        batches[first..].iter().take_while(fits).cloned().collect()
    }
}

struct State {
    topics: Mutex<BTreeMap<String, TopicSpec>>,
    parts: Mutex<BTreeMap<(String, u32), Arc<Part>>>,
    readers: Mutex<HashMap<u32, Arc<watch::Sender<i64>>>>,
    next_reader: AtomicU32,
    changed: watch::Sender<u64>,
    spu_port: u16,
    up: AtomicBool,
    cut: Notify,
    refuse: AtomicU64,
    cut_after: AtomicU64,
}

/// The cluster; gone with this.
pub(crate) struct Broker {
    state: Arc<State>,
    port: u16,
    controller: JoinHandle<()>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Broker {
    pub(crate) async fn start() -> Result<Self> {
        let controller = TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = TcpListener::bind(("127.0.0.1", 0)).await?;
        let state = Arc::new(State {
            topics: Mutex::default(),
            parts: Mutex::default(),
            readers: Mutex::default(),
            next_reader: AtomicU32::new(1),
            changed: watch::channel(0).0,
            spu_port: server.local_addr()?.port(),
            up: AtomicBool::new(true),
            cut: Notify::new(),
            refuse: AtomicU64::new(0),
            cut_after: AtomicU64::new(0),
        });
        let port = controller.local_addr()?.port();
        let shared = Arc::clone(&state);
        let controller = tokio::spawn(async move {
            while let Ok((connection, _)) = controller.accept().await {
                tokio::spawn(Arc::clone(&shared).control(connection));
            }
        });
        let server = Mutex::new(Some(serve(Arc::clone(&state), server)));
        Ok(Self { state, port, controller, server })
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Closes the server's port and cuts its connections; what it stored stays.
    pub(crate) fn stop(&self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.abort();
        }
        self.state.up.store(false, SeqCst);
        self.state.readers.lock().unwrap().clear();
        self.state.cut.notify_waiters();
        self.state.bump();
    }

    /// Opens the port again.
    pub(crate) async fn resume(&self) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.state.spu_port)).await?;
        *self.server.lock().unwrap() = Some(serve(Arc::clone(&self.state), listener));
        self.state.up.store(true, SeqCst);
        self.state.bump();
        Ok(())
    }

    /// The next requests to store are refused.
    pub(crate) fn refuse(&self, requests: u64) {
        self.state.refuse.store(requests, SeqCst);
    }

    /// The next requests to store are done, and the connection is cut before the answer.
    pub(crate) fn cut_after(&self, requests: u64) {
        self.state.cut_after.store(requests, SeqCst);
    }

    /// Faults that were asked for and have not happened yet.
    pub(crate) fn faults_left(&self) -> u64 {
        self.state.refuse.load(SeqCst) + self.state.cut_after.load(SeqCst)
    }

    /// Records stored.
    pub(crate) fn stored(&self) -> i64 {
        self.state.parts.lock().unwrap().values().map(|part| *part.end.borrow()).sum()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.controller.abort();
        self.stop();
    }
}

fn serve(state: Arc<State>, listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                tokio::select! {
                    _ = Arc::clone(&state).store_and_fetch(connection) => {}
                    () = state.cut.notified() => {}
                }
            });
        }
    })
}

fn versions(keys: &[u16], most: i16) -> ApiVersionsResponse {
    let key = |key: &u16| ApiVersionKey { api_key: *key as i16, min_version: 0, max_version: most };
    ApiVersionsResponse {
        api_keys: keys.iter().map(key).collect(),
        platform_version: PlatformVersion::from(semver::Version::new(0, 18, 1)),
        ..Default::default()
    }
}

async fn reply<P: Encoder + Default + std::fmt::Debug>(
    to: &ExclusiveFlvSink,
    of: &RequestHeader,
    what: P,
) -> Result<()> {
    to.clone().lock().await.send_response(&ResponseMessage::from_header(of, what), of.api_version()).await?;
    Ok(())
}

/// What the controller tells.
impl State {
    fn bump(&self) {
        self.changed.send_modify(|epoch| *epoch += 1);
    }

    fn part(&self, topic: &str, partition: u32) -> Option<Arc<Part>> {
        self.parts.lock().unwrap().get(&(topic.to_owned(), partition)).cloned()
    }

    fn add_topic(&self, name: &str, spec: TopicSpec) -> bool {
        let partitions = spec.partitions();
        if self.topics.lock().unwrap().contains_key(name) {
            return false;
        }
        self.topics.lock().unwrap().insert(name.to_owned(), spec);
        for partition in 0..partitions {
            let part = Part { batches: Mutex::default(), end: watch::channel(0).0 };
            self.parts.lock().unwrap().insert((name.to_owned(), partition), Arc::new(part));
        }
        self.bump();
        true
    }

    fn all_topics(&self) -> Vec<Metadata<TopicSpec>> {
        let topics = self.topics.lock().unwrap();
        let one = |(name, spec): (&String, &TopicSpec)| Metadata {
            name: name.clone(),
            spec: spec.clone(),
            status: TopicStatus {
                resolution: TopicResolution::Provisioned,
                replica_map: (0..spec.partitions()).map(|partition| (partition, vec![SPU_ID])).collect(),
                ..Default::default()
            },
        };
        topics.iter().map(one).collect()
    }

    fn all_parts(&self) -> Vec<Metadata<PartitionSpec>> {
        let up = self.up.load(SeqCst);
        let one = |((topic, partition), part): (&(String, u32), &Arc<Part>)| {
            let end = *part.end.borrow();
            let mut status = PartitionStatus::leader(ReplicaStatus { spu: SPU_ID, hw: end, leo: end });
            status.resolution = if up { PartitionResolution::Online } else { PartitionResolution::LeaderOffline };
            Metadata { name: format!("{topic}-{partition}"), spec: PartitionSpec::new(SPU_ID, vec![SPU_ID]), status }
        };
        self.parts.lock().unwrap().iter().map(one).collect()
    }

    fn all_servers(&self) -> Vec<Metadata<SpuSpec>> {
        let mut spec = SpuSpec::new_private_addr(SPU_ID, 0, "127.0.0.1".into());
        spec.public_endpoint = IngressPort::from_port_host(self.spu_port, "127.0.0.1".into());
        let up = self.up.load(SeqCst);
        let resolution = if up { SpuStatusResolution::Online } else { SpuStatusResolution::Offline };
        vec![Metadata { name: format!("custom-spu-{SPU_ID}"), spec, status: SpuStatus { resolution } }]
    }

    async fn watch<S>(
        self: Arc<Self>,
        to: ExclusiveFlvSink,
        of: RequestHeader,
        all: impl Fn(&State) -> Vec<Metadata<S>>,
    ) -> Result<()>
    where
        S: AdminSpec + Clone,
        S::Status: Encoder + Decoder + std::fmt::Debug + Clone,
        ObjectApiWatchResponse: TryEncodableFrom<WatchResponse<S>>,
    {
        let mut changed = self.changed.subscribe();
        let mut known: BTreeMap<String, Metadata<S>> = BTreeMap::new();
        loop {
            let epoch = *changed.borrow_and_update() as i64;
            let now: BTreeMap<_, _> = all(&self).into_iter().map(|item| (item.name.clone(), item)).collect();
            let gone = known.iter().filter(|(name, _)| !now.contains_key(*name));
            let gone: Vec<_> =
                gone.map(|(_, item)| Message { header: MsgType::DELETE, content: item.clone() }).collect();
            let all = MetadataUpdate::with_all(epoch, now.values().cloned().collect());
            let updates =
                (!gone.is_empty()).then(|| MetadataUpdate::with_changes(epoch, gone)).into_iter().chain([all]);
            for update in updates {
                let told = ObjectApiWatchResponse::try_encode_from(WatchResponse::new(update), of.api_version())?;
                reply(&to, &of, told).await?;
            }
            known = now;
            changed.changed().await?;
        }
    }

    async fn control(self: Arc<Self>, connection: TcpStream) -> Result<()> {
        use AdminPublicApiKey as Key;
        let (to, mut from) = FluvioSocket::from(connection).split();
        let to = to.as_shared();
        let mut requests = from.api_stream::<AdminPublicDecodedRequest, AdminPublicApiKey>();
        let mut watches = JoinSet::new();
        while let Some(Ok(request)) = requests.next().await {
            match request {
                AdminPublicDecodedRequest::ApiVersionsRequest(message) => {
                    let keys = [Key::ApiVersion, Key::Create, Key::Delete, Key::List, Key::Watch, Key::Update];
                    let known = versions(&keys.map(|key| key as u16), ObjectApiWatchRequest::DEFAULT_API_VERSION);
                    reply(&to, &message.header, known).await?;
                }
                AdminPublicDecodedRequest::WatchRequest(message) => {
                    let (state, to, of) = (Arc::clone(&self), to.clone(), message.header.clone());
                    if TryEncodableFrom::<WatchRequest<TopicSpec>>::downcast(&message.request)?.is_some() {
                        watches.spawn(state.watch(to, of, State::all_topics));
                    } else if TryEncodableFrom::<WatchRequest<PartitionSpec>>::downcast(&message.request)?.is_some() {
                        watches.spawn(state.watch(to, of, State::all_parts));
                    } else if TryEncodableFrom::<WatchRequest<SpuSpec>>::downcast(&message.request)?.is_some() {
                        watches.spawn(state.watch(to, of, State::all_servers));
                    }
                }
                AdminPublicDecodedRequest::CreateRequest(message) => {
                    let topic = TryEncodableFrom::<CreateRequest<TopicSpec>>::downcast(&message.request)?;
                    let Some(topic) = topic else { break };
                    let (common, spec): (CommonCreateRequest, TopicSpec) = topic.parts();
                    let status = if self.add_topic(&common.name, spec) {
                        Status::new_ok(common.name)
                    } else {
                        Status::new(common.name, ErrorCode::TopicAlreadyExists, None)
                    };
                    reply(&to, &message.header, status).await?;
                }
                AdminPublicDecodedRequest::ListRequest(message) => {
                    let topics = TryEncodableFrom::<ListRequest<TopicSpec>>::downcast(&message.request)?;
                    let Some(_) = topics else { break };
                    let listed = ListResponse::new(self.all_topics());
                    let listed = ObjectApiListResponse::try_encode_from(listed, message.header.api_version())?;
                    reply(&to, &message.header, listed).await?;
                }
                _ => break,
            }
        }
        Ok(())
    }
}

/// What the server does.
impl State {
    async fn store_and_fetch(self: Arc<Self>, connection: TcpStream) -> Result<()> {
        use SpuServerApiKey as Key;
        let (to, mut from) = FluvioSocket::from(connection).split();
        let to = to.as_shared();
        let mut requests = from.api_stream::<SpuServerRequest, SpuServerApiKey>();
        let mut readers = JoinSet::new();
        while let Some(Ok(request)) = requests.next().await {
            match request {
                SpuServerRequest::ApiVersionsRequest(message) => {
                    let keys = [Key::ApiVersion, Key::Produce, Key::FetchOffsets, Key::StreamFetch, Key::UpdateOffsets];
                    let known = versions(&keys.map(|key| key as u16), fluvio_spu_schema::COMMON_VERSION);
                    reply(&to, &message.header, known).await?;
                }
                SpuServerRequest::ProduceRequest(message) => {
                    let cut = take_one(&self.cut_after);
                    let stored = self.store(message.request);
                    if cut {
                        break;
                    }
                    reply(&to, &message.header, stored).await?;
                }
                SpuServerRequest::FetchOffsetsRequest(message) => {
                    reply(&to, &message.header, self.offsets(&message.request)).await?;
                }
                SpuServerRequest::FileStreamFetchRequest(message) => {
                    let (topic, partition) = (message.request.topic.clone(), message.request.partition);
                    let wanted = DefaultStreamFetchRequest::builder()
                        .topic(topic)
                        .partition(partition)
                        .fetch_offset(message.request.fetch_offset)
                        .max_bytes(message.request.max_bytes)
                        .build()?;
                    readers.spawn(Arc::clone(&self).follow(to.clone(), message.header.clone(), wanted));
                }
                SpuServerRequest::UpdateOffsetsRequest(message) => {
                    reply(&to, &message.header, self.acknowledged(&message.request)).await?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn store(&self, request: DefaultProduceRequest) -> ProduceResponse {
        let refuse = take_one(&self.refuse);
        let mut response = ProduceResponse::default();
        for topic in request.topics {
            let mut told = TopicProduceResponse { name: topic.name.clone(), ..Default::default() };
            for partition in topic.partitions {
                let partition_index = partition.partition_index;
                let mut one = PartitionProduceResponse { partition_index, ..Default::default() };
                match self.part(&topic.name, partition_index) {
                    _ if refuse => one.error_code = ErrorCode::StorageError,
                    Some(part) => one.base_offset = part.append(partition.records.batches),
                    None => one.error_code = ErrorCode::NotLeaderForPartition,
                }
                told.partitions.push(one);
            }
            response.responses.push(told);
        }
        response
    }

    fn offsets(&self, request: &FetchOffsetsRequest) -> FetchOffsetsResponse {
        let topics = request.topics.iter().map(|topic| FetchOffsetTopicResponse {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|one| {
                    let partition_index = one.partition_index;
                    let empty = FetchOffsetPartitionResponse { partition_index, ..Default::default() };
                    match self.part(&topic.name, partition_index) {
                        Some(part) => FetchOffsetPartitionResponse { last_stable_offset: *part.end.borrow(), ..empty },
                        None => FetchOffsetPartitionResponse { error_code: ErrorCode::PartitionNotLeader, ..empty },
                    }
                })
                .collect(),
        });
        FetchOffsetsResponse { topics: topics.collect() }
    }

    fn acknowledged(&self, request: &UpdateOffsetsRequest) -> UpdateOffsetsResponse {
        let readers = self.readers.lock().unwrap();
        let status = request.offsets.iter().map(|update| {
            let error = readers.get(&update.session_id).map_or(ErrorCode::FetchSessionNotFoud, |reader| {
                reader.send_modify(|acked| *acked = (*acked).max(update.offset));
                ErrorCode::None
            });
            OffsetUpdateStatus { session_id: update.session_id, error }
        });
        UpdateOffsetsResponse { status: status.collect() }
    }

    /// Sends a partition from an offset on, an answer at a time, each once the one before it was acknowledged: by what the
    /// headers say, even where a batch was cut.
    async fn follow(
        self: Arc<Self>,
        to: ExclusiveFlvSink,
        of: RequestHeader,
        wanted: DefaultStreamFetchRequest,
    ) -> Result<()> {
        let (topic, most) = (wanted.topic.clone(), wanted.max_bytes.max(1) as usize);
        let Some(part) = self.part(&topic, wanted.partition) else {
            let mut none = StreamFetchResponse::<RecordSet<RawRecords>> { topic, ..Default::default() };
            none.partition.error_code = ErrorCode::NotLeaderForPartition;
            return reply(&to, &of, none).await;
        };
        let stream_id = self.next_reader.fetch_add(1, SeqCst);
        let acked = Arc::new(watch::channel(-1i64).0);
        self.readers.lock().unwrap().insert(stream_id, Arc::clone(&acked));
        let (mut end, mut acked) = (part.end.subscribe(), acked.subscribe());
        let (mut from, mut first) = (wanted.fetch_offset, true);
        loop {
            let high_watermark = *end.borrow_and_update();
            let batches = part.read(from, most);
            if batches.is_empty() && !first {
                let _ = tokio::time::timeout(Duration::from_secs(20), end.changed()).await;
                continue;
            }
            first = false;
            let last = batches.last().map(Batch::computed_last_offset);
            let partition = FetchablePartitionResponse {
                partition_index: wanted.partition,
                high_watermark,
                records: CutRecords::new(&batches, most)?,
                ..Default::default()
            };
            reply(&to, &of, StreamFetchResponse { topic: topic.clone(), stream_id, partition }).await?;
            if last.is_some() {
                from = *acked.wait_for(|acked| *acked > from).await?;
            }
        }
    }
}

/// Whether one of a number was left; takes it.
fn take_one(of: &AtomicU64) -> bool {
    of.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}
