"""Counts the events of an archive's files with DuckDB, as the metric of the benchmark does: what `make bench` puts full reconciles beside.

    duckdb_counts.py FILES COUNTED window|group

FILES names Parquet files, one a line. Of the copies of an event, the one with the smallest partition and offset stands, before the
metric's condition looks at any of them; it is found by a window function or by grouping. The rows, one per key and minute, are written
to COUNTED, in no order, and their number is printed. It runs on two threads, and takes 2 GiB at most.

`e2e-tests/second-observer.sh` makes the environment that it runs in.
"""

import sys

import duckdb

# The columns of a first copy are those of its row: the sample events lack none.
FIRST_COPIES = {
    "window": """
        SELECT occurred_at, video_id, status, dwell_ms FROM events
        QUALIFY row_number() OVER (PARTITION BY event_id, occurred_at ORDER BY _partition, _offset) = 1
    """,
    "group": """
        SELECT occurred_at, arg_min(video_id, place) AS video_id, arg_min(status, place) AS status, arg_min(dwell_ms, place) AS dwell_ms
        FROM (SELECT *, _partition::BIGINT * 1000000000000 + _offset AS place FROM events)
        GROUP BY event_id, occurred_at
    """,
}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def main(files, counted, way):
    with open(files) as listed:
        files = ", ".join(quoted(file) for file in listed.read().splitlines())
    duckdb.execute("SET threads = 2")
    duckdb.execute("SET memory_limit = '2GiB'")
    duckdb.execute(f"CREATE TEMP VIEW events AS SELECT * FROM read_parquet([{files}]) WHERE _error IS NULL")
    duckdb.execute(
        f"""
        COPY (
            SELECT epoch_us(occurred_at) // 60000000 AS minute, video_id, count(*) AS views, sum(dwell_ms) AS dwell_ms
            FROM ({FIRST_COPIES[way]}) WHERE status = 200 GROUP BY minute, video_id
        ) TO {quoted(counted)} (FORMAT parquet, COMPRESSION zstd)
        """
    )
    print(duckdb.execute(f"SELECT count(*) FROM read_parquet({quoted(counted)})").fetchone()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
