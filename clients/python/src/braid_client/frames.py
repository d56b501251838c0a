"""Answers as data frames, where pandas or Polars is installed."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]
    import polars


class Tabular(ABC):
    """What has rows."""

    @abstractmethod
    def rows_flat(self) -> list[dict[str, Any]]:
        """A dict for each row, all with the same names in the same order: columns, times, values, and the layer."""

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame. Instants are UTC."""
        return _package("pandas").DataFrame(self.rows_flat())

    def to_polars(self) -> polars.DataFrame:
        """The rows as a Polars DataFrame. Instants are UTC."""
        frame: polars.DataFrame = _package("polars").DataFrame(self.rows_flat(), infer_schema_length=None)
        return frame


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(
            f"{name} is not installed, and to_{name}() needs it: pip install 'braid-client[{name}]'", name=name
        ) from error
