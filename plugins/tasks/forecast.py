"""Forecasting one column of a CSV file; without a file, the yearly sunspot numbers from 1700 to 2008 (NOAA, public
domain).

The baseline is the seasonal naive guess (Hyndman and Athanasopoulos 2021, section 5.2): the value one period ago.
Sunspots have a period of eleven years; for your own file say `season=N`, or the last value is taken.
"""

from pathlib import Path

import minigrad as mg
from minigrad_plugins.tasks.columns import Column
from minigrad_plugins.tasks.series import Series

SUNSPOTS = Path(__file__).with_name("sunspots.csv")


class Forecast(Series):
    """Predict a column of a CSV file, the one of that title or number; `season` is its period in steps, `horizon` how
    far ahead.
    """

    files = ("file",)

    def __init__(
        self, length: int = 44, file: str = "", column: int | str = "", season: int = 0, horizon: int = 1
    ) -> None:
        season = season or (1 if file else 11)
        values = Column(file or str(SUNSPOTS), column).values
        super().__init__(f"forecast: {file}" if file else "forecast", values, length, horizon)
        self.kept = {"numbers": len(values), "mean": self.mean, "deviation": self.deviation}
        period = -(-horizon // max(season, 1)) * season  # the last one that is known when the guess is made
        if season < 1 or period >= len(values):
            raise mg.errors.UsageError(f"forecast: season must be from 1 to {len(values) - 1} steps, not {season}.")
        self.baseline = self.guess_again(period)
        self.suggests = {"lr": 5e-3, "hidden": 32, "steps": 1000}
