"""Forecasting one column of a CSV file; without a file, the yearly sunspot numbers from 1700 to 2008 (NOAA, public
domain).

The baseline is the seasonal naive guess (Hyndman and Athanasopoulos 2021, section 5.2): the value one period ago.
Sunspots have a period of eleven years; for your own file say `season=N`, or the last value is taken.
"""

import csv
from math import isfinite
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad_plugins.tasks.series import Numbers, Series

SUNSPOTS = Path(__file__).with_name("sunspots.csv")


def read_column(path: str, column: str) -> Numbers:
    """One column of a CSV file: by its title, or by its number from 1 on; without a name the last one.

    Raises:
        UsageError: naming file and line, for a file that cannot be read or a value that is not a number.
    """
    found: list[float] = []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            first = next(rows, [])
            where, titled = _place(path, first, column)
            found += [] if titled else [_number(path, 1, first, where)]
            found += [_number(path, rows.line_num, row, where) for row in rows if row]
    except OSError as error:
        raise mg.errors.UsageError(f"forecast: file={path}: {error.strerror}. Name a readable CSV file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise mg.errors.UsageError(f"forecast: file={path} is not a CSV file in UTF-8: {error}.") from None
    return np.array(found)


def _place(path: str, first: list[str], column: str) -> tuple[int, bool]:
    """Which column, and whether the first line holds titles."""
    titles = [title.strip() for title in first]
    if not titles:
        raise mg.errors.UsageError(f"forecast: file={path} is empty.")
    titled = any(not _is_number(title) for title in titles)
    if column in titles:
        return titles.index(column), True
    if column.isdigit() and 1 <= int(column) <= len(titles):
        return int(column) - 1, titled
    if column:
        raise mg.errors.UsageError(
            f"forecast: {path}, line 1: no column is called {column!r}. There are: {', '.join(titles)}."
        )
    return len(titles) - 1, titled


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _number(path: str, line: int, row: list[str], where: int) -> float:
    text = row[where].strip() if where < len(row) else ""
    if not _is_number(text):
        raise mg.errors.UsageError(
            f"forecast: {path}, line {line}: column {where + 1} holds {text!r}, not a number. Fill gaps before, or "
            "name another column=."
        )
    return float(text)


class Forecast(Series):
    """Predict a column of a CSV file; `season` is its period in steps, `horizon` how far ahead."""

    def __init__(self, length: int = 44, file: str = "", column: str = "", season: int = 0, horizon: int = 1) -> None:
        season = season or (1 if file else 11)
        values = read_column(file or str(SUNSPOTS), column)
        super().__init__("forecast", values, length, horizon)
        period = -(-horizon // season) * season  # the last one that is known when the guess is made
        if not 1 <= period < len(values):
            raise mg.errors.UsageError(f"forecast: season must be from 1 to {len(values) - 1} steps, not {season}.")
        self.baseline = self.guess_again(period)
        self.suggests = {"lr": 5e-3, "hidden": 32, "steps": 1000}
