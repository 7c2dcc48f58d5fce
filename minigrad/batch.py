"""`Batch`: what a task gives to training. Imports nothing of minigrad."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Batch:
    """Sequences and what should come out of them.

    xs [T, B, D]; targets [T, B] or [B] (the last step's); mask, of the targets' shape, true where loss and accuracy
    count; lengths [B], steps of each sequence.
    """

    xs: Array
    targets: Array
    mask: Array | None = None
    lengths: Array | None = None
