"""Date translation: "Tuesday, March 3, 1998" is read, "1998-03-03" is written. A toy of machine translation with
attention.

Days from 1970 to 2029 in seven ways of writing them, with and without capitals. What is read is padded with blanks to
28 characters; what is written always has ten, of which the best blind guess knows only the hyphens for sure.
"""

from datetime import date, timedelta

import numpy as np

import minigrad as mg
from minigrad_plugins.tasks.transduction import Codes, Transduction, blind_loss

MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
FIRST, COUNT = date(1970, 1, 1), 21_915
WIDTH = 29


def written(day: date, form: int) -> str:
    """The day in one of seven ways."""
    month, week = MONTHS[day.month - 1], DAYS[day.weekday()]
    return (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{week}, {month} {day.day}, {day.year}",
        f"{day.day} {month[:3]} {day.year}",
        f"{day.month}/{day.day}/{day.year}",
        f"{week[:3]} {day.day}. {month[:3]}. {day.year}",
        f"{day.day:02}.{day.month:02}.{day.year % 100:02}",
    )[form]


class Dates(Transduction):
    """Translate a date into ISO 8601."""

    alphabet = " 0123456789-/.,ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    answer = 10

    def __init__(self, length: int = WIDTH) -> None:
        if length < WIDTH:
            raise mg.errors.UsageError(f"dates: length must be {WIDTH}, the longest date, or more, not {length}.")
        self.length = length
        self.days = [FIRST + timedelta(n) for n in range(COUNT)]
        self.iso = np.array([self.encode(day.isoformat()) for day in self.days]).T
        self.baseline = blind_loss(self.iso, len(self.alphabet))
        self.suggests = {"lr": 2e-3, "forget_bias": 1.0}

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Codes, Codes]:
        """[length, B], [10, B]."""
        which = rng.integers(0, COUNT, size)
        forms, small = rng.integers(0, 7, size), rng.random(size) < 0.5
        texts = [written(self.days[i], form) for i, form in zip(which, forms, strict=True)]
        texts = [text.lower() if low else text for text, low in zip(texts, small, strict=True)]
        return np.array([self.encode(text.ljust(self.length)) for text in texts]).T, self.iso[:, which]
