"""Full backpropagation through time (Werbos 1990): the gradient goes back through every step of the sequence."""

from collections.abc import Callable
from typing import Any

import minigrad as mg


class Full:
    """One forward over the whole sequence, one backward."""

    def run(self, model: Any, batch: mg.Batch, loss: Callable[[Any, mg.Batch], Any], state: Any) -> tuple[Any, ...]:
        """Add the gradients up in the parameters; return (loss, outputs, state)."""
        ys, state = batch.feed(model, state)
        value = loss(ys, batch)
        value.backward()
        return value, ys, state
