"""Connectionist temporal classification (Graves et al. 2006): the chance of a labelling, over all ways to align it.

Imports `losses`, `recurrence` and the floors below. The forward recursion is a cell, so that `scan` compiles it and
derives its backward.
"""

from typing import Any

import numpy as np

from minigrad.arguments import flag, whole
from minigrad.arraytype import show
from minigrad.core import as_value
from minigrad.errors import ShapeError
from minigrad.nn.layers import one_value
from minigrad.nn.losses import check_reduction, reduce_loss
from minigrad.ops.elementwise import greater, maximum, where
from minigrad.ops.index import take_along_axis
from minigrad.ops.shape import concat, expand_dims
from minigrad.ops.smooth import logaddexp
from minigrad.ops.softmax import logsumexp
from minigrad.recurrence import scan

Array = np.ndarray[Any, Any]
NEVER = -1e30  # the logarithm of a chance that is none; finite, so that it has a gradient, which is 0


def ctc_loss(log_probs: Any, targets: Any, input_lengths: Any = None, target_lengths: Any = None, *, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Any:  # fmt: skip
    """-log P(targets | log_probs), summed over all alignments.

    Args:
        log_probs: [T, B, C], the logarithms of each step's distribution over C symbols (see `mg.log_softmax`); or
            [T, C] with targets [S] and one number for each length.
        targets: integers [B, S], without the blank.
        input_lengths: integers [B], steps of each row; all T without it.
        target_lengths: integers [B], symbols of each row; all S without it.
        blank: the symbol that stands for none.
        zero_infinity: whether an infinite loss is 0 instead.
        reduction: "mean" divides by the target lengths and takes the mean over rows, as PyTorch; or "sum", or "none".

    A labelling that no alignment gives, because it is longer than the row, has an infinite loss, and no gradient;
    `zero_infinity` makes it a loss of 0. What stands behind a row's length reaches nothing.

    Raises:
        ShapeError: for shapes, lengths or symbols that do not fit.
    """
    check_reduction("ctc_loss", reduction)
    log_probs, labels = one_value("ctc_loss", log_probs), one_value("ctc_loss", targets).numpy()
    if log_probs.ndim == 2 and labels.ndim == 1:
        sizes = (None if n is None else as_value(n).numpy().reshape(-1) for n in (input_lengths, target_lengths))
        return ctc_loss(expand_dims(log_probs, 1), labels[None], *sizes, blank=blank,
                        reduction="sum" if reduction == "none" else reduction, zero_infinity=zero_infinity)  # fmt: skip
    if (
        log_probs.ndim != 3
        or labels.ndim != 2
        or labels.shape[0] != log_probs.shape[1]
        or labels.dtype.kind not in "iu"
    ):
        raise ShapeError(f"ctc_loss takes log_probs [T, B, C] and integers [B, S], not {show(log_probs)} and "
                         f"{labels.dtype}{list(labels.shape)}.")  # fmt: skip
    steps, batch, classes = log_probs.shape
    blank, zero_infinity = whole("ctc_loss", "blank", blank), flag("ctc_loss", "zero_infinity", zero_infinity)
    lengths = _lengths("input_lengths", input_lengths, batch, steps)
    symbols = _lengths("target_lengths", target_lengths, batch, labels.shape[1])
    counted = np.arange(labels.shape[1]) < symbols[:, None]
    wrong = counted & ((labels == blank) | (labels >= classes) | (labels < 0))
    if wrong.any() or not 0 <= blank < classes:
        raise ShapeError(
            f"ctc_loss: targets must be symbols from 0 to {classes - 1} other than the blank {blank}; where words "
            "differ in length give target_lengths."
        )
    there = np.arange(steps)[:, None, None] < lengths[:, None]
    found = where(there, log_probs, 0.0) if lengths.min(initial=steps) < steps else log_probs
    losses = -_log_chance(found, np.where(counted, labels, blank), lengths, symbols, blank)
    losses = where(greater(losses, -NEVER / 2), 0.0 if zero_infinity else np.inf, losses)
    if reduction == "mean":
        losses = losses / np.maximum(symbols, 1).astype(log_probs.dtype)
    return reduce_loss(losses, reduction, batch)


def _log_chance(log_probs: Any, labels: Array, lengths: Array, symbols: Array, blank: int) -> Any:
    """[B]: the forward recursion over the path of symbols with blanks around them, - a - b -, [B, 2 S + 1]."""
    batch, width, dtype = len(labels), 2 * labels.shape[1] + 1, log_probs.dtype
    path = np.full((batch, width), blank)
    path[:, 1::2] = labels
    emitted = take_along_axis(log_probs, np.broadcast_to(path, (len(log_probs), *path.shape)), axis=2)
    # From two places back one may come to a symbol that differs from the one there.
    leaps = np.zeros(path.shape, bool)
    leaps[:, 2:] = (path[:, 2:] != blank) & (path[:, 2:] != path[:, :-2])
    never = np.full((batch, 2), NEVER, dtype)

    def cell(alpha: Any, emission: Any) -> tuple[Any, None]:
        """alpha [B, 2 S + 1]: log chance of all ways to have come to each place of the path."""
        back = concat([never, alpha], axis=-1)
        one, two = back[:, 1 : width + 1], where(leaps, back[:, :width], NEVER)
        return maximum(logaddexp(logaddexp(alpha, one), two) + emission, NEVER), None

    before = np.full(path.shape, NEVER, dtype)
    before[:, 0] = 0  # in front of the path: the first step comes to its first blank or its first symbol
    last, _ = scan(cell, before, emitted, lengths=lengths)
    ends = np.arange(width) - 2 * symbols[:, None]
    return logsumexp(where((ends == 0) | (ends == -1), last, NEVER), axis=-1)


def _lengths(name: str, given: Any, batch: int, most: int) -> Array:
    lengths = np.full(batch, most) if given is None else as_value(given).numpy()
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu" or not ((lengths >= 0) & (lengths <= most)).all():
        raise ShapeError(f"ctc_loss: {name} must be integers [{batch}] from 0 to {most}, not {lengths.tolist()}.")
    return lengths
