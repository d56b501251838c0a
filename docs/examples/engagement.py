"""From the tables that Braid writes: a picture of a day, a look into a report, and a training set that does not know the future.

    engagement.py CATALOG STORE OUT

CATALOG is the catalog's file, STORE a deployment's folder (`<store.url>/<name>`, such as data/braid), OUT a folder for what is
written: engagement.svg and training.parquet. It needs `pip install deltalake duckdb polars`, and nothing of Braid: archive, views and
reports are Delta tables. Paste it into a notebook, one part per cell.
"""

import json
import sys
import tomllib
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
from deltalake import DeltaTable

REPORT = "engagement"
UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def main(catalog_file, store, out):
    catalog, store, out = tomllib.loads(Path(catalog_file).read_text()), Path(store), Path(out)
    of_report = catalog["reports"][REPORT]
    metric = catalog["metrics"][of_report["metric"]]
    out.mkdir(parents=True, exist_ok=True)

    # 1. The report: a row for each user and day, written each night.
    report = pl.read_delta(str(store / "warehouse" / REPORT))
    print(report.sort("date", "engagement_score", descending=True, nulls_last=True).head(5))

    # 2. The batch view: partials, one row or more for each user and hour, which add up. They are as fresh as the last reconcile.
    view = pl.read_delta(str(store / "views" / catalog["pipeline"]["version"] / of_report["metric"]))
    hours = view.group_by("bucket").agg(pl.col("click_count").sum()).sort("bucket")
    (out / "engagement.svg").write_text(bars("Clicks per hour", hours["bucket"].dt.strftime("%d %Hh"), hours["click_count"]))

    # 3. The archive: every event that ever arrived. Of the copies of an event one counts, so the report can be counted again.
    days = settled(report["date"].unique().sort(), of_report)
    differ = report.join(recounted(store, metric["source"], days), on=["date", "user_id"], how="left").filter(
        (pl.col("click_count") != pl.col("clicks").fill_null(0)) | (pl.col("unique_pages") != pl.col("pages").fill_null(0))
    )

    # 4. The training set: each row of the report with the profile as it was when that day was settled, not as it is now.
    profiles = as_of(store, "users", ["plan", "country", "changed_at"], days)
    training = report.join(profiles, on=["date", "user_id"], how="left", suffix="_then").sort("date", "user_id")
    training.write_parquet(out / "training.parquet")
    print(training.head(5))

    # The report took the plan of the same moment, so the two agree.
    plans = training.filter(~pl.col("plan").eq_missing(pl.col("plan_then"))).height
    has_profile = training["changed_at"].is_not_null().sum()
    said = {"days": len(days), "rows": training.height, "with_profile": has_profile, "other_plans": plans}
    print(json.dumps(said | {"other_counts": differ.height}))


def settled(dates, of_report):
    """For each day its begin and end by the clocks of the report's zone, and the moment from which on its first rows are written."""
    zone, settle = ZoneInfo(of_report.get("time_zone", "UTC")), of_report.get("settle", "1h")
    days = {"date": [], "begins": [], "ends": [], "settled": []}
    for text in dates:
        day = date.fromisoformat(text)
        begins, ends = (instant_us(datetime.combine(day + timedelta(days=n), time(), zone)) for n in (0, 1))
        for name, value in zip(days, (text, begins, ends, ends + int(settle[:-1]) * UNITS_S[settle[-1]] * 1_000_000)):
            days[name].append(value)
    return pl.DataFrame(days, schema={"date": pl.String, "begins": pl.Int64, "ends": pl.Int64, "settled": pl.Int64})


def recounted(store, source, days):
    """Clicks and different pages of each user and day, counted from the events."""
    return frame(f"""
        WITH days(date, begins, ends, settled) AS ({values(days)}),
        events AS (
            SELECT user_id, epoch_us("at") AS us, regexp_extract(url, '^[a-z]+://[^/?#]*([^?#]*)', 1) AS page
            FROM {files(store, source)} WHERE _error IS NULL
            QUALIFY row_number() OVER (PARTITION BY click_id, "at" ORDER BY _log, _partition, _offset) = 1
        )
        SELECT date, user_id, count(*) AS clicks, count(DISTINCT page) AS pages
        FROM events JOIN days ON us >= begins AND us < ends GROUP BY ALL
    """)


def as_of(store, table, columns, days):
    """The rows of a table as they were when each day was settled. In each partition that is what lies below the first change with
    that timestamp or a later one; of the changes of a key the last one by offset stands, and of several partitions the newest one."""
    changes = files(store, table)
    [(logs,)] = duckdb.sql(f"SELECT count(DISTINCT _log) FROM {changes}").fetchall()
    assert logs == 1, f"the topic of {table} had {logs} lives; which came first, its archive's facts say"
    return frame(f"""
        WITH days(date, begins, ends, settled) AS ({values(days)}),
        changes AS (
            SELECT *, coalesce(user_id, decode(_key)) AS key, epoch_us(_timestamp) AS us
            FROM {changes} WHERE _error IS NULL OR _error = 'delete'
        ),
        stops AS (
            SELECT date, _partition, min(_offset) FILTER (epoch_us(_timestamp) >= settled) AS stop
            FROM days, {changes} GROUP BY date, _partition
        ),
        lasts AS (
            SELECT * FROM changes JOIN stops USING (_partition) WHERE stop IS NULL OR _offset < stop
            QUALIFY row_number() OVER (PARTITION BY date, key, _partition ORDER BY _offset DESC) = 1
        ),
        newest AS (
            SELECT * FROM lasts
            QUALIFY row_number() OVER (PARTITION BY date, key ORDER BY us DESC, _partition DESC, _offset DESC) = 1
        )
        SELECT date, key AS user_id, {", ".join(columns)} FROM newest WHERE _error IS NULL
    """)


def files(store, source):
    """The rows of a source's archive, as SQL. Files that are older than a field lack its column."""
    listed = ", ".join("'" + uri.replace("'", "''") + "'" for uri in DeltaTable(str(store / "archive" / source)).file_uris())
    return f"read_parquet([{listed}], union_by_name = true)"


def values(days):
    return "VALUES " + ", ".join(f"('{date}', {begins}, {ends}, {settled})" for date, begins, ends, settled in days.rows())


def frame(sql):
    return pl.DataFrame(duckdb.sql(sql))


def instant_us(moment):
    return int(moment.timestamp()) * 1_000_000


def bars(title, labels, numbers):
    """A bar for each number, as SVG: a picture needs no package."""
    width, height, most = 14, 160, max(numbers, default=0) or 1
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * len(numbers) + 20}" height="{height + 60}" font-family="sans-serif">']
    parts.append(f'<text x="10" y="20" font-size="14">{title}, at most {most:,}</text>')
    for at, (label, number) in enumerate(zip(labels, numbers)):
        x, tall = 10 + at * width, round(number / most * height)
        parts.append(f'<rect x="{x}" y="{30 + height - tall}" width="{width - 2}" height="{tall}" fill="#36c"><title>{label}: {number:,}</title></rect>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main(*sys.argv[1:])
