"""Reads a metric's batch view and the archive that it is counted from, and prints what they hold as JSON.

    second_observer.py CATALOG STORE METRIC

STORE is a deployment's folder, `<store.url>/<name>`. This program shares no code with those that write the tables: the package
`deltalake` says which files are active, DuckDB reads them, and the metric is counted from the records' bytes by what the catalog
says, in Python and in DuckDB's SQL. It knows what the scenarios need: JSON records whose fields stand in the members of their
names, `count()` and `sum(…)`, one log of the topic and any imported files, and rows of erased records. `e2e-tests/second-observer.sh` makes the environment that it runs in.
"""

import json
import os
import sys
import tomllib
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import duckdb
from arro3.core import Array, DataType, Table
from deltalake import DeltaTable

UNITS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ARROW = {
    "string": DataType.utf8(),
    "int": DataType.int64(),
    "float": DataType.float64(),
    "bool": DataType.bool(),
    "timestamp": DataType.int64(),
}
# So many mistakes are named.
NAMED = 5


def main(catalog_file, store, metric_name):
    with open(catalog_file, "rb") as file:
        catalog = tomllib.load(file)
    metric = catalog["metrics"][metric_name]
    source = catalog["sources"][metric["source"]]
    archive = DeltaTable(os.path.join(store, "archive", metric["source"]))
    view = DeltaTable(os.path.join(store, "views", catalog["pipeline"]["version"], metric_name))
    rows = archived_rows(archive, source)
    events, said = decoded(rows, source)
    counted, viewed = count(events, source, metric), merge(view, metric)
    differ = [key for key in sorted(counted.keys() | viewed.keys(), key=repr) if counted.get(key) != viewed.get(key)]
    print(json.dumps({
        "archive": {"version": archive.version(), "partitions": partitions(rows), **said, **sums(counted, metric)},
        "view": {"version": view.version(), **sums(viewed, metric)},
        "differ": [[key, counted.get(key), viewed.get(key)] for key in differ[:NAMED]],
    }))


def scan(table):
    """Every row of a table's active files, with its partition column, as SQL. The files do not hold that column."""
    adds = table.get_add_actions(flatten=True)
    paths, days = adds.column("path").to_pylist(), adds.column("partition._day").to_pylist()
    root = table.table_uri.removeprefix("file://")
    duckdb.execute("CREATE OR REPLACE TEMP TABLE files (file VARCHAR, _day VARCHAR)")
    files = [os.path.join(root, path) for path in paths]
    duckdb.executemany("INSERT INTO files VALUES (?, ?)", list(zip(files, days)))
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{listed}], union_by_name = true, filename = 'file') JOIN files USING (file)"


def archived_rows(table, source):
    """The records in the order that decides which copy of an event stands: by their places in the log."""
    fields = [f'epoch_us("{name}")' if kind_of(kind) == "timestamp" else f'"{name}"' for name, kind in source["fields"].items()]
    place = "_log, _partition, _offset"
    wanted = ", ".join([place, "epoch_us(_timestamp)", "_key", "_headers", "_raw", "_error", "_day", *fields])
    # The topic was archived before any file was imported.
    return duckdb.sql(f"SELECT {wanted} FROM {scan(table)} ORDER BY starts_with(_log, 'import-'), {place}").fetchall()


def partitions(rows):
    """Of each partition, which offsets are there."""
    offsets = {}
    for log, partition, offset, *_ in rows:
        offsets.setdefault((log, partition), []).append(offset)
    return [
        {"log": log, "partition": partition, "rows": len(of), "distinct": len(set(of)), "min": min(of), "max": max(of)}
        for (log, partition), of in offsets.items()
    ]


