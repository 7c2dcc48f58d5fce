"""Attention."""

from collections.abc import Iterator

import numpy as np

from minigrad_cli import answers

STEPS = 200


def pages() -> Iterator[str]:
    """The alignment before and after a short training."""
    from minigrad.config import resolve
    from minigrad.train import Run

    config = resolve("seq2seq", "reversal", settings={"attention": "general"},
                     options={"length": 8, "hidden": 32, "steps": STEPS, "trace": "off"})  # fmt: skip
    run = Run(config, None)
    run.model.eval()
    yield (
        "A decoder writes a word backwards. Before each letter it looks at all that the encoder left, and weighs it:\n\n"
        "    α_j = softmax(sᵀ W m),   c_j = α_j m\n\nUntrained it looks everywhere alike, an eighth at each place, too little to show. A row for each letter that it writes:\n\n"
        + "\n".join(answers.lines(answers.some(run, 1, None)[0]))
    )
    losses = [record["loss"] for record in run.records()]
    run.model.eval()
    (example,) = answers.some(run, 1, None)
    yield (
        f"After {STEPS} steps, loss {np.mean(losses[:10]):.2f} to {np.mean(losses[-10:]):.3f}:\n\n"
        + "\n".join(answers.lines(example))
        + "\n\nNobody told it where to look: for a reversal the alignment is a diagonal from the other end."
    )
    alignment = np.array(example["alignment"])[:, : len(example["question"])]
    right = np.mean(alignment.argmax(axis=1) == np.arange(len(alignment))[::-1])
    yield (
        f"Of its {len(alignment)} letters it looked hardest at the right place for {right:.0%}, with {alignment.max(axis=1).mean():.0%} of "
        "its weight there.\n\nLonger, and with other kinds of attention:\n\n"
        "    minigrad train seq2seq --task reversal --length 30 --set attention=additive\n"
        "    minigrad eval runs/seq2seq-reversal-1 --examples 2"
    )
