//! How many nodes a service needs, from constants that were measured (`docs/performance.md`).
//!
//! Pure arithmetic: what it leaves out stands in [`ASSUMPTIONS`], which every report prints.

mod report;

use serde::Serialize;

pub use report::text_table;

/// What was measured, per unit. Times are CPU time of one core of the machine that `docs/performance.md` names.
mod measured {
    // A new figure there is a new constant here.
    /// Resident bytes of a track beside its index: catalogue row, item columns, popularity, ids.
    pub(super) const TRACK_BYTES: f64 = 794.0;
    /// Resident bytes of a track in the index `lists`.
    pub(super) const INDEX_BYTES: f64 = 90.0;
    /// Bytes of the vector of a track, 64 components, mapped from the bundle's file.
    pub(super) const VECTOR_BYTES: f64 = 256.0;
    /// Bytes of a session of ten plays in memory.
    pub(super) const SESSION_BYTES: f64 = 1_135.0;
    /// Bytes of a profile of forty plays in memory.
    pub(super) const PROFILE_BYTES: f64 = 1_083.0;
    /// Bytes of a listener on disk: a profile of forty plays and four sessions.
    pub(super) const LISTENER_DISK_BYTES: f64 = 3_500.0;
    /// Search for a thousand tracks of a million with smooth vectors, recall .98, cells of 1,024 rows, ms.
    pub(super) const SEARCH_MS: f64 = 0.81;
    /// How the search's time grows with the number of tracks.
    pub(super) const SEARCH_EXPONENT: f64 = 0.59;
    /// The ranker for a thousand candidates, ms.
    pub(super) const RANKER_MS: f64 = 2.55;
    /// All the rest of a request with a thousand candidates, ms: features, other sources, filters, re-ranking.
    pub(super) const REST_MS: f64 = 1.6;
    /// HTTP and JSON of a request and of the batch of events that follows it, under load, ms.
    pub(super) const HTTP_MS: f64 = 0.7;
    /// The event log's part of that batch, under load, ms.
    pub(super) const EVENTS_MS: f64 = 0.2;
}

/// What a service looks like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Service {
    /// Tracks of the catalogue.
    pub tracks: f64,
    /// Listeners with a profile.
    pub users: f64,
    /// Share of the listeners that are in a session at the busiest moment, 0..1.
    pub active: f64,
    /// Recommendation requests a second at the busiest moment.
    pub qps: f64,
    /// Candidates that the ranker scores.
    pub candidates: f64,
}

/// What a node has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Node {
    /// Cores.
    pub cores: f64,
    /// Memory, bytes.
    pub memory: f64,
    /// Share of its CPU time that is planned to be used, 0..1: the rest is for bursts and for nodes that fail.
    pub busy: f64,
    /// Bundles in memory at once: 2 where one is loaded beside the other to be swapped in.
    pub bundles: f64,
}

/// CPU ms of one request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RequestCost {
    /// Index search.
    pub search: f64,
    /// The ranker's run.
    pub ranker: f64,
    /// Features, other sources, filters, re-ranking.
    pub rest: f64,
    /// HTTP and JSON, the events' too.
    pub http: f64,
    /// The event log.
    pub events: f64,
}

impl RequestCost {
    /// All of it, ms.
    pub fn total(&self) -> f64 {
        self.search + self.ranker + self.rest + self.http + self.events
    }
}

/// What it takes. Every node holds the whole catalogue and answers for a part of the listeners.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// A request's CPU time.
    pub request: RequestCost,
    /// Requests a second that a node answers as planned.
    pub node_qps: f64,
    /// Bytes in each node for the catalogue and its index, of all bundles that it holds.
    pub catalogue: f64,
    /// Bytes of vectors that each node maps and that the system may drop.
    pub mapped: f64,
    /// Bytes of live sessions and their listeners' profiles, in all nodes together.
    pub state: f64,
    /// Bytes of profiles and sessions on disk, in all nodes together.
    pub disk: f64,
    /// Nodes that CPU time asks for.
    pub nodes_for_cpu: f64,
    /// Nodes that the state's memory asks for; infinite where the catalogue alone fills a node.
    pub nodes_for_memory: f64,
}

