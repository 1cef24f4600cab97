"""Sessions and profiles: what events make of them. Plain dictionaries, kept in Redis as JSON."""

import math

DAY_MS = 86_400_000
IDLE_MS = 30 * 60_000
LATENESS_MS = 300_000
WINDOW, PLAYED, SERVED, RECENT, TRACKS, PENALTIES, AFFINITIES = 50, 500, 500, 50, 1_024, 64, 256
HALF_LIFE_DAYS, SKIP_DECAY, FORGIVE, NEGLIGIBLE = 60.0, 0.85, 0.5, 0.01
EARLY_SKIP_MS, POSITIVE_MS, ASSUMED_MS = 10_000, 30_000, 210_000
TRACK, SIGNAL, FRACTION, TS, LIKED = range(5)  # Fields of a play.


def new_session():
    return {"user": None, "started": 0, "last": 0, "before": 0, "window": [], "current": None, "paused": 0, "since": None,
            "plays": 0, "skips": 0, "completes": 0, "in_row": 0, "played": [], "served": [], "served_ms": 0,
            "penalty": {}, "liked": None, "skipped": None, "tempo": [0, 0.0, 0.0], "energy": [0, 0.0, 0.0],
            "valence": [0, 0.0, 0.0]}


def new_profile():
    return {"plays": 0, "skips": 0, "last": 0, "artists": [{}, 0], "genres": [{}, 0], "recent": [], "tracks": {},
            "hours": [0.0] * 24, "disliked": [], "blocked": []}


def decay(elapsed_ms):
    return 1.0 if elapsed_ms <= 0 else 2.0 ** (-elapsed_ms / (DAY_MS * HALF_LIFE_DAYS))


def alive(session, now_ms):
    """The session as it stands at a moment: one that is over leaves only what was served lately."""
    if session is None:
        return new_session()
    if now_ms - (session["last"] if session["user"] is not None else session["served_ms"]) <= IDLE_MS:
        return session
    rest = new_session()
    if now_ms - session["served_ms"] <= IDLE_MS:
        rest["served"], rest["served_ms"] = session["served"], session["served_ms"]
    return rest


def record_served(session, rows, now_ms):
    session["served"] = (session["served"] + rows)[-SERVED:]
    session["served_ms"] = max(session["served_ms"], now_ms)


def apply(bundle, session, profile, event):
    """Takes one event in; returns the session, which may have begun anew."""
    ts = event["ts_ms"]
    if profile["last"] - ts > LATENESS_MS and session is not None and ts < session["last"]:
        # Too late for the session: the profile alone.
        _apply(bundle, new_session(), profile, event)
        return session
    session = alive(session, ts)
    _apply(bundle, session, profile, event)
    return session


def _apply(bundle, session, profile, event):
    ts, kind = event["ts_ms"], event["type"]
    if session["user"] is None:
        session["user"], session["started"], session["before"] = event["user_id"], ts, profile["last"]
    session["last"] = max(session["last"], ts)
    if ts > profile["last"]:
        factor = decay(ts - profile["last"])
        profile["hours"] = [plays * factor for plays in profile["hours"]]
        profile["last"] = ts
    track = bundle.rows.get(event.get("track_id"))
    if track is None:
        return
    artist, genre = int(bundle.artist[track]), int(bundle.genre[track])
    if kind == "play_start":
        if session["current"] is not None:
            _finish(bundle, session, profile, event, session["current"], (0.0, 0.0, False, False, False))
        session["current"], session["paused"], session["since"] = [track, 0.0, 0.0, ts, False], 0, ts
    elif kind in ("play_end", "skip", "stop"):
        current = session["current"] if session["current"] and session["current"][TRACK] == track else None
        sounded = None
        if current:
            session["current"] = None
            sounds = ts - session["since"] if session["since"] is not None else 0
            sounded = None if sounds < 0 else session["paused"] + sounds
        verdict = grade(event, bundle.duration_ms[track], sounded)
        _finish(bundle, session, profile, event, current or [track, 0.0, 0.0, ts, False], verdict)
    elif kind in ("pause", "resume") and session["current"] and session["current"][TRACK] == track:
        if kind == "resume":
            session["since"] = session["since"] if session["since"] is not None else ts
        elif session["since"] is not None:
            session["paused"], session["since"] = session["paused"] + max(ts - session["since"], 0), None
    elif kind in ("like", "add_to_playlist", "unlike"):
        _like(bundle, session, profile, track, kind != "unlike", (artist, genre), ts)
    elif kind == "dislike":
        _mark(session["window"] + [session["current"]] + profile["recent"], track, False)
        if str(track) in profile["tracks"]:
            profile["tracks"][str(track)][2] = False
        if track not in profile["disliked"]:
            profile["disliked"].append(track)
            _penalise(session, artist)
            _lean(session, bundle.vectors[track], -1.0)
    elif kind == "block_artist" and artist not in profile["blocked"]:
        profile["blocked"].append(artist)


