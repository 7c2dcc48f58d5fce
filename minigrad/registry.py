"""Plugins by name, through entry points. Listing reads metadata and imports nothing; loading imports one object.

Imports `errors` only. `NAME`, or `DISTRIBUTION:NAME` where two distributions claim a name.
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path
from time import monotonic
from typing import Any

from minigrad.errors import PluginError, UsageError, did_you_mean

KINDS = ("cells", "models", "tasks", "unrolls", "commands", "loggers")
OURS = "minigrad"
API = 1  # the contract of docs/plugins: a plugin's file says `minigrad_api = 1`, and means it by saying nothing
IMPORT_SECONDS = 60.0  # that a plugin may take to be imported
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TARGET = re.compile(r"[A-Za-z_][\w.]*\s*:\s*[A-Za-z_][\w.]*\s*(\[.*\])?")
# What an object of each kind must have, so that the fault is told here and not where it is first missed.
NEEDS: dict[str, Callable[[Any], bool]] = {
    "cells": lambda x: isinstance(x, type) and hasattr(x, "step") and hasattr(x, "initial_carry"),
    "models": callable,
    "tasks": callable,
    "unrolls": callable,
    "commands": lambda x: hasattr(x, "main") and hasattr(x, "invoke"),
    "loggers": callable,
}
WANTED = {"cells": "a mg.nn.Cell class", "commands": "a click command"}


@dataclass(frozen=True)
class Entry:
    """One name that one distribution claims."""

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    point: EntryPoint

    def __str__(self) -> str:
        return f"{self.name!r} of {self.distribution} {self.version} ({self.target})"

    @property
    def called(self) -> str:
        """What it is: `the cell 'mine' of my-package 1.0 (my_package:Mine)`."""
        return f"the {self.kind.removesuffix('s')} {self}"

    @property
    def fault(self) -> str:
        """What is wrong with how it is declared; empty where nothing is."""
        if not NAME.fullmatch(self.name):
            return "a name is made of letters, digits, '.', '_' and '-'"
        return (
            "" if TARGET.fullmatch(self.target) else f"an entry point says module:object, and this one {self.target!r}"
        )


def entries(kind: str) -> list[Entry]:
    """Every admitted entry of a kind, in the order of names; a distribution that is listed twice counts once."""
    _check(kind)
    return _entries(kind, os.environ.get("MINIGRAD_PLUGINS"), _stamp())


@cache
def _entries(kind: str, admitted: str | None, _stamp: Any) -> list[Entry]:
    """The same, read once: the metadata of a hundred packages take a tenth of a second."""
    allowed = None if admitted is None else {_normal(d) for d in admitted.split(",") if d.strip()} | {OURS}
    found: dict[tuple[str, str, str], Entry] = {}
    for point in _points(f"minigrad.{kind}"):
        distribution, version = _called(point.dist)
        if allowed is None or _normal(distribution) in allowed:
            key = (point.name, _normal(distribution), point.value)
            found[key] = Entry(kind, point.name, distribution, version, point.value, point)
    return [found[key] for key in sorted(found)]


def _points(group: str) -> list[EntryPoint]:
    """The entry points of a group. Where one distribution's list cannot be read, all are read line by line: of that
    one each line that is no `name = value` is a point without a value.
    """
    try:
        return list(entry_points(group=group))
    except Exception:  # of a stranger's metadata: whatever the parser stumbles over
        return [point for dist in distributions() for point in _lines(dist, group)]


def _lines(dist: Distribution, group: str) -> Iterator[EntryPoint]:
    section = ""
    try:
        text = dist.read_text("entry_points.txt") or ""
    except ValueError:  # not UTF-8, so that nobody can tell what it declares
        return
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif section == group and line and not line.startswith("#"):
            name, _, value = (part.strip() for part in line.partition("="))
            point = EntryPoint(name, value, group)
            vars(point).update(dist=dist)  # as `importlib.metadata` does it itself: it is immutable
            yield point


def _called(dist: Distribution | None) -> tuple[str, str]:
    """Name and version of a distribution, as far as its metadata can be read."""
    try:
        metadata: Any = (dist and dist.metadata) or {}
    except ValueError:  # not UTF-8
        metadata = {}
    return str(metadata.get("Name") or "an unnamed distribution"), str(metadata.get("Version") or "")


def names(kind: str) -> list[str]:
    """The names of a kind, sorted, without importing any of them. Every cell is also a model."""
    return sorted({entry.name for k in _among(kind) for entry in entries(k) if NAME.fullmatch(entry.name)})


def find(kind: str, name: str) -> Entry:
    """The one entry of that name; among the models, perhaps a cell.

    Raises:
        UsageError: if there is none; the nearest is named.
        PluginError: if two distributions claim the name.
    """
    distribution, _, plain = str(name).rpartition(":")
    claims = [e for k in _among(kind) for e in entries(k) if e.name == plain]
    if distribution:
        claims = [e for e in claims if _normal(e.distribution) == _normal(distribution)]
    what = kind.removesuffix("s")
    if not claims:
        known = names(kind)
        raise UsageError(
            f"no {what} is called {name!r}.{did_you_mean(plain, known)} Installed: {', '.join(known) or 'none'}."
        )
    if len(claims) > 1:
        raise PluginError(
            f"the {what} {name!r} is claimed twice: by {' and by '.join(map(str, claims))}. "
            f"Say which, as in {claims[0].distribution}:{plain}, or leave one out of MINIGRAD_PLUGINS."
        )
    return claims[0]


def load(kind: str, name: str) -> Any:
    """Import and return the object of that name.

    Raises:
        UsageError: for an unknown name.
        PluginError: if the plugin cannot be imported, naming it, its distribution and the cause.
    """
    return load_entry(find(kind, name))


def load_entry(entry: Entry) -> Any:
    """Import and return an entry's object. What it prints on the way goes to stderr: stdout is for results.

    Raises:
        PluginError: if it cannot be imported, takes too long, was written for another API, or is not of its kind.
    """
    remedy = (
        f"Mend {entry.distribution} (and install it again, if its entry points have changed), uninstall it, or leave "
        "it out with MINIGRAD_PLUGINS."
    )
    if entry.fault:
        raise PluginError(f"{entry.called} cannot be loaded: {entry.fault}. {remedy}")
    watch = nullcontext() if entry.distribution == OURS else _at_most(IMPORT_SECONDS)
    try:
        with redirect_stdout(sys.stderr), watch:
            found = entry.point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{entry.called} cannot be loaded: {type(error).__name__}: {error}. {remedy}") from error
    api = getattr(found, "minigrad_api", getattr(sys.modules.get(entry.point.module), "minigrad_api", API))
    if api != API:
        raise PluginError(
            f"{entry.called} was written for API {api} of minigrad, and this one has API {API}. "
            f"Install a version of {entry.distribution} for API {API}, or a minigrad with API {api}."
        )
    if not NEEDS[entry.kind](found):
        wanted = WANTED.get(entry.kind, "something that can be called")
        raise PluginError(f"{entry.called} is a {type(found).__name__}, and must be {wanted}. {remedy}")
    return found


def declared_api(entry: Entry) -> str:
    """The API that a plugin's file names, read without importing it; empty where it names none or is not at hand."""
    if entry.fault:
        return ""
    path, spec = None, None
    parts = entry.target.partition(":")[0].strip().split(".")
    for i in range(len(parts)):
        name = ".".join(parts[: i + 1])
        found = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next(filter(None, found), None)
        if spec is None:
            return ""
        path = spec.submodule_search_locations
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return ""
    try:
        said = re.search(r"^minigrad_api\s*=\s*(\w+)", Path(spec.origin).read_text("utf-8"), re.MULTILINE)
    except (OSError, ValueError):
        return ""
    return said[1] if said else ""