impl Plan {
    /// Nodes, whole ones; infinite where no number of such nodes is enough.
    pub fn nodes(&self) -> f64 {
        self.nodes_for_cpu.max(self.nodes_for_memory).max(1.0).ceil()
    }
}

/// Share of a node's memory that is planned: the rest is the system's and its page cache.
const MEMORY_SHARE: f64 = 0.8;

/// What the figures take for granted.
pub const ASSUMPTIONS: &[&str] = &[
    "every node holds the whole catalogue and answers for its part of the listeners",
    "CPU times are of one core of a shared AMD EPYC (docs/performance.md); other cores scale them",
    "the search grows like tracks^0.59, as measured on smooth vectors from 20,000 to 5,000,000 (cells of 1,024 rows); beyond \
     that it is an extrapolation",
    "ranker, features, filters and re-ranking grow with the candidates and with nothing else",
    "each request comes with one batch of events, four plays at most",
    "sessions of ten plays and profiles of forty are in memory while their listener is in a session, on disk always",
    "four fifths of a node's memory are planned; mapped vectors live in what the system leaves for its page cache",
    "GPU nodes: not measured, so not planned",
];

/// Plans for a service on nodes of one kind.
pub fn plan(service: &Service, node: &Node) -> Plan {
    use measured as m;
    let thousands = service.candidates / 1_000.0;
    let request = RequestCost {
        search: m::SEARCH_MS * (service.tracks / 1e6).powf(m::SEARCH_EXPONENT),
        ranker: m::RANKER_MS * thousands,
        rest: m::REST_MS * thousands,
        http: m::HTTP_MS,
        events: m::EVENTS_MS,
    };
    let node_qps = node.cores * node.busy * 1_000.0 / request.total();
    let catalogue = node.bundles * service.tracks * (m::TRACK_BYTES + m::INDEX_BYTES);
    let state = service.users * service.active * (m::SESSION_BYTES + m::PROFILE_BYTES);
    let left = node.memory * MEMORY_SHARE - catalogue;
    Plan {
        request,
        node_qps,
        catalogue,
        mapped: node.bundles * service.tracks * m::VECTOR_BYTES,
        state,
        disk: service.users * m::LISTENER_DISK_BYTES,
        nodes_for_cpu: service.qps / node_qps,
        nodes_for_memory: if left > 0.0 { state / left } else { f64::INFINITY },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn services() -> impl Strategy<Value = (Service, Node)> {
        let service = (1e3..1e9, 1.0..1e9, 0.0..1.0, 1.0..1e6, 1.0..10_000.0);
        let node = (1.0..256.0, 1e9..1e12, 0.1..1.0, 1.0..3.0);
        (service, node).prop_map(|((tracks, users, active, qps, candidates), (cores, memory, busy, bundles))| {
            let service = Service { tracks, users, active, qps, candidates };
            (service, Node { cores, memory, busy, bundles })
        })
    }

    proptest! {
        /// The nodes that it asks for are enough, and one less is not.
        #[test]
        fn nodes_are_enough_and_none_is_too_many((service, node) in services()) {
            let plan = plan(&service, &node);
            let enough = |nodes: f64| {
                let busy = service.qps * plan.request.total() / 1_000.0 / (nodes * node.cores);
                let held = plan.catalogue + plan.state / nodes;
                busy <= node.busy * (1.0 + 1e-9) && held <= node.memory * MEMORY_SHARE * (1.0 + 1e-9)
            };
            match plan.nodes() {
                nodes if nodes.is_infinite() => prop_assert!(plan.catalogue >= node.memory * MEMORY_SHARE),
                nodes => {
                    prop_assert!(enough(nodes));
                    prop_assert!(nodes == 1.0 || !enough(nodes - 1.0));
                }
            }
        }
    }
}
