"""The one source of random numbers for weights and masks. `mg.seed(n)` sets it.

Imports nothing of minigrad. The bits are NumPy's PCG64; a task draws its data from a generator of its own.
"""

from typing import Any

import numpy as np

_generator = np.random.default_rng()


def seed(n: int) -> None:
    """Start every random draw of minigrad from `n`."""
    global _generator
    _generator = np.random.default_rng(n)


def generator() -> np.random.Generator:
    """The generator that initialisation and dropout draw from."""
    return _generator


def get_state() -> dict[str, Any]:
    """The generator's state as plain numbers, for a checkpoint."""
    return dict(_generator.bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Go on from a state that `get_state` gave."""
    _generator.bit_generator.state = state
