"""A Transformer (Vaswani et al. 2017), with the norm before each part (Xiong et al. 2020).

x = W xs + positions
x = x + attention(LN(x)),  x = x + W₂ relu(W₁ LN(x))        `layers` times
y = V LN(x)

With `decoder` a second stack writes the answer: it looks at what it has written, and through a second attention at what
the first stack made of the source.
"""

from typing import Any

import numpy as np

import minigrad as mg

POSITIONS = ("sinusoidal", "rotary", "none")


def padded(steps: int, lengths: Any) -> Any:
    """[B, T]: where a row has ended; None if all rows run to the end."""
    return None if lengths is None else np.arange(steps) >= np.asarray(lengths)[:, None]


def within(xs: Any, lengths: Any) -> Any:
    """xs [T, B, D] with zeros where a row has ended."""
    return xs if lengths is None else mg.where(padded(len(xs), lengths).T[:, :, None], 0, xs)


class Block(mg.nn.Module):
    """x + attention(LN(x)), then perhaps + attention(LN(x), memory), then + feed-forward(LN(x));  x [T, B, H]."""

    def __init__(self, hidden: int, heads: int, dropout: float, rotary: bool, cross: bool) -> None:
        self.norm1, self.norm2 = mg.nn.LayerNorm(hidden), mg.nn.LayerNorm(hidden)
        self.attention = mg.nn.MultiHeadAttention(hidden, heads, dropout, rotary)
        self.cross = mg.nn.MultiHeadAttention(hidden, heads, dropout) if cross else None
        self.norm3 = mg.nn.LayerNorm(hidden) if cross else None
        self.wide, self.narrow = mg.nn.Linear(hidden, 4 * hidden), mg.nn.Linear(4 * hidden, hidden)
        self.dropout = mg.nn.Dropout(dropout)

    def forward(self, x: Any, padding: Any, causal: bool, memory: Any = None, unread: Any = None) -> tuple[Any, Any]:
        """(x, weights [B, T, S] of its last attention)."""
        seen, weights = self.attention(self.norm1(x), key_padding_mask=padding, is_causal=causal)
        x = x + self.dropout(seen)
        if self.cross is not None and self.norm3 is not None:
            seen, weights = self.cross(self.norm3(x), memory, key_padding_mask=unread)
            x = x + self.dropout(seen)
        return x + self.dropout(self.narrow(mg.relu(self.wide(self.norm2(x))))), weights


class Transformer(mg.nn.Module):
    """Self-attention over the whole sequence, all steps at once.

    heads: hidden is divided among them.
    positions: sinusoidal, rotary, or none.
    causal: a step sees no later ones.
    decoder: write the answer with a second stack (tasks with a source and an answer); needs no blanks in the input.
    dropout: share dropped, of attention weights and of what each part adds.
    """

    def __init__(self, task: Any, hidden: int, layers: int = 1, heads: int = 4, positions: str = "sinusoidal",
                 causal: bool = False, decoder: bool = False, dropout: float = 0.0) -> None:  # fmt: skip
        if positions not in POSITIONS:
            raise mg.errors.UsageError(f"attention: positions are {', '.join(POSITIONS)}, not {positions!r}.")
        if decoder and not hasattr(task, "answer"):
            raise mg.errors.UsageError(
                f"attention: the task {type(task).__name__} has no answer for a decoder to write."
            )
        self.task, self.hidden, self.positions, self.causal, self.decoder = task, hidden, positions, causal, decoder
        rotary = positions == "rotary"
        self.embed = mg.nn.Linear(task.input_size, hidden)
        self.blocks = [Block(hidden, heads, dropout, rotary, cross=False) for _ in range(layers)]
        if decoder:
            self.embed_answer = mg.nn.Linear(task.output_size, hidden)
            self.writers = [Block(hidden, heads, dropout, rotary, cross=True) for _ in range(layers)]
        self.norm = mg.nn.LayerNorm(hidden)
        self.readout = mg.nn.Linear(hidden, task.output_size)
        self.alignment: Any = None  # [T, B, S] of the last layer, mean over heads

    @property
    def reads_ahead(self) -> bool:
        """Whether an output depends on later steps."""
        return not self.causal and not self.decoder

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> tuple[Any, None]:
        """xs [T, B, D] -> (outputs [T, B, O], None); a decoder writes from its own answers to sources [lengths]."""
        if not self.decoder:
            x, weights = self._stack(self.blocks, self._place(self.embed(within(xs, lengths))), lengths, self.causal)
            self.alignment = mg.permute_dims(weights, (1, 0, 2))
            return self.readout(self.norm(x)), None
        steps, classes = self.task.answer, self.task.output_size
        source = self._read(xs, lengths)
        given = np.zeros((steps, xs.shape[1], classes), np.float32)
        for i in range(1, steps):
            best = mg.argmax(self._write(source, given[:i])[-1].detach(), axis=-1).numpy()
            given[i] = np.eye(classes, dtype=np.float32)[best]
        return self._answer(xs, source, given), None

    def taught(self, batch: mg.Batch, state: Any = None) -> tuple[Any, None]:
        """The same; a decoder is given the right answers before."""
        if not self.decoder:
            return self.forward(batch.xs, state, batch.lengths)
        right = batch.targets[-self.task.answer :]
        given = np.zeros((*right.shape, self.task.output_size), np.float32)
        given[1:] = np.eye(self.task.output_size, dtype=np.float32)[right[:-1]]
        return self._answer(batch.xs, self._read(batch.xs, batch.lengths), given), None

    def _place(self, x: Any) -> Any:
        """Add where each step stands, but for rotary positions, which attention itself sees to."""
        if self.positions != "sinusoidal":
            return x
        return x + mg.expand_dims(mg.nn.sinusoidal(len(x), self.hidden), 1)

    def _stack(self, blocks: Any, x: Any, lengths: Any, causal: bool, source: Any = ()) -> tuple[Any, Any]:
        weights, padding = None, padded(len(x), lengths)
        for block in blocks:
            x, weights = block(x, padding, causal, *source)
        return x, weights

    def _read(self, xs: Any, lengths: Any) -> tuple[Any, Any]:
        """What the first stack makes of the source, and where that is padding."""
        steps = len(xs) - self.task.answer
        x = self._place(self.embed(within(xs[:steps], lengths)))
        memory, _ = self._stack(self.blocks, x, lengths, False)
        return memory, padded(steps, lengths)

    def _write(self, source: Any, given: Any) -> Any:
        """Outputs [L, B, O] after the answers given."""
        x, weights = self._stack(self.writers, self._place(self.embed_answer(given)), None, True, source)
        self.alignment = mg.permute_dims(weights, (1, 0, 2))
        return self.readout(self.norm(x))

    def _answer(self, xs: Any, source: Any, given: Any) -> Any:
        logits = self._write(source, given)
        return mg.concat(
            [mg.zeros((len(xs) - len(given), *logits.shape[1:]), dtype=logits.dtype, device=logits.device), logits]
        )
