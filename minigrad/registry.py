"""Plugins by name, through entry points. Listing reads metadata and imports nothing; loading imports one object.

Imports `errors` only.
"""

import os
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from minigrad.errors import PluginError, UsageError, did_you_mean

KINDS = ("cells", "models", "tasks", "unrolls", "commands", "loggers")
OURS = "minigrad"


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


def entries(kind: str) -> list[Entry]:
    """Every admitted entry of a kind, in the order of names; a distribution that is listed twice counts once."""
    _check(kind)
    admitted = os.environ.get("MINIGRAD_PLUGINS")
    allowed = None if admitted is None else {_normal(d) for d in admitted.split(",") if d.strip()} | {OURS}
    found: dict[tuple[str, str, str], Entry] = {}
    for point in entry_points(group=f"minigrad.{kind}"):
        distribution = point.dist.name if point.dist else "an unnamed distribution"
        if allowed is None or _normal(distribution) in allowed:
            version = point.dist.version if point.dist else ""
            key = (point.name, _normal(distribution), point.value)
            found[key] = Entry(kind, point.name, distribution, version, point.value, point)
    return [found[key] for key in sorted(found)]


def names(kind: str) -> list[str]:
    """The names of a kind, sorted, without importing any of them. Every cell is also a model."""
    some = entries(kind) + (entries("cells") if kind == "models" else [])
    return sorted({entry.name for entry in some})


def find(kind: str, name: str) -> Entry:
    """The one entry of that name.

    Raises:
        UsageError: if there is none; the nearest is named.
        PluginError: if two distributions claim the name.
    """
    claims = [e for e in entries(kind) if e.name == name]
    if not claims:
        known = names(kind)
        raise UsageError(
            f"no {kind.removesuffix('s')} is called {name!r}.{did_you_mean(name, known)} "
            f"Installed: {', '.join(known) or 'none'}."
        )
    if len(claims) > 1:
        raise PluginError(
            f"the {kind.removesuffix('s')} {name!r} is claimed twice: by {' and by '.join(map(str, claims))}. "
            "Uninstall one of them, or leave one out of MINIGRAD_PLUGINS."
        )
    return claims[0]


def load(kind: str, name: str) -> Any:
    """Import and return the object of that name.

    Raises:
        UsageError: for an unknown name.
        PluginError: if the plugin cannot be imported, naming it, its distribution and the cause.
    """
    entry = find(kind, name)
    try:
        return entry.point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the {kind.removesuffix('s')} {entry} cannot be loaded: {type(error).__name__}: {error}. "
            f"Mend or uninstall {entry.distribution}, or leave it out with MINIGRAD_PLUGINS."
        ) from error


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise UsageError(f"no plugins are of kind {kind!r}.{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}.")


def _normal(distribution: str) -> str:
    return distribution.strip().lower().replace("_", "-").replace(".", "-")
