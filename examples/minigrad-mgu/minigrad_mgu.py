"""The minimal gated unit (Zhou, Wu, Zhang and Zhou 2016, "Minimal gated unit for recurrent neural networks").

f  = σ(W_f x + U_f h + b_f)             one gate: what is forgotten, and what is looked at
n  = tanh(W_h x + U_h (f h) + b_h)
h' = (1 - f) h + f n                    W [H, D], U [H, H], b [H]
"""

from typing import Any

import minigrad as mg

minigrad_api = 1


class MGU(mg.nn.Cell):
    """A GRU with one gate in place of two.

    forget_bias: what b_f begins as; the higher, the sooner a unit takes up something new.
    """

    carry_names = ("h",)

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 0.0) -> None:
        self.wf = mg.nn.Linear(input_size, hidden_size)
        self.uf = mg.nn.Linear(hidden_size, hidden_size, bias=False)
        self.wh = mg.nn.Linear(input_size, hidden_size)
        self.uh = mg.nn.Linear(hidden_size, hidden_size, bias=False)
        with mg.no_grad():
            self.wf.bias[:] = forget_bias

    def initial_carry(self, batch: int) -> Any:
        """h [B, H] of zeros."""
        return mg.zeros((batch, self.uh.out_features))

    def step(self, h: Any, x: Any) -> tuple[Any, Any]:
        """h [B, H], x [B, D] -> (h', h')."""
        f = mg.sigmoid(self.wf(x) + self.uf(h))
        n = mg.tanh(self.wh(x) + self.uh(f * h))
        h = (1 - f) * h + f * n
        return h, h
