"""The live view of a training run: one rich renderable that is told records and shows the newest."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from minigrad.svg import unseen
from minigrad_cli.charts import heat, log_columns, picked, spark
from minigrad_cli.output import safe
from minigrad_cli.words import clock, percent

MOST_ROWS, HEAT, TALL = 64, 6, 38  # rows of a heat map that are kept, and shown; lines of a terminal with room for them


class TrainView:
    """What is known of a run, drawn to the width there is.

    title: "lstm on copy".  total: steps, or None while it runs until solved.
    """

    def __init__(self, title: str, total: int | None, baseline: float, first: int = 0) -> None:
        self.title, self.total, self.baseline, self.first = safe(title), total, baseline, first
        self.records: list[dict[str, Any]] = []
        self.note = ""
        self.history: dict[str, list[list[float]]] = {}  # of the gradient by time, one row a step or several
        self.every = 1  # steps from one such row to the next
        self.inside: dict[str, Any] = {}  # gates and singular values, which not every record has
        self._started: float | None = None

    def update(self, record: dict[str, Any]) -> None:
        """Take the newest record; of older ones only the curves' figures are kept."""
        if self._started is None:
            self._started = record["seconds"]
        self.inside |= {k: record[k] for k in ("gates", "singular_values") if k in record}
        self._remember(record)
        if self.records:
            newest = self.records[-1]
            self.records[-1] = {k: newest.get(k) for k in ("loss", "accuracy", "grad_norm")}
        self.records.append(record)

    def _remember(self, record: dict[str, Any]) -> None:
        """Keep the gradient by time of some steps; of fewer when they are many."""
        if (record["step"] - self.first) % self.every:
            return
        for name, norms in record.get("time_grad_norm", {}).items():
            rows = self.history.setdefault(name, [])
            if rows and len(rows[0]) != len(norms):
                rows.clear()
            rows.append(norms)
        if any(len(rows) > MOST_ROWS for rows in self.history.values()):
            self.every *= 2
            self.history = {name: rows[1::2] for name, rows in self.history.items()}

    @property
    def step(self) -> int:
        """Of the newest record; 0 before there is one."""
        return self.records[-1]["step"] if self.records else 0

    def rate(self) -> float:
        """Steps a second since this process began."""
        if len(self.records) < 2 or self._started is None:
            return 0.0
        passed = self.records[-1]["seconds"] - self._started
        return (len(self.records) - 1) / passed if passed > 0 else 0.0

    def left(self) -> str:
        """Time left, where the end is known."""
        rate = self.rate()
        if self.total is None or not rate or not self.records:
            return "until solved" if self.total is None else ""
        return f"{clock((self.total - self.records[-1]['step']) / rate)} left"

    def line(self) -> str:
        """The newest record as one line of text."""
        r = self.records[-1]
        total = "" if self.total is None else f"/{self.total}"
        accuracy = f"  accuracy {percent(r['accuracy'])}" if r.get("accuracy") is not None else ""
        return (
            f"step {r['step']}{total}  loss {r['loss']:.4f} (baseline {self.baseline:.4f}){accuracy}  "
            f"grad norm {r['grad_norm']:.3g}  {clock(r['seconds'])} elapsed  {self.left()}"
        ).rstrip()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        if not self.records:
            yield Text(f"{self.title}  {safe(self.note) or 'starting'}")
            return
        r = self.records[-1]
        yield self._head(r, width)
        yield from self._bar(r, width)
        yield self._curves(width)
        height = 5 if options.max_height is None or options.max_height >= 24 else 3
        for name, norms in list(r.get("time_grad_norm", {}).items())[: 2 if width >= 60 else 1]:
            yield Text("")
            yield Text(
                f"‖dL/d {safe(name)}_t‖ over the {len(norms)} time steps t, log scale",
                style="bold",
                overflow="ellipsis",
                no_wrap=True,
            )
            for line in log_columns(norms, width, height):
                yield Text(line, style="cyan", no_wrap=True)
        if width >= 60 and (options.max_height is None or options.max_height >= TALL):
            yield from self._heat(width)
        if self.inside and width >= 60:
            yield Text("")
            yield Text(self._inside(), no_wrap=True, overflow="ellipsis")
        if parameters := r.get("param_grad_norm"):
            yield Text("")
            yield from self._parameters(parameters, width)
        if self.note:
            yield Text(safe(self.note), style="dim")

    def _heat(self, width: int) -> Iterator[Text]:
        """The first carry's gradient by time step, to the right, and training step, downwards."""
        for name, rows in list(self.history.items())[:1]:
            lines, (low, high) = heat(rows, width - 6, HEAT)
            yield Text("")
            yield Text(
                f"‖dL/d {safe(name)}_t‖ as training goes on, downwards: {low:.1e} '·' to {high:.1e} '█'", style="bold"
            )
            if gap := unseen(rows):
                yield Text(gap, style="dim")
            for i, line in zip(picked(len(rows), HEAT), lines, strict=True):
                step = self.first + (i + 1) * self.every
                yield Text(f"{step:>5}│{line}", style="cyan", no_wrap=True)

    def _inside(self) -> str:
        """Gates, and the largest singular value of the recurrent weights, in one line."""
        gates = [
            f"{n} {mean:.2f} ({percent(share)} saturated)" for n, (mean, share) in self.inside.get("gates", {}).items()
        ]
        values = [
            f"largest singular value of {n} {x[0]:.3g}" for n, x in self.inside.get("singular_values", {}).items()
        ]
        return safe("  ".join([*(["gates", *gates] if gates else []), *values]))

    def _head(self, r: dict[str, Any], width: int) -> Text:
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(self.title, style="bold")
        head.append(f"  step {r['step']}" + ("" if self.total is None else f" of {self.total}"))
        head.append(f"  {self.rate():.1f}/s  {clock(r['seconds'])} elapsed  {self.left()}", style="dim")
        head.truncate(width)
        return head

    def _bar(self, r: dict[str, Any], width: int) -> Iterator[ProgressBar | Segment]:
        if self.total is not None:
            yield ProgressBar(total=self.total, completed=r["step"], width=width)
            yield Segment.line()

    def _curves(self, width: int) -> Table:
        rows = Table.grid(padding=(0, 1))
        rows.add_column(no_wrap=True)
        rows.add_column(no_wrap=True, justify="right")
        rows.add_column(no_wrap=True)
        r, room = self.records[-1], max(width - 48, 8)
        losses = [x["loss"] for x in self.records]
        beside = f"baseline {self.baseline:.4f}" if width >= 60 else ""
        rows.add_row(
            "loss",
            f"{r['loss']:.4f}",
            Text(spark(losses, room, max(self.baseline, min(losses))), style="green"),
            beside,
        )
        if r.get("accuracy") is not None:
            rows.add_row("accuracy", percent(r["accuracy"]), spark([x["accuracy"] for x in self.records], room, 1.0))
        rows.add_row(
            "gradient",
            f"{r['grad_norm']:.3g}",
            spark([x["grad_norm"] for x in self.records], room),
            "norm before clipping" if width >= 60 else "",
        )
        return rows

    def _parameters(self, norms: dict[str, float], width: int) -> Iterator[Any]:
        rows = Table.grid(padding=(0, 1))
        rows.add_column(no_wrap=True)
        rows.add_column(justify="right", no_wrap=True)
        rows.add_column(no_wrap=True)
        top = max(norms.values(), default=0.0) or 1.0
        room = max(width - 28, 12)
        for name, norm in ((safe(n), x) for n, x in list(norms.items())[:8]):
            rows.add_row(
                name if len(name) <= room else f"…{name[1 - room :]}",
                f"{norm:.3g}",
                "█" * round(12 * norm / top) or "▏",
            )
        if len(norms) > 8:
            rows.add_row(f"and {len(norms) - 8} more", "", "")
        yield Text("gradient norm by parameter", style="bold")
        yield rows
