"""The one source of random numbers for weights and masks. `mg.seed(n)` sets it.

Imports the ground floor. The bits are NumPy's PCG64; a task draws its data from a generator of its own.
"""

from typing import Any

import numpy as np

from minigrad.arguments import whole

_generator = np.random.default_rng()


def seed(n: int) -> None:
    """Start every random draw of minigrad from `n`, an integer from 0 on."""
    global _generator
    _generator = np.random.default_rng(whole("seed", "n", n, 0))


def generator() -> np.random.Generator:
    """The generator that initialisation and dropout draw from."""
    return _generator


def get_state() -> dict[str, Any]:
    """The generator's state as plain numbers, for a checkpoint."""
    return dict(_generator.bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Go on from a state that `get_state` gave."""
    _generator.bit_generator.state = state
