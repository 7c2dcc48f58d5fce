"""How many steps a scan has, which rows of the batch run at each, and that the others count for nothing.

Imports the floors below.
"""

from typing import Any

import numpy as np

from minigrad.arguments import short
from minigrad.arraytype import show
from minigrad.core import as_value
from minigrad.errors import ScanError
from minigrad.ops.elementwise import isfinite, logical_or, stop_gradient, where
from minigrad.ops.shape import reshape
from minigrad.values import Tensor

Array = np.ndarray[Any, Any]


def count_steps(said: Any, of_xs: int | None) -> int:
    """How many steps there are."""
    if said is not None and (
        not isinstance(said, (int, np.integer)) or isinstance(said, bool) or not 0 <= said < 2**40
    ):
        raise ScanError(f"scan: length is a number of steps from 0 on that fits into memory, not {short(said)}.")
    if said is None and of_xs is None:
        raise ScanError(
            "scan: xs holds no Tensor [T, ...] whose first axis would say how many steps there are. Say length=T."
        )
    if said is not None and of_xs is not None and said != of_xs:
        raise ScanError(f"scan: length is {said}, and xs have {of_xs} steps. Leave length out, or cut xs.")
    return int(said if of_xs is None else of_xs)  # type: ignore[arg-type]


def without_padding(x: Any, alive: Array) -> Any:
    """A leaf of xs [T, B, ...] with each row's own first step in the place of those that it does not run, or another
    row's if it runs none: a product with a gradient of zero would still be NaN for what is not finite.
    """
    steps, batch = alive.shape
    if x.ndim < 2 or x.shape[:2] != (steps, batch) or not alive.any():
        return x
    rows = np.where(alive.any(axis=0), np.arange(batch), np.argmax(alive.any(axis=0)))
    first = stop_gradient(x[np.argmax(alive, axis=0)[rows], rows])
    keep = as_value(alive.reshape(steps, batch, *[1] * (x.ndim - 2)))
    # Floats [T, B] may as well be [T, D], the same for all rows: only what could do harm is replaced there.
    return where(logical_or(keep, isfinite(x)) if x.ndim == 2 and x.dtype.kind == "f" else keep, x, first)


def alive_rows(lengths: Any, length: int, carry: list[Tensor]) -> Array:
    """[T, B]: whether a row still runs at a step."""
    try:
        array = np.asarray(lengths.numpy() if isinstance(lengths, Tensor) else lengths)
    except ValueError:
        raise ScanError(f"scan: lengths must be integers [B], not {short(lengths)}.") from None
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ScanError(f"scan: lengths must be integers [B], not {array.dtype}{list(array.shape)}.")
    if array.size and not 0 <= array.min() <= array.max() <= length:
        row = int(np.argmax((array < 0) | (array > length)))
        raise ScanError(f"scan: lengths[{row}] is {array[row]}, and must be from 0 to T = {length}.")
    for leaf in carry:
        if not leaf.ndim or leaf.shape[0] != array.size:
            raise ScanError(f"scan: {array.size} lengths for a carry {show(leaf)}, whose first axis must be the batch.")
    return np.arange(length)[:, None] < array


def select(alive: Array, new: Tensor, old: Any) -> Tensor:
    """[B], [B, ...], [B, ...] -> [B, ...]: `new` in the rows that run."""
    return where(reshape(as_value(alive), (-1, *[1] * (new.ndim - 1))), new, old)
