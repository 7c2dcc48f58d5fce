"""How progress is shown, always on stderr: a live view, plain lines, or nothing."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from minigrad_cli.output import echo
from minigrad_cli.view import TrainView

LINE_SECONDS = 2.0


class Quiet:
    """Shows nothing."""

    def __init__(self, view: TrainView) -> None:
        self.view = view

    def show(self, *, last: bool = False) -> None:
        """The view was told something new."""

    def note(self, text: str) -> None:
        """Say something beside the records."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around the whole run."""
        yield


class Lines(Quiet):
    """A plain line every few seconds, the first and the last; no escape codes."""

    def __init__(self, view: TrainView) -> None:
        super().__init__(view)
        self._shown_at = 0.0
        self._shown_step = 0

    def show(self, *, last: bool = False) -> None:
        """Write a line if it is time."""
        now = time.monotonic()
        step = self.view.step
        if step != self._shown_step and (last or now - self._shown_at >= LINE_SECONDS):
            echo(self.view.line(), err=True)
            self._shown_at, self._shown_step = now, step

    def note(self, text: str) -> None:
        """Write it as a line."""
        echo(text, err=True)


class Bar(Quiet):
    """The live view, redrawn four times a second, left standing at the end."""

    def __init__(self, view: TrainView, forced: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(view)
        console = Console(stderr=True, force_terminal=True if forced else None, highlight=False)
        self._live = Live(view, console=console, auto_refresh=False, vertical_overflow="crop", redirect_stdout=False)
        self._drawn_at = 0.0

    def show(self, *, last: bool = False) -> None:
        """Redraw if it is time."""
        now = time.monotonic()
        if last or now - self._drawn_at >= 0.25:
            self._live.refresh()
            self._drawn_at = now

    def note(self, text: str) -> None:
        """Show it under the view."""
        self.view.note = text
        self._live.refresh()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the terminal's cursor for the time of the run."""
        with self._live:
            yield


def choose(kind: str, view: TrainView) -> Quiet:
    """The way that was asked for; `auto` is a view on a terminal that can show one, lines elsewhere."""
    if kind == "auto":
        kind = "bar" if sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown") else "lines"
        return Bar(view, forced=False) if kind == "bar" else Lines(view)
    return {"bar": lambda: Bar(view, forced=True), "lines": lambda: Lines(view), "none": lambda: Quiet(view)}[kind]()
