"""Gated recurrent unit (Cho et al. 2014), with the reset gate after the matmul, as PyTorch and cuDNN have it.

r = σ(W_r x + b_r + U_r h + c_r)        W [3H, D], U [3H, H], b, c [3H], in the order r z n
z = σ(W_z x + b_z + U_z h + c_z)
n = tanh(W_n x + b_n + r (U_n h + c_n))
h' = (1 - z) n + z h
"""

from typing import Any

import minigrad as mg
from minigrad_plugins.rnn import uniform


class GRU(mg.nn.Cell):
    """h' = (1 - z) n + z h,  n = tanh(W x + b + r (U h + c))."""

    carry_names = ("h",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        self.hidden_size = hidden_size
        self.weight_ih = uniform(hidden_size, 3 * hidden_size, input_size)
        self.weight_hh = uniform(hidden_size, 3 * hidden_size, hidden_size)
        self.bias_ih = uniform(hidden_size, 3 * hidden_size)
        self.bias_hh = uniform(hidden_size, 3 * hidden_size)

    def initial_carry(self, batch: int) -> Any:
        """h [B, H] of zeros."""
        return mg.zeros((batch, self.hidden_size))

    def step(self, h: Any, x: Any) -> tuple[Any, Any]:
        """h [B, H], x [B, D] -> (h', h')."""
        of_x = mg.split(mg.linear(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        of_h = mg.split(mg.linear(h, self.weight_hh, self.bias_hh), 3, axis=-1)
        r = mg.sigmoid(of_x[0] + of_h[0])
        z = mg.sigmoid(of_x[1] + of_h[1])
        n = mg.tanh(of_x[2] + r * of_h[2])
        h = (1 - z) * n + z * h
        return h, h
