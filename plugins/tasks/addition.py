"""Addition by characters (Zaremba and Sutskever 2014), as the Keras example has it: "12+345" is read, "357" is written.

`length` is the number of digits. Each number has 1 to `length` of them; questions are padded with blanks to 2 length +
1 characters and read backwards, answers to length + 1. 50 000 different questions, of which a tenth is held out.
"""

import numpy as np

import minigrad as mg
from minigrad_plugins.tasks.transduction import Codes, Transduction, blind_loss

QUESTIONS, HELD_OUT = 50_000, 0.1


class Addition(Transduction):
    """Add two numbers of up to `length` digits.

    reverse: read the question backwards.  questions: how many there are; fewer where there are not so many sums.
    """

    alphabet = "0123456789+ "

    def __init__(self, length: int = 3, reverse: bool = True, questions: int = QUESTIONS) -> None:
        if not 1 <= length <= 9:
            raise mg.errors.UsageError(f"addition: length, the number of digits, must be from 1 to 9, not {length}.")
        if questions < 20:
            raise mg.errors.UsageError(f"addition: questions must be 20 or more, not {questions}.")
        self.answer = length + 1
        rng = np.random.default_rng(0)  # the same questions for every run
        a, b = (rng.integers(0, 10 ** rng.integers(1, length + 1, 10 * questions)) for _ in range(2))
        _, first = np.unique(np.minimum(a, b) * 10**length + np.maximum(a, b), return_index=True)  # a+b is b+a
        pairs = [(int(a[i]), int(b[i])) for i in np.sort(first)[:questions]]
        asked = [f"{a}+{b}".ljust(2 * length + 1) for a, b in pairs]
        self.questions = np.array([self.encode(q[::-1] if reverse else q) for q in asked]).T
        self.answers = np.array([self.encode(str(a + b).ljust(length + 1)) for a, b in pairs]).T
        self.cut = int(len(pairs) * (1 - HELD_OUT))
        self.baseline = blind_loss(self.answers, len(self.alphabet))

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Codes, Codes]:
        """[2 length + 1, B], [length + 1, B], of the questions that training sees."""
        which = rng.integers(0, self.cut, size)
        return self.questions[:, which], self.answers[:, which]

    def test_batch(self, rng: np.random.Generator, size: int) -> mg.Batch:
        """The same, of those held out."""
        which = rng.integers(self.cut, self.questions.shape[1], size)
        return self.pack(self.questions[:, which], self.answers[:, which])
