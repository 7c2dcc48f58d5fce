"""A training run's folder: configuration, metrics, checkpoint. Whatever is killed when, each file is whole.

Imports `files`, `weights` and `errors`.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.config import Table, read_toml, resolve
from minigrad.errors import UsageError, WeightsError
from minigrad.files import write_atomically
from minigrad.weights import read_arrays, write_arrays

Array = np.ndarray[Any, Any]
CONFIG, METRICS, CHECKPOINT = "config.toml", "metrics.jsonl", "checkpoint.safetensors"
FORMAT = "minigrad run 1"


def new_folder(out: str | None, name: str) -> Path:
    """Make the folder of a new run: `out`, or the next free `runs/name-N`.

    Raises:
        UsageError: if it holds a run already, or cannot be made.
    """
    name = name.replace(":", "-")  # of a plugin that was named with its distribution
    if out is None:
        n = 1
        while (Path("runs") / f"{name}-{n}").exists():
            n += 1
        out = str(Path("runs") / f"{name}-{n}")
    folder = Path(out)
    if (folder / CONFIG).exists():
        raise UsageError(
            f"{out} holds a run already. Go on with it: --resume {out}. Or name another folder with --out."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise UsageError(f"cannot write a run to {out}: {error.strerror}. Name another folder with --out.") from None
    return folder


def clear_halves(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for name in (CONFIG, METRICS, CHECKPOINT):
        for half in folder.glob(f".{name}.*"):
            half.unlink(missing_ok=True)


def write_config(folder: Path, config: Table) -> None:
    """Write `config.toml`."""
    import tomli_w

    write_atomically(folder / CONFIG, tomli_w.dumps(config).encode())


def read_config(run: str | Path) -> Table:
    """The configuration of a run.

    Raises:
        UsageError: if the folder holds no run.
    """
    if not (Path(run) / CONFIG).is_file():
        raise UsageError(f"{run} is not a run: it has no {CONFIG}. `minigrad train` makes one.")
    path = Path(run) / CONFIG
    return resolve(None, None, file=read_toml(path), file_name=str(path), advised=False)


def write(folder: Path, arrays: dict[str, Array], state: dict[str, Any]) -> None:
    """Write the checkpoint: named arrays, and plain values as JSON beside them."""
    write_arrays(folder / CHECKPOINT, arrays, {"format": FORMAT, "state": json.dumps(state)})


def read(run: str | Path) -> tuple[dict[str, Array], dict[str, Any]] | None:
    """What `write` wrote; None if the run was stopped before its first checkpoint.

    Raises:
        WeightsError: if the file is damaged or not a checkpoint of ours.
    """
    path = Path(run) / CHECKPOINT
    if not path.exists():
        return None
    arrays, text = read_arrays(path)
    if text.get("format") != FORMAT:
        raise WeightsError(f"{path} is not a minigrad checkpoint (its format is {text.get('format', 'not given')!r}).")
    return arrays, json.loads(text["state"])


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """Every whole record of a run, oldest first."""
    path, found = Path(run) / METRICS, []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # half a line, of a run that was killed or is running
    return found


def cut_metrics(folder: Path, step: int) -> None:
    """Drop the records after `step`, and a last line that is not whole: they will be written again."""
    path = folder / METRICS
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if json.loads(line)["step"] > step or not line.endswith(b"\n"):
                break
        except (ValueError, KeyError, TypeError):
            break
        kept.append(line)
    write_atomically(path, b"".join(kept))
