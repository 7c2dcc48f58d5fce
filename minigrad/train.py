"""Training: a generator of plain records. It prints nothing.

Imports the library below it. A run ends solved, finished, interrupted or diverged; see `Run.status`.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import __version__, checkpoint, nn, optim, random, registry
from minigrad.batch import Batch
from minigrad.config import OPTIMIZERS, Table, make_task
from minigrad.errors import DivergedError, PluginError, ScanError, UsageError
from minigrad.mode import no_grad
from minigrad.objective import make_loss, measure_accuracy
from minigrad.tracing import ScanTrace, trace
from minigrad.tree import paths

Record = dict[str, Any]
CHECKPOINT_SECONDS = 10.0
MOST_STEPS = 20_000  # of a run that stops when the task is solved
RECENT = 20  # batches that a loss or accuracy is averaged over before a task counts as solved


class SequenceModel(nn.Module):
    """A recurrent layer and a readout: xs [T, B, D] -> outputs [T, B, O]."""

    def __init__(self, cell: str, task: Any, config: Table) -> None:
        options = {k: v for k, v in config["model"].items() if k != "name"}
        self.recurrent = nn.Recurrent(
            cell,
            task.input_size,
            config["hidden"],
            num_layers=config["layers"],
            bidirectional=config["bidirectional"],
            **options,
        )
        self.readout = nn.Linear(self.recurrent.output_size, task.output_size)

    def forward(self, xs: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """(outputs [T, B, O], state)."""
        ys, state = self.recurrent(xs, state, lengths)
        return self.readout(ys), state


def build_model(config: Table, task: Any) -> nn.Module:
    """The model that a configuration names: a cell with a readout, or what a model plugin builds."""
    name = config["model"]["name"]
    if name in registry.names("cells"):
        return SequenceModel(name, task, config)
    return registry.load("models", name)(task, **{k: v for k, v in config["model"].items() if k != "name"})


def check_memory(config: Table, steps: int, task: Any) -> None:
    """Raise UsageError if weights and the tape of one batch would clearly not fit into this machine's memory."""
    hidden, layers = config["hidden"], config["layers"] * (1 + config["bidirectional"])
    weights = 4 * hidden * (2 * hidden + task.input_size) * layers * 4 * 6  # value, gradient, two moments, two drawn
    tape = steps * config["batch"] * (20 * hidden * layers + 2 * (task.input_size + task.output_size)) * 4
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if weights + tape > memory:
        raise UsageError(
            f"hidden {hidden}, layers {config['layers']}, batch {config['batch']} over {steps} steps need about "
            f"{(weights + tape) / 2**30:.0f} GiB, this machine has {memory / 2**30:.0f}. Make one of them smaller."
        )


