"""A run's folder, read: its configuration, its records, and what pictures need of them.

Imports `checkpoint`, `svg` and the floors below.

    Story("runs/lstm-copy-1")      # in a notebook: loss, and the gradient by time step and training step
"""

from html import escape
from pathlib import Path

from minigrad import checkpoint, svg

POINTS, ROWS = 400, 60


class Story:
    """A run's folder, read: `config`, `records`, `name`.

    Raises:
        UsageError: if the folder holds no run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.config = checkpoint.read_config(folder)
        self.records = checkpoint.read_metrics(folder)
        self.name = self.config["model"]["name"]

    def column(self, key: str) -> tuple[list[float], list[float]]:
        """Steps and figures, thinned out to what a picture can show."""
        some = [(r["step"], r[key]) for r in self.records if r.get(key) is not None]
        if not some:
            return [], []
        xs, ys = zip(*some, strict=True)
        return svg.resample(xs, POINTS), svg.resample(ys, POINTS)

    def by_time(self) -> dict[str, list[tuple[int, list[float]]]]:
        """For each carry leaf: (step, norms over time) of the records that have as many time steps as the last one."""
        found: dict[str, list[tuple[int, list[float]]]] = {}
        traced = [r for r in self.records if r.get("time_grad_norm")]
        for name, last in (traced[-1]["time_grad_norm"] if traced else {}).items():
            some = [(r["step"], r["time_grad_norm"].get(name, ())) for r in traced]
            some = [(step, norms) for step, norms in some if len(norms) == len(last)]
            found[name] = [some[i * len(some) // min(ROWS, len(some))] for i in range(min(ROWS, len(some)))]
            found[name][-1] = some[-1]
        return found

    def heat_maps(self, scale: tuple[float, float] | None = None) -> list[str]:
        """For each carry leaf the gradient norm by time step, to the right, and training step, downwards."""
        return [
            svg.heat(
                f"‖dL/d {name}_t‖ of {self.name} by time step and training step",
                [svg.resample(norms, 128) for _, norms in rows],
                x="time step t",
                y="training step",
                span=(rows[0][0], rows[-1][0]),
                scale=scale,
            )
            for name, rows in self.by_time().items()
        ]

    def __repr__(self) -> str:
        steps = self.records[-1]["step"] if self.records else 0
        return f"Story({self.name} on {self.config['task']['name']}, {steps} steps, in {self.folder})"

    def _repr_html_(self) -> str:
        pictures = [svg.curves("Loss", {self.name: self.column("loss")}, x="training step"), *self.heat_maps()]
        return svg.page(f"<p>{escape(repr(self))}</p>", *pictures)
