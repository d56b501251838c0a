"""A JSON object of an answer, read by the types that its members have to have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from typing import Any, TypeVar

from .errors import UnreadableError

T = TypeVar("T")

FIX = "ask a serving layer of Braid, of a version that this client knows"


class Body:
    """A JSON object. Members that nobody reads are left alone: a newer platform may say more."""

    __slots__ = ("_where", "raw")

    def __init__(self, raw: object, where: str) -> None:
        if not isinstance(raw, dict):
            raise UnreadableError(f"{where} is {_shown(raw)} and no JSON object", FIX)
        self.raw: dict[str, Any] = raw
        self._where = where

    @staticmethod
    def read(text: bytes | str, where: str) -> Body:
        """Reads an object from JSON."""
        try:
            raw: object = json.loads(text)
        except ValueError as error:
            raise UnreadableError(f"{where} is no JSON: {error}", FIX) from error
        return Body(raw, where)

    def text(self, name: str) -> str:
        return self._is(name, self._member(name), str)

    def maybe_text(self, name: str) -> str | None:
        return None if self.raw.get(name) is None else self.text(name)

    def integer(self, name: str) -> int:
        value = self._is(name, self._member(name), int)
        if isinstance(value, bool):
            raise self._wrong(name, value, "an integer")
        return value

    def maybe_integer(self, name: str) -> int | None:
        return None if self.raw.get(name) is None else self.integer(name)

    def flag(self, name: str) -> bool:
        return self._is(name, self._member(name), bool)

    def maybe_flag(self, name: str) -> bool | None:
        return None if self.raw.get(name) is None else self.flag(name)

    def instant(self, name: str) -> datetime:
        text = self.text(name)
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise self._wrong(name, text, "an instant") from error
        if at.tzinfo is None:
            raise self._wrong(name, text, "an instant with an offset")
        return at.astimezone(timezone.utc)

    def maybe_instant(self, name: str) -> datetime | None:
        return None if self.raw.get(name) is None else self.instant(name)

    def maybe_date(self, name: str) -> date | None:
        text = self.maybe_text(name)
        if text is None:
            return None
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise self._wrong(name, text, "a day") from error

    def mapping(self, name: str) -> Mapping[str, Any]:
        """An object whose members the catalog decides."""
        value: dict[str, Any] = self._is(name, self._member(name), dict)
        return value

    def maybe_mapping(self, name: str) -> Mapping[str, Any] | None:
        return None if self.raw.get(name) is None else self.mapping(name)

    def items(self, name: str) -> tuple[Any, ...]:
        return tuple(self._is(name, self._member(name), list))

    def maybe_items(self, name: str) -> tuple[Any, ...]:
        """A list that is left out if it is empty."""
        return () if self.raw.get(name) is None else self.items(name)

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self._is(name, value, str) for value in self.items(name))

    def member(self, name: str) -> Body:
        return Body(self._member(name), f"{self._where}.{name}")

    def maybe_member(self, name: str) -> Body | None:
        return None if self.raw.get(name) is None else self.member(name)

    def members(self, name: str) -> tuple[Body, ...]:
        return self._members(name, self.items(name))

    def maybe_members(self, name: str) -> tuple[Body, ...]:
        """Objects of a list that is left out if it is empty."""
        return self._members(name, self.maybe_items(name))

    def each(self, name: str, read: Callable[[Body], T]) -> tuple[T, ...]:
        """What is read of each object of a list."""
        return tuple(read(body) for body in self.members(name))

    def maybe_each(self, name: str, read: Callable[[Body], T]) -> tuple[T, ...]:
        """The same of a list that is left out if it is empty."""
        return tuple(read(body) for body in self.maybe_members(name))

    def maybe_read(self, name: str, read: Callable[[Body], T]) -> T | None:
        """What is read of an object that may be null or left out."""
        body = self.maybe_member(name)
        return None if body is None else read(body)

    def has(self, name: str) -> bool:
        return name in self.raw

    def _members(self, name: str, values: tuple[Any, ...]) -> tuple[Body, ...]:
        return tuple(Body(value, f"{self._where}.{name}[{at}]") for at, value in enumerate(values))

    def _member(self, name: str) -> object:
        if name not in self.raw:
            raise UnreadableError(f"{self._where} has no {name}", FIX)
        return self.raw[name]

    def _is(self, name: str, value: object, kind: type[T]) -> T:
        if not isinstance(value, kind):
            raise self._wrong(name, value, kind.__name__)
        return value

    def _wrong(self, name: str, value: object, wanted: str) -> UnreadableError:
        return UnreadableError(f"{self._where}.{name} is {_shown(value)} and not {wanted}", FIX)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
