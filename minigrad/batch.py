"""`Batch`: what a task gives to training. Imports nothing of minigrad."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Batch:
    """Sequences and what should come out of them.

    xs [T, B, D]; targets [T, B], [B], or floats of the outputs' shape; mask [T, B] or [B], 1 where accuracy counts;
    lengths [B], steps of each sequence.
    """

    xs: Array
    targets: Array
    mask: Array | None = None
    lengths: Array | None = None
