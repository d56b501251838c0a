"""The examples of the README run as they stand, on a running platform."""

from __future__ import annotations

import contextlib
import io
import os
import re
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from .platform import platform

README = Path(__file__).parent.parent / "README.md"
ADDRESS = "http://127.0.0.1:8080"


class Readme(unittest.TestCase):
    def test_every_example_runs(self) -> None:
        sent = platform()
        examples = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(examples), 6)
        self.assertIn(ADDRESS, examples[0])
        names: dict[str, Any] = {}
        printed = io.StringIO()
        with mock.patch.dict(os.environ, BRAID_API_KEY="a-key"), contextlib.redirect_stdout(printed):
            for at, example in enumerate(examples):
                with self.subTest(example=at):
                    exec(compile(example.replace(ADDRESS, sent.url), f"README, example {at}", "exec"), names)
        self.addCleanup(names["braid"].close)
        self.assertIn("complete: True", printed.getvalue())
        self.assertIn("unknown-metric", printed.getvalue())
        self.assertIn("high_velocity", printed.getvalue())
