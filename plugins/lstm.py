"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

i, f, g, o = W x + b + U h + c          the gates, in PyTorch's order;  W [4H, D], U [4H, H], b, c [4H]
c' = σ(f) c + σ(i) tanh(g)
h' = σ(o) tanh(c')

Variants, each an option:
peephole     i += p_i c,  f += p_f c,  o += p_o c'              p [H]           (Gers and Schmidhuber 2000)
coupled      σ(i) is 1 - σ(f): three gates f, g, o              W [3H, D] …     (Greff et al. 2017, CIFG)
layer_norm   LN(W x) + b + LN(U h) + c,  tanh(LN(c'))           over all gates  (Ba et al. 2016)
projection   h' = R σ(o) tanh(c')                               R [P, H]        (Sak et al. 2014)
"""

from typing import Any

import numpy as np

import minigrad as mg
from minigrad_plugins.rnn import uniform


class LSTM(mg.nn.Cell):
    """c' = σ(f) c + σ(i) tanh(g),  h' = σ(o) tanh(c').

    peephole, coupled, layer_norm: the variants above.
    projection: P, the size of h; 0: H, without a projection.
    forget_bias: the forget gate's first bias (Jozefowicz et al. 2015 advise 1); `None`: as drawn.
    chrono: T_max of chrono initialisation (Tallec and Ollivier 2018), b_f = ln U[1, T_max - 1], b_i = -b_f; 0: not.
    zoneout, recurrent_dropout: see `mg.nn.Cell`.
    bias: whether there are b and c; without them forget_bias and chrono, which tasks suggest, have nothing to set.
    """

    carry_names = ("h", "c")

    def __init__(self, input_size: int, hidden_size: int, peephole: bool = False, coupled: bool = False,
                 layer_norm: bool = False, projection: int = 0, forget_bias: float | None = None, chrono: int = 0,
                 zoneout: float = 0.0, recurrent_dropout: float = 0.0, bias: bool = True) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, zoneout=zoneout, recurrent_dropout=recurrent_dropout)
        if not isinstance(bias, bool):
            raise mg.errors.UsageError(f"lstm: bias is True or False, not {bias!r}.")
        if not isinstance(projection, int) or projection < 0:
            raise mg.errors.UsageError(f"lstm: projection must be an integer, 0 or more, not {projection!r}.")
        self.hidden_size, self.output_size = hidden_size, projection or hidden_size
        self.peephole, self.coupled, self.layer_norm, self.projection = peephole, coupled, layer_norm, projection
        self.gates = "fgo" if coupled else "ifgo"
        wide = len(self.gates) * hidden_size
        self.weight_ih = uniform(hidden_size, wide, input_size)
        self.weight_hh = uniform(hidden_size, wide, self.output_size)
        self.bias_ih = uniform(hidden_size, wide) if bias else None
        self.bias_hh = uniform(hidden_size, wide) if bias else None
        if projection:
            self.weight_hr = uniform(hidden_size, projection, hidden_size)
        if peephole:
            self.weight_cf, self.weight_co = uniform(hidden_size, hidden_size), uniform(hidden_size, hidden_size)
            self.weight_ci = None if coupled else uniform(hidden_size, hidden_size)
        if layer_norm:
            self.norm_ih, self.norm_hh = mg.nn.LayerNorm(wide), mg.nn.LayerNorm(wide)
            self.norm_c = mg.nn.LayerNorm(hidden_size)
        if chrono:
            if chrono < 3:
                raise mg.errors.UsageError(f"lstm: chrono is the longest memory in steps, 3 or more, not {chrono!r}.")
            memory = np.log(mg.random.generator().uniform(1, chrono - 1, hidden_size)).astype(np.float32)
            self._set_bias("i", -memory)
            self._set_bias("f", memory)
        elif forget_bias is not None:
            self._set_bias("f", np.full(hidden_size, forget_bias, np.float32))

    def _set_bias(self, gate: str, values: Any) -> None:
        if gate in self.gates and self.bias_ih is not None:
            start = self.gates.index(gate) * self.hidden_size
            with mg.no_grad():
                self.bias_ih[start : start + self.hidden_size] = values
                self.bias_hh[start : start + self.hidden_size] = 0

    def initial_carry(self, batch: int) -> Any:
        """(h [B, H or P], c [B, H]) of zeros."""
        return mg.zeros((batch, self.output_size)), mg.zeros((batch, self.hidden_size))

    def step(self, carry: Any, x: Any) -> tuple[Any, Any]:
        """((h, c), x [B, D]) -> ((h', c'), h')."""
        h, c = carry
        gates = self._gates(self.drop(h), x)
        if self.coupled:
            f, g, o = mg.split(gates, 3, axis=-1)
        else:
            i, f, g, o = mg.split(gates, 4, axis=-1)
        if self.peephole:
            f = f + self.weight_cf * c
        if self.peephole and not self.coupled:
            i = i + self.weight_ci * c
        new = mg.sigmoid(f) * c + (1 - mg.sigmoid(f) if self.coupled else mg.sigmoid(i)) * mg.tanh(g)
        if self.peephole:
            o = o + self.weight_co * new
        out = mg.sigmoid(o) * mg.tanh(self.norm_c(new) if self.layer_norm else new)
        if self.projection:
            out = mg.linear(out, self.weight_hr)
        h = self.keep(h, out)
        return (h, self.keep(c, new)), h

    def _gates(self, h: Any, x: Any) -> Any:
        """The gates before their nonlinearities, [B, 4 H], or [B, 3 H] where two are coupled."""
        if not self.layer_norm:
            return mg.linear(x, self.weight_ih, self.bias_ih) + mg.linear(h, self.weight_hh, self.bias_hh)
        of_x, of_h = self.norm_ih(mg.linear(x, self.weight_ih)), self.norm_hh(mg.linear(h, self.weight_hh))
        return of_x + of_h if self.bias_ih is None else of_x + self.bias_ih + of_h + self.bias_hh
