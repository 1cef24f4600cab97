"""Recall and time of nearest-neighbour libraries beside ours; see scripts/bench/ann_peers."""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import hnswlib
import numpy as np
import usearch
from usearch.index import Index as UIndex

WANTED = 0.97
TUNING_QUERIES = 100


def say(text):
    print(text, file=sys.stderr, flush=True)


class Hnswlib:
    knobs = {100: [100, 150, 200, 300, 400, 600], 1000: [1000, 1200, 1500, 2000, 3000, 4500]}

    def __init__(self, vectors, threads):
        self.index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self.index.init_index(len(vectors), M=16, ef_construction=200)
        self.index.add_items(vectors, num_threads=threads)
        self.index.set_num_threads(1)

    def set(self, knob):
        self.index.set_ef(knob)
        return f"M=16 ef={knob}"

    def search(self, query, k):
        return self.index.knn_query(query, k)[0][0]

    def save(self, path):
        self.index.save_index(path)


class Faiss:
    """Any faiss index by its factory string; `knob` sets what is swept."""

    def __init__(self, vectors, threads, factory, knobs, apply):
        faiss.omp_set_num_threads(threads)
        self.index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        self.factory, self.knobs, self.apply = factory, knobs, apply
        rng = np.random.default_rng(1)
        self.index.train(vectors[rng.permutation(len(vectors))[: max(256 * 4096, 1)]])
        self.index.add(vectors)
        faiss.omp_set_num_threads(1)

    def set(self, knob):
        return f"{self.factory} {self.apply(self.index, knob)}"

    def search(self, query, k):
        return self.index.search(query[None], k)[1][0]

    def save(self, path):
        faiss.write_index(self.index, path)


class Usearch:
    knobs = Hnswlib.knobs

    def __init__(self, vectors, threads, dtype):
        self.index = UIndex(ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=16, expansion_add=200)
        self.index.add(np.arange(len(vectors)), vectors, threads=threads)
        self.dtype = dtype

    def set(self, knob):
        self.index.expansion_search = knob
        return f"{self.dtype} M=16 ef={knob}"

    def search(self, query, k):
        return self.index.search(query, k, threads=1).keys

    def save(self, path):
        self.index.save(path)


def ivf(nlist):
    probes = [p for p in (4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096) if p <= nlist]

    def apply(index, knob):
        faiss.extract_index_ivf(index).nprobe = knob
        return f"nprobe={knob}"

    return {100: probes, 1000: probes}, apply


def refined(nlist):
    """The number of probes, and how many times k is re-scored."""
    probes, _ = ivf(nlist)
    pairs = {k: [(p, f) for p in probes[k] for f in (2, 4, 8)] for k in probes}

    def apply(index, knob):
        faiss.extract_index_ivf(faiss.downcast_index(index.base_index)).nprobe = knob[0]
        index.k_factor = knob[1]
        return f"nprobe={knob[0]} k_factor={knob[1]}"

    return pairs, apply


def width():
    def apply(index, knob):
        index.hnsw.efSearch = knob
        return f"ef={knob}"

    return Hnswlib.knobs, apply


def peers(vectors, threads):
    rows, dim = vectors.shape
    nlist = 2 ** round(math.log2(4 * math.sqrt(rows)))
    half = dim // 2
    make = {
        "ivf_sq8": lambda: Faiss(vectors, threads, f"IVF{nlist},SQ8", *ivf(nlist)),
        "ivf_pqfs": lambda: Faiss(vectors, threads, f"IVF{nlist},PQ{half}x4fsr,Refine(SQ8)", *refined(nlist)),
        "ivf_pqfs_flat": lambda: Faiss(vectors, threads, f"IVF{nlist},PQ{half}x4fsr,RFlat", *refined(nlist)),
        "ivf_opqfs": lambda: Faiss(vectors, threads, f"OPQ{half},IVF{nlist},PQ{half}x4fsr,Refine(SQ8)", *refined(nlist)),
        "ivf_flat": lambda: Faiss(vectors, threads, f"IVF{nlist},Flat", *ivf(nlist)),
        "hnswlib": lambda: Hnswlib(vectors, threads),
        "hnsw_sq8": lambda: Faiss(vectors, threads, "HNSW16,SQ8", *width()),
        "hnsw_flat": lambda: Faiss(vectors, threads, "HNSW16,Flat", *width()),
        "usearch_i8": lambda: Usearch(vectors, threads, "i8"),
        "usearch_f16": lambda: Usearch(vectors, threads, "f16"),
        "usearch_f32": lambda: Usearch(vectors, threads, "f32"),
    }
    return make


