"""Reads a file into a table in memory with DuckDB, and prints how many rows it has: what `make bench` puts imports beside.

    duckdb_reads.py FILE

`e2e-tests/second-observer.sh` makes the environment that it runs in. It takes as much memory as the table, and 2 GiB at most.
"""

import sys

import duckdb

READERS = {"csv": "read_csv", "ndjson": "read_ndjson", "parquet": "read_parquet"}


def main(file):
    reader = READERS[file.rsplit(".", 1)[-1]]
    quoted = file.replace("'", "''")
    duckdb.execute("SET memory_limit = '2GiB'")
    duckdb.execute(f"CREATE TEMP TABLE events AS SELECT * FROM {reader}('{quoted}')")
    print(duckdb.execute("SELECT count(*) FROM events").fetchone()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
