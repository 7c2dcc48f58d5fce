"""`Batch`: what a task gives to training. Imports nothing of minigrad."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Batch:
    """Sequences and what should come out of them.

    xs [T, B, D]; targets [T, B] or [B] (the last step's); mask, of the targets' shape, or [T, B] of wider targets, true
    where loss and accuracy count; lengths [B], steps of each sequence. What does not count may be anything, NaN too.

    starts [B]: rows in which a new sequence begins, while the others go on where the batch before stopped; without it
    all begin anew.
    """

    xs: Array
    targets: Array
    mask: Array | None = None
    lengths: Array | None = None
    starts: Array | None = None

    def feed(self, model: Any, state: Any = None) -> tuple[Any, Any]:
        """(outputs, state) of a model. One in training that has `taught(batch, state)` may look at the targets."""
        if model.training and hasattr(model, "taught"):
            outputs, state = model.taught(self, state)
        else:
            outputs, state = model(self.xs, state, lengths=self.lengths)
        return outputs, state

    def window(self, first: int, last: int) -> "Batch":
        """The steps from `first` to before `last`; targets [B] are not cut."""
        cut = slice(first, last)
        return Batch(
            self.xs[cut],
            self.targets[cut] if self.targets.ndim > 1 else self.targets,
            self.mask[cut] if self.mask is not None and self.mask.ndim > 1 else self.mask,
            None if self.lengths is None else np.clip(self.lengths - first, 0, last - first),
        )
