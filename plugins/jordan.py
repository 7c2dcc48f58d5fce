"""Jordan's recurrent network (Jordan 1986): what comes back is not the hidden layer but the output.

h  = tanh(W x + U y + b)         W [H, D], U [H, O], b [H]
y' = tanh(V h + c)               V [O, H], c [O]
"""

from typing import Any

import minigrad as mg


class Jordan(mg.nn.Cell):
    """y' = tanh(V tanh(W x + U y + b) + c).

    outputs: O, how many units come out and are fed back; 0: H of them.
    zoneout, recurrent_dropout: see `mg.nn.Cell`.
    """

    carry_names = ("y",)

    def __init__(self, input_size: int, hidden_size: int, outputs: int = 0, zoneout: float = 0.0,
                 recurrent_dropout: float = 0.0) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, zoneout=zoneout, recurrent_dropout=recurrent_dropout)
        if outputs < 0:
            raise mg.errors.UsageError(f"jordan: outputs must be 0 or more, not {outputs}.")
        self.output_size = outputs or hidden_size
        self.of_x = mg.nn.Linear(input_size, hidden_size)
        self.of_y = mg.nn.Linear(self.output_size, hidden_size, bias=False)
        self.out = mg.nn.Linear(hidden_size, self.output_size)

    def initial_carry(self, batch: int) -> Any:
        """y [B, O] of zeros."""
        return mg.zeros((batch, self.output_size))

    def step(self, y: Any, x: Any) -> tuple[Any, Any]:
        """y [B, O], x [B, D] -> (y', y')."""
        h = mg.tanh(self.of_x(x) + self.of_y(self.drop(y)))
        y = self.keep(y, mg.tanh(self.out(h)))
        return y, y
