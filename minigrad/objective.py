"""From a task's word to a number: which outputs stand against which targets, the loss, the accuracy.

Imports `nn` and the floors below.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.arraytype import show
from minigrad.batch import Batch
from minigrad.core import as_value
from minigrad.errors import DtypeError, PluginError, ShapeError
from minigrad.nn.layers import one_value
from minigrad.ops.elementwise import where
from minigrad.ops.index import getitem
from minigrad.ops.reduce import argmax
from minigrad.ops.shape import reshape


def counted(batch: Batch) -> Any:
    """Where loss and accuracy count, of the targets' shape: the batch's mask, else the steps within `lengths` (of
    targets [B] the rows that have a step), else everywhere (None).

    Raises:
        ShapeError: for a mask that has neither the targets' shape nor that of their steps and rows, or other lengths.
        DtypeError: for a mask that is not true or false.
    """
    shape, lengths, mask = np.shape(batch.targets), batch.lengths, np.asarray(batch.mask)
    if batch.mask is None:
        if lengths is None:
            return None
        if np.shape(lengths) != (shape if len(shape) == 1 else shape[1:2]):
            raise ShapeError(
                f"a batch of targets {list(shape)} has lengths {list(np.shape(lengths))}. Give one number for each row."
            )
        mask = np.asarray(lengths) > (0 if len(shape) == 1 else np.arange(shape[0])[:, None])
    if mask.shape not in (shape, shape[:2]):
        raise ShapeError(
            f"a batch's mask must have the targets' shape {list(shape)}, not {list(mask.shape)}. Say of each target "
            "whether it counts."
        )
    if not np.isin(mask, (0, 1)).all():
        raise DtypeError(f"a batch's mask must be true or false, not {mask.dtype} of other values.")
    return np.broadcast_to(mask.astype(bool).reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


def answers(ys: Any, batch: Batch) -> Any:
    """The outputs that targets stand against: all steps, or for targets [B] each row's last."""
    if batch.targets.ndim > 1:
        return ys
    rows = np.arange(ys.shape[1])
    last = np.full(len(rows), ys.shape[0]) if batch.lengths is None else np.asarray(batch.lengths)
    return getitem(ys, (last - 1, rows))


def make_loss(kind: Any) -> Callable[[Any, Batch], Any]:
    """The function of (ys, batch) that a task's `loss` names or is."""
    if callable(kind):
        return kind

    def loss(ys: Any, batch: Batch) -> Any:
        mask, outputs = counted(batch), answers(one_value("a task's loss", ys), batch)
        if kind == "cross_entropy":
            targets = batch.targets if mask is None else np.where(mask, batch.targets, -1)
            return nn.cross_entropy(outputs, targets, ignore_index=None if mask is None else -1)
        targets = as_value(batch.targets)
        if outputs.shape not in (targets.shape, (*targets.shape, 1)):
            raise ShapeError(
                f"a task's loss 'mse': outputs {show(outputs)} against targets {show(targets)}. Give targets of the "
                "outputs' shape, whose last size may be left out if it is 1."
            )
        outputs = reshape(outputs, targets.shape)
        if mask is None:
            return nn.mse_loss(outputs, targets)
        outputs, targets = (where(mask, x, 0) for x in (outputs, targets))
        return nn.mse_loss(outputs, targets, reduction="sum") / max(int(mask.sum()), 1)

    if kind not in ("cross_entropy", "mse"):
        raise PluginError(f"a task's loss is 'cross_entropy', 'mse' or a function of (ys, batch), not {kind!r}.")
    return loss


def is_solved(task: Any, loss: float, accuracy: float | None) -> bool:
    """Whether a task counts as solved: `solved` is the accuracy it wants, or a function (loss, accuracy) -> bool."""
    wanted = getattr(task, "solved", None)
    if callable(wanted):
        return bool(wanted(loss, accuracy))
    return wanted is not None and accuracy is not None and accuracy >= wanted


def measure_accuracy(task: Any, ys: Any, batch: Batch) -> float | None:
    """Share of right answers; None where a task has no such thing."""
    own = getattr(task, "accuracy", None)
    if own is not None:
        return float(own(ys, batch))
    if task.loss != "cross_entropy":
        return None
    right = argmax(answers(ys, batch).detach(), axis=-1).numpy() == batch.targets
    mask = counted(batch)
    return float(np.mean(right if mask is None else right[mask]))
