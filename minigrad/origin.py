"""What a run was trained on: the files, and what was read off them, in `data.json` of its folder.

Imports `errors` and `files`. A task says which of its options name files (`files = ("text",)`), and in `kept` which
plain values, such as an alphabet, it took from its data.

    {"files": {"text": {"path": "/home/me/book.txt", "from_run": "../../book.txt", "sha256": "9f86d0…"}},
     "kept": {"alphabet": " abc", "characters": 44000}, "baseline": 1.2}
"""

import hashlib
import json
import os
from collections.abc import Mapping
from math import isclose
from pathlib import Path
from typing import Any

from minigrad.errors import PluginError, UsageError
from minigrad.files import write_atomically

DATA = "data.json"
SHOWN = 60  # characters of a value in a message


def write(folder: Path, task: Any, options: Mapping[str, Any]) -> None:
    """Write what a task was made of, if there is anything to tell;  options: the task's, by name."""
    named = {name: Path(options[name]).resolve() for name in getattr(task, "files", ()) if options.get(name)}
    kept = _kept(task)
    if not named and not kept:
        return
    files = {
        name: {"path": str(path), "from_run": os.path.relpath(path, folder.resolve()), "sha256": _digest(path)}
        for name, path in named.items()
    }
    found = {"files": files, "kept": kept, "baseline": float(task.baseline)}
    write_atomically(folder / DATA, (json.dumps(found, indent=1) + "\n").encode())


def read(run: str | Path) -> dict[str, Any]:
    """What `write` wrote; nothing for a run whose task has no data of its own.

    Raises:
        UsageError: if the file is damaged.
    """
    path = Path(run) / DATA
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_bytes())
        if not all(
            type(entry[key]) is str for entry in found["files"].values() for key in ("path", "from_run", "sha256")
        ):
            raise ValueError("paths and hashes are text")
        return {"files": found["files"], "kept": dict(found["kept"]), "baseline": float(found["baseline"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is not what a run says of its data ({type(error).__name__}: {error}). Put it back; without it the "
            "run goes on, and nobody sees whether the data are the same."
        ) from None


def located(run: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with paths that lead to the run's files from here: as they were given, by where the file was, or by
    where it was as seen from the run, the first that has the same content.
    """
    found = dict(options)
    for name, entry in read(run).get("files", {}).items():
        places = [str(found.get(name, "")), entry["path"], str(Path(run) / entry["from_run"])]
        there = [path for path in places if _digest(path)]
        same = [path for path in there if _digest(path) == entry["sha256"]]
        if there and name in found:
            found[name] = (same or there)[0]
    return found


def changed(run: str | Path, options: Mapping[str, Any]) -> list[str]:
    """The run's files that are there, and have another content than when it was trained."""
    files = read(run).get("files", {})
    digests = {name: _digest(options.get(name, "")) for name in files}
    return [str(options[name]) for name, digest in digests.items() if digest and digest != files[name]["sha256"]]


def check_files(run: str | Path, options: Mapping[str, Any]) -> None:
    """Raise UsageError, naming them, if files of the run have changed."""
    names = changed(run, options)
    if names:
        raise UsageError(
            f"{' and '.join(names)} changed after {run} was trained on it: its sha256 is another. Put the old content "
            "back, or train a new run on the new one."
        )


def check_kept(run: str | Path, task: Any) -> None:
    """Raise UsageError if a task made again has taken other values from its data than the run was trained with."""
    before, now = read(run).get("kept", {}), _kept(task)
    for key, value in before.items():
        if not _same(value, now.get(key)):
            old, new = (text if len(text) <= SHOWN else f"{text[:SHOWN]}…" for text in map(repr, (value, now.get(key))))
            raise UsageError(
                f"the data of {run} are not what it was trained on: {key} was {old} and is {new}. Bring them back, or "
                "train a new run."
            )


def _kept(task: Any) -> dict[str, Any]:
    """A task's `kept` as it comes back from a file."""
    try:
        return dict(json.loads(json.dumps(getattr(task, "kept", {}), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"the task {type(task).__name__} has in `kept` what cannot be kept: {error}. It is a dict of finite "
            "numbers, text, and lists and dicts of them."
        ) from None


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal, numbers but for the last digits: another processor sums in another order."""
    return a == b or (isinstance(a, float) and isinstance(b, float) and isclose(a, b, rel_tol=1e-9))


def _digest(path: str | Path) -> str:
    """The sha256 of a plain file; empty if there is none."""
    try:
        if not Path(path).is_file():
            return ""
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""
