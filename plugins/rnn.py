"""Elman's recurrent network (Elman 1990), as PyTorch has it.

h' = tanh(W x + b + U h + c)        W [H, D], U [H, H], b, c [H]
"""

from math import sqrt
from typing import Any

import minigrad as mg

NONLINEARITIES = {"tanh": mg.tanh, "relu": mg.relu}


def uniform(hidden_size: int, *shape: int) -> mg.nn.Parameter:
    """A weight drawn from U[-1/√H, 1/√H]."""
    bound = 1 / sqrt(hidden_size)
    return mg.nn.Parameter(mg.random.generator().uniform(-bound, bound, shape).astype(mg.float32))


class RNN(mg.nn.Cell):
    """h' = φ(W x + b + U h + c), with φ tanh or relu."""

    carry_names = ("h",)

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        if nonlinearity not in NONLINEARITIES:
            raise mg.errors.UsageError(f"rnn: nonlinearity must be tanh or relu, not {nonlinearity!r}.")
        self.nonlinearity = nonlinearity
        self.weight_ih = uniform(hidden_size, hidden_size, input_size)
        self.weight_hh = uniform(hidden_size, hidden_size, hidden_size)
        self.bias_ih = uniform(hidden_size, hidden_size)
        self.bias_hh = uniform(hidden_size, hidden_size)

    def initial_carry(self, batch: int) -> Any:
        """h [B, H] of zeros."""
        return mg.zeros((batch, len(self.bias_hh)))

    def step(self, h: Any, x: Any) -> tuple[Any, Any]:
        """h [B, H], x [B, D] -> (h', h')."""
        a = mg.linear(x, self.weight_ih, self.bias_ih) + mg.linear(h, self.weight_hh, self.bias_hh)
        h = NONLINEARITIES[self.nonlinearity](a)
        return h, h
