"""Encoder and decoder (Sutskever et al. 2014; Cho et al. 2014), with attention (Bahdanau et al. 2015; Luong et al.
2015).

memory, s_0 = encoder(source)                      memory [S, B, H]
s_j = cell(s_{j-1}, y_{j-1})                       y_{j-1}: the right answer while it is taught, else its own
α_j = softmax(score(s_j, memory)),  c_j = α_j memory
y_j = softmax(V tanh(C [s_j; c_j]))

With additive attention it looks before it steps, as in Bahdanau's paper: α_j from s_{j-1}, and c_j goes into the cell
too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg

ATTENTION = ("none", "additive", "dot", "general", "concat")
CONTEXTS = ("state", "repeat")


class Seq2Seq(mg.nn.Module):
    """Read a source, then write an answer.

    cell: of encoder and decoder.
    attention: none, additive (Bahdanau), or dot, general, concat (Luong).
    teacher_forcing: share of steps that are given the right answer before, in training; else the network's own.
    context: what passes from encoder to decoder. "state": its last state; "repeat": its last output is the decoder's
        input at each step, and nothing else is, as in the Keras example of addition.
    """

    def __init__(self, task: Any, hidden: int, layers: int = 1, bidirectional: bool = False, cell: str = "lstm",
                 attention: str = "none", teacher_forcing: float = 1.0, context: str = "state") -> None:  # fmt: skip
        if not hasattr(task, "answer"):
            raise mg.errors.UsageError(
                f"seq2seq: the task {type(task).__name__} has no source and answer (an attribute `answer`, how many "
                "of the last steps are to be written), as reversal, sorting, addition, dates and selective-copy have."
            )
        if attention not in ATTENTION:
            raise mg.errors.UsageError(f"seq2seq: attention is one of {', '.join(ATTENTION)}, not {attention!r}.")
        if context not in CONTEXTS:
            raise mg.errors.UsageError(f"seq2seq: context is state or repeat, not {context!r}.")
        if not 0 <= teacher_forcing <= 1:
            raise mg.errors.UsageError(f"seq2seq: teacher_forcing must be from 0 to 1, not {teacher_forcing}.")
        if attention == "dot" and bidirectional:
            raise mg.errors.UsageError("seq2seq: attention=dot wants keys as wide as the decoder; with both directions "
                                       "they are twice that. Take attention=general.")  # fmt: skip
        self.task, self.context, self.rate, self.attention = task, context, teacher_forcing, attention
        self.encoder = mg.nn.Recurrent(cell, task.input_size, hidden, num_layers=layers, bidirectional=bidirectional)
        wide = self.encoder.output_size
        size = wide if context == "repeat" else task.output_size
        size += wide if attention == "additive" else 0
        kind = mg.registry.load("cells", cell)
        self.cells = [kind(size if i == 0 else hidden, hidden) for i in range(layers)]
        if attention == "additive":
            self.look: Any = mg.nn.AdditiveAttention(hidden, wide, hidden)
        elif attention != "none":
            self.look = mg.nn.DotAttention(hidden, wide, attention)
        self.join = mg.nn.Linear(hidden + wide, hidden) if attention != "none" else None
        self.readout = mg.nn.Linear(hidden, task.output_size)
        self.alignment: Any = None  # [L, B, S] of the last answer that was written

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> tuple[Any, None]:
        """xs [S + L, B, D], lengths [B] of the sources -> (outputs [S + L, B, O], None), by its own answers."""
        steps = self.task.answer
        given = np.zeros((steps, xs.shape[1], self.task.output_size), np.float32)
        return self._write(xs, given, np.zeros((steps, xs.shape[1], 1), bool), lengths), None

    def taught(self, batch: mg.Batch, state: Any = None) -> tuple[Any, None]:
        """The same, given the right answer before in a share of the steps."""
        right = batch.targets[-self.task.answer :]
        given = np.zeros((*right.shape, self.task.output_size), np.float32)
        given[1:] = np.eye(self.task.output_size, dtype=np.float32)[right[:-1]]
        told = mg.random.generator().random((*right.shape, 1)) < self.rate
        told[0] = True  # before the first there is nothing
        return self._write(batch.xs, given, told, batch.lengths), None

    def _write(self, xs: Any, given: Any, told: Any, lengths: Any) -> Any:
        carry, step = self._start(xs, lengths)
        own = mg.zeros(given.shape[1:], device=self.readout.weight.device)
        _, (logits, self.alignment) = mg.scan(step, (carry, own), (given, told))
        nothing = mg.zeros((len(xs) - len(given), *logits.shape[1:]), dtype=logits.dtype, device=logits.device)
        return mg.concat([nothing, logits])

    def _start(self, xs: Any, lengths: Any) -> tuple[Any, Callable[..., Any]]:
        """What the encoder leaves: the decoder's first carry, and its step."""
        steps = len(xs) - self.task.answer
        ends = np.full(xs.shape[1], steps) if lengths is None else np.clip(lengths, 1, steps)
        ys, state = self.encoder(xs[:steps], lengths=None if lengths is None else ends)
        memory, last = mg.permute_dims(ys, (1, 0, 2)), ys[ends - 1, np.arange(len(ends))]
        mask = None if lengths is None else np.arange(steps) < ends[:, None]
        directions = self.encoder.directions
        leaves, structure = mg.tree.flatten(state)
        # Of two directions the mean.
        means = [mg.mean(mg.reshape(x, (len(self.cells), directions, *x.shape[1:])), axis=1) for x in leaves]
        carry = [mg.tree.unflatten(structure, [leaf[i] for leaf in means]) for i in range(len(self.cells))]
        if self.context == "repeat":
            carry = [mg.tree.tree_map(mg.zeros_like, one) for one in carry]

        def step(carry: Any, x: Any) -> tuple[Any, Any]:
            states, own = carry
            given, told = x
            weights: Any = None
            x = last if self.context == "repeat" else mg.where(told, given, own)
            if self.attention == "additive":
                seen, weights = self.look(mg.tree.flatten(states[-1])[0][0], memory, mask=mask)
                x = mg.concat([x, seen], axis=-1)
            new = []
            for cell, one in zip(self.cells, states, strict=True):
                one, x = cell.step(one, x)
                new.append(one)
            if self.attention not in ("none", "additive"):
                seen, weights = self.look(x, memory, mask=mask)
            if self.join is not None:
                x = mg.tanh(self.join(mg.concat([x, seen], axis=-1)))
            logits = self.readout(x)
            best = mg.astype(logits == mg.max(logits, axis=-1, keepdims=True), logits.dtype)
            return (new, best), (logits, weights)

        return carry, step

    def search(self, xs: Any, width: int, lengths: Any = None) -> Any:
        """The answers [L, B] by a beam of that many (Graves 2012; Sutskever et al. 2014), 1 being greedy."""
        batch, classes = xs.shape[1], self.task.output_size
        eye = np.eye(classes, dtype=np.float32)
        with mg.no_grad():
            states, step = self._start(
                mg.repeat(xs, width, axis=1), None if lengths is None else np.repeat(lengths, width)
            )
            carry = (states, mg.zeros((batch * width, classes), device=self.readout.weight.device))
            scores = np.full((batch, width), -np.inf)
            scores[:, 0] = 0  # all beams are the same at first
            words = np.zeros((0, batch, width), np.int64)
            told = np.zeros((batch * width, 1), bool)
            for _ in range(self.task.answer):
                (states, _), (logits, _) = step(carry, (carry[1], told))
                chances = mg.log_softmax(logits.astype(mg.float64)).numpy().reshape(batch, width, classes)
                total = (scores[..., None] + chances).reshape(batch, -1)
                best = np.argsort(-total, axis=1, kind="stable")[:, :width]
                scores = np.take_along_axis(total, best, axis=1)
                parents, codes = best // classes, best % classes
                words = np.concatenate([np.take_along_axis(words, parents[None], axis=2), codes[None]])
                rows = (np.arange(batch)[:, None] * width + parents).ravel()
                carry = (
                    mg.tree.tree_map(lambda leaf, rows=rows: mg.take(leaf, rows, axis=0), states),
                    eye[codes.ravel()],
                )
        return words[:, :, 0]
