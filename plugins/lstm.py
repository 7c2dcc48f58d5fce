"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

i, f, g, o = W x + b + U h + c          the gates, in PyTorch's order;  W [4H, D], U [4H, H], b, c [4H]
c' = σ(f) c + σ(i) tanh(g)
h' = σ(o) tanh(c')
"""

from typing import Any

import numpy as np

import minigrad as mg
from minigrad_plugins.rnn import uniform


class LSTM(mg.nn.Cell):
    """c' = σ(f) c + σ(i) tanh(g),  h' = σ(o) tanh(c').

    forget_bias: the forget gate's first bias (Jozefowicz et al. 2015 advise 1); `None`: as drawn.
    chrono: T_max of chrono initialisation (Tallec and Ollivier 2018), b_f = ln U[1, T_max - 1], b_i = -b_f; 0: not.
    """

    carry_names = ("h", "c")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None = None, chrono: int = 0) -> None:
        self.hidden_size = hidden_size
        self.weight_ih = uniform(hidden_size, 4 * hidden_size, input_size)
        self.weight_hh = uniform(hidden_size, 4 * hidden_size, hidden_size)
        self.bias_ih = uniform(hidden_size, 4 * hidden_size)
        self.bias_hh = uniform(hidden_size, 4 * hidden_size)
        if chrono:
            if chrono < 3:
                raise mg.errors.UsageError(f"lstm: chrono is the longest memory in steps, 3 or more, not {chrono!r}.")
            memory = np.log(mg.random.generator().uniform(1, chrono - 1, hidden_size)).astype(np.float32)
            self._set_bias(0, -memory)
            self._set_bias(1, memory)
        elif forget_bias is not None:
            self._set_bias(1, np.full(hidden_size, forget_bias, np.float32))

    def _set_bias(self, gate: int, values: Any) -> None:
        rows = slice(gate * self.hidden_size, (gate + 1) * self.hidden_size)
        with mg.no_grad():
            self.bias_ih[rows] = values
            self.bias_hh[rows] = 0

    def initial_carry(self, batch: int) -> Any:
        """(h, c), each [B, H], of zeros."""
        return mg.zeros((batch, self.hidden_size)), mg.zeros((batch, self.hidden_size))

    def step(self, carry: Any, x: Any) -> tuple[Any, Any]:
        """((h, c), x [B, D]) -> ((h', c'), h')."""
        h, c = carry
        gates = mg.linear(x, self.weight_ih, self.bias_ih) + mg.linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = mg.split(gates, 4, axis=-1)
        c = mg.sigmoid(f) * c + mg.sigmoid(i) * mg.tanh(g)
        h = mg.sigmoid(o) * mg.tanh(c)
        return (h, c), h
