"""Recall and time of nearest-neighbour libraries from PyPI, beside our own index.

Every engine is searched by one thread on one pinned core, one query at a time. Its knob is tuned to the fastest setting
that finds 97 % of the exact hits; the chosen settings are then timed in interleaved rounds. The times of the peers
include the call from Python, which is measured and printed."""

import argparse
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import faiss
import hnswlib
import numpy as np
from usearch.index import Index as UsearchIndex

EXAMPLES = """examples:
  scripts/bench/ann_peers --rows 200000 --out out/peers --json out/peers.json
  scripts/bench/ann_peers --rows 1000000 --sets smooth --peers ivf_pq,ivf_sq8,hnswlib --build-threads 2
  scripts/bench/ann_peers --vectors towers.npy --queries users.npy --name towers
"""
WANTED = 0.97
DEPTHS = (100, 1000)
TUNING_QUERIES = 100
WARM_UP = 20
# A knob is tuned until two neighbouring values differ by this factor at most.
STEP = 1.05
# How many times k the short codes hand over to be scored again.
REFINE = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32)
MISSES = "0.5,0.4,0.3,0.25,0.2,0.15,0.1,0.07,0.05,0.03,0.02,0.01,0.005,0.003,0.001"


def say(text):
    print(f"ann_peers: {text}", file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"ann_peers: {text}")


class Hnswlib:
    name, factors = "M=16 efC=200", (None,)

    def __init__(self, vectors, threads):
        self.index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self.index.init_index(len(vectors), M=16, ef_construction=200, random_seed=1)
        self.index.add_items(vectors, num_threads=threads)
        self.index.set_num_threads(1)

    def range(self, rows, k):
        """Least and greatest value of the knob."""
        return k, min(rows, 32 * k)

    def set(self, ef, _):
        self.index.set_ef(ef)
        return f"{self.name} ef={ef}"

    def search(self, query, k):
        return self.index.knn_query(query, k)[0][0]

    def save(self, path):
        self.index.save_index(path)


class Usearch(Hnswlib):
    def __init__(self, vectors, threads, dtype):
        self.name = f"{dtype} M=16 efC=128"
        self.index = UsearchIndex(ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=16, expansion_add=128)
        self.index.add(np.arange(len(vectors)), vectors, threads=threads)

    def set(self, ef, _):
        self.index.expansion_search = ef
        return f"{self.name} ef={ef}"

    def search(self, query, k):
        return self.index.search(query, k, threads=1).keys

    def save(self, path):
        self.index.save(path)


class FaissHnsw(Hnswlib):
    def __init__(self, vectors, threads, name):
        faiss.omp_set_num_threads(threads)
        self.name, self.index = name, faiss.index_factory(vectors.shape[1], name, faiss.METRIC_INNER_PRODUCT)
        self.prepare(vectors.shape[1])
        self.index.train(vectors)
        self.index.add(vectors)
        faiss.omp_set_num_threads(1)

    def prepare(self, _):
        self.index.hnsw.efConstruction = 200
        self.name += " efC=200"

    def set(self, ef, _):
        self.index.hnsw.efSearch = ef
        return f"{self.name} ef={ef}"

    def search(self, query, k):
        return self.index.search(query[None], k)[1][0]

    def save(self, path):
        faiss.write_index(self.index, path)