def decoded(rows, source):
    """The first copy of each event, decoded from its bytes, and what is to be said of all rows."""
    first, days, rejected, erased, wrong = {}, {}, 0, 0, []
    time, ids = source["event_time"], source.get("event_id", [])
    for log, partition, offset, timestamp_us, key, headers, raw, error, day, *columns in rows:
        if error == "erased":
            # Nothing is left but where it lay, when it was sent, and its day.
            erased += 1
            if any(left is not None for left in [key, headers, raw, *columns]):
                wrong.append([log, partition, offset, error, day])
            continue
        event = decode(raw, timestamp_us, source)
        rejected += event is None
        # An imported record says nothing of when it was sent.
        happened = timestamp_us or 0 if event is None else event[time]
        # Columns, verdict and day are a cache of what the bytes say.
        cached = dict.fromkeys(source["fields"]) if event is None else event
        is_so = (error is not None) == (event is None) and columns == list(cached.values())
        if not (is_so and day == day_of(happened)):
            wrong.append([log, partition, offset, error, day])
        if event is not None:
            days[day] = days.get(day, 0) + 1
            names = [ids] if isinstance(ids, str) else ids
            identity = tuple(event[name] for name in names) or (log, partition, offset)
            first.setdefault((identity, event[time]), event)
    said = {"rows": len(rows), "rejected": rejected, "erased": erased, "events": days, "copies": sum(days.values()) - len(first)}
    return list(first.values()), said | {"wrong": wrong[:NAMED]}


def decode(raw, timestamp_us, source):
    """The values of the declared fields; nothing if the record is invalid."""
    try:
        members = json.loads((raw or b"").decode(), parse_float=Decimal, parse_constant=refuse)
        event = {name: value_of(members.get(name), kind) for name, kind in source["fields"].items()}
    except (ValueError, AttributeError):
        return None
    if timestamp_us is None:
        return event
    age = timestamp_us - event[source["event_time"]]
    is_kept = -span_us(source.get("max_ahead", "1h")) <= age <= span_us(source.get("max_age", "400d"))
    return event if is_kept else None


def value_of(value, kind):
    """A member's value as the field's type has it. Fails with ValueError where it is not of that type."""
    if value is None and kind.endswith("?"):
        return None
    match kind_of(kind), value:
        case ("string", str()) | ("bool", bool()):
            return value
        case ("int", int() | Decimal()) if not isinstance(value, bool) and -(2**63) <= value < 2**63 and value % 1 == 0:
            return int(value)
        case ("float", int() | Decimal()) if not isinstance(value, bool):
            return float(value)
        case ("timestamp", int()) if not isinstance(value, bool):
            return value * 1_000
        case ("timestamp", str()) if value.lstrip("-").isdigit():
            return int(value) * 1_000
        case ("timestamp", str()):
            return (datetime.fromisoformat(value) - EPOCH) // timedelta(microseconds=1)
    raise ValueError(f"{value!r} is no {kind}")


def count(events, source, metric):
    """The measures of each bucket and key, by the catalog's own expressions."""
    arrow = {name: Array([event[name] for event in events], ARROW[kind_of(kind)]) for name, kind in source["fields"].items()}
    counted = Table.from_pydict(arrow)
    bucket = f'"{source["event_time"]}" - "{source["event_time"]}" % {span_us(metric["grain"])}'
    measures = [f"coalesce({measure}, 0)" for measure in metric["measures"].values()]
    return grouped("counted", bucket, metric, measures, metric.get("where", "true"), counted)


def merge(view, metric):
    """The measures of each bucket and key of the view, whose rows add up."""
    return grouped(scan(view), "epoch_us(bucket)", metric, [f'sum("{name}")' for name in metric["measures"]], "true")


def grouped(table, bucket, metric, measures, where, counted=None):
    keys = ", ".join([f"{bucket} AS start", *(f'"{name}"' for name in metric["by"])])
    rows = duckdb.sql(f"SELECT {keys}, {', '.join(measures)} FROM {table} WHERE {where} GROUP BY ALL").fetchall()
    by = 1 + len(metric["by"])
    return {row[:by]: [int(value) for value in row[by:]] for row in rows}


def sums(buckets, metric):
    """The measures of each key over all of time."""
    keys = {}
    for (_, *key), values in buckets.items():
        total = keys.setdefault(json.dumps(key), dict.fromkeys(metric["measures"], 0))
        for name, value in zip(metric["measures"], values):
            total[name] += value
    return {"buckets": len(buckets), "keys": keys}


def kind_of(kind):
    return kind.removesuffix("?")


def span_us(text):
    return int(text[:-1]) * UNITS_US[text[-1]]


def day_of(time_us):
    return (EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%d")


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


if __name__ == "__main__":
    main(*sys.argv[1:])
