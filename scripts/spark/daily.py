#!/usr/bin/env python3
"""Popularity by market and listeners' tastes as of one moment, from the archive that `segue events export` writes.

    spark-submit scripts/spark/daily.py --archive s3a://lake/archive --tracks s3a://lake/tracks.parquet --out s3a://lake/daily

The same numbers as `segue backfill aggregate`, for histories that no single machine holds; `scripts/test-spark` compares the
two. Writes two directories of Parquet (docs/formats.md, Daily aggregates), over what was there: `popularity` and `tastes`.
Run `segue events compact` first: it drops the events of erased listeners.
"""

import argparse

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

DAY_MS = 86_400_000
TOP = 1_000  # Tracks of a market.
MOST = 256  # Artists, and genres, that a profile holds.
LEAST = 1e-6  # Counts and weights below this are forgotten.
FINISHED = 0.95  # From this part on, a play_end without a reason is a finish.
ASSUMED_MS = 210_000  # Length of a track whose length nobody knows.


def read_events(spark: SparkSession, archive: str) -> DataFrame:
    """The events that finished exports hold, each once: a compaction or an export that was killed leaves some twice."""
    files = spark.read.format("binaryFile").load(f"{archive}/erasures").select("path")
    end = files.agg(F.max(F.regexp_extract("path", r"-(\d+)\.parquet$", 1).cast("long"))).first()[0]
    return spark.read.parquet(f"{archive}/events").where(F.col("offset") < end).dropDuplicates(["offset"])


def read_tracks(spark: SparkSession, path: str) -> DataFrame:
    """The catalogue with its row numbers."""
    return spark.read.parquet(path).select(
        "track_id", "artist_id", "genre", F.when(F.col("duration_ms") > 0, F.col("duration_ms")).alias("catalogue_ms"),
        F.col("_metadata.row_index").cast("int").alias("track_ix"))


def graded(events: DataFrame, positive_ms: int) -> DataFrame:
    """The positive plays, with what each weighs in a taste: `features::grade` of what the last event reports."""
    reason, known = F.col("reason_end"), F.coalesce(F.when(F.col("duration_ms") > 0, F.col("duration_ms")), "catalogue_ms")
    reported = F.coalesce("played_ms", "position_ms")
    share = F.least(reported / known, F.lit(1.0))
    through = (F.col("type") == "play_end") & (share.cast("float") >= F.lit(FINISHED).cast("float"))
    ending = (F.when(reason.isin("logout", "timeout", "app_closed"), "censored")
              .when(F.col("type") == "skip", "skipped")
              .when(reason == "done", "finished")
              .when(reason == "skip", "skipped")
              .when(reason.isNull() & through, "finished")
              .otherwise("censored"))
    part = F.coalesce(F.least(reported / F.coalesce(known, F.lit(ASSUMED_MS)), F.lit(1.0)), F.lit(0.0))
    signal = (F.when(F.col("ending") == "finished", F.lit(1.0))
              .when(F.col("ending") == "skipped", 0.1 + 0.4 * F.col("part"))
              .otherwise(0.5 + 0.5 * F.col("part")))
    return (events.where(F.col("type").isin("play_end", "skip", "stop"))
            .withColumns({"ending": ending, "reported": reported, "part": part})
            .where((F.col("ending") == "finished") | (F.col("reported") > positive_ms))
            .withColumn("weight", signal))


def new_likes(events: DataFrame) -> DataFrame:
    """The likes that turned a track of a listener to liked; each weighs 1."""
    said = events.where(F.col("type").isin("like", "add_to_playlist", "unlike", "dislike"))
    said = said.withColumn("liked", F.col("type").isin("like", "add_to_playlist"))
    before = F.lag("liked").over(Window.partitionBy("user_id", "track_id").orderBy("ts_ms", "offset"))
    said = said.withColumn("before", F.coalesce(before, F.lit(False)))
    return said.where(F.col("liked") & ~F.col("before")).withColumn("weight", F.lit(1.0))