class FaissIvf(FaissHnsw):
    def prepare(self, dim):
        refined = hasattr(self.index, "k_factor")
        base = faiss.downcast_index(self.index.base_index) if refined else self.index
        self.lists, self.factors = faiss.downcast_index(faiss.extract_index_ivf(base)), REFINE if refined else (None,)
        if self.name.startswith("OPQ"):
            # Rotate for the 4 bits that are used; the default, 8, also trains for minutes.
            self.quantizer = faiss.ProductQuantizer(dim, dim // 2, 4)
            faiss.downcast_VectorTransform(base.chain.at(0)).pq = self.quantizer

    def range(self, rows, k):
        return 1, self.lists.nlist

    def set(self, nprobe, factor):
        self.lists.nprobe = nprobe
        if factor is None:
            return f"{self.name} nprobe={nprobe}"
        self.index.k_factor = factor
        return f"{self.name} nprobe={nprobe} k_factor={factor}"


def peers(rows, dim):
    """By name, what makes a peer: its class and the rest of its arguments."""
    lists = f"IVF{2 ** round(math.log2(4 * math.sqrt(rows)))}"
    # 4 bits for two components, of what is left after the centre.
    codes = f"PQ{dim // 2}x4fsr"
    return {
        "ivf_pq": (FaissIvf, f"{lists},{codes},Refine(SQ8)"),
        "ivf_pq_flat": (FaissIvf, f"{lists},{codes},RFlat"),
        "ivf_opq": (FaissIvf, f"OPQ{dim // 2},{lists},{codes},Refine(SQ8)"),
        "ivf_rabitq": (FaissIvf, f"{lists},RaBitQfs,Refine(SQ8)"),
        "ivf_sq8": (FaissIvf, f"{lists},SQ8"),
        "ivf_flat": (FaissIvf, f"{lists},Flat"),
        "hnswlib": (Hnswlib,),
        "faiss_hnsw": (FaissHnsw, "HNSW16,Flat"),
        "faiss_hnsw_sq8": (FaissHnsw, "HNSW16,SQ8"),
    } | {f"usearch_{dtype}": (Usearch, dtype) for dtype in ("f32", "f16", "i8")}


def measure(index, queries, truth, k):
    """Recall at k, milliseconds of each query, CPU milliseconds a query."""
    for query in queries[:WARM_UP]:
        index.search(query, k)
    found, ends = [], []
    gc.disable()
    cpu, start = time.thread_time(), time.perf_counter()
    for query in queries:
        found.append(index.search(query, k))
        ends.append(time.perf_counter())
    cpu = time.thread_time() - cpu
    gc.enable()
    hits = sum(np.isin(wanted[:k], ids.astype(np.int64)).sum() for ids, wanted in zip(found, truth))
    return hits / (k * len(queries)), np.diff([start, *ends]) * 1e3, cpu * 1e3 / len(queries)


def tune(index, queries, truth, k, rows):
    """The fastest setting that finds enough, else the one that finds most; and all that were tried."""
    tried, best, fullest, slower = [], None, (0, None), 0
    low, most = index.range(rows, k)

    def attempt(knob, factor, count=TUNING_QUERIES):
        nonlocal fullest
        params = index.set(knob, factor)
        recall, _, cpu = measure(index, queries[:count], truth, k)
        tried.append({"params": params, "queries": len(queries[:count]), "recall": recall, "cpu_ms": cpu})
        fullest = max(fullest, (recall, (knob, factor)), key=lambda one: one[0])
        return recall, cpu

    for factor in index.factors:
        short, knob, last = low - 1, low, -1.0
        while True:
            recall, cpu = attempt(knob, factor)
            flat = recall > 0.5 and abs(recall - last) < 0.0005
            if recall >= WANTED or knob == most or flat or best and cpu > 1.5 * best[0]:
                break
            short, last, knob = knob, recall, min(most, 2 * knob)
        while recall >= WANTED and knob - short > 1 and knob > short * STEP:
            middle = (short + knob) // 2
            middle_recall, middle_cpu = attempt(middle, factor)
            if middle_recall >= WANTED:
                knob, cpu = middle, middle_cpu
            else:
                short = middle
        if recall >= WANTED and (best is None or cpu < best[0]):
            best, slower = (cpu, (knob, factor)), 0
        elif best:
            slower += 1
        if slower == 2:
            break
    knob, factor = best[1] if best else fullest[1]
    # What is enough for some queries must be enough for all.
    while attempt(knob, factor, len(queries))[0] < WANTED and best and knob < most:
        knob = min(most, math.ceil(knob * STEP))
    return (knob, factor), tried


class Peer:
    """A built peer with a setting for each k."""

    def __init__(self, args, kind, name, folder, vectors, queries, truth):
        self.queries, self.truth, self.chosen = queries, truth, {}
        make, *rest = peers(*vectors.shape)[kind]
        os.sched_setaffinity(0, args.cores if args.build_threads > 1 else {args.core})
        cpu, wall = time.process_time(), time.perf_counter()
        self.index = make(vectors, args.build_threads, *rest)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        os.sched_setaffinity(0, {args.core})
        say(f"{name}: {kind} built in {cpu:.1f} CPU s, {wall:.1f} s")
        self.index.save(str(folder / "peer"))
        size = (folder / "peer").stat().st_size / len(vectors)
        (folder / "peer").unlink()
        self.facts = {"set": name, "rows": len(vectors), "dim": vectors.shape[1], "kind": kind}
        self.costs = {"build_cpu_s": cpu, "build_wall_s": wall, "bytes_per_track": size}
        for k in DEPTHS:
            self.chosen[k] = tune(self.index, queries, truth, k, len(vectors))
            last = self.chosen[k][1][-1]
            say(f"{name}: {last['params']}: recall@{k} {last['recall']:.4f}, {last['cpu_ms']:.3f} ms")

    def round(self, k):
        setting, sweep = self.chosen[k]
        params = self.index.set(*setting)
        recall, times, cpu = measure(self.index, self.queries, self.truth, k)
        recalls = {f"recall_at_{depth}": recall if depth == k else None for depth in DEPTHS}
        times = {"ms_p50": np.median(times), "ms_p99": np.quantile(times, 0.99), "cpu_ms": cpu}
        return self.facts | {"params": params, "k": k} | recalls | times | self.costs | {"sweep": sweep}


class Ours:
    """Our index: built once, searched by the binary's own bench with what is chosen from `misses`."""

    def __init__(self, args, name, folder, vectors_file, queries_file):
        self.args, self.json, index = args, folder / "segue.json", folder / "segue.flat"
        self.files = ["--vectors", vectors_file, "--queries", queries_file, "--index", index]
        self.files += ["--name", name, "--max-queries", args.max_queries, "--json", self.json]
        before = os.times()
        self.call("build", "--vectors", vectors_file, "--out", index)
        after = os.times()
        self.build = after.children_user + after.children_system - before.children_user - before.children_system
        self.bytes = index.stat().st_size
        self.sweep = self.bench(",".join(map(str, DEPTHS)), args.miss)
        self.chosen = {}
        for k in DEPTHS:
            recall, runs = f"recall_at_{k}", [run for run in self.sweep if run["k"] == k]
            enough = [run for run in runs if run[recall] >= WANTED]
            best = min(enough, key=lambda run: run["cpu_ms"]) if enough else max(runs, key=lambda run: run[recall])
            self.chosen[k] = best["params"].removeprefix("miss=")
        say(f"{name}: ours built in {self.build:.1f} CPU s; miss by k: {self.chosen}")

    def call(self, *command):
        command = ["taskset", "-c", self.args.core, self.args.binary, "index", *command]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            fail(f"`{' '.join(map(str, command))}` failed: {done.stderr.strip()}")

    def bench(self, depths, misses):
        self.call("bench", "--engines", "lists", "--k", depths, "--miss", misses, *self.files)
        return json.loads(self.json.read_text())

    def round(self, k):
        (run,) = self.bench(k, self.chosen[k])
        sweep = [{"recall": one[f"recall_at_{k}"], "cpu_ms": one["cpu_ms"]} for one in self.sweep if one["k"] == k]
        size = self.bytes / run["rows"]
        return run | {"kind": "segue", "build_cpu_s": self.build, "bytes_per_track": size, "sweep": sweep}


def middle(rounds):
    """One engine's medians over the rounds."""
    times = {key: float(statistics.median(one[key] for one in rounds)) for key in ("ms_p50", "ms_p99", "cpu_ms")}
    return rounds[0] | times | {"qps_per_core": 1e3 / times["cpu_ms"]}


def show(name, k, results):
    ours = next((one["cpu_ms"] for one in results if one["kind"] == "segue"), math.nan)
    print(f"\n### {name}, {results[0]['rows']} x {results[0]['dim']}, k = {k}\n\n| engine | params | recall | p50 ms "
          "| p99 ms | cpu ms | q/s a core | build CPU s | bytes/track | cpu / ours |\n" + "|---" * 10 + "|")
    # Those that find too little come last.
    for one in sorted(results, key=lambda one: (one[f"recall_at_{k}"] < WANTED, one["cpu_ms"])):
        recall, ratio = one[f"recall_at_{k}"], one["cpu_ms"] / ours
        cells = [one["kind"], one["params"], f"{recall:.4f}" + (" (too little)" if recall < WANTED else "")]
        cells += [f"{one[key]:.3f}" for key in ("ms_p50", "ms_p99", "cpu_ms")] + [f"{one['qps_per_core']:.0f}"]
        cells += [f"{one['build_cpu_s']:.1f}", f"{one['bytes_per_track']:.0f}", "" if ours != ours else f"{ratio:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def run_set(args, name, folder, vectors_file, queries_file):
    vectors, queries = np.load(vectors_file), np.load(queries_file)[: args.max_queries]
    if vectors.dtype != np.float32 or queries.shape[1:] != vectors.shape[1:] or len(vectors) < max(DEPTHS):
        fail(f"{vectors_file} and {queries_file} must be float32 of one width, with {max(DEPTHS)} vectors or more")
    say(f"{name}: exact hits of {len(queries)} queries among {len(vectors)} rows")
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    truth = flat.search(queries, max(DEPTHS))[1]
    del flat
    engines = [Peer(args, kind, name, folder, vectors, queries, truth) for kind in args.peers]
    engines += [Ours(args, name, folder, vectors_file, queries_file)] if args.has_ours else []
    results = []
    for k in DEPTHS:
        rounds = []
        for at in range(args.rounds):
            say(f"{name}: k = {k}, round {at + 1} of {args.rounds}")
            rounds.append([engine.round(k) for engine in engines])
        results.append([middle(of_one) for of_one in zip(*rounds)])
        show(name, k, results[-1])
    return sum(results, [])


def hardware(args):
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_vnni") if flag in info.get("flags", "").split()]
    print(f"CPU {info.get('model name', 'unknown')} ({', '.join(flags)}), {len(args.cores)} cores, searches on core "
          f"{args.core}, load {os.getloadavg()[0]:.1f} at the start")
    print(", ".join(f"{name} {version(name)}" for name in ("faiss-cpu", "hnswlib", "usearch", "numpy")))
    # A search in an index of one vector is the call and little else.
    one, costs = np.eye(1, args.dim, dtype=np.float32), []
    flat = FaissHnsw(one, 1, "HNSW16,Flat")
    for name, index in (("faiss", flat), ("hnswlib", Hnswlib(one, 1)), ("usearch", Usearch(one, 1, "f32"))):
        costs.append(f"{name} {measure(index, [one[0]] * 2000, [[0]] * 2000, 1)[2] * 1e3:.0f} us")
    print(f"A call from Python takes: {', '.join(costs)}", flush=True)


def options():
    every = list(peers(1, 2))
    parser = argparse.ArgumentParser("scripts/bench/ann_peers", description=__doc__, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rows", type=int, default=200_000, help="rows of each set (%(default)s)")
    add("--dim", type=int, default=64, help="their width (%(default)s)")
    add("--sets", default="clustered,smooth,uniform", help="kinds that `segue index set` makes (%(default)s)")
    add("--vectors", type=Path, help="instead of sets: unit rows, float32, .npy")
    add("--queries", type=Path, help="queries for them")
    add("--name", default="given", help="what the results call them")
    add("--peers", default=",".join(every), help="which peers (%(default)s)".replace(",", ", "))
    add("--rounds", type=int, default=3, help="interleaved rounds; times are medians over them (%(default)s)")
    add("--max-queries", type=int, default=1000, help="use the first queries only (%(default)s)")
    add("--miss", default=MISSES, help="values of index.miss that ours is chosen from")
    add("--core", type=int, help="core that searches are pinned to (the last one)")
    add("--build-threads", type=int, default=1, help="threads of a peer's build (%(default)s)")
    add("--out", type=Path, help="keep the sets here, and use those that are here")
    add("--json", type=Path, help="write the results here, after every set")
    add("--binary", type=Path, default="target/release/segue", help="our binary (%(default)s)")
    args = parser.parse_args()
    args.cores = os.sched_getaffinity(0)
    args.core = max(args.cores) if args.core is None else args.core
    args.peers, args.sets = args.peers.split(","), args.sets.split(",")

    def has(command):
        asked = [args.binary, "index", command, "--help"]
        return args.binary.is_file() and subprocess.run(asked, capture_output=True).returncode == 0

    args.has_ours = has("bench")
    missing = [str(file) for file in (args.vectors, args.queries) if file and not file.is_file()]
    wrong = {
        f"no such peer; there are {', '.join(every)}": set(args.peers) - set(every),
        f"there is no {', '.join(missing)}": missing,
        f"--core must be one of {sorted(args.cores)}": args.core not in args.cores,
        "--vectors and --queries go together": (args.vectors is None) != (args.queries is None),
        "--dim must be a multiple of 4, the other numbers 1 or more":
            args.dim % 4 or min(args.rows, args.dim, args.rounds, args.max_queries, args.build_threads) < 1,
        f"{args.binary} cannot make sets: build it, or give --vectors and --queries": not (args.vectors or has("set")),
    }
    for message in [message for message, is_so in wrong.items() if is_so][:1]:
        parser.error(message)
    if not args.has_ours:
        say(f"ours is missing: {args.binary} has no `index bench`")
    return args


def main():
    args = options()
    os.sched_setaffinity(0, {args.core})
    faiss.omp_set_num_threads(1)
    hardware(args)
    results = []
    for name in [args.name] if args.vectors else args.sets:
        with tempfile.TemporaryDirectory() as scratch:
            folder, files = Path(args.out or scratch) / f"{name}-{args.rows}x{args.dim}", (args.vectors, args.queries)
            if not args.vectors:
                files = folder / "vectors.npy", folder / "queries.npy"
            if not files[1].is_file():
                say(f"{name}: making {args.rows} rows")
                shape = ["--rows", str(args.rows), "--dim", str(args.dim), "--seed", "1"]
                command = [args.binary, "index", "set", "--kind", name, *shape, "--out", folder]
                if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
                    fail(f"the set {name} could not be made")
            results += run_set(args, name, Path(scratch), *files)
        if args.json:
            args.json.write_text(json.dumps(results, indent=1))


main()
