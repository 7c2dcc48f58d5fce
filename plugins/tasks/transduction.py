"""Read a sequence, then write another: what the tasks reversal, sorting, addition, dates and selective-copy share.

xs [S + L, B, N] one-hot: S steps of source, then L steps of nothing in which the answer is due. targets [S + L, B],
counted in the last L. A plain network reads and writes in one go; `seq2seq` takes the two parts apart (`answer` is L).
"""

from typing import Any

import numpy as np

import minigrad as mg

Codes = np.ndarray[Any, Any]


def entropy(counts: Codes) -> float:
    """Nats of a distribution that is given by how often each thing occurs."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def blind_loss(answers: Codes, symbols: int) -> float:
    """Loss of who knows how often each symbol stands at each place, and nothing else;  answers [L, many]."""
    return float(np.mean([entropy(np.bincount(place, minlength=symbols)) for place in answers]))


class Transduction:
    """A subclass has `alphabet`, `answer`, `baseline`, and `draw(rng, size)` -> source [S, B], answer [L, B]."""

    loss = "cross_entropy"
    solved = 0.99
    alphabet: str
    answer: int
    baseline: float

    @property
    def input_size(self) -> int:
        """N, how many symbols there are."""
        return len(self.alphabet)

    output_size = input_size

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Codes, Codes]:
        """Sources and their answers, as numbers of symbols."""
        raise NotImplementedError

    def pack(self, source: Codes, answer: Codes) -> mg.Batch:
        """source [S, B], answer [L, B] -> a batch of S + L steps."""
        eye = np.eye(self.input_size, dtype=np.float32)
        xs = np.concatenate([eye[source], np.zeros((*answer.shape, self.input_size), np.float32)])
        targets = np.concatenate([np.zeros_like(source), answer])
        mask = np.zeros(targets.shape, bool)
        mask[len(source) :] = True
        return mg.Batch(xs, targets, mask)

    def batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """xs [S + L, B, N], targets [S + L, B]."""
        return self.pack(*self.draw(rng, size))

    def encode(self, text: str) -> list[int]:
        """Text as numbers of symbols."""
        return [self.alphabet.index(character) for character in text]

    def text(self, codes: Any) -> str:
        """Numbers of symbols as text."""
        return "".join(self.alphabet[int(code)] for code in codes)
