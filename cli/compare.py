"""`minigrad compare`: several models on the same data, side by side."""

import os
import time
from pathlib import Path
from typing import Any

import click

from minigrad.errors import DivergedError, UsageError
from minigrad_cli.options import completes, given_options, run_options
from minigrad_cli.output import echo, echo_json, table
from minigrad_cli.words import clock, percent


@click.command(short_help="Several models on one task, side by side.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL…", shell_complete=completes("models"))
@run_options
@click.option("--out", help="Folder of the new runs, one in it for each model.  [runs/compare-TASK-N]")
def compare(
    models: tuple[str, ...],
    config_file: str | None,
    settings: tuple[str, ...],
    out: str | None,
    progress: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Train each MODEL on the same data, a step of each in turn, and lay their gradients over each other.

    \b
    minigrad compare rnn lstm gru --task adding --length 100
    minigrad compare lstm gru --task copy --steps 1000 --json
    minigrad plot runs/compare-adding-1 --out report.html

    A model stops when it has solved the task, or after --steps. Every option is given to all of them.
    """
    from minigrad.checkpoint import new_folder
    from minigrad.config import parse_setting, read_toml, resolve
    from minigrad.train import Run
    from minigrad_cli.compare_view import CompareView
    from minigrad_cli.progress import choose
    from minigrad_cli.train import EXIT_INTERRUPTED

    if out is not None and any(os.path.exists(Path(out) / model) for model in models):
        raise UsageError(f"{out} holds a run already. Name another folder with --out.")
    if len(set(models)) < len(models):
        raise UsageError(f"compare: each model once, not {' '.join(models)}.")
    given = given_options(options)
    task = given.pop("task", None)
    file = {} if config_file is None else read_toml(config_file)
    chosen = dict(parse_setting(text) for text in settings)
    configs = [resolve(m, task, file=file, file_name=config_file or "", settings=chosen, options=given) for m in models]
    lanes = [Lane(Run(config, None)) for config in configs]  # whatever is wrong shows before a folder is made
    about = configs[0]["task"]["name"]
    folder = new_folder(out, f"compare-{about}")
    for lane in lanes:
        lane.run.folder = new_folder(str(folder / lane.name), lane.name, lane.run.config)
    view = CompareView(f"{' '.join(models)} on {about}", [lane.name for lane in lanes])
    view.baseline = float(lanes[0].run.task.baseline)
    _train(lanes, choose(progress, view))
    rows = [lane.summary() for lane in lanes]
    if as_json:
        echo_json({"task": about, "run": str(folder), "models": rows})
    else:
        _table(rows, folder)
    if any(row["status"] == "diverged" for row in rows):
        return DivergedError.exit_code
    return EXIT_INTERRUPTED if any(row["status"] == "interrupted" for row in rows) else 0


def _train(lanes: list["Lane"], shown: Any) -> None:
    """A step of each in turn, until all have ended."""
    from minigrad_cli.train import listen, stop_on_signal

    listen(shown)
    with stop_on_signal() as stop, shown.running():
        for lane in lanes:
            lane.start(stop)
        while any(lane.going for lane in lanes):
            for lane in lanes:
                record = lane.step()
                if record is not None:
                    shown.view.take(lane.name, record)
            shown.show()
        shown.show(last=True)


class Lane:
    """One model's run among others: random numbers are its own, as if it were alone."""

    def __init__(self, run: Any) -> None:
        from minigrad import random

        self.run, self.name = run, run.config["model"]["name"]
        self.random, self.going, self.failure, self.seconds = random.get_state(), True, "", 0.0

    def start(self, stop: Any) -> None:
        """Open its files."""
        self.records = self.run.records(stop)

    def step(self) -> dict[str, Any] | None:
        """One step; None once it has ended."""
        from minigrad import random

        if not self.going:
            return None
        random.set_state(self.random)
        began = time.perf_counter()
        record: dict[str, Any] | None = None
        try:
            record = next(self.records, None)
        except DivergedError as error:
            self.failure = str(error)
        self.random = random.get_state()
        self.seconds += time.perf_counter() - began
        self.going = record is not None
        return record

    def summary(self) -> dict[str, Any]:
        """What `train --json` says of a run, with its size; seconds are its own."""
        found = {"model": self.name, "parameters": sum(p.size for p in self.run.model.parameters())}
        return {**found, **self.run.summary(), "seconds": round(self.seconds, 3)} | (
            {"reason": self.failure} if self.failure else {}
        )


def _table(rows: list[dict[str, Any]], folder: Path) -> None:
    header = ("model", "parameters", "ended", "steps", "time", "loss", "baseline", "accuracy")
    lines = [
        (r["model"], f"{r['parameters']:,}", r["status"], str(r["steps"]), clock(r["seconds"]),
         "" if r["loss"] is None else f"{r['loss']:.4f}", f"{r['baseline']:.4f}", percent(r["accuracy"]))
        for r in rows
    ]  # fmt: skip
    table(header, lines, right=(1, 3, 4, 5, 6, 7))
    for r in rows:
        if "reason" in r:
            echo(f"{r['model']}: {r['reason']}")
    echo(f"runs      {folder}")
    echo(f"report    minigrad plot {folder} --out report.html")
