"""Truncated backpropagation through time, TBPTT(k1, k2) (Williams and Peng 1990; the name is Sutskever's, 2013).

Every k1 steps, the losses of these k1 steps are sent back at most k2 steps, counted from the last of them:

    gradient = Σ over steps t, Σ over s ≤ t, s > e(t) - k2, of  dL_t/dw through step s

where e(t) ≥ t is the next multiple of k1. A trace shows of each step the gradient from the losses of its own k1 steps.

Each loss counts once, and the carry goes on where the gradient does not. k1 = k2 cuts the sequence into pieces;
k2 ≥ T is full backpropagation. Memory is that of k2 steps.
"""

from collections.abc import Callable
from typing import Any

import minigrad as mg
from minigrad_plugins.full import Full


class TBPTT:
    """window: k2, how far back a gradient goes. stride: k1, every how many steps; 0: as many as `window`."""

    def __init__(self, window: int = 20, stride: int = 0) -> None:
        if window < 1 or not 0 <= stride <= window:
            raise mg.errors.UsageError(
                f"tbptt: window must be 1 or more, not {window}; stride from 1 to window, not {stride}."
            )
        self.window, self.stride = window, stride or window

    def run(self, model: Any, batch: mg.Batch, loss: Callable[[Any, mg.Batch], Any], state: Any) -> tuple[Any, ...]:
        """Add the gradients up in the parameters; return (loss, outputs, state)."""
        if model.reads_ahead:
            raise mg.errors.UsageError("tbptt: this model reads from the end too and cannot be cut. Use --unroll full.")
        steps = len(batch.xs)
        if self.window >= steps:
            return Full().run(model, batch, loss, state)
        ends = list(range(self.stride, steps + self.stride, self.stride))
        starts = [max(0, end - self.window) for end in ends]
        ends[-1] = steps
        marks = sorted({*starts, *ends})
        # Forward, piece by piece. Kept of each piece: the carry and the random numbers it starts with.
        before, pieces = {}, []
        with mg.no_grad(), mg.no_trace():
            for a, b in zip(marks, marks[1:], strict=False):
                before[a] = state, mg.random.get_state()
                ys, state = batch.window(a, b).feed(model, state)
                pieces.append(ys)
                if state is None:
                    raise mg.errors.UsageError("tbptt: this model keeps no state from step to step. Use --unroll full.")
        after = mg.random.get_state()
        # What the loss wants of each output, whatever kind of loss it is.
        ys = mg.concat(pieces)
        ys.requires_grad = True
        value = loss(ys, batch)
        value.backward()
        for start, old, end in zip(starts, [0, *ends], ends, strict=False):
            self._send_back(model, batch, before, [m for m in marks if start <= m <= end], old, ys.grad)
        mg.random.set_state(after)
        return value, ys.detach(), state

    def _send_back(
        self, model: Any, batch: mg.Batch, before: dict[int, Any], marks: list[int], old: int, g: Any
    ) -> None:
        """Run the pieces between `marks` again, and send the cotangents of the steps from `old` on back through."""
        state, found = before[marks[0]][0], []
        for a, b in zip(marks, marks[1:], strict=False):
            mg.random.set_state(before[a][1])
            with mg.no_trace(a < old):
                ys, state = batch.window(a, b).feed(model, state)
            found += [ys] if a >= old else []
        mg.concat(found).backward(g[old : marks[-1]])
