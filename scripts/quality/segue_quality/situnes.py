"""SiTunes (Li et al., CHIIR 2024): ratings and moods of 30 listeners in daily situations, in the authors' splits."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ORIGIN = "https://github.com/JiayuLi-997/SiTunes_dataset"
SPLITS = range(101, 111)
LIKED = 3  # a rating from here on is the positive label
MOVED = 0.125  # valence must change by more than this to be worse or better; the authors' half grid step
AUDIO = ("popularity", "loudness", "danceability", "energy", "speechiness", "acousticness", "instrumentalness",
         "valence", "tempo", "duration", "F0final_sma_amean", "F0final_sma_stddev", "audspec_lengthL1norm_sma_stddev",
         "pcm_RMSenergy_sma_stddev", "pcm_fftMag_psySharpness_sma_amean", "pcm_fftMag_psySharpness_sma_stddev",
         "pcm_zcr_sma_amean", "pcm_zcr_sma_stddev")
KINDS = ("key", "general_genre_id")
RATING, SITUATION, FEELING, AFTER = 2, slice(3, 27), slice(28, 30), -2  # columns of an interaction file


@dataclass(frozen=True)
class Part:
    """Rows of one file. `liked` [r] is 0 or 1, `mood` [r] 0 worse, 1 same, 2 better.

    `who` [r, listeners] and `track` [r, tracks + kinds] are one-hot; `audio`, `situation` (time, wrist, weather, place)
    and `feeling` (valence and arousal before the track; for the mood alone) are the files' own numbers.
    """

    who: np.ndarray
    track: np.ndarray
    audio: np.ndarray
    situation: np.ndarray
    feeling: np.ndarray
    liked: np.ndarray
    mood: np.ndarray


class SiTunes:
    """The folder that holds `SiTunes/music_metadata` and `splits`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _open(folder / "SiTunes" / "music_metadata" / "music_info.csv") as file:
            tracks = sorted(csv.DictReader(file), key=lambda line: int(float(line["item_id"])))
        self.place = {int(float(line["item_id"])): row for row, line in enumerate(tracks)}
        audio = np.array([[float(line[name] or "nan") for name in AUDIO] for line in tracks])
        self.audio = np.where(np.isnan(audio), np.nanmedian(audio, axis=0), audio)  # a few tracks miss some
        kinds = [_one_hot([line[name] for line in tracks]) for name in KINDS]
        self.track = np.hstack([np.eye(len(tracks)), *kinds])

    def part(self, setting: int, split: int, name: str) -> Part:
        """Reads `train`, `valid` or `test` of a split; setting 2 tests the second stage of the study, 3 the third."""
        stem = f"setting{setting}-{split}"
        with _open(self.folder / "splits" / stem / f"{stem}.{name}.inter") as file:
            next(file)  # names; those of setting 3's test files are wrong, so columns go by place
            rows = np.array([[float(cell) for cell in line] for line in csv.reader(file, delimiter="\t")])
        at = [self.place[int(track)] for track in rows[:, 1]]
        change = rows[:, AFTER] - rows[:, FEELING.start]
        return Part(np.eye(30)[rows[:, 0].astype(int) - 1], self.track[at], self.audio[at], rows[:, SITUATION],
                    rows[:, FEELING], (rows[:, RATING] >= LIKED).astype(int), np.searchsorted([-MOVED, MOVED], change))


def scaled(part: Part, train: Part, names: tuple[str, ...]) -> np.ndarray:
    """Returns the named blocks side by side, each column brought to 0..1 over `train`.

    A column that does not vary in `train`, such as the id of a track that is not there, is left out.
    """
    blocks = []
    for name in names:
        seen = getattr(train, name)
        low, width = seen.min(0), np.ptp(seen, axis=0)
        kept = width > 0
        blocks.append((getattr(part, name)[:, kept] - low[kept]) / width[kept])
    return np.hstack(blocks)


def _one_hot(values: list[str]) -> np.ndarray:
    names, at = np.unique(values, return_inverse=True)
    return np.eye(len(names))[at]


def _open(path: Path):
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; the set comes from {ORIGIN}")
    return path.open(newline="")
