"""Jordan's recurrent network (Jordan 1986): what comes back is not the hidden layer but the output.

h  = tanh(W x + U y + b)         W [H, D], U [H, H], b [H]
y' = tanh(V h + c)               V [H, H], c [H]
"""

from typing import Any

import minigrad as mg


class Jordan(mg.nn.Cell):
    """y' = tanh(V tanh(W x + U y + b) + c).

    zoneout, recurrent_dropout: see `mg.nn.Cell`.
    """

    carry_names = ("y",)

    def __init__(self, input_size: int, hidden_size: int, zoneout: float = 0.0, recurrent_dropout: float = 0.0) -> None:
        super().__init__(input_size, hidden_size, zoneout=zoneout, recurrent_dropout=recurrent_dropout)
        self.of_x = mg.nn.Linear(input_size, hidden_size)
        self.of_y = mg.nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = mg.nn.Linear(hidden_size, hidden_size)

    def initial_carry(self, batch: int) -> Any:
        """y [B, H] of zeros."""
        return mg.zeros((batch, self.out.out_features))

    def step(self, y: Any, x: Any) -> tuple[Any, Any]:
        """y [B, H], x [B, D] -> (y', y')."""
        h = mg.tanh(self.of_x(x) + self.of_y(self.drop(y)))
        y = self.keep(y, mg.tanh(self.out(h)))
        return y, y
