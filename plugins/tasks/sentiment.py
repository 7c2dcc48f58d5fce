"""Classifying sequences of words, as in sentiment analysis (Pang et al. 2002).

Reads `text=FILE`, a line each of text, a tab, and a label; a tenth of the lines is held out. Without a file it makes
reviews of its own, "the plot was not bad but the music was awful": what stands after the but decides, and a not turns
it over, so that the words alone, without their order, tell little.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import minigrad as mg
from minigrad_plugins.tasks.reading import read_text
from minigrad_plugins.tasks.transduction import entropy

HELD_OUT, MADE = 0.1, 4000
SUBJECTS = "plot acting music ending script film cast camera humour dialogue".split()
GOOD = "good great wonderful moving clever superb".split()
TITLES = "label labels class classes category sentiment polarity rating score target tag topic emotion intent y".split()
BAD = "bad awful dull clumsy boring dreadful".split()


def reviews(count: int) -> Iterator[tuple[str, str]]:
    """Made-up reviews and what they come to; the same ones each time."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        clauses = []
        for _ in range(2):
            good, turned = rng.integers(0, 2, 2)
            word = rng.choice(GOOD if good != turned else BAD)
            clauses.append((good, f"the {rng.choice(SUBJECTS)} was {'not ' * turned}{word}"))
        yield f"{clauses[0][1]} but {clauses[1][1]}", "good" if clauses[1][0] else "bad"


def read_lines(path: str) -> list[tuple[str, str]]:
    """Text and label of each line of a file; a first line that says what the columns are is none of them.

    Raises:
        UsageError: naming file and line, for a file that cannot be read or a line that is not text, tab, label.
    """
    found: list[tuple[int, str, str]] = []
    for number, line in enumerate(io.StringIO(read_text("sentiment: text=", path), newline=None), 1):
        parts = [part.strip() for part in line.rstrip("\n").split("\t")]
        if line.strip() and not (len(parts) == 2 and all(parts)):
            raise mg.errors.UsageError(
                f"sentiment: {path}, line {number}: {line.strip()[:40]!r} is not text, a tab and a label. Mend it."
            )
        if line.strip():
            found.append((number, *parts))
    first, _, label = found[0] if found else (0, "", "")
    if sum(other == label for *_, other in found) == 1:
        if label.lower() not in TITLES:
            raise mg.errors.UsageError(
                f"sentiment: {path}, line {first}: the label {label!r} stands in no other line. Take it out if it is "
                "a title; else add more texts with this label."
            )
        del found[0]
    return [(text, label) for _, text, label in found]


class Sentiment:
    """Label a text of up to `length` words (the last ones count) out of the `words` most frequent."""

    loss = "cross_entropy"
    solved = 0.99
    files = ("text",)

    def __init__(self, length: int = 40, text: str = "", words: int = 1000) -> None:
        if words < 1:
            raise mg.errors.UsageError(f"sentiment: words must be 1 or more, not {words}.")
        self.length = length
        split = [
            (re.findall(r"\w+|[^\w\s]", t.lower()), label) for t, label in (read_lines(text) if text else reviews(MADE))
        ]
        self.labels = sorted({label for _, label in split})
        if len(self.labels) < 2 or len(split) < 20:
            raise mg.errors.UsageError(
                f"sentiment: {text} holds {len(split)} texts with {len(self.labels)} labels; 20 texts and 2 labels "
                "are the least."
            )
        order = np.random.default_rng(0).permutation(len(split))
        self.cut = int(len(split) * (1 - HELD_OUT))
        counts = Counter(word for i in order[: self.cut] for word in split[i][0])
        self.words = ["?", *(word for word, _ in counts.most_common(words))]  # ? stands for all others
        self.kept = {"texts": len(split), "labels": self.labels, "words": self.words}
        table = {word: i for i, word in enumerate(self.words)}
        self.texts = [[table.get(word, 0) for word in split[i][0][-length:]] or [0] for i in order]
        self.targets = np.array([self.labels.index(split[i][1]) for i in order])
        self.input_size, self.output_size = len(self.words), len(self.labels)
        self.baseline = entropy(np.bincount(self.targets))
        self.suggests: dict[str, Any] = {"lr": 2e-3, "forget_bias": 1.0}

    def _some(self, which: np.ndarray[Any, Any]) -> mg.Batch:
        lengths = np.array([len(self.texts[i]) for i in which])
        xs = np.zeros((max(lengths), len(which), self.input_size), np.float32)
        for row, i in enumerate(which):
            xs[np.arange(lengths[row]), row, self.texts[i]] = 1
        return mg.Batch(xs, self.targets[which], lengths=lengths)

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [T, B, words], targets [B], lengths [B], of the texts that training sees."""
        return self._some(rng.integers(0, self.cut, size))

    def test_batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """The same, of those held out."""
        return self._some(rng.integers(self.cut, len(self.texts), size))
