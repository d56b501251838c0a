"""How Python's values are written in a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import TypeAlias

ColumnValue: TypeAlias = str | int | float | bool | datetime | None
"""A value of a column or field; `None` stands for events without one."""
Key: TypeAlias = Mapping[str, ColumnValue]
"""Values by column. Columns that are left out are summed over."""
KeysAsked: TypeAlias = Mapping[str, ColumnValue | Sequence[ColumnValue]]
"""The same, with several values for some columns: each combination is a key that is asked for."""
Moment: TypeAlias = str | datetime
"""A datetime with a zone, or text: RFC 3339, `now`, or a time before now such as `-24h`."""
Length: TypeAlias = str | timedelta
"""A timedelta of whole seconds, or text such as `5m` or `1mo`."""
Parameters: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values as they stand in a query string."""


def columns(key: KeysAsked | None) -> Parameters:
    """What a request says of columns."""
    pairs: list[tuple[str, str]] = []
    for name, value in (key or {}).items():
        values: Sequence[ColumnValue]
        # A text is a sequence, too, but one value.
        if value is None or isinstance(value, str | int | float | bool | datetime):
            values = (value,)
        else:
            values = value
        if not values:
            raise ValueError(f"{name} has no values: give at least one, or leave {name} out to sum over it")
        pairs.extend(_column(name, each) for each in values)
    return tuple(pairs)


def others(**parameters: str | int | None) -> Parameters:
    """Other parameters, without those that are `None`. `from_` is written `from`, which is a word of Python."""
    return tuple((name.rstrip("_"), str(value)) for name, value in parameters.items() if value is not None)


def moment(value: Moment | None) -> str | None:
    """An instant."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no zone: write datetime(…, tzinfo=timezone.utc), or .astimezone() for local time")
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def length(value: Length | None) -> str | None:
    """A length of time."""
    if not isinstance(value, timedelta):
        return value
    seconds = value // timedelta(seconds=1)
    if seconds <= 0 or value != timedelta(seconds=seconds):
        raise ValueError(f"{value!r} is no whole number of seconds above 0")
    return f"{seconds}s"


def day(value: str | date) -> str:
    """A day. A datetime is not taken: its day depends on a zone."""
    if isinstance(value, datetime):
        raise TypeError(f"{value!r} is an instant: give the day in the report's zone, such as value.astimezone(zone).date()")
    return value if isinstance(value, str) else value.isoformat()


def _column(name: str, value: ColumnValue) -> tuple[str, str]:
    if value is None:
        return f"{name}.missing", "true"
    if isinstance(value, bool):
        return name, "true" if value else "false"
    if isinstance(value, datetime):
        return name, moment(value) or ""
    return name, str(value)
