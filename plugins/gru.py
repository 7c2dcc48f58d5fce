"""Gated recurrent unit (Cho et al. 2014), with the reset gate after the matmul, as PyTorch and cuDNN have it.

r = σ(W_r x + b_r + U_r h + c_r)        W [3H, D], U [3H, H], b, c [3H], in the order r z n
z = σ(W_z x + b_z + U_z h + c_z)
n = tanh(W_n x + b_n + r (U_n h + c_n))
h' = (1 - z) n + z h

With `reset_after=False` it stands before the matmul, as in the paper:  n = tanh(W_n x + b_n + U_n (r h) + c_n).
"""

from typing import Any

import minigrad as mg
from minigrad_plugins.rnn import uniform


class GRU(mg.nn.Cell):
    """h' = (1 - z) n + z h,  n = tanh(W x + b + r (U h + c)), or tanh(W x + b + U (r h) + c) if not `reset_after`.

    zoneout, recurrent_dropout: see `mg.nn.Cell`.
    bias: whether there are b and c.
    """

    carry_names = ("h",)

    def __init__(self, input_size: int, hidden_size: int, reset_after: bool = True, zoneout: float = 0.0,
                 recurrent_dropout: float = 0.0, bias: bool = True) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, zoneout=zoneout, recurrent_dropout=recurrent_dropout)
        if not isinstance(bias, bool):
            raise mg.errors.UsageError(f"gru: bias is True or False, not {bias!r}.")
        self.hidden_size, self.reset_after = hidden_size, reset_after
        self.weight_ih = uniform(hidden_size, 3 * hidden_size, input_size)
        self.weight_hh = uniform(hidden_size, 3 * hidden_size, hidden_size)
        self.bias_ih = uniform(hidden_size, 3 * hidden_size) if bias else None
        self.bias_hh = uniform(hidden_size, 3 * hidden_size) if bias else None

    def initial_carry(self, batch: int) -> Any:
        """h [B, H] of zeros."""
        return mg.zeros((batch, self.hidden_size))

    def step(self, h: Any, x: Any) -> tuple[Any, Any]:
        """h [B, H], x [B, D] -> (h', h')."""
        of_x = mg.split(mg.linear(x, self.weight_ih, self.bias_ih), 3, axis=-1)
        of_h = mg.split(mg.linear(self.drop(h), self.weight_hh, self.bias_hh), 3, axis=-1)
        r = mg.sigmoid(of_x[0] + of_h[0])
        z = mg.sigmoid(of_x[1] + of_h[1])
        if self.reset_after:
            n = mg.tanh(of_x[2] + r * of_h[2])
        else:
            last = slice(2 * self.hidden_size, None)
            bias = None if self.bias_hh is None else self.bias_hh[last]
            n = mg.tanh(of_x[2] + mg.linear(r * self.drop(h), self.weight_hh[last], bias))
        h = self.keep(h, (1 - z) * n + z * h)
        return h, h
