"""Compares a day of a report in the warehouse with what its rows have to be by the events and changes that were sent, and prints JSON.

    report_observer.py STORE REPORT DATE ZONE CLICKS USERS

STORE is a deployment's folder, `<store.url>/<name>`. CLICKS and USERS are CSV files without header: user, page, milliseconds, instant;
and user, name, plan, instant, in the order in which they were sent; a change without a name deletes the profile. Instants are microseconds since 1970. This program shares no code with
those that write the table: the package `deltalake` says which files are active, DuckDB reads them and counts, and Python knows the clocks
of the zone. `e2e-tests/second-observer.sh` makes the environment that it runs in.
"""

import json
import os
import sys
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import duckdb
from deltalake import DeltaTable

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# So many mistakes, and rows, are named.
NAMED = 5
COLUMNS = ["user_id", "name", "plan", "click_count", "unique_pages", "avg_dwell_ms", "engagement_score"]
FLOATS = ["avg_dwell_ms", "engagement_score"]


def main(store, report, day, zone, clicks, users):
    day, zone = date.fromisoformat(day), ZoneInfo(zone)
    begin, end = [micros(datetime.combine(day + timedelta(days=days), time(), zone)) for days in (0, 1)]
    table = DeltaTable(os.path.join(store, "warehouse", report))
    adds = table.get_add_actions(flatten=True)
    root = table.table_uri.removeprefix("file://")
    paths = zip(adds.column("path").to_pylist(), adds.column("partition.date").to_pylist())
    files = [os.path.join(root, path) for path, of in paths if of == day.isoformat()]
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    duckdb.execute(f"CREATE TABLE written AS SELECT {', '.join(COLUMNS)} FROM read_parquet([{listed}])")
    duckdb.execute(
        """
        CREATE TABLE clicks AS SELECT * FROM read_csv(?, header = false,
            columns = {'user_id': 'VARCHAR', 'page': 'VARCHAR', 'ms': 'BIGINT', 'at_us': 'BIGINT'})
        """,
        [clicks],
    )
    duckdb.execute(
        """
        CREATE TABLE users AS SELECT *, row_number() OVER () AS sent FROM read_csv(?, header = false, parallel = false,
            columns = {'user_id': 'VARCHAR', 'name': 'VARCHAR', 'plan': 'VARCHAR', 'at_us': 'BIGINT'})
        """,
        [users],
    )
    # The day is settled when it ends.
    duckdb.execute(
        """
        CREATE TABLE expected AS
        WITH counted AS (
            SELECT user_id, count(*) AS click_count, count(DISTINCT page) AS unique_pages,
                   sum(ms)::DOUBLE / count(ms) AS avg_dwell_ms
            FROM clicks WHERE at_us >= ? AND at_us < ? GROUP BY user_id
        ), profiles AS (
            SELECT user_id, arg_max(struct_pack(name := name, plan := plan), sent) AS profile
            FROM users WHERE at_us < ? GROUP BY user_id
        )
        SELECT user_id, profile.name AS name, profile.plan AS plan, click_count, unique_pages, avg_dwell_ms,
               click_count * 0.3::DOUBLE + unique_pages * 0.5::DOUBLE + avg_dwell_ms / 1000 * 0.2::DOUBLE AS engagement_score
        FROM counted LEFT JOIN profiles USING (user_id)
        """,
        [begin, end, end],
    )
    differ = duckdb.sql(
        f"""
        SELECT user_id, w, e FROM (SELECT user_id, w, e FROM
            (SELECT user_id, written AS w FROM written) FULL JOIN (SELECT user_id, expected AS e FROM expected) USING (user_id))
        WHERE w IS NULL OR e IS NULL OR {" OR ".join(differs(column) for column in COLUMNS)}
        """
    ).fetchall()
    shown = duckdb.sql(f"SELECT {', '.join(COLUMNS)} FROM expected ORDER BY user_id LIMIT {NAMED}").fetchall()
    print(json.dumps({
        "rows": duckdb.sql("SELECT count(*) FROM written").fetchall()[0][0],
        "expected": duckdb.sql("SELECT count(*) FROM expected").fetchall()[0][0],
        "clicks": duckdb.sql("SELECT sum(click_count) FROM expected").fetchall()[0][0],
        "named": duckdb.sql("SELECT count(name) FROM expected").fetchall()[0][0],
        "differ": len(differ),
        "first": [repr(row) for row in differ[:NAMED]],
        "shown": [dict(zip(COLUMNS, row)) for row in shown],
    }, default=str))


def differs(column):
    """Integers and texts agree to the last digit, floats to 1e-9 of the larger one."""
    if column in FLOATS:
        return f"abs(w.{column} - e.{column}) > 1e-9 * greatest(abs(w.{column}), abs(e.{column}))"
    return f"w.{column} IS DISTINCT FROM e.{column}"


def micros(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


main(*sys.argv[1:])
