"""Character language model: given the characters so far, what comes next? (Graves 2013, section 3.)

Reads any UTF-8 text, `text=FILE`; without one, Python's own language reference, which every CPython carries. The last
tenth of the text is held out. Loss in nats a character; bits are loss / ln 2. With `stateful` each row of a batch reads
on where it stopped, and the model's state goes with it; at the end of the text the row starts somewhere else, afresh.
"""

from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg

HELD_OUT = 0.1


def read_text(path: str) -> str:
    """The text of a file, or of Python's language reference.

    Raises:
        UsageError: for a file that is missing, binary, or has fewer than two different characters.
    """
    if not path:
        from pydoc_data.topics import topics

        return "\n".join(topics[name] for name in sorted(topics))
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise mg.errors.UsageError(f"charlm: text={path}: {error.strerror}. Name a readable text file.") from None
    except UnicodeDecodeError as error:
        raise mg.errors.UsageError(
            f"charlm: {path}, line {_line(error.object[: error.start])}: byte {error.start} is "
            f"{error.object[error.start]:#04x}, which is not UTF-8 text. Convert the file, or name another."
        ) from None
    if "\0" in text:
        line = _line(text[: text.index("\0")].encode())
        raise mg.errors.UsageError(f"charlm: {path}, line {line}: there is a zero byte; the file is binary.")
    return text


def _line(before: bytes) -> int:
    return before.count(b"\n") + 1


class CharLM:
    """Predict each next character of a text, in windows of `length`."""

    loss = "cross_entropy"
    symbol = "character"
    predicts = True  # so that a model may not read ahead

    def __init__(self, length: int = 50, text: str = "", stateful: bool = False) -> None:
        self.length = length
        if stateful:
            self.position: list[int] = []  # where in the text each row reads on
        content = read_text(text)
        self.alphabet = "".join(sorted(set(content)))
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

    def sample(self, model: Any, rng: np.random.Generator, count: int, start: str = "\n") -> str:
        """Draw `count` characters, each from the model's distribution given all before it."""
        code = self.alphabet.find(start)
        code, state, drawn = max(code, 0), None, []
        for _ in range(count):
            x = np.zeros((1, 1, self.input_size), np.float32)
            x[0, 0, code] = 1
            with mg.no_grad():
                logits, state = model(x, state)
                if state is None:
                    raise mg.errors.UsageError(
                        "charlm: this model keeps no state from character to character, and cannot go on writing."
                    )
                chances = mg.softmax(logits[0, 0].astype(mg.float64)).numpy()
            code = int(rng.choice(self.input_size, p=chances / chances.sum()))
            drawn.append(self.alphabet[code])
        return "".join(drawn)
