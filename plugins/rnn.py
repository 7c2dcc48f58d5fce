"""Elman's recurrent network (Elman 1990), as PyTorch has it.

h' = φ(W x + b + U h + c)        W [H, D], U [H, H], b, c [H];  φ tanh, ReLU, or nothing
"""

from math import sqrt
from typing import Any

import numpy as np

import minigrad as mg

NONLINEARITIES = {"tanh": mg.tanh, "relu": mg.relu, "linear": lambda a: a}
INITS = ("uniform", "orthogonal", "identity")


def uniform(hidden_size: int, *shape: int) -> mg.nn.Parameter:
    """A weight drawn from U[-1/√H, 1/√H]."""
    bound = 1 / sqrt(hidden_size)
    return mg.nn.Parameter(mg.random.generator().uniform(-bound, bound, shape).astype(mg.float32))


def orthogonal(size: int) -> Any:
    """A matrix [H, H] that keeps every length: Q of a normal matrix, signs made even (Saxe et al. 2014)."""
    q, r = np.linalg.qr(mg.random.generator().standard_normal((size, size)))
    return q * np.sign(np.diag(r))


class RNN(mg.nn.Cell):
    """h' = φ(W x + b + U h + c).

    nonlinearity: tanh, relu or linear.
    init: of U. orthogonal and identity begin without biases; identity with relu is the IRNN (Le et al. 2015).
    gain: U is multiplied by it. A linear network with an orthogonal U changes a gradient by this factor a step.
    bias: whether there are b and c.
    zoneout, recurrent_dropout: see `mg.nn.Cell`.
    """

    carry_names = ("h",)

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh", init: str = "uniform",
                 gain: float = 1.0, zoneout: float = 0.0, recurrent_dropout: float = 0.0,
                 bias: bool = True) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, zoneout=zoneout, recurrent_dropout=recurrent_dropout)
        if not isinstance(bias, bool):
            raise mg.errors.UsageError(f"rnn: bias is True or False, not {bias!r}.")
        if nonlinearity not in NONLINEARITIES:
            raise mg.errors.UsageError(f"rnn: nonlinearity must be tanh, relu or linear, not {nonlinearity!r}.")
        if init not in INITS:
            raise mg.errors.UsageError(f"rnn: init must be uniform, orthogonal or identity, not {init!r}.")
        self.nonlinearity = nonlinearity
        self.weight_ih = uniform(hidden_size, hidden_size, input_size)
        self.weight_hh = uniform(hidden_size, hidden_size, hidden_size)
        self.bias_ih = uniform(hidden_size, hidden_size) if bias else None
        self.bias_hh = uniform(hidden_size, hidden_size) if bias else None
        with mg.no_grad():
            if init != "uniform":
                self.weight_hh[:] = orthogonal(hidden_size) if init == "orthogonal" else np.eye(hidden_size)
                for b in (self.bias_ih, self.bias_hh) if bias else ():
                    b[:] = 0
            self.weight_hh[:] = self.weight_hh * gain

    def initial_carry(self, batch: int) -> Any:
        """h [B, H] of zeros."""
        return mg.zeros((batch, len(self.weight_hh)))

    def step(self, h: Any, x: Any) -> tuple[Any, Any]:
        """h [B, H], x [B, D] -> (h', h')."""
        a = mg.linear(x, self.weight_ih, self.bias_ih) + mg.linear(self.drop(h), self.weight_hh, self.bias_hh)
        h = self.keep(h, NONLINEARITIES[self.nonlinearity](a))
        return h, h