def decayed(weight, as_of_ms: int, half_life_days: float):
    """The sum of weights, each halved for every half-life since."""
    return F.sum(weight * F.pow(F.lit(2.0), (F.col("ts_ms") - as_of_ms) / (half_life_days * DAY_MS)))


def popularity(plays: DataFrame, as_of_ms: int, half_life_days: float) -> DataFrame:
    """All played tracks together (`market` null), and the best of each market."""
    everywhere = plays.withColumn("market", F.lit(None).cast("string")).withColumn("most", F.lit(2**31 - 1))
    somewhere = plays.where(F.col("market").isNotNull()).withColumn("most", F.lit(TOP))
    counts = (everywhere.unionByName(somewhere).groupBy("market", "most", "track_ix")
              .agg(decayed(F.lit(1.0), as_of_ms, half_life_days).cast("float").alias("plays"))
              .where(F.col("plays") >= LEAST))
    rank = F.row_number().over(Window.partitionBy("market").orderBy(F.desc("plays"), "track_ix"))
    return counts.withColumn("rank", rank).where(F.col("rank") <= F.col("most")).drop("most")


def tastes(plays: DataFrame, likes: DataFrame, as_of_ms: int, half_life_days: float) -> DataFrame:
    """What each listener likes of artists and genres."""
    columns = ["user_id", "artist_id", "genre", "ts_ms", "weight"]
    additions = plays.select(columns).unionByName(likes.select(columns))
    weight = decayed(F.col("weight"), as_of_ms, half_life_days).cast("float").alias("weight")
    kinds = [additions.where(F.col(column).isNotNull()).groupBy("user_id", F.lit(kind).alias("kind"), F.col(column).alias("key"))
             .agg(weight) for kind, column in [("artist", "artist_id"), ("genre", "genre")]]
    place = F.row_number().over(Window.partitionBy("user_id", "kind").orderBy(F.desc("weight"), "key"))
    all_kinds = kinds[0].unionByName(kinds[1]).where(F.col("weight") >= LEAST)
    return all_kinds.withColumn("place", place).where(F.col("place") <= MOST).drop("place")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--archive", required=True)
    args.add_argument("--tracks", required=True, help="tracks.parquet, one file: row numbers are what other tables name")
    args.add_argument("--out", required=True)
    args.add_argument("--as-of-ms", type=int, help="events before it count; absent: 1 ms after the last")
    args.add_argument("--half-life-days", type=float, default=14.0, help="of plays in popularity")
    args.add_argument("--taste-half-life-days", type=float, default=60.0, help="signals.affinity_half_life_days")
    args.add_argument("--positive-ms", type=int, default=30_000, help="signals.positive_ms")
    args = args.parse_args()
    spark = SparkSession.builder.appName("segue daily").getOrCreate()
    events = read_events(spark, args.archive)
    as_of_ms = args.as_of_ms or events.agg(F.max("ts_ms")).first()[0] + 1
    events = events.where(F.col("ts_ms") < as_of_ms).join(F.broadcast(read_tracks(spark, args.tracks)), "track_id")
    plays = graded(events, args.positive_ms).cache()
    popularity(plays, as_of_ms, args.half_life_days).write.mode("overwrite").parquet(f"{args.out}/popularity")
    tastes(plays, new_likes(events), as_of_ms, args.taste_half_life_days).write.mode("overwrite").parquet(f"{args.out}/tastes")
    unknown = events.where(F.col("type").isin("skip", "stop") & F.coalesce("played_ms", "position_ms").isNull()).count()
    print(f"{args.out}: as of {as_of_ms} ms; {plays.count()} positive plays; {unknown} skips and stops do not say how long they "
          "sounded: a profile infers that from the play's beginning, this job does not")
    spark.stop()


if __name__ == "__main__":
    main()