def measure(index, queries, truth, k):
    times, found, cpu = [], 0, 0.0
    for query, wanted in zip(queries, truth):
        start, cpu_start = time.perf_counter(), time.thread_time()
        ids = index.search(query, k)
        cpu += time.thread_time() - cpu_start
        times.append((time.perf_counter() - start) * 1e3)
        found += len(np.intersect1d(ids, wanted[:k]))
    return found / (k * len(queries)), times, cpu * 1e3 / len(queries)


def tune(index, queries, truth, k):
    """The fastest setting that finds enough, else the one that finds most."""
    fast, best, last_probe = None, None, None
    for knob in index.knobs[k]:
        if fast and isinstance(knob, tuple) and knob[0] > fast[1][0] * 2:
            break
        index.set(knob)
        recall, _, cpu = measure(index, queries[:TUNING_QUERIES], truth, k)
        if recall >= WANTED and (fast is None or cpu < fast[0]):
            fast = (cpu, knob)
        if best is None or recall > best[0]:
            best = (recall, knob)
        if fast and not isinstance(knob, tuple):
            break
    return fast[1] if fast else best[1]


def ours(args, folder, vectors, queries, k):
    command = ["taskset", "-c", str(args.core), args.binary, "index", "bench", "--engines", "lists", "--k", str(k)]
    command += ["--vectors", vectors, "--queries", queries, "--index", folder / "ours.flat", "--name", args.name]
    command += ["--miss", args.miss, "--max-queries", str(args.max_queries), "--json", folder / "ours.json"]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((folder / "ours.json").read_text())


def build_ours(args, folder, vectors):
    command = [args.binary, "index", "build", "--vectors", vectors, "--out", folder / "ours.flat"]
    text = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    say(text.strip())
    return float(text.split(" CPU s")[0].rsplit(" ", 1)[1])