def _stamp() -> tuple[Any, ...]:
    """When the folders that packages are found in were last changed."""
    folders = [path or "." for path in sys.path]
    return tuple((path, os.stat(path).st_mtime_ns) for path in folders if os.path.isdir(path))


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError if the block takes longer. There is one alarm a process: where the program that we are part of
    has set it, or says what is to happen then, where there is none, or off the main thread, nothing is watched.
    """
    free = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not free or signal.getsignal(signal.SIGALRM) != signal.SIG_DFL or any(signal.getitimer(signal.ITIMER_REAL)):
        yield
        return

    def late(_signal: int, _frame: Any) -> None:
        raise TimeoutError(f"its import takes longer than {seconds:g} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    started = monotonic()
    try:
        yield
    finally:  # what is imported may have taken the handler, the timer or both for itself: those stay
        left, again = signal.getitimer(signal.ITIMER_REAL)
        if not again and abs(left - (seconds - (monotonic() - started))) < 0.1:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if signal.getsignal(signal.SIGALRM) is late:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _among(kind: str) -> tuple[str, ...]:
    """The kinds whose names are those of a kind: every cell is also a model."""
    _check(kind)
    return ("cells", "models") if kind == "models" else (kind,)


def _check(kind: str) -> None:
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"no plugins are of kind {kind!r}.{did_you_mean(str(kind), KINDS)} Kinds: {', '.join(KINDS)}.")


def _normal(distribution: str) -> str:
    return distribution.strip().lower().replace("_", "-").replace(".", "-")
