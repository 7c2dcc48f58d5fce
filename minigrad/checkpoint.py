"""A training run's folder: configuration, metrics, checkpoint. Whatever is killed when, each file is whole.

Imports `config`, `origin`, `weights`, `files` and `errors`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EEXIST
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import origin
from minigrad.config import Table, read_toml, resolve
from minigrad.errors import UsageError, WeightsError
from minigrad.files import FULL, write_atomically
from minigrad.weights import read_arrays, write_arrays

Array = np.ndarray[Any, Any]
CONFIG, METRICS, CHECKPOINT = "config.toml", "metrics.jsonl", "checkpoint.safetensors"
FORMAT = "minigrad run 1"


def new_folder(out: str | None, name: str, config: Table | None = None) -> Path:
    """Make the folder of a new run, with its `config.toml`: `out`, or the next free `runs/name-N`. It is this process's
    alone, whoever makes others at the same time. Without a configuration it is a folder of several runs.

    Raises:
        UsageError: if it holds a run already, or cannot be made.
        OSError: on a full disk.
    """
    if out is not None and not out.strip():
        raise UsageError("--out is empty. Name a folder, or leave --out out.")
    try:
        folder = _free_folder(name.replace(":", "-")) if out is None else Path(out)  # a plugin may be dist:name
        folder.mkdir(parents=True, exist_ok=True)
        if config is not None:
            _claim(folder, config)
        elif not os.access(folder, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        elif (folder / CONFIG).exists():
            raise FileExistsError(EEXIST, CONFIG, str(folder / CONFIG))
    except FileExistsError:
        if not folder.is_dir():
            raise UsageError(f"cannot write a run to {out}: it is a file. Name another folder with --out.") from None
        raise UsageError(
            f"{out} holds a run already. Go on with it: --resume {out}. Or name another folder with --out."
        ) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        why = error.strerror if isinstance(error, OSError) else "no folder can have this name"
        raise UsageError(f"cannot write a run to {out or 'runs'}: {why}. Name another folder with --out.") from None
    return folder


def _free_folder(name: str) -> Path:
    """Make the first `runs/name-N` that is not there."""
    n = 1
    while True:
        folder = Path("runs") / f"{name}-{n}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not Path("runs").is_dir():
                raise
        n += 1


def _claim(folder: Path, config: Table) -> None:
    """Write `config.toml`, which must not be there yet: of two processes one gets the folder."""
    path = folder / CONFIG
    try:
        with open(path, "xb") as file:
            file.write(_toml(config))
    except FileExistsError:
        raise
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run's folder within the block (on a Unix).

    Raises:
        UsageError: if another one does.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        mine = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}. Name the folder of a run.") from None
    try:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if isinstance(error, BlockingIOError):  # else a file system without locks
                said = f"another process trains in {folder}. Wait for it, or stop it, before you go on."
                raise UsageError(said) from None
        yield
    finally:
        os.close(mine)


def clear_halves(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for name in (CONFIG, METRICS, CHECKPOINT, origin.DATA):
        for half in folder.glob(f".{name}.*"):
            half.unlink(missing_ok=True)


def write_config(folder: Path, config: Table) -> None:
    """Write `config.toml`."""
    write_atomically(folder / CONFIG, _toml(config))


def _toml(config: Table) -> bytes:
    import tomli_w

    return tomli_w.dumps(config).encode()


def read_config(run: str | Path) -> Table:
    """The configuration of a run; files of the user's are found from here too, if they are where they were.

    Raises:
        UsageError: if the folder holds no run.
    """
    path = Path(run) / CONFIG
    if not str(run) or not path.is_file():
        raise UsageError(f"{str(run) or repr(run)} is not a run: it has no {CONFIG}. `minigrad train` makes one.")
    config = resolve(None, None, file=read_toml(path), file_name=str(path), advised=False)
    return {**config, "task": origin.located(run, config["task"])}


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
    try:
        return arrays, dict(json.loads(text["state"]))
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} says nothing of its run that can be read ({error}). Train the run anew.") from None


def read_metrics(run: str | Path) -> list[dict[str, Any]]:
    """Every whole record of a run, oldest first. A figure that was not finite is NaN.

    Raises:
        UsageError: naming the line, if one that is not the last holds no record.
    """
    path, found = Path(run) / METRICS, []
    lines = path.read_bytes().splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            _ = record["step"], record["loss"], record["grad_norm"]
        except (ValueError, TypeError, KeyError):
            if number == len(lines):
                break  # half a line, of a run that was killed or is running
            raise UsageError(f"{path}, line {number}: this is no record of a run. Take the line out.") from None
        found.append(_with_nan(record) if b"null" in line else record)
    return found


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_nan(inner) for inner in value]
    return nan if value is None else value


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