class Run:
    """One training run in its folder. Iterate over `records()`; then `status` and `summary()` say how it ended."""

    def __init__(self, config: Table, folder: Path | None) -> None:
        self.config, self.folder = config, folder
        random.seed(config["seed"])
        self.rng = np.random.default_rng(config["seed"])
        self.task = make_task(registry.load("tasks", config["task"]["name"]), config)
        length = self.task.batch(np.random.default_rng(0), 1).xs.shape[0]
        check_memory(config, length, self.task)
        self.model = build_model(config, self.task)
        options = {k: v for k, v in config["optimizer"].items() if k != "name"}
        kind = getattr(optim, OPTIMIZERS[config["optimizer"]["name"]])
        self.optimizer = kind(self.model.parameters(), lr=config["lr"], **options)
        self.unroll = registry.load("unrolls", config["unroll"]["name"])()
        self.loss = make_loss(self.task.loss)
        self.recent: deque[tuple[float, float | None]] = deque(maxlen=RECENT)
        self.step, self.seconds = 0, 0.0
        self.solved = False
        self.status = "finished"

    # --- going on from a checkpoint ---

    def save(self) -> None:
        """Write the checkpoint."""
        if self.folder is None:
            return
        arrays = {f"model.{name}": a for name, a in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state_dict().items()}
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "solved": self.solved,
            "recent": list(self.recent),
            "data": self.rng.bit_generator.state,
            "random": random.get_state(),
            "version": __version__,
        }
        checkpoint.write(self.folder, arrays, state)

    def restore(self) -> bool:
        """Go on from the folder's checkpoint; False if there is none yet."""
        assert self.folder is not None
        found = checkpoint.read(self.folder)
        if found is None:
            checkpoint.cut_metrics(self.folder, 0)
            return False
        arrays, state = found
        for prefix, part in (("model.", self.model), ("optimizer.", self.optimizer)):
            part.load_state_dict({k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)})
        self.step, self.seconds, self.solved = state["step"], state["seconds"], state["solved"]
        self.recent.extend((loss, accuracy) for loss, accuracy in state["recent"])
        self.rng.bit_generator.state = state["data"]
        random.set_state(state["random"])
        checkpoint.cut_metrics(self.folder, self.step)
        return True

    # --- training ---

    def records(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Record]:
        """Train, giving a record after each step, until `stop()` or all `steps` ran; without `steps`, until solved.

        Raises:
            DivergedError: for a loss or gradient that is not finite; the last good checkpoint stays.
        """
        logger = registry.load("loggers", "jsonl")(self.folder) if self.folder is not None else None
        began = time.monotonic() - self.seconds
        saved = time.monotonic()
        try:
            total, until_solved = self.config.get("steps", MOST_STEPS), "steps" not in self.config
            while self.step < total and not (until_solved and self.solved):
                record = self._one_step()
                self.seconds = time.monotonic() - began
                record["seconds"] = round(self.seconds, 6)
                if logger is not None:
                    logger.log(record)
                yield record
                if stop():
                    self.status = "interrupted"
                    break
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = time.monotonic()
            else:
                self.status = "solved" if self.solved else "finished"
            self.save()
        except DivergedError:
            self.status = "diverged"
            raise
        finally:
            if logger is not None:
                logger.close()

    def _one_step(self) -> Record:
        batch = self.task.batch(self.rng, self.config["batch"])
        self.model.train()
        self.optimizer.zero_grad()
        with trace() if self.config["trace"] == "time" else nullcontext() as traced:
            try:
                loss, ys = self.unroll.run(self.model, batch, self.loss)
            except ScanError as error:  # what a cell gives back is its author's affair
                raise PluginError(f"the model {self.config['model']['name']!r}: {error}") from error
        named = dict(self.model.named_parameters())
        squares = {
            n: float(np.square(p.grad.numpy(), dtype=np.float64).sum()) for n, p in named.items() if p.grad is not None
        }
        if not np.isfinite(loss.item()) or not np.isfinite(sum(squares.values())):
            raise DivergedError(self._diagnosis(batch, loss.item()))
        norm = optim.clip_grad_norm(list(named.values()), self.config["clip"])
        self.optimizer.step()
        self.step += 1
        accuracy = measure_accuracy(self.task, ys, batch)
        self.recent.append((loss.item(), accuracy))
        self._judge()
        record: Record = {"step": self.step, "loss": loss.item(), "grad_norm": norm, "lr": self.optimizer.lr}
        if accuracy is not None:
            record["accuracy"] = accuracy
        if self.config["trace"] != "off":
            record["param_grad_norm"] = {n: _short(np.sqrt(square)) for n, square in squares.items()}
        if traced is not None:
            record["time_grad_norm"] = time_grad_norm(self.model, traced.scans)
        return record

    def _judge(self) -> None:
        verdict = getattr(self.task, "solved", None)
        if verdict is not None and len(self.recent) == RECENT and not self.solved:
            self.solved = bool(verdict(self.average_loss, self.average_accuracy))

    @property
    def average_loss(self) -> float:
        """Loss over recent batches."""
        return float(np.mean([loss for loss, _ in self.recent])) if self.recent else float("nan")

    @property
    def average_accuracy(self) -> float | None:
        """Accuracy over recent batches, where the task has one."""
        some = [accuracy for _, accuracy in self.recent if accuracy is not None]
        return float(np.mean(some)) if some else None

    def _diagnosis(self, batch: Batch, loss: float) -> str:
        """Which time step and which parameter stopped being finite first."""
        with trace() as traced:
            ys, _ = self.model(batch.xs, lengths=batch.lengths)
            self.loss(ys, batch).backward()
        what = f"step {self.step + 1}: the loss is {loss}" if not np.isfinite(loss) else f"step {self.step + 1}"
        forward = first_not_finite(traced.scans, "carry_norm", last=False)
        where = f"the carry is not finite from time step {forward} on" if forward is not None else ""
        if not where:
            backward = first_not_finite(traced.scans, "carry_grad_norm", last=True)
            where = f"the gradient is not finite from time step {backward} back" if backward is not None else ""
        bad = [
            n for n, p in self.model.named_parameters() if p.grad is not None and not np.isfinite(p.grad.numpy()).all()
        ]
        what += f"; {where}" if where else ""
        what += f"; the gradient of {bad[0]} is not finite" if bad else ""
        kept = f" The last good checkpoint stays in {self.folder}." if self.folder is not None else ""
        return f"training diverged at {what}.{kept} Lower --lr or --clip."

    def summary(self) -> Record:
        """How the run ended, as plain values."""
        return {
            "status": self.status,
            "steps": self.step,
            "loss": self.average_loss if self.recent else None,
            "accuracy": self.average_accuracy,
            "baseline": float(self.task.baseline),
            "solved": self.solved,
            "run": None if self.folder is None else str(self.folder),
            "seconds": round(self.seconds, 3),
            "version": __version__,
        }


