"""What the models see of a request: numpy over all candidates at once."""

import math

import numpy as np

from state import DAY_MS, FRACTION, LIKED, SIGNAL, TRACK, TS, decay

HISTORY, SIGNALS = 50, 6
DEVICES = ("phone", "desktop", "car", "speaker", "tv")


def log_scaled(n, scale):
    return math.log1p(max(n, 0)) / scale


def minutes(from_ms, to_ms):
    return max(to_ms - from_ms, 0) / 60_000


def sounding(request, session):
    """The play that sounds now: the request's word counts before the events'."""
    current, asked = session["current"], request["current"]
    if asked is None or (current and current[TRACK] == asked):
        return current
    if current is None and session["window"] and session["window"][-1][TRACK] == asked:
        return None
    return [asked, 0.0, 0.0, request["now_ms"], False]


def antecedents(request, session):
    """What comes next follows these tracks, latest first, with weights that fade."""
    now = sounding(request, session)
    plays = ([now] if now else []) + [play for play in reversed(session["window"]) if play[SIGNAL] >= 0]
    tracks = list(dict.fromkeys(play[TRACK] for play in plays))[:5]
    return [(track, 0.7**at) for at, track in enumerate(tracks)]


def user_columns(request, session, profile):
    now = request["now_ms"]
    began = session["user"] is not None
    before = session["before"] if began else profile["last"]
    hour = request["local_hour"] if request["local_hour"] is not None else now % DAY_MS // 3_600_000
    hours, genres = sum(profile["hours"]), np.array(list(profile["genres"][0].values()))
    artists = profile["artists"][0].values()
    shares = genres / genres.sum() if len(genres) else genres
    spread = lambda moments: math.sqrt(max(moments[2] / moments[0], 0)) if moments[0] else 0.0
    mean = lambda moments, none: moments[1] if moments[0] else none
    tempo, energy, valence = session["tempo"], session["energy"], session["valence"]
    weekday = (now // DAY_MS + 3) % 7
    row = [
        log_scaled(session["plays"], 4), log_scaled(session["skips"], 4), log_scaled(session["completes"], 4),
        min(session["in_row"], 5) / 5, log_scaled(minutes(session["started"], now) if began else 0, 6),
        (mean(tempo, 120) - 120) / 60, spread(tempo) / 60, mean(energy, 0.5), spread(energy), mean(valence, 0.5),
        spread(valence), log_scaled(profile["plays"], 10),
        profile["skips"] / profile["plays"] if profile["plays"] else 0.0,
        profile["hours"][hour] / hours * 24 / 4 if hours > 0 else 0.0,
        max(artists) / sum(artists) if artists else 0.0, float(-(shares * np.log(shares)).sum()) / 4,
        log_scaled(minutes(before, now) / 1_440 if before > 0 else 0, 6),
        math.sin(hour / 24 * math.tau), math.cos(hour / 24 * math.tau), math.sin(weekday / 7 * math.tau),
        math.cos(weekday / 7 * math.tau), *(float(request["device"] == one) for one in DEVICES),
    ]
    return np.clip(np.array(row, np.float32), -12, 12)


def history(bundle, request, session, profile):
    """The user tower's last plays: vectors `[50, dim]` and signals `[50, 6]`."""
    now = sounding(request, session)
    own = (([now] if now else []) + session["window"][::-1])[:HISTORY]
    taken = {(play[TRACK], play[TS]) for play in session["window"]}
    older = [play for play in reversed(profile["recent"]) if (play[TRACK], play[TS]) not in taken]
    plays = own + older[:HISTORY - len(own)]
    vectors = np.zeros((HISTORY, bundle.vectors.shape[1]), np.float32)
    signals = np.zeros((HISTORY, SIGNALS), np.float32)
    if plays:
        vectors[:len(plays)] = bundle.vectors[[play[TRACK] for play in plays]]
        signals[:len(plays)] = [
            (1.0, play[SIGNAL], play[FRACTION], log_scaled(minutes(play[TS], request["now_ms"]), 10),
             at < len(own), play[LIKED]) for at, play in enumerate(plays)
        ]
    return vectors, signals


def _lookup(size, pairs, dtype=np.float32):
    """A column over all keys from a few (key, value)."""
    column = np.zeros(size, dtype)
    for key, value in pairs:
        column[int(key)] = value
    return column


def _share(keys, window):
    """Of each key, its share of the window; none for keys below 0."""
    if not len(window):
        return np.zeros(len(keys), np.float32)
    return np.where(keys >= 0, (keys[:, None] == window[None, :]).sum(axis=1) / len(window), 0)


def cross_columns(bundle, request, session, profile, tracks, user_vector):
    """`[n, 24]`, row i = candidate i."""
    now, vectors = request["now_ms"], bundle.vectors[tracks]
    artist, genre = bundle.artist[tracks], bundle.genre[tracks]
    zeros = np.zeros(len(tracks), np.float32)

    def cosine(direction):
        direction = np.array(direction or (), np.float32)
        length = np.linalg.norm(direction)
        return vectors @ direction / length if length > 1e-6 else zeros

    last = sounding(request, session) or (session["window"][-1] if session["window"] else None)
    anchor = last[TRACK] if last else None
    window = np.array([play[TRACK] for play in reversed(session["window"])], np.int64)
    weights = _lookup(bundle.artist.max() + 1, profile["artists"][0].items())[artist]
    weights = weights * decay(now - profile["artists"][1])
    genres = profile["genres"][0]
    total = sum(genres.values())
    by_genre = _lookup(bundle.genre.max() + 1, genres.items())
    penalty = _lookup(bundle.artist.max() + 1, session["penalty"].items())
    past = [profile["tracks"].get(str(track)) or (0, 0, False) for track in tracks.tolist()]
    plays = np.array([one[0] for one in past], np.float32)
    days = np.maximum(now - np.array([one[1] for one in past], np.float64), 0) / DAY_MS
    sounds = session["current"][TRACK] if session["current"] else -1
    places = np.full(len(bundle.track_ids), -1, np.int64)
    places[window[::-1]] = np.arange(len(window))[::-1]
    place = places[tracks]
    gap = lambda values, moments: np.nan_to_num(np.abs(values[tracks] - moments[1])) if moments[0] else zeros
    market = bundle.popularity.get(request["market"], bundle.world)
    follows = antecedents(request, session)
    rules = np.zeros((len(bundle.track_ids), 3), np.float32)
    for at, (track, weight) in enumerate(follows):
        successors, shares = bundle.rules_of(track)
        rules[successors] += shares * np.array([at == 0, weight, weight], np.float32)
    own = _lookup(len(bundle.track_ids), ())
    for at, play in enumerate(profile["recent"]):
        if follows and play[TRACK] == follows[0][0]:
            for distance, after in enumerate(profile["recent"][at + 1:at + 4]):
                own[after[TRACK]] += 1 / (distance + 1)
    own = own[tracks]
    columns = [
        vectors @ user_vector, vectors @ bundle.vectors[anchor] if anchor is not None else zeros,
        cosine(session["liked"]), cosine(session["skipped"]), weights / (1 + weights),
        np.where(genre >= 0, by_genre[genre] / total, 0) if total > 0 else zeros,
        _share(artist, bundle.artist[window]), _share(genre, bundle.genre[window]), penalty[artist],
        artist == bundle.artist[anchor] if anchor is not None else zeros,
        (bundle.album[tracks] == bundle.album[anchor]) & (bundle.album[tracks] >= 0) if anchor is not None else zeros,
        np.log1p(plays) / 4, np.where(plays > 0, 1 / (1 + days), 0), [one[2] for one in past],
        (place >= 0) | (tracks == sounds), gap(bundle.tempo, session["tempo"]) / 60,
        gap(bundle.energy, session["energy"]), market.score[tracks], market.inverse_rank[tracks],
        *(np.log1p(rules[tracks] * 1_000) / 7).T, own / (1 + own), np.where(place >= 0, 1 / (np.maximum(place, 0) + 1), 0),
    ]
    return np.clip(np.stack([np.asarray(column, np.float32) for column in columns], axis=1), -12, 12)
