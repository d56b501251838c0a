"""Computes a day of the benchmark's report from the files of two archives, and prints how many rows it has: what `make bench` puts it beside.

    report_rivals.py FILES WRITTEN duckdb|polars

FILES names Parquet files, one a line: those of the clicks' archive, an empty line, and those of the users'. Of the changes of a user, the
last by offset stands. The rows are written to WRITTEN, in no order. Each runs on two threads.

`e2e-tests/second-observer.sh` makes the environment that it runs in.
"""

import os
import sys

os.environ["POLARS_MAX_THREADS"] = "2"

import duckdb
import polars as pl


def by_duckdb(clicks, users, written):
    listed = lambda files: ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    duckdb.execute("SET threads = 2")
    duckdb.execute(
        f"""
        COPY (
            WITH counted AS (
                SELECT user_id, count(*) AS click_count, count(DISTINCT page) AS unique_pages, sum(dwell_ms) AS dwell_ms,
                       sum(dwell_ms)::DOUBLE / count(dwell_ms) AS avg_dwell_ms
                FROM read_parquet([{listed(clicks)}]) WHERE _error IS NULL GROUP BY user_id
            ), profiles AS (
                SELECT user_id, arg_max(name, _offset) AS name, arg_max(plan, _offset) AS plan
                FROM read_parquet([{listed(users)}]) WHERE _error IS NULL GROUP BY user_id
            )
            SELECT *, click_count * 0.3 + unique_pages * 0.5 + avg_dwell_ms / 1000 * 0.2 AS engagement_score
            FROM counted LEFT JOIN profiles USING (user_id)
        ) TO '{written}' (FORMAT parquet, COMPRESSION zstd)
        """
    )
    return duckdb.execute(f"SELECT count(*) FROM read_parquet('{written}')").fetchone()[0]


def by_polars(clicks, users, written):
    counted = (
        pl.scan_parquet(clicks)
        .filter(pl.col("_error").is_null())
        .group_by("user_id")
        .agg(
            click_count=pl.len(),
            unique_pages=pl.col("page").n_unique(),
            dwell_ms=pl.col("dwell_ms").sum(),
            avg_dwell_ms=pl.col("dwell_ms").mean(),
        )
    )
    profiles = (
        pl.scan_parquet(users)
        .filter(pl.col("_error").is_null())
        .group_by("user_id")
        .agg(pl.col("name").sort_by("_offset").last(), pl.col("plan").sort_by("_offset").last())
    )
    score = pl.col("click_count") * 0.3 + pl.col("unique_pages") * 0.5 + pl.col("avg_dwell_ms") / 1000 * 0.2
    rows = counted.join(profiles, on="user_id", how="left").with_columns(engagement_score=score).collect()
    rows.write_parquet(written, compression="zstd")
    return rows.height


def main(files, written, way):
    with open(files) as listed:
        clicks, users = [part.split("\n") for part in listed.read().strip().split("\n\n")]
    print({"duckdb": by_duckdb, "polars": by_polars}[way](clicks, users, written))


if __name__ == "__main__":
    main(*sys.argv[1:])
