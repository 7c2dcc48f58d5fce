"""The live view of several runs: a line for each, and their gradients over time in one picture."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from minigrad_cli.charts import MARKS, overlay, spark
from minigrad_cli.output import safe
from minigrad_cli.words import clock, percent


class CompareView:
    """What is known of the runs, drawn to the width there is. Each model has a letter-like mark, not only a colour."""

    def __init__(self, title: str, names: list[str]) -> None:
        self.title, self.names, self.baseline, self.note = safe(title), names, 0.0, ""
        self.newest: dict[str, dict[str, Any]] = {}
        self.losses: dict[str, list[float]] = {name: [] for name in names}
        self.step = 0

    def take(self, name: str, record: dict[str, Any]) -> None:
        """The newest record of a model."""
        self.newest[name] = record
        self.losses[name].append(record["loss"])
        self.step = max(self.step, record["step"])

    def line(self) -> str:
        """All models in one line of text."""
        parts = [f"{n} step {r['step']} loss {r['loss']:.4f}" for n, r in self.newest.items()]
        seconds = max(r["seconds"] for r in self.newest.values())
        return f"{'  '.join(parts)} (baseline {self.baseline:.4f})  {clock(seconds)} elapsed"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        yield Text(self.title if self.newest else f"{self.title}  {safe(self.note) or 'starting'}", style="bold")
        if not self.newest:
            return
        yield self._rows(width)
        yield from self._gradients(width)
        if self.note:
            yield Text(safe(self.note), style="dim")

    def _rows(self, width: int) -> Table:
        rows = Table.grid(padding=(0, 1))
        for _ in range(6):
            rows.add_column(no_wrap=True)
        top = max(self.baseline, *(min(losses) for losses in self.losses.values() if losses))
        for mark, name in zip(MARKS, self.names, strict=False):
            if name in self.newest:
                r = self.newest[name]
                room = max(width - 50, 8)
                rows.add_row(mark, safe(name), f"step {r['step']}", f"loss {r['loss']:.4f}",
                             spark(self.losses[name], room, top), percent(r.get("accuracy")))  # fmt: skip
        rows.add_row("", "", "", f"base {self.baseline:.4f}", "", "")
        return rows

    def _gradients(self, width: int) -> Iterator[Text]:
        curves = {}
        for mark, name in zip(MARKS, self.names, strict=False):
            norms = self.newest.get(name, {}).get("time_grad_norm") or {}
            if norms:
                curves[mark] = next(iter(norms.values()))
        if curves:
            yield Text("")
            yield Text("‖dL/dh_t‖ over the time steps t, log scale", style="bold", no_wrap=True, overflow="ellipsis")
            for line in overlay(curves, width, 10):
                yield Text(line, no_wrap=True)
