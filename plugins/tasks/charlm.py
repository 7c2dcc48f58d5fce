"""Character language model: given the characters so far, what comes next? (Graves 2013, section 3.)

Reads any UTF-8 text, `text=FILE`; without one, Python's own language reference, which every CPython carries. The last
tenth of the text is held out. Loss in nats a character; bits are loss / ln 2. With `stateful` each row of a batch reads
on where it stopped, and the model's state goes with it; at the end of the text the row starts somewhere else, afresh.
"""

from math import inf
from typing import Any

import numpy as np

import minigrad as mg
from minigrad_plugins.tasks.reading import read_text

HELD_OUT = 0.1


def language_reference() -> str:
    """The text of Python's language reference."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


class CharLM:
    """Predict each next character of a text, in windows of `length`."""

    loss = "cross_entropy"
    symbol = "character"
    predicts = True  # so that a model may not read ahead
    files = ("text",)

    def __init__(self, length: int = 50, text: str = "", stateful: bool = False) -> None:
        self.length = length
        if stateful:
            self.position: list[int] = []  # where in the text each row reads on
        content = read_text("charlm: text=", text) if text else language_reference()
        self.alphabet = "".join(sorted(set(content)))
        self.kept = {"characters": len(content), "alphabet": self.alphabet}
        name = text or "the language reference"
        if len(self.alphabet) < 2:
            raise mg.errors.UsageError(
                f"charlm: {name} holds {len(content)} characters, {len(self.alphabet)} of them different; "
                "there is nothing to predict. Give a longer text."
            )
        table = {character: i for i, character in enumerate(self.alphabet)}
        codes = np.array([table[c] for c in content], np.int64)
        cut = int(len(codes) * (1 - HELD_OUT))
        self.seen, self.held_out = codes[:cut], codes[cut:]
        if min(len(self.seen), len(self.held_out)) < length + 1:
            raise mg.errors.UsageError(
                f"charlm: {name} has {len(codes)} characters; its held-out tenth must be longer than a window of "
                f"{length}. Give at least {(length + 1) * 10 + 10} characters, or a smaller --length."
            )
        self.input_size = self.output_size = len(self.alphabet)
        # The best guess that ignores the order: each character as often as it stands in the text.
        share = np.bincount(codes, minlength=len(self.alphabet)) / len(codes)
        self.baseline = float(-(share[share > 0] * np.log(share[share > 0])).sum())
        self.suggests: dict[str, Any] = {"lr": 5e-3, "steps": 1000, "forget_bias": 1.0}

    def _windows(self, codes: np.ndarray[Any, Any], at: np.ndarray[Any, Any], starts: Any = None) -> mg.Batch:
        window = codes[at + np.arange(self.length + 1)[:, None]]
        return mg.Batch(np.eye(self.input_size, dtype=np.float32)[window[:-1]], window[1:], starts=starts)

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [length, B, characters], targets [length, B]: windows of the part that training sees."""
        last = len(self.seen) - self.length
        if not hasattr(self, "position"):
            return self._windows(self.seen, rng.integers(0, last, size))
        at = np.array(self.position if len(self.position) == size else [last] * size)
        starts = at >= last
        at[starts] = rng.integers(0, last, starts.sum())
        self.position = (at + self.length).tolist()
        return self._windows(self.seen, at, starts)

    def test_batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """The same, from the part that is held out."""
        return self._windows(self.held_out, rng.integers(0, len(self.held_out) - self.length, size))

    def sample(
        self, model: Any, rng: np.random.Generator, count: int, prompt: str = "", temperature: float = 1.0
    ) -> str:
        """Draw the `count` characters that follow the prompt, each from the model's distribution given all before it.

        temperature: logits are divided by it; at 0 the likeliest character is taken each time.

        Raises:
            UsageError: for a temperature below 0 or not finite, or a prompt with characters that the text lacks.
        """
        if not 0 <= temperature < inf:
            raise mg.errors.UsageError(f"charlm: the temperature is a number from 0 on, not {temperature}.")
        unknown = ", ".join(map(repr, sorted(set(prompt) - set(self.alphabet))))
        if unknown:
            raise mg.errors.UsageError(f"charlm: the text has no {unknown}, which the prompt has. Leave it out.")
        codes = [self.alphabet.index(c) for c in prompt] or [max(self.alphabet.find("\n"), 0)]
        state, drawn = None, []
        for _ in range(count):
            xs = np.eye(self.input_size, dtype=np.float32)[codes][:, None]
            with mg.no_grad():
                logits, state = model(xs, state)
            if state is None:
                raise mg.errors.UsageError(
                    "charlm: this model keeps no state from character to character, and cannot go on writing."
                )
            codes = [_draw(logits[-1, 0].numpy().astype(np.float64), rng, temperature)]
            drawn.append(self.alphabet[codes[0]])
        return "".join(drawn)


def _draw(logits: np.ndarray[Any, Any], rng: np.random.Generator, temperature: float) -> int:
    """One of the classes with the chances softmax(logits / temperature)."""
    if temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):  # of a temperature near 0, where all but the likeliest have no chance
        chances = np.exp((logits - logits.max()) / temperature)
    return int(rng.choice(len(chances), p=chances / chances.sum()))
