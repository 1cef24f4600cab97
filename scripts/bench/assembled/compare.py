"""Segue and the assembled stack on the same bundle, listeners and core: same answers, then load in turns; see `run`."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
# Steps that both have. Radios (seeds) ask in two directions, which the other stack does not: the load has none.
SETTINGS = [
    "lanes.count=1", "server.workers=1", "retrieval.two_tower=800", "retrieval.session_artists=0", "retrieval.fresh=0",
    "retrieval.exploration=0", "retrieval.queries.after_skips=0", "rerank.satiation.strength=0", "rerank.transitions=false",
    "exploration.positions=[]", "exploration.more_positions=[]", "knobs.skip_penalty=0", "index.engine=exact",
    "index.probe_every=0", "events.durability=os",
    # The other stack knows no deadline, so neither sheds work: all answers are whole.
    "server.budget_ms=2000",
]
FIELDS = {"diversity": 0, "discovery": 0.3}
# Scores that are nearer than this may change places.
TIE = 1e-4
HISTORY_MS = 14 * 86_400_000


def post(port, path, body, status=200):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        if answer.status != status:
            sys.exit(f"{path} on {port} answered {answer.status}")
        return json.loads(answer.read())


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until_ready(port, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"server on {port} ended with {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
            return
        time.sleep(0.1)
    sys.exit(f"server on {port} is not ready after a minute")


class System:
    """Processes on one core."""

    def __init__(self, name, port, processes):
        self.name, self.port, self.processes = name, port, processes

    def resident_mb(self):
        status = (pathlib.Path(f"/proc/{one.pid}/status").read_text() for one in self.processes)
        return sum(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) for text in status) / 1_000


def start(stack, args, work, log):
    """Both systems; they end with `stack`."""
    def spawn(command, **more):
        process = subprocess.Popen(["taskset", "-c", args.core, *map(str, command)], stdout=log, stderr=log, **more)
        stack.callback(process.wait)
        stack.callback(process.send_signal, signal.SIGTERM)
        return process

    port = free_port()
    settings = [word for one in [*SETTINGS, f"events.data_dir={work}/segue"] for word in ("--set", one)]
    segue = spawn([args.segue, "serve", "--bundle", args.bundle, "--listen", f"127.0.0.1:{port}", *settings])
    until_ready(port, segue)
    ours = System("segue", port, [segue])

    redis_socket = f"{work}/redis.sock"
    (pathlib.Path(work) / "redis").mkdir()
    redis = spawn([args.redis, "--port", 0, "--unixsocket", redis_socket, "--dir", f"{work}/redis", "--save", "",
                   "--appendonly", "yes", "--appendfsync", "everysec", "--daemonize", "no"])
    for _ in range(100):
        if os.path.exists(redis_socket):
            break
        time.sleep(0.05)
    port = free_port()
    env = os.environ | {"BUNDLE": str(args.bundle), "REDIS_SOCKET": redis_socket, "OMP_NUM_THREADS": "1",
                        "OPENBLAS_NUM_THREADS": "1"}
    uvicorn = spawn([sys.executable, "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", port, "--workers", 1,
                     "--no-access-log", "--log-level", "warning"], env=env, cwd=HERE)
    until_ready(port, uvicorn)
    return ours, System("assembled", port, [uvicorn, redis])


def past(args):
    """The listeners' last 14 days as if they had just ended; an event a dictionary as `POST /v1/events` takes it."""
    rows = pq.read_table(args.listeners).to_pylist()
    last, now = rows[-1]["ts_ms"], int(time.time() * 1_000)
    for row in rows:
        if row["ts_ms"] > last - HISTORY_MS:
            stamp = row.pop("ts_ms") + now - last
            context = {key: row.pop(key) for key in ("market", "device", "local_hour")}
            when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp // 1_000)) + f".{stamp % 1_000:03}Z"
            yield {key: value for key, value in row.items() if value is not None} | {
                "client_ts": when, "context": {key: value for key, value in context.items() if value is not None}}


def tell(systems, events):
    for at in range(0, len(events), 500):
        for system in systems:
            told = post(system.port, "/v1/events", {"events": events[at:at + 500]}, 202)["events"]
            refused = [one for one in told if one["status"] != "accepted"]
            if refused:
                sys.exit(f"{system.name} refused {refused[0]}")


