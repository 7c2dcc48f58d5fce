"""Draw `docs/live.svg`, the live view at the end of a real run: `python docs/picture.py` (one to two minutes)."""

import io
from pathlib import Path

from rich.console import Console

from minigrad.config import resolve
from minigrad.train import Run
from minigrad_cli.view import TrainView


def main() -> None:
    """Train `lstm` on `copy` with its defaults and export what the terminal shows."""
    run = Run(resolve("lstm", "copy"), None)
    view = TrainView("lstm on copy", None, run.task.baseline)
    for record in run.records():
        view.update(record)
    view.note = f"solved at step {run.step}"
    console = Console(record=True, width=96, file=io.StringIO(), force_terminal=True)
    console.print(view)
    svg = console.export_svg(title="minigrad train lstm --task copy")
    Path(__file__).with_name("live.svg").write_text(svg)


if __name__ == "__main__":
    main()
