"""How open the gates of a cell are at each step, whatever the cell: every sigmoid of its graph is a gate.

Imports `compiled`, `recurrence` and the floors below. A gate is called as the cell calls it, or what goes into it: i,
f and o for an LSTM.
"""

from typing import Any

import numpy as np

from minigrad.compiled import traced
from minigrad.errors import MinigradError
from minigrad.ir.graph import Variable
from minigrad.recurrence import Steps

Array = np.ndarray[Any, Any]
OPEN, SHUT = 0.9, 0.1


def gate_values(cell: Any, xs: Any) -> dict[str, Array]:
    """Every gate of a cell of `nn`, run on xs [T, B, D] from its first carry: [T, B, H] each, by name."""
    steps = Steps(cell.step, cell.initial_carry(xs.shape[1]), xs, None, None, False)
    graph = traced(steps)
    n, consts = len(steps.carry), {v: x.numpy() for v, x in graph.consts.items()}
    carry: list[Any] = [leaf.numpy() for leaf in steps.carry]
    found: dict[str, list[Any]] = {}
    for t in range(steps.length):
        values: dict[Any, Any] = {**consts, **dict(zip(graph.inputs, [*carry, np.asarray(xs[t])], strict=False))}
        for e in graph.equations:
            inputs = (values[a] if isinstance(a, Variable) else a for a in e.inputs)
            made = e.op.forward(*inputs, **e.metadata)
            values.update(zip(e.outs, made if e.op.multiple else (made,), strict=True))
            if e.op.name == "sigmoid":
                out, given = e.outs[0], e.inputs[0]
                name = out.name if out.is_named or not isinstance(given, Variable) else given.name
                found.setdefault(name, []).append(values[out])
        carry = [values[v] if isinstance(v, Variable) else v for v in graph.outs[:n]]
    return {name: np.stack(some) for name, some in found.items()}


def openness(cell: Any, xs: Any) -> dict[str, tuple[Array, Array]]:
    """For each gate its mean [T], and the share [T] of its units that are wide open or shut, above .9 or below .1.

    A cell that cannot be traced, and so runs step by step, shows none.
    """
    try:
        gates = gate_values(cell, xs)
    except (MinigradError, TypeError):
        return {}
    return {
        name: (values.mean(axis=(1, 2)), ((values > OPEN) | (values < SHUT)).mean(axis=(1, 2)))
        for name, values in gates.items()
    }