def same(ours, theirs):
    """Whether two lists are equal up to ties; how many places differ, and by how much scores of one track do at most.

    What follows a tie may differ for good: keeping artists apart goes on from whichever of the two was placed. So the first
    place that differs must be a tie, and every track that both lists have must have one score.
    """
    moved = [(a, b) for a, b in zip(ours, theirs) if a["track_id"] != b["track_id"]]
    scores = {one["track_id"]: one["score"] for one in theirs}
    gap = max((abs(one["score"] - scores[one["track_id"]]) for one in ours if one["track_id"] in scores), default=0.0)
    tied = not moved or abs(moved[0][0]["score"] - moved[0][1]["score"]) < TIE
    return len(ours) == len(theirs) and tied and gap < TIE, len(moved), gap


def check(systems, events):
    """Sessions of every listener and of new ones: two answers each, with what they did between."""
    known = {event["user_id"]: event for event in events}
    listeners = list(known.items()) + [(f"new-{n}", {"context": {"market": "SE"}}) for n in range(20)]
    lists = differ = places = 0
    gap = 0.0
    for user, event in listeners:
        context = dict(event["context"])
        body = {"user_id": user, "session_id": f"check-{user}", "limit": 20, **FIELDS, "market": context.pop("market"),
                "context": context}
        for turn in range(2):
            answers = [post(system.port, "/v1/next-tracks", body)["tracks"] for system in systems]
            equal, moved, apart = same(*answers)
            lists, differ, places, gap = lists + 1, differ + (not equal), places + moved, max(gap, apart)
            if turn == 0:
                tell(systems, heard(user, answers[0]))
    print(f"answers: {lists} lists of 20, {lists - differ} equal up to ties ({places} places in all differ from a tie on), "
          f"scores at most {gap:.1e} apart")
    return differ


def heard(user, tracks):
    """A play to the end, an early skip, one that sounds: of the first three tracks."""
    def event(track, kind, n, **more):
        stamp = int(time.time() * 1_000) - 100 + n
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp // 1_000)) + f".{stamp % 1_000:03}Z"
        return {"event_id": f"check-{n}", "user_id": user, "session_id": f"check-{user}", "track_id": track["track_id"],
                "type": kind, "client_ts": when, **more}

    first, second, third = tracks[:3]
    return [event(first, "play_start", 0), event(first, "play_end", 1, played_ms=200_000, reason_end="done"),
            event(second, "play_start", 2), event(second, "skip", 3, played_ms=4_000, reason_end="skip"),
            event(third, "play_start", 4)]


def load(args, system, what, *more):
    pids = [word for one in system.processes for word in ("--pid", str(one.pid))]
    told = subprocess.run(
        ["taskset", "-c", args.generator_core, args.segue, "load", what, "--target", f"127.0.0.1:{system.port}",
         "--listeners", args.listeners, "--no-recall", "--radio-share", "0", "--fields", json.dumps(FIELDS), "--json",
         *pids, *map(str, more)], check=True, capture_output=True, text=True)
    return json.loads(told.stdout)


def measure(args, systems):
    """In turns: capacities, then each at 70 % of its own, then both at 70 % of the smaller."""
    found = {system.name: {bound: [] for bound in [*args.bounds, "own", "both"]} for system in systems}
    bounds = [word for bound in args.bounds for word in ("--bound", bound)]
    for turn in range(args.rounds):
        for system in systems[::-1 if turn % 2 else 1]:
            reports = load(args, system, "capacity", "--seconds", args.seconds, "--from", 64, "--precision", 0.1,
                           "--seed", turn + 1, *bounds)
            for report in reports:
                found[system.name][int(report["bound"]["p99_ms"])].append(report["capacity_per_s"])
            print(f"round {turn + 1}: {system.name}: "
                  + ", ".join(f"P99 < {r['bound']['p99_ms']:.0f} ms: {r['capacity_per_s']:.0f}/s" for r in reports), flush=True)
    median = {name: statistics.median(one[args.bounds[0]]) for name, one in found.items()}
    for turn in range(args.rounds):
        for system in systems[::-1 if turn % 2 else 1]:
            for kind, rate in (("own", 0.7 * median[system.name]), ("both", 0.7 * min(median.values()))):
                report = load(args, system, "run", "--rate", rate, "--seconds", args.seconds * 2, "--seed", turn + 1)
                found[system.name][kind].append(report)
    return found


