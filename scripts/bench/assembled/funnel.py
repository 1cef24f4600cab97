"""Retrieve, filter, rank, re-rank: the steps of Segue under compare.py's configuration."""

import os

import faiss
import numpy as np
import onnxruntime as ort

from features import antecedents, cross_columns, history, user_columns
from state import TRACK

QUOTAS = {"two_tower": 800, "sequential_rules": 150, "own_tracks": 100, "popular": 150}
BLEND = np.array([1.0, -0.6, 0.3], np.float32)
POPULARITY_PENALTY = 0.3
ARTIST_WINDOW, ALBUM_MOST, ALBUM_WINDOW = 4, 2, 12


def session_of(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


class Funnel:
    def __init__(self, bundle):
        faiss.omp_set_num_threads(1)
        self.bundle = bundle
        self.index = faiss.IndexFlatIP(bundle.vectors.shape[1])
        self.index.add(bundle.vectors)
        self.user_tower = session_of(bundle.directory / "user_tower.onnx")
        self.ranker = session_of(bundle.directory / "ranker.onnx")
        self.masks = {}

    def allowed(self, request, profile):
        """Rows that may be served at all: licence, market, blocked artists. Licences are looked at once a minute."""
        bundle, now = self.bundle, request["now_ms"]
        key = (request["market"], now // 60_000)
        if key not in self.masks:
            if len(self.masks) > 256:
                self.masks.clear()
            mask = (bundle.opens <= now) & (now < bundle.closes)
            if request["market"] is not None:
                mask &= bundle.markets.get(request["market"], bundle.everywhere)
            self.masks[key] = (mask, np.packbits(mask, bitorder="little"))
        mask, bits = self.masks[key]
        if profile["blocked"]:
            mask = mask & ~np.isin(bundle.artist, profile["blocked"])
            bits = np.packbits(mask, bitorder="little")
        return mask, bits

    def answer(self, request, session, profile):
        """Rows, scores and task scores of the list."""
        bundle = self.bundle
        user = user_columns(request, session, profile)
        vectors, signals = history(bundle, request, session, profile)
        inputs = {"history_vectors": vectors[None], "history_signals": signals[None], "user": user[None]}
        vector = self.user_tower.run(None, inputs)[0][0]
        vector /= np.linalg.norm(vector)
        mask, bits = self.allowed(request, profile)
        tracks = self.candidates(request, session, profile, vector, bits)
        tracks = self.filter(tracks, request, session, profile, mask)
        tasks = self.ranker.run(None, {
            "user": np.concatenate([user, vector])[None], "items": bundle.items[tracks],
            "cross": cross_columns(bundle, request, session, profile, tracks, vector),
        })[0]
        scores = tasks @ BLEND
        scores -= np.float32(POPULARITY_PENALTY * request["discovery"]) * bundle.world.score[tracks]
        order = np.lexsort((tracks, -scores))
        chosen = self.separate(tracks[order].tolist(), request, session)
        at = order[chosen]
        return tracks[at].tolist(), scores[at].tolist(), tasks[at].tolist()

    def candidates(self, request, session, profile, vector, bits):
        """All that sources propose, each once, in the order of the sources."""
        selector = faiss.IDSelectorBitmap(bits)
        found = self.index.search(vector[None], QUOTAS["two_tower"], params=faiss.SearchParameters(sel=selector))[1][0]
        market = self.bundle.popularity.get(request["market"])
        popular = self.bundle.world.top
        if market:
            popular = np.concatenate([market.top[:QUOTAS["popular"]], popular])
            popular = popular[np.sort(np.unique(popular, return_index=True)[1])]
        parts = [found[found >= 0], self.successors(request, session), self.own_tracks(session, profile),
                 popular[:QUOTAS["popular"]]]
        every = np.concatenate([np.asarray(part, np.int64) for part in parts])
        return every[np.sort(np.unique(every, return_index=True)[1])]

    def successors(self, request, session):
        """What followed the last tracks in other sessions."""
        sums = {}
        for track, weight in antecedents(request, session):
            successors, shares = self.bundle.rules_of(track)
            for successor, score in zip(successors.tolist(), (weight * (shares[:, 1] + shares[:, 2]) / 2).tolist()):
                sums[successor] = sums.get(successor, 0.0) + score
        best = sorted(sums, key=lambda track: (-sums[track], track))
        return best[:QUOTAS["sequential_rules"]]

    @staticmethod
    def own_tracks(session, profile):
        """What the listener has played, latest first."""
        past = [(-one[1], int(track)) for track, one in profile["tracks"].items() if one[0] > 0]
        tracks = session["played"][::-1] + [track for _, track in sorted(past)]
        return list(dict.fromkeys(tracks))[:QUOTAS["own_tracks"]]

    def filter(self, tracks, request, session, profile, mask):
        """Nothing that was played or served in the session, sounds or is disliked, under any release; one release each."""
        recording = self.bundle.recording
        current = session["current"][TRACK] if session["current"] else None
        sounds = request["current"] if request["current"] is not None else current
        gone = session["played"] + session["served"] + profile["disliked"]
        gone += [track for track in (current, sounds) if track is not None]
        tracks = tracks[mask[tracks]]
        if gone:
            tracks = tracks[~np.isin(recording[tracks], recording[gone])]
        return tracks[np.sort(np.unique(recording[tracks], return_index=True)[1])]

    def separate(self, tracks, request, session):
        """Places of the list in `tracks`: one of an artist in four, two of an album in twelve."""
        artist, album = self.bundle.artist, self.bundle.album
        sounds = request["current"] if request["current"] is not None else None
        if sounds is None and session["current"]:
            sounds = session["current"][TRACK]
        placed, chosen, left = ([sounds] if sounds is not None else []), [], list(range(len(tracks)))
        while left and len(chosen) < request["limit"]:
            artists = [artist[track] for track in placed[-(ARTIST_WINDOW - 1):]]
            albums = [album[track] for track in placed[-(ALBUM_WINDOW - 1):] if album[track] >= 0]
            fits = (at for at in left
                    if artist[tracks[at]] not in artists and albums.count(album[tracks[at]]) < ALBUM_MOST)
            at = next(fits, left[0])
            left.remove(at)
            placed.append(tracks[at])
            chosen.append(at)
        return chosen