def row(args, kind, params, k, shape, recall, times, cpu, build, size):
    times = sorted(times)
    return {
        "set": args.name, "rows": shape[0], "dim": shape[1], "kind": kind, "params": params, "k": k,
        "recall_at_100": recall if k == 100 else None, "recall_at_1000": recall if k == 1000 else None,
        "ms_p50": times[len(times) // 2], "ms_p99": times[int(len(times) * 0.99)], "cpu_ms": cpu,
        "qps_per_core": 1e3 / cpu, "build_cpu_s": build, "bytes_per_track": size,
    }


def show(results, k):
    mine = next((r for r in results if r["kind"] == "segue lists" and r["k"] == k), None)
    print(f"\n| k = {k} | | recall | p50 ms | p99 ms | cpu ms | q/s a core | build cpu s | bytes/track | ours is faster by |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in sorted((r for r in results if r["k"] == k), key=lambda r: r["cpu_ms"]):
        ratio = f"{r['cpu_ms'] / mine['cpu_ms']:.2f}" if mine else ""
        recall = r["recall_at_1000"] if k == 1000 else r["recall_at_100"]
        print(f"| {r['kind']} | {r['params']} | {recall:.4f} | {r['ms_p50']:.3f} | {r['ms_p99']:.3f} | {r['cpu_ms']:.3f} "
              f"| {r['qps_per_core']:.0f} | {r['build_cpu_s']:.0f} | {r['bytes_per_track']:.0f} | {ratio} |")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench/ann_peers", description=__doc__)
    parser.add_argument("--binary", default="target/release/segue", help=argparse.SUPPRESS)
    parser.add_argument("--set", default="clustered", help="clustered, smooth, uniform, anisotropic, one_artist, duplicates")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--vectors", help=".npy instead of a synthetic set")
    parser.add_argument("--queries", help=".npy")
    parser.add_argument("--name", help="name of the set in the results")
    parser.add_argument("--peers", help="comma-separated; default all")
    parser.add_argument("--miss", default="0.3,0.2,0.1,0.05,0.02,0.01", help="settings of ours to choose from")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-queries", type=int, default=300)
    parser.add_argument("--core", type=int, default=0, help="the core that all searches are pinned to")
    parser.add_argument("--json", help="also write all results here")
    args = parser.parse_args()
    args.name = args.name or args.set
    threads = os.cpu_count()
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
    print(f"CPU {model}, {threads} cores, one pinned; faiss {faiss.__version__}, hnswlib 0.8.0, usearch {usearch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if args.vectors:
            vectors_file, queries_file = Path(args.vectors), Path(args.queries)
        else:
            command = [args.binary, "index", "set", "--kind", args.set, "--rows", args.rows, "--dim", args.dim, "--out", folder]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
            vectors_file, queries_file = folder / "vectors.npy", folder / "queries.npy"
        run(args, folder, vectors_file, queries_file, threads)


def run(args, folder, vectors_file, queries_file, threads):
    vectors, queries = np.load(vectors_file), np.load(queries_file)[: args.max_queries]
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    truth = flat.search(queries, 1000)[1]
    del flat
    cores = os.sched_getaffinity(0)
    build_cpu = build_ours(args, folder, vectors_file)
    size_ours = (folder / "ours.flat").stat().st_size / len(vectors)
    makers = peers(vectors, threads)
    chosen, results = {}, []
    for name in args.peers.split(",") if args.peers else makers:
        os.sched_setaffinity(0, cores)
        cpu, wall = time.process_time(), time.perf_counter()
        index = makers[name]()
        build = time.process_time() - cpu
        index.save(str(folder / "peer"))
        size = (folder / "peer").stat().st_size / len(vectors)
        (folder / "peer").unlink()
        say(f"{name}: built in {build:.0f} CPU s, {time.perf_counter() - wall:.0f} s")
        os.sched_setaffinity(0, {args.core})
        for k in (100, 1000):
            knob = tune(index, queries, truth, k)
            chosen[name, k] = (index, knob, build, size)
            say(f"{name}, k = {k}: {index.set(knob)}")
    for k in (100, 1000):
        rounds = {}
        for at in range(args.rounds):
            say(f"k = {k}: round {at + 1} of {args.rounds}")
            for mine in ours(args, folder, vectors_file, queries_file, k):
                recall = mine["recall_at_1000"] if k == 1000 else mine["recall_at_100"]
                run_of = (recall, mine["ms_p50"], mine["ms_p99"], mine["cpu_ms"], mine["params"])
                rounds.setdefault(("segue lists", mine["params"]), []).append(run_of)
            for (name, of), (index, knob, _, _) in chosen.items():
                if of == k:
                    params = index.set(knob)
                    recall, times, cpu = measure(index, queries, truth, k)
                    times.sort()
                    run_of = (recall, times[len(times) // 2], times[int(len(times) * 0.99)], cpu, params)
                    rounds.setdefault((name, ""), []).append(run_of)
        found = [key for key in rounds if key[0] == "segue lists" and rounds[key][0][0] >= WANTED]
        fastest = min(found, key=lambda key: statistics.median(r[3] for r in rounds[key]), default=None)
        for (name, params), runs in rounds.items():
            if name == "segue lists" and (name, params) != fastest:
                continue
            middle = [statistics.median(r[at] for r in runs) for at in range(4)]
            build, size = (build_cpu, size_ours) if name == "segue lists" else chosen[name, k][2:]
            result = row(args, name, runs[0][4], k, vectors.shape, middle[0], [middle[1]], middle[3], build, size)
            result["ms_p99"] = middle[2]
            results.append(result)
        show(results, k)
        sys.stdout.flush()
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1))


main()