def cached(systems, count):
    """Bytes that each more session with its listener takes: 10 plays each."""
    before = [system.resident_mb() for system in systems]
    tracks = [f"t{n}" for n in range(1_000)]
    stamp = int(time.time() * 1_000)
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp // 1_000)) + f".{stamp % 1_000:03}Z"
    events = [
        {"event_id": f"c{play}", "user_id": f"cached-{n}", "session_id": f"cached-{n}", "track_id": tracks[(n + 7 * play) % 1_000],
         "type": "play_end", "played_ms": 180_000, "reason_end": "done", "client_ts": when}
        for n in range(count) for play in range(10)
    ]
    tell(systems, events)
    return [(system.resident_mb() - was) * 1e6 / count for system, was in zip(systems, before)]


def lines(files):
    """Lines that are neither empty nor comments; of Rust, without the tests at the ends of files."""
    count = 0
    for file in files:
        text = file.read_text().split("#[cfg(test)]\nmod tests {")[0]
        count += sum(bool(line.strip()) and not line.strip().startswith(("//", "#")) for line in text.splitlines())
    return count


def table(args, systems, found, resident, bytes_each):
    own = lines(file for file in (ROOT / "src").rglob("*.rs") if "test" not in file.name)
    code = [own, lines(HERE / name for name in ("app.py", "bundle.py", "features.py", "funnel.py", "state.py"))]
    median = lambda name, kind, of: statistics.median(of(one) for one in found[name][kind])
    cpu = [median(s.name, "own", lambda r: r["cost"]["cpu_ms"]) for s in systems]
    rows = [(f"requests/s of a core, P99 < {bound} ms", [statistics.median(found[s.name][bound]) for s in systems], "{:.0f}")
            for bound in args.bounds]
    rows += [
        ("CPU ms a request with its events, at 70 % of its own", cpu, "{:.2f}"),
        ("requests/s of a core that does nothing else, by that", [1_000 / one for one in cpu], "{:.0f}"),
    ]
    for kind, name in (("own", "70 % of its own"), ("both", "70 % of the smaller")):
        for part in ("p50", "p99"):
            rows.append((f"{part.upper()} ms at {name}",
                         [median(s.name, kind, lambda r: r["phase"]["latency"][part]) for s in systems], "{:.1f}"))
    rows += [
        ("resident MB after the load", resident, "{:.0f}"),
        (f"bytes a cached session with its listener, 10 plays, {args.sessions:,} of them", bytes_each, "{:,.0f}"),
        ("lines of code (Segue: all of src, most of it not in this comparison)", code, "{:,}"),
    ]
    print(f"\n| {os.path.relpath(args.bundle, ROOT)}, one core, {args.rounds} rounds in turns, medians | {systems[0].name} | {systems[1].name} | ratio |")
    print("|---|---|---|---|")
    for name, (ours, theirs), form in rows:
        ratio = ours / theirs if theirs else float("nan")
        print(f"| {name} | {form.format(ours)} | {form.format(theirs)} | {ratio:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=pathlib.Path, default=ROOT / "models/demo")
    parser.add_argument("--listeners", type=pathlib.Path, default=ROOT / "models/demo-listeners.parquet")
    parser.add_argument("--segue", default=os.environ.get("SEGUE", str(ROOT / "target/release/segue")))
    parser.add_argument("--redis", default=shutil.which("redis-server"), help="a redis-server")
    parser.add_argument("--core", default="0", help="the core of the servers")
    parser.add_argument("--generator-core", default="1", help="the core of the load generator")
    parser.add_argument("--seconds", type=float, default=8, help="of each rate that is tried")
    parser.add_argument("--bounds", type=int, nargs="+", default=[200, 50], help="P99 that must hold, ms")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=5_000, help="sessions whose memory is measured")
    parser.add_argument("--check-only", action="store_true", help="compare answers, measure nothing")
    args = parser.parse_args()
    args.bundle, args.listeners = args.bundle.resolve(), args.listeners.resolve()
    if not args.redis:
        sys.exit("no redis-server; install Debian's package redis-server, or give --redis PATH")
    with tempfile.TemporaryDirectory() as work, open(f"{work}/log", "w+") as log, contextlib.ExitStack() as stack:
        try:
            systems = start(stack, args, work, log)
            events = list(past(args))
            tell(systems, events)
            if check(systems, events):
                sys.exit("the answers are not the same: there is nothing to compare")
            if not args.check_only:
                found = measure(args, systems)
                resident = [system.resident_mb() for system in systems]
                table(args, systems, found, resident, cached(systems, args.sessions))
        except BaseException:
            log.flush()
            sys.stderr.write("".join(open(log.name).readlines()[-30:]))
            raise


if __name__ == "__main__":
    main()
