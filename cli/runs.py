"""`minigrad runs`: the saved runs of a folder."""

import json
from pathlib import Path
from typing import Any

import click

from minigrad_cli.output import echo, echo_json, table
from minigrad_cli.words import percent


@click.command(short_help="List saved runs.")
@click.argument("folder", default="runs")
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
def runs(folder: str, as_json: bool) -> None:
    """List the runs in FOLDER, `runs` if none is named, the newest last.

    \b
    minigrad runs
    minigrad runs runs/compare-adding-1 --json
    """
    found = sorted(Path(folder).rglob("config.toml"), key=lambda path: path.stat().st_mtime)
    rows = [row for path in found if (row := _read(path.parent)) is not None]
    if as_json:
        echo_json(rows)
        return
    if not rows:
        echo(f"no runs in {folder}; minigrad train makes one", err=True)
        return
    lines = []
    for r in rows:
        loss = "" if r["loss"] is None else f"{r['loss']:.4f}"
        lines.append((r["run"], r["model"], r["task"], str(r["steps"]), loss, percent(r["accuracy"])))
    table(("run", "model", "task", "steps", "loss", "accuracy"), lines)


def _read(folder: Path) -> dict[str, Any] | None:
    """What is known of a run without loading anything it is made of; None if the folder holds no run of ours."""
    import tomllib

    try:
        config = tomllib.loads((folder / "config.toml").read_text("utf-8"))
        names = {"run": str(folder), "model": config["model"]["name"], "task": config["task"]["name"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    last = _last_record(folder / "metrics.jsonl")
    return {**names, "steps": last.get("step", 0), "loss": last.get("loss"), "accuracy": last.get("accuracy")}


def _last_record(path: Path) -> dict[str, Any]:
    """The last whole line of the metrics, read from the end, for they may be long."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        size, length = path.stat().st_size, 0
        while length < size:
            length = min(max(65536, 4 * length), size)
            file.seek(size - length)
            lines = file.read(length).split(b"\n")
            for line in reversed(lines if length == size else lines[1:]):
                try:
                    return dict(json.loads(line))
                except (ValueError, TypeError):
                    continue
    return {}
