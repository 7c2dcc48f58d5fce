"""From a task's word to a number: which outputs stand against which targets, the loss, the accuracy.

Imports `nn` and the floors below.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.batch import Batch
from minigrad.core import as_value
from minigrad.errors import PluginError
from minigrad.ops.index import getitem
from minigrad.ops.reduce import argmax
from minigrad.ops.reduce import sum as sum_
from minigrad.ops.shape import reshape


def counted(batch: Batch) -> Any:
    """Where loss and accuracy count: the batch's mask, else the steps within `lengths`, else everywhere (None)."""
    if batch.mask is not None or batch.lengths is None or batch.targets.ndim == 1:
        return batch.mask
    return np.arange(len(batch.targets))[:, None] < np.asarray(batch.lengths)


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
        outputs, mask = answers(ys, batch), counted(batch)
        if kind == "cross_entropy":
            targets = batch.targets if mask is None else np.where(mask, batch.targets, -1)
            return nn.cross_entropy(outputs, targets, ignore_index=None if mask is None else -1)
        outputs = reshape(outputs, batch.targets.shape)
        if mask is None:
            return nn.mse_loss(outputs, batch.targets)
        wrong = (outputs - as_value(batch.targets)) * np.asarray(mask, outputs.dtype)
        return sum_(wrong * wrong) / max(int(np.sum(mask)), 1)

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
    return float(np.mean(right if mask is None else right[np.asarray(mask, bool)]))
