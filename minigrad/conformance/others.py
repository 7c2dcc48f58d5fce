"""The checks for tasks, models and unrolls. Imports `report`, the library below, and what plugins a check trains with.

A task is checked as it is; a model on a small task; an unroll against full backpropagation.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import nn, random, registry
from minigrad.batch import Batch
from minigrad.conformance.report import CellReport, run_all
from minigrad.eager import tensor
from minigrad.errors import CheckError
from minigrad.mode import no_grad
from minigrad.objective import answers, make_loss, measure_accuracy

B = 16
Array = np.ndarray[Any, Any]


def check_task(task: Any, **options: Any) -> CellReport:
    """Check that a task gives what training expects.

    Raises:
        CheckError: naming the first check that fails, with the reason.
    """
    return run_all(TASK_CHECKS, task, lambda: task(**options))


def check_model(build: Any, task: str = "reversal", **options: Any) -> CellReport:
    """Check that a model trains, and comes back from its weights, on a small task.

    Raises:
        CheckError: naming the first check that fails, with the reason.
    """
    return run_all(MODEL_CHECKS, build, registry.load("tasks", task)(length=4), options)


def check_unroll(unroll: Any, **options: Any) -> CellReport:
    """Check that an unroll gives the whole gradient where it may go back all the way.

    Raises:
        CheckError: naming the first check that fails, with the reason.
    """
    return run_all(UNROLL_CHECKS, unroll, options)


# --- tasks --------------------------------------------------------------------------------------------------------


def has_what_training_reads(_task: Any, make: Callable[[], Any]) -> None:
    """The attributes, and batches of the right shapes and dtypes."""
    task = make()
    for name in ("input_size", "output_size", "baseline", "loss", "batch"):
        if not hasattr(task, name):
            raise CheckError(f"it has no attribute {name!r}.")
    batch = task.batch(np.random.default_rng(0), B)
    if not isinstance(batch, Batch):
        raise CheckError(f"batch() gives {type(batch).__name__}, not mg.Batch.")
    if batch.xs.ndim != 3 or batch.xs.shape[1:] != (B, task.input_size) or batch.xs.dtype != np.float32:
        want = f"float32[T, {B}, {task.input_size}]"
        raise CheckError(f"xs is {batch.xs.dtype}{list(batch.xs.shape)}, not {want}.")
    if isinstance(task.loss, str) and batch.targets.shape not in ((len(batch.xs), B), (B,)):
        raise CheckError(f"targets have shape {list(batch.targets.shape)}, not [T, {B}] or [{B}].")
    if not 0 < float(task.baseline) < float("inf"):
        raise CheckError(f"baseline is {task.baseline}.")


def the_seed_makes_the_data(_task: Any, make: Callable[[], Any]) -> None:
    """The same generator gives the same batch, another one another, the constructor draws nothing of its own."""
    one, again, other = (make().batch(np.random.default_rng(seed), B) for seed in (0, 0, 1))
    if one.xs.shape != again.xs.shape or (one.xs != again.xs).any() or (one.targets != again.targets).any():
        raise CheckError("two tasks give different batches for generators of the same seed: draw from `rng` alone.")
    if one.xs.shape == other.xs.shape and (one.xs == other.xs).all() and (one.targets == other.targets).all():
        raise CheckError("generators of different seeds give the same batch: draw from `rng`.")


def its_place_can_be_kept(_task: Any, make: Callable[[], Any]) -> str | None:
    """Where the task stands in its data, `position`, goes through JSON and brings back the same batches."""
    task = make()
    if not hasattr(task, "position"):
        return "it keeps no place"
    task.batch(np.random.default_rng(0), B)
    other = make()
    other.position = json.loads(json.dumps(task.position))
    one, again = (t.batch(np.random.default_rng(1), B) for t in (task, other))
    if (one.xs != again.xs).any() or (one.targets != again.targets).any():
        raise CheckError("a task that was given the position of another goes on with other batches.")
    return None


def who_sees_the_answer_beats_the_baseline(_task: Any, make: Callable[[], Any]) -> str | None:
    """A cheater that sees the targets has a loss near 0; and a perfect accuracy, where there is one."""
    task = make()
    if not isinstance(task.loss, str):
        return "not done: its loss is a function"
    batch = task.batch(np.random.default_rng(0), B)
    outputs = _outputs(batch, _right(task, batch))
    loss, accuracy = make_loss(task.loss)(outputs, batch).item(), measure_accuracy(task, outputs, batch)
    if not loss < task.baseline / 10 or (accuracy is not None and accuracy < 0.999):
        raise CheckError(
            f"who sees the answer has loss {loss:.4g} and accuracy {accuracy}; baseline {task.baseline:.4g}."
        )
    return None


def who_sees_nothing_does_not(_task: Any, make: Callable[[], Any]) -> str | None:
    """Who knows how often each answer comes, and no input, is not much better than the baseline."""
    task = make()
    if not isinstance(task.loss, str):
        return "not done: its loss is a function"
    seen, batch = (task.batch(np.random.default_rng(seed), 400) for seed in (0, 1))
    if len(seen.xs) != len(batch.xs):
        return "not done: batches differ in length"
    right = _right(task, seen)
    if task.loss == "cross_entropy":
        share = np.eye(task.output_size)[seen.targets].mean(axis=-2, keepdims=True)
        blind = np.log(np.maximum(share, 1e-6)) + np.zeros_like(right)
    else:
        blind = right.mean(axis=-2, keepdims=True) + np.zeros_like(right)
    loss = make_loss(task.loss)(_outputs(batch, blind), batch).item()
    if loss < 0.8 * task.baseline:
        raise CheckError(
            f"who knows only how often each answer comes has loss {loss:.4g}, the baseline is {task.baseline:.4g}: it "
            "is no baseline."
        )
    return f"{loss:.4g} against {task.baseline:.4g}"


def _right(task: Any, batch: Batch) -> Array:
    """Outputs that are right, [T, B, O] or [B, O]."""
    if task.loss == "cross_entropy":
        return np.eye(task.output_size, dtype=np.float32)[batch.targets] * 50
    return np.asarray(batch.targets, np.float32).reshape(*batch.targets.shape, -1)


def _outputs(batch: Batch, values: Array) -> Any:
    """[T, B, O] of a network that says `values` where they are asked for."""
    if batch.targets.ndim == 1:
        values = np.broadcast_to(values, (len(batch.xs), *values.shape))
    return tensor(np.ascontiguousarray(values, np.float32))


TASK_CHECKS: dict[str, Callable[..., str | None]] = {
    check.__name__: check
    for check in (
        has_what_training_reads, the_seed_makes_the_data, its_place_can_be_kept, who_sees_the_answer_beats_the_baseline,
        who_sees_nothing_does_not,
    )
}  # fmt: skip

# --- models -------------------------------------------------------------------------------------------------------


def _built(build: Any, task: Any, options: dict[str, Any], seed: int = 0) -> Any:
    random.seed(seed)
    sizes = {"hidden": 8, "layers": 1, "bidirectional": False}
    asked = inspect.signature(build).parameters
    return build(task, **{k: v for k, v in sizes.items() if k in asked}, **options)


def every_weight_has_a_gradient(build: Any, task: Any, options: dict[str, Any]) -> None:
    """Outputs have the right shape, and the loss reaches every weight."""
    model = _built(build, task, options)
    batch = task.batch(np.random.default_rng(0), B)
    ys, _ = batch.feed(model)
    if ys.shape != (len(batch.xs), B, task.output_size):
        raise CheckError(f"outputs have shape {list(ys.shape)}, not {[len(batch.xs), B, task.output_size]}.")
    make_loss(task.loss)(ys, batch).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    if without:
        raise CheckError(f"the loss does not reach {', '.join(without)}.")


def a_model_comes_back_from_its_weights(build: Any, task: Any, options: dict[str, Any]) -> None:
    """state_dict() holds all that makes the outputs, and they follow from the seed."""
    one = _built(build, task, options).eval()
    other = _built(build, task, options, seed=1).eval()
    other.load_state_dict(one.state_dict())
    xs = task.batch(np.random.default_rng(0), B).xs
    with no_grad():
        if (one(xs)[0].numpy() != other(xs)[0].numpy()).any():
            raise CheckError("a model with the same weights gives other outputs.")


MODEL_CHECKS: dict[str, Callable[..., str | None]] = {
    check.__name__: check for check in (every_weight_has_a_gradient, a_model_comes_back_from_its_weights)
}

# --- unrolls ------------------------------------------------------------------------------------------------------


class _Small(nn.Module):
    """A layer and a readout."""

    def __init__(self) -> None:
        self.layer, self.readout = nn.Recurrent("rnn", 2, 4), nn.Linear(4, 1)

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> Any:
        ys, state = self.layer(xs, state, lengths)
        return self.readout(ys), state


def all_the_way_is_the_whole_gradient(unroll: Any, options: dict[str, Any]) -> str | None:
    """With a window of the whole sequence the gradient is that of full backpropagation."""
    rng, found = np.random.default_rng(0), []
    batch = Batch(rng.normal(size=(6, 3, 2)).astype(np.float32), rng.normal(size=(6, 3)).astype(np.float32))
    if "window" in inspect.signature(unroll).parameters:
        options = {**options, "window": 6}
    for made in (unroll(**options), registry.load("unrolls", "full")()):
        random.seed(0)
        model = _Small()
        value, ys, _ = made.run(model, batch, make_loss("mse"), None)
        if answers(ys, batch).shape[:2] != (6, 3) or not np.isfinite(value.item()):
            raise CheckError("run() must return (loss, outputs [T, B, O], state).")
        found.append([np.zeros(1) if p.grad is None else p.grad.numpy() for p in model.parameters()])
    if any(a.shape != b.shape or not np.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True)):
        raise CheckError("the gradient is not that of full backpropagation.")
    return None


UNROLL_CHECKS: dict[str, Callable[..., str | None]] = {
    all_the_way_is_the_whole_gradient.__name__: all_the_way_is_the_whole_gradient
}
