"""From the traces of a training step to the figures of its record: gradient norms by carry leaf and time step.

Imports `nn`, `tracing` and the floors below.
"""

from typing import Any

import numpy as np

from minigrad import nn
from minigrad.tracing import ScanTrace
from minigrad.tree import paths


def scan_names(model: nn.Module, scans: list[ScanTrace]) -> list[list[str]]:
    """A name for each carry leaf of each scan of one call of the model: `l0.h`, `l0.c`, `l0_reverse.h`."""
    layers = [m for m in model.modules() if isinstance(m, nn.Recurrent)]
    places, names = [f"scan{i}" for i in range(len(scans))], []
    if layers:
        names = list(layers[0].cells[0].carry_names)
        first = [name for name, _ in layers[0].children()][: len(layers[0].cells)]
        if all(len(s.carry_norm) == len(names) for s in scans) and len(scans) % len(first) == 0:
            places = first  # one call, or one window after the other
        else:
            places[: len(first)] = first
    found = []
    for place, scan in zip(places, scans, strict=False):
        n = len(scan.carry_norm)
        leaves = names if len(names) == n else paths((tuple, range(n), (None,) * n), "carry")
        found.append([f"{place}.{leaf}" for leaf in leaves])
    return found


def time_grad_norm(model: nn.Module, scans: list[ScanTrace]) -> dict[str, list[float]]:
    """For each carry leaf the norm over batch and units of dL/d carry_t, one figure a time step.

    Where the model ran window by window, as with tbptt, the windows stand one after the other.
    """
    names = scan_names(model, scans)
    found: dict[str, list[float]] = {}
    for i, scan in enumerate(scans):
        for name, norms in zip(names[i % len(names)], scan.carry_grad_norm, strict=True):
            found.setdefault(name, []).extend(short(x) for x in np.sqrt(np.square(norms).sum(axis=1)))
    return found


def first_not_finite(scans: list[ScanTrace], field: str, *, last: bool) -> int | None:
    """The first (or last) time step at which a trace's figures are not finite."""
    steps = [
        int(t) for s in scans for norms in getattr(s, field) for t in np.nonzero(~np.isfinite(norms).all(axis=1))[0]
    ]
    return (max(steps) if last else min(steps)) if steps else None


def short(x: Any) -> float:
    """Six digits are enough for a record."""
    return float(f"{float(x):.6g}")
