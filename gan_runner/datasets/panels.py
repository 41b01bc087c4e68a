"""Prices that need no file of the user's own: those that packages bring, and those that the network has."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from gan_runner import folder
from gan_runner.datasets.files import absolute
from gan_runner.errors import MissingInput, Unavailable

BUNDLES = {
    "sp500": ("arch", "data/sp500/sp500.csv.gz"),
    "stocks20": ("skfolio", "datasets/data/sp500_dataset.csv.gz"),
}
"""Name -> the package that brings the prices, and their file in it: its own import takes seconds."""


def bundled(name: str) -> Path:
    """The file of daily prices that comes with a package: of the S&P 500 (1999-2018) or of 20 stocks (1990-2022).

    Raises:
        Unavailable: the package is not installed.
    """
    package, file = BUNDLES[name]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise Unavailable(
            f"the prices {name} come with the package {package}, which is missing",
            "pip install 'gan-runner[finance]', or set dataset.path to a CSV file of prices",
            id="F50",
        )
    return Path(found.origin).parent / file


def online(tickers: Sequence[str], start: str | None, end: str | None, root: str) -> Path:
    """A CSV file of the adjusted closes of `tickers`, fetched once and then read from `root`.

    Raises:
        MissingInput: the network has no prices of a ticker, or cannot be reached.
        Unavailable: the package yfinance is not installed.
    """
    key = hashlib.sha256("/".join([*tickers, str(start), str(end)]).encode()).hexdigest()[:12]
    file = absolute(root) / "prices" / f"{'-'.join(tickers[:3])}-{key}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            folder.write_text(file, fetch(tickers, start, end))
    return file


def fetch(tickers: Sequence[str], start: str | None, end: str | None) -> str:
    """The text of a CSV file: a date and the adjusted close of each ticker in every line."""
    try:
        yahoo = importlib.import_module("yfinance")
    except ImportError as error:
        what = f"dataset.tickers needs the package yfinance ({error})"
        raise Unavailable(what, "pip install yfinance, or set dataset.path to a CSV file", id="F50") from error
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # what failed is said below, once
    span = {"start": start, "end": end} if start or end else {"period": "max"}
    frame = yahoo.download(list(tickers), auto_adjust=True, progress=False, threads=False, **span)
    closes = frame["Close"] if frame is not None and "Close" in frame else {}
    empty = [ticker for ticker in tickers if ticker not in closes or not closes[ticker].notna().any()]
    if empty:
        what = f"dataset.tickers: no prices came for {', '.join(empty)}"
        raise MissingInput(what, "check the names and the network, or set dataset.path to a CSV file", id="F52")
    return closes[list(tickers)].to_csv(index_label="date", date_format="%Y-%m-%d")
