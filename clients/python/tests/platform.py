"""The platform that tests ask, and what it has to answer. The scenario `python_client` of Braid's end-to-end tests writes that down."""

from __future__ import annotations

import json
import os
import unittest
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "BRAID_CLIENT_TEST"


@dataclass(frozen=True)
class Counts:
    """The measures of a video."""

    views: int
    dwell_ms: int


@dataclass(frozen=True)
class Platform:
    """What was sent."""

    url: str
    videos: dict[str, Counts]
    """Of every video to which nothing more is sent."""
    watched: str
    """A video that is viewed now and then while the tests run, and was not before."""
    spender: str
    """A user who pays now and then while the tests run, each time an alert."""
    row: dict[str, str]
    """A row of the table `users`."""
    clicks: int
    """How often its user has clicked, just now."""
    broken: list[str]
    """The payloads of clicks that are none, in hexadecimal digits. One of them lacks its user."""
    hour: str
    """The beginning of the hour of the newest of these views."""


def platform() -> Platform:
    """The platform; without one, the tests that need it are skipped."""
    file = os.environ.get(VARIABLE)
    if file is None:
        raise unittest.SkipTest(f"{VARIABLE} names no file that describes a running platform")
    said = json.loads(Path(file).read_text())
    videos = {video: Counts(**counts) for video, counts in said.pop("videos").items()}
    return Platform(videos=videos, **said)
