"""From a training step to the figures of its record: gradient norms by carry leaf and time step, updates, gates.

Imports `gates`, `nn`, `tracing` and the floors below.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.gates import openness
from minigrad.mode import quiet
from minigrad.tracing import ScanTrace, lengths
from minigrad.tree import paths

ROWS = 4  # of a batch, whose gates are looked at


def scan_names(model: nn.Module, scans: list[ScanTrace]) -> list[list[str]]:
    """A name for each carry leaf of each scan of one call of the model: `l0.h`, `l0.c`, `l0_reverse.h`."""
    layers = [m for m in nn.Module.modules(model) if isinstance(m, nn.Recurrent)]
    places, names = [f"scan{i}" for i in range(len(scans))], []
    if layers:
        names = list(layers[0].cells[0].carry_names)
        first = layers[0]._minigrad_places
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

    Where the model ran window by window, as with tbptt, the windows stand one after the other. A leaf that no backward
    came by is absent.
    """
    names = scan_names(model, scans)
    found: dict[str, list[float]] = {}
    for i, scan in enumerate(scans):
        for name, norms in zip(names[i % len(names)], scan.carry_grad_norm, strict=True):
            found.setdefault(name, []).extend(short(x) for x in lengths(norms))
    return {name: norms for name, norms in found.items() if not np.isnan(norms).all()}


def roots(names: Iterable[str], square_sums: Any) -> dict[str, float]:
    """Norms by name, from the sums of squares."""
    return {name: float(norm) for name, norm in zip(names, np.sqrt(square_sums), strict=True)}


def update_ratio(moved: dict[str, float], sizes: dict[str, float]) -> dict[str, float]:
    """How long the last step was against the weight that it moved: ‖Δw‖ / ‖w‖ by name; nothing for a weight of 0."""
    return {name: short(moved[name] / sizes[name]) for name in moved if sizes[name]}


def inside(model: nn.Module, xs: Any) -> dict[str, Any]:
    """Of a model's recurrent layer: `gates`, each with its mean and the share of it wide open or shut, over a few rows
    of xs [T, B, D], and `singular_values`, the largest, median and smallest of each gate's recurrent weights.
    """
    layer = getattr(model, "recurrent", None)
    if not isinstance(layer, nn.Recurrent):
        return {}
    cell, found = layer.cells[0], {}
    training = cell._minigrad_training
    with quiet():  # what is not finite shows in the figures
        gates = openness(nn.Module.eval(cell), np.ascontiguousarray(xs[:, :ROWS]))
    nn.Module.train(cell, training)
    if gates:
        found["gates"] = {name: [short(mean.mean()), short(share.mean())] for name, (mean, share) in gates.items()}
    values = {}
    for name, weight in (
        (n, p.numpy()) for n, p in nn.Module.named_parameters(cell) if p.ndim == 2 and n.endswith("_hh")
    ):
        if not np.isfinite(weight).all():
            continue
        blocks = np.split(weight, len(weight) // weight.shape[1]) if len(weight) % weight.shape[1] == 0 else [weight]
        singular = np.concatenate([np.linalg.svd(block, compute_uv=False) for block in blocks])
        values[name] = [short(x) for x in (singular.max(), np.median(singular), singular.min())]
    return found | ({"singular_values": values} if values else {})


def first_not_finite(scans: list[ScanTrace], field: str, *, last: bool) -> int | None:
    """The first (or last) time step at which a trace's figures are not finite."""
    steps = [
        int(t) for s in scans for norms in getattr(s, field) for t in np.nonzero(~np.isfinite(norms).all(axis=1))[0]
    ]
    return (max(steps) if last else min(steps)) if steps else None


def short(x: Any) -> float:
    """Six digits are enough for a record."""
    return float(f"{float(x):.6g}")
