"""What a model answers to a few questions, and where it looked: for tasks with a source and an answer."""

from typing import Any

import numpy as np

from minigrad.errors import UsageError
from minigrad_cli.charts import SHADES


def _search(run: Any) -> Any:
    search = getattr(run.model, "search", None)
    if search is None:
        raise UsageError(f"--beam: {run.config['model']['name']} does not search; seq2seq does.")
    return search


def _batch(run: Any, size: int) -> Any:
    if not hasattr(run.task, "text"):
        raise UsageError(
            f"--examples: the task {run.config['task']['name']} has no question and answer in characters, as reversal, "
            "sorting, addition, dates and selective-copy have."
        )
    return getattr(run.task, "test_batch", run.task.batch)(np.random.default_rng([run.config["seed"], 1]), size)


def searched(run: Any, beam: int, batches: int) -> dict[str, Any]:
    """The share of symbols that a beam search gets right."""
    search, rng = _search(run), np.random.default_rng([run.config["seed"], 1])
    draw, right = getattr(run.task, "test_batch", run.task.batch), []
    for _ in range(batches):
        batch = draw(rng, run.config["batch"])
        right.append(np.mean(search(batch.xs, beam, batch.lengths) == batch.targets[-run.task.answer :]))
    return {"beam": beam, "beam_accuracy": float(np.mean(right))}


def some(run: Any, count: int, beam: int | None) -> list[dict[str, Any]]:
    """Questions, answers, what was right, and the alignment [L, S] where the model has one."""
    from minigrad.mode import no_grad

    batch, n = _batch(run, count), run.task.answer
    with no_grad():
        ys, _ = run.model(batch.xs, None, lengths=batch.lengths)
    codes = ys.numpy()[-n:].argmax(-1) if beam is None else _search(run)(batch.xs, beam, batch.lengths)
    alignment = getattr(run.model, "alignment", None)
    found = []
    for row in range(count):
        example = {
            "question": run.task.text(batch.xs[:-n, row].argmax(-1)),
            "answer": run.task.text(codes[:, row]),
            "right": run.task.text(batch.targets[-n:, row]),
        }
        if alignment is not None and beam is None:
            example["alignment"] = np.round(alignment.numpy()[-n:, row].astype(float), 4).tolist()
        found.append(example)
    return found


def lines(example: dict[str, Any]) -> list[str]:
    """An example for the eye: question, answer, and a row of shades for each symbol of the answer."""
    mark = "✓" if example["answer"] == example["right"] else f"✗, it is {example['right']!r}"
    out = [f"{example['question']!r} -> {example['answer']!r}  {mark}"]
    if "alignment" in example:
        width = len(example["question"])
        out.append(f"    {example['question']}")
        for symbol, row in zip(example["answer"], example["alignment"], strict=True):
            shades = [SHADES[min(int(x * len(SHADES)), len(SHADES) - 1)] for x in row[:width]]
            out.append(f"  {symbol} {''.join(shades)}")
    return out
