"""The stack that people assemble: FastAPI in front of faiss, ONNX Runtime and Redis. Takes Segue's requests and events."""

import contextlib
import os
import time
import uuid
from datetime import datetime
from typing import Literal

import orjson
import redis.asyncio
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

import state
from bundle import Bundle
from funnel import Funnel

SESSION_TTL_S, EVENT_TTL_S = 86_400, 86_400
MAX_FUTURE_MS, MAX_AGE_MS = 300_000, 30 * 86_400_000


class Context(BaseModel):
    device: Literal["phone", "desktop", "car", "speaker", "tv", "other"] | None = None
    local_hour: int | None = Field(None, ge=0, le=23)
    market: str | None = Field(None, pattern="^[A-Z]{2}$")


class Question(BaseModel):
    user_id: str = Field(min_length=1, max_length=128)
    session_id: str | None = Field(None, min_length=1, max_length=128)
    limit: int = Field(20, ge=1, le=100)
    current_track_id: str | None = None
    market: str | None = Field(None, pattern="^[A-Z]{2}$")
    discovery: float = Field(0.3, ge=0, le=1)
    diversity: Literal[0] = 0  # Not built here: compare.py asks both for none.
    context: Context = Context()


class Event(BaseModel):
    event_id: str = Field(min_length=1, max_length=128)
    user_id: str = Field(min_length=1, max_length=128)
    session_id: str = Field(min_length=1, max_length=128)
    track_id: str | None = None
    type: Literal["play_start", "play_end", "skip", "pause", "resume", "seek", "stop", "like", "unlike", "dislike",
                  "block_artist", "add_to_playlist", "impression", "search"]
    recommendation_id: str | None = None
    position_ms: int | None = Field(None, ge=0, le=86_400_000)
    duration_ms: int | None = Field(None, ge=1, le=86_400_000)
    played_ms: int | None = Field(None, ge=0, le=86_400_000)
    reason_start: Literal["auto", "click", "back", "search"] | None = None
    reason_end: Literal["done", "skip", "back", "logout", "timeout", "app_closed"] | None = None
    client_ts: datetime
    context: Context | None = None


class Events(BaseModel):
    events: list[Event] = Field(max_length=500)


@contextlib.asynccontextmanager
async def lifespan(app):
    bundle = app.state.bundle = Bundle(os.environ["BUNDLE"])
    app.state.funnel = Funnel(bundle)
    app.state.redis = redis.asyncio.Redis(unix_socket_path=os.environ["REDIS_SOCKET"])
    for _ in range(20):  # Both models have run, and memory is there, before the first request.
        ask = {"now_ms": now_ms(), "current": 0, "market": None, "device": "other", "local_hour": None, "limit": 20,
               "discovery": 0.3}
        app.state.funnel.answer(ask, state.new_session(), state.new_profile())
    yield
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)


def now_ms():
    return time.time_ns() // 1_000_000


def json(content, status=200):
    return Response(orjson.dumps(content), status, media_type="application/json")


def keys(user, session):
    return f"profile:{user}", f"session:{session}"


@app.get("/readyz")
async def readyz():
    await app.state.redis.ping()
    return json({"status": "ready"})


@app.post("/v1/next-tracks")
async def next_tracks(question: Question):
    start, now, bundle = time.perf_counter(), now_ms(), app.state.bundle
    profile, session = (orjson.loads(held) if held else None
                        for held in await app.state.redis.mget(keys(question.user_id, question.session_id)))
    session, profile = state.alive(session, now), profile or state.new_profile()
    request = {"now_ms": now, "current": bundle.rows.get(question.current_track_id), "market": question.market,
               "device": question.context.device, "local_hour": question.context.local_hour, "limit": question.limit,
               "discovery": question.discovery}
    rows, scores, tasks = app.state.funnel.answer(request, session, profile)
    if question.session_id is not None:
        state.record_served(session, rows, now)
        await app.state.redis.set(keys("", question.session_id)[1], orjson.dumps(session), ex=SESSION_TTL_S)
    tracks = [
        {"track_id": bundle.track_ids[row], "artist_id": bundle.artist_ids[row], "title": bundle.titles[row],
         "position": at + 1, "score": score, "scores": dict(zip(("complete", "skip", "like"), task))}
        for at, (row, score, task) in enumerate(zip(rows, scores, tasks))
    ]
    return json({"recommendation_id": f"r-{uuid.uuid4()}", "bundle": bundle.version, "tracks": tracks,
                 "took_ms": (time.perf_counter() - start) * 1_000})


@app.post("/v1/events")
async def events(batch: Events):
    store, now, bundle = app.state.redis, now_ms(), app.state.bundle
    async with store.pipeline(transaction=False) as pipe:
        for event in batch.events:
            pipe.set(f"event:{event.user_id}:{event.event_id}", b"", nx=True, ex=EVENT_TTL_S)
        fresh = await pipe.execute()
    names = sorted({key for event in batch.events for key in keys(event.user_id, event.session_id)})
    held = dict(zip(names, (orjson.loads(one) if one else None for one in await store.mget(names))))
    results = [{"event_id": event.event_id, "status": "accepted" if new else "duplicate"}
               for event, new in zip(batch.events, fresh)]
    times = [int(event.client_ts.timestamp() * 1_000) for event in batch.events]
    for at in sorted(range(len(times)), key=times.__getitem__):
        event, result = batch.events[at], results[at]
        profile, session = keys(event.user_id, event.session_id)
        owner = (held[session] or {}).get("user")
        if result["status"] == "duplicate":
            continue
        if not now - MAX_AGE_MS < times[at] <= now + MAX_FUTURE_MS:
            result.update(status="rejected", reason="client_ts: too old, or in the future")
        elif event.type != "search" and event.track_id not in bundle.rows:
            result.update(status="rejected", reason="track_id: not known")
        elif owner not in (None, event.user_id):
            result.update(status="rejected", reason="session_id: another listener's")
        else:
            held[profile] = held[profile] or state.new_profile()
            known = event.model_dump(include={"user_id", "type", "track_id", "duration_ms", "played_ms", "position_ms",
                                              "reason_end"})
            known |= {"ts_ms": times[at], "local_hour": event.context.local_hour if event.context else None}
            held[session] = state.apply(bundle, held[session], held[profile], known)
    async with store.pipeline(transaction=False) as pipe:
        for name, one in held.items():
            if one is not None:
                pipe.set(name, orjson.dumps(one), ex=SESSION_TTL_S if name.startswith("session:") else None)
        await pipe.execute()
    return json({"events": results}, 202)
