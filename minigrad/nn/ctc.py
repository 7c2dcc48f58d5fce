"""Connectionist temporal classification (Graves et al. 2006): the chance of a labelling, over all ways to align it.

Imports `recurrence` and the floors below. The forward recursion is a cell, so that `scan` compiles it and derives its
backward.
"""

from typing import Any

import numpy as np

from minigrad.arraytype import show
from minigrad.core import as_value
from minigrad.errors import ShapeError, UsageError
from minigrad.ops.elementwise import maximum, where
from minigrad.ops.index import take_along_axis
from minigrad.ops.reduce import logsumexp, mean
from minigrad.ops.reduce import sum as sum_
from minigrad.ops.shape import concat
from minigrad.ops.smooth import logaddexp
from minigrad.recurrence import scan

Array = np.ndarray[Any, Any]
NEVER = -1e30  # the logarithm of a chance that is none; finite, so that it has a gradient, which is 0


def ctc_loss(log_probs: Any, targets: Any, input_lengths: Any = None, target_lengths: Any = None, *, blank: int = 0,
             reduction: str = "mean") -> Any:  # fmt: skip
    """-log P(targets | log_probs), summed over all alignments.

    Args:
        log_probs: [T, B, C], the logarithms of each step's distribution over C symbols (see `mg.log_softmax`).
        targets: integers [B, S], without the blank.
        input_lengths: integers [B], steps of each row; all T without it.
        target_lengths: integers [B], symbols of each row; all S without it.
        blank: the symbol that stands for none.
        reduction: "mean" divides by the target lengths and takes the mean over rows, as PyTorch; or "sum", or "none".

    A labelling that no alignment gives, because it is longer than the row, has a loss of 1e30.

    Raises:
        ShapeError: for shapes, lengths or symbols that do not fit.
    """
    log_probs = as_value(log_probs)
    labels = np.asarray(targets)
    if (
        log_probs.ndim != 3
        or labels.ndim != 2
        or labels.shape[0] != log_probs.shape[1]
        or labels.dtype.kind not in "iu"
    ):
        raise ShapeError(f"ctc_loss takes log_probs [T, B, C] and integers [B, S], not {show(log_probs)} and "
                         f"{labels.dtype}{list(labels.shape)}.")  # fmt: skip
    steps, batch, classes = log_probs.shape
    lengths = _lengths("input_lengths", input_lengths, batch, steps)
    symbols = _lengths("target_lengths", target_lengths, batch, labels.shape[1])
    counted = np.arange(labels.shape[1]) < symbols[:, None]
    wrong = counted & ((labels == blank) | (labels >= classes) | (labels < 0))
    if wrong.any() or not 0 <= blank < classes:
        raise ShapeError(
            f"ctc_loss: targets must be symbols from 0 to {classes - 1} other than the blank {blank}; where words "
            "differ in length give target_lengths."
        )
    if reduction not in ("mean", "sum", "none"):
        raise UsageError(f"ctc_loss: reduction is mean, sum or none, not {reduction!r}.")
    losses = -_log_chance(log_probs, np.where(counted, labels, blank), lengths, symbols, blank)
    if reduction == "none":
        return losses
    return sum_(losses) if reduction == "sum" else mean(losses / np.maximum(symbols, 1).astype(log_probs.dtype))


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
    lengths = np.full(batch, most) if given is None else np.asarray(given)
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu" or not ((lengths >= 0) & (lengths <= most)).all():
        raise ShapeError(f"ctc_loss: {name} must be integers [{batch}] from 0 to {most}, not {lengths.tolist()}.")
    return lengths