def scan_names(model: nn.Module, scans: list[ScanTrace]) -> list[list[str]]:
    """A name for each carry leaf of each scan: `l0.h`, `l0.c`, `l0_reverse.h`."""
    places, leaves = [f"scan{i}" for i in range(len(scans))], [len(s.carry_norm) for s in scans]
    layers = [m for m in model.modules() if isinstance(m, nn.Recurrent)]
    if len(layers) == 1 and len(layers[0].cells) == len(scans):
        places = [name for name, _ in layers[0].children()][: len(scans)]
        own = layers[0].cells[0].carry_names
        if len(own) == leaves[0]:
            return [[f"{place}.{name}" for name in own] for place in places]
    return [
        [f"{place}.{leaf}" for leaf in paths((tuple, range(n), (None,) * n), "carry")]
        for place, n in zip(places, leaves, strict=True)
    ]


def time_grad_norm(model: nn.Module, scans: list[ScanTrace]) -> dict[str, list[float]]:
    """For each carry leaf the norm over batch and units of dL/d carry_t, one figure a time step."""
    return {
        name: [_short(x) for x in np.sqrt(np.square(norms).sum(axis=1))]
        for names, scan in zip(scan_names(model, scans), scans, strict=True)
        for name, norms in zip(names, scan.carry_grad_norm, strict=True)
    }


def first_not_finite(scans: list[ScanTrace], field: str, *, last: bool) -> int | None:
    """The first (or last) time step at which a trace's figures are not finite."""
    steps = [
        int(t) for s in scans for norms in getattr(s, field) for t in np.nonzero(~np.isfinite(norms).all(axis=1))[0]
    ]
    return (max(steps) if last else min(steps)) if steps else None


def _short(x: Any) -> float:
    return float(f"{float(x):.6g}")


def evaluate(run: Run, *, batches: int = 20) -> Record:
    """Loss and accuracy on fresh data (from the held-out part, where the task has one), nothing learned."""
    rng = np.random.default_rng([run.config["seed"], 1])
    draw = getattr(run.task, "test_batch", run.task.batch)
    run.model.eval()
    losses, accuracies = [], []
    with no_grad():
        for _ in range(batches):
            batch = draw(rng, run.config["batch"])
            ys, _ = run.model(batch.xs, lengths=batch.lengths)
            losses.append(run.loss(ys, batch).item())
            accuracies.append(measure_accuracy(run.task, ys, batch))
    some = [a for a in accuracies if a is not None]
    return {
        "loss": float(np.mean(losses)),
        "accuracy": float(np.mean(some)) if some else None,
        "baseline": float(run.task.baseline),
        "batches": batches,
        "steps": run.step,
    }
