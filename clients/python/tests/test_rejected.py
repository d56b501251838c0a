"""Bytes of rejected records, as they are read from JSON."""

from __future__ import annotations

import unittest
from typing import Any

from braid_client import ShownBytes, UnreadableError
from braid_client.body import Body


def shown(**raw: Any) -> ShownBytes:
    return ShownBytes.of(Body({"bytes": 3, "cut": False, **raw}, "bytes"))


class Bytes(unittest.TestCase):
    def test_bytes_are_the_same_however_they_are_written(self) -> None:
        self.assertEqual(shown(text="aü").content, "aü".encode())
        self.assertEqual((shown(text="").content, shown(text="").text), (b"", ""))
        other = shown(hex="ff000a", bytes=9, cut=True)
        self.assertEqual((other.content, other.text, other.size, other.cut), (b"\xff\x00\x0a", None, 9, True))

    def test_what_is_no_hexadecimal_number_is_named(self) -> None:
        for raw in ({"hex": "xy"}, {}):
            with self.subTest(raw=raw), self.assertRaises(UnreadableError):
                shown(**raw)