def grade(event, duration_ms, sounded_ms):
    """How a play ended: signal, part that sounded, completed, skipped, skipped early."""
    duration = event.get("duration_ms") or (duration_ms if duration_ms and duration_ms > 0 else None)
    played = event["played_ms"] if event.get("played_ms") is not None else event.get("position_ms")
    kind, reason = event["type"], event.get("reason_end")
    if reason in ("logout", "timeout", "app_closed"):
        ending = "censored"
    elif kind == "skip" or reason == "skip":
        ending = "skipped"
    elif reason == "done" or (reason is None and kind == "play_end" and played is not None and duration
                              and played / duration >= 0.95):
        ending = "finished"
    else:
        ending = "censored"
    whole = duration or ASSUMED_MS
    if played is None:
        if ending == "finished":
            played = duration
        elif sounded_ms is not None and (ending == "skipped" or (kind == "stop" and reason is None)):
            played = min(sounded_ms, whole)
    part = 1.0 if ending == "finished" else min(played / whole, 1.0) if played is not None else 0.0
    completed = ending == "finished" or (played is not None and played > POSITIVE_MS)
    early = ending == "skipped" and not completed and played is not None and played < EARLY_SKIP_MS
    if ending == "finished":
        signal = 1.0
    elif ending == "skipped":
        signal = -1.0 if early else 0.1 + 0.4 * part if completed else -0.5 * (1.0 - part)
    else:
        signal = 0.5 + 0.5 * part if completed else 0.0
    return signal, part, completed, ending == "skipped", early


def _finish(bundle, session, profile, event, play, verdict):
    signal, part, completed, skipped, early = verdict
    track, ts = play[TRACK], event["ts_ms"]
    play = [track, signal, part, ts, play[LIKED]]
    artist, genre = int(bundle.artist[track]), int(bundle.genre[track])
    session["plays"] += 1
    session["completes"] += completed
    session["skips"] += skipped
    session["in_row"] = session["in_row"] + 1 if skipped else 0
    session["penalty"] = {key: p * SKIP_DECAY for key, p in session["penalty"].items() if p * SKIP_DECAY >= NEGLIGIBLE}
    if session["skipped"] is not None:
        session["skipped"] = [value * SKIP_DECAY for value in session["skipped"]]
    if early:
        _penalise(session, artist)
    elif completed and str(artist) in session["penalty"]:
        session["penalty"][str(artist)] *= 1.0 - FORGIVE
    _lean(session, bundle.vectors[track], signal)
    for name, values in (("tempo", bundle.tempo), ("energy", bundle.energy), ("valence", bundle.valence)):
        value = float(values[track])
        if not math.isnan(value):
            count, mean, m2 = session[name]
            delta = value - mean
            mean += delta / (count + 1)
            session[name] = [count + 1, mean, m2 + delta * (value - mean)]
    session["window"] = (session["window"] + [play])[-WINDOW:]
    session["played"] = ([one for one in session["played"] if one != track] + [track])[-PLAYED:]
    profile["plays"] += 1
    profile["skips"] += skipped
    hour = event.get("local_hour")
    hour = hour if hour is not None else ts % DAY_MS // 3_600_000
    profile["hours"][hour] += decay(profile["last"] - ts)
    if signal > 0:
        _add_affinity(profile, artist, genre, signal, ts)
    if signal >= 0:
        profile["recent"] = (profile["recent"] + [play])[-RECENT:]
    history = _history(profile, track, ts)
    history[0] += 1
    history[1] = max(history[1], ts)
    history[2] |= play[LIKED]


def _like(bundle, session, profile, track, liked, by, ts):
    _mark(session["window"] + [session["current"]], track, liked)
    _mark(profile["recent"], track, liked)
    if not liked and str(track) not in profile["tracks"]:
        return
    history = _history(profile, track, ts)
    turned, history[2] = liked and not history[2], liked
    if liked and track in profile["disliked"]:
        profile["disliked"].remove(track)
    if turned:
        _add_affinity(profile, *by, 1.0, ts)
        if str(by[0]) in session["penalty"]:
            session["penalty"][str(by[0])] *= 1.0 - FORGIVE
        _lean(session, bundle.vectors[track], 1.0)


def _mark(plays, track, liked):
    for play in plays:
        if play is not None and play[TRACK] == track:
            play[LIKED] = liked


def _history(profile, track, ts):
    """Plays, latest play, liked; the least recently played goes when there are too many."""
    tracks = profile["tracks"]
    if str(track) not in tracks:
        if len(tracks) >= TRACKS:
            del tracks[min(tracks, key=lambda key: (tracks[key][1], int(key)))]
        tracks[str(track)] = [0, ts, False]
    return tracks[str(track)]


def _penalise(session, artist):
    penalty = session["penalty"]
    held = penalty.get(str(artist), 0.0)
    penalty[str(artist)] = held + (1.0 - held) * 0.5
    if len(penalty) > PENALTIES:
        del penalty[min(penalty, key=penalty.get)]


def _lean(session, vector, signal):
    if signal:
        name = "liked" if signal > 0 else "skipped"
        held = session[name]
        step = vector * abs(signal)
        session[name] = (step if held is None else held + step).tolist()


def _add_affinity(profile, artist, genre, weight, ts):
    for name, key in (("artists", artist), ("genres", genre)):
        if key < 0:
            continue
        weights, as_of = profile[name]
        if not weights:
            as_of = ts
        elapsed = ts - as_of
        if elapsed > 0:
            factor = decay(elapsed)
            weights = {one: held * factor for one, held in weights.items() if held * factor >= 1e-6}
            as_of = ts
        weights[str(key)] = weights.get(str(key), 0.0) + weight * decay(-elapsed)
        if len(weights) > AFFINITIES:
            del weights[min(weights, key=weights.get)]
        profile[name] = [weights, as_of]
