"""Training: a generator of plain records. It prints nothing.

Imports the library below it. A run ends solved, finished, interrupted or diverged; see `Run.status`.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import __version__, checkpoint, optim, origin, random, registry
from minigrad.batch import Batch
from minigrad.config import MOST_STEPS, OPTIMIZERS, TRAINING, Table, make_task
from minigrad.curves import first_not_finite, inside, roots, short, time_grad_norm, update_ratio
from minigrad.device import put, square_sums
from minigrad.eager import tensor
from minigrad.errors import DeviceError, DivergedError, PluginError, ScanError, UsageError, WeightsError
from minigrad.mode import no_grad
from minigrad.models import build_model, check_fits, check_memory
from minigrad.nn.cell import mask_seeds, take_mask_seeds
from minigrad.objective import is_solved, make_loss, measure_accuracy
from minigrad.optim.clipping import shorten
from minigrad.optim.course import course
from minigrad.story import Story
from minigrad.tracing import settle, trace
from minigrad.tree import flatten, tree_map, unflatten
from minigrad.values import Tensor

Record = dict[str, Any]
CHECKPOINT_SECONDS = 10.0
INSIDE = 50  # steps between looks at gates and singular values
RECENT = 20  # batches that a loss or accuracy is averaged over before a task counts as solved


class Run:
    """One training run in its folder. Iterate over `records()`; then `status` and `summary()` say how it ended."""

    def __init__(self, config: Table, folder: Path | None) -> None:
        self.config, self.folder = config, folder
        self.home = folder  # where its records are, for whoever looks at it
        random.seed(config["seed"])
        self.rng = np.random.default_rng(config["seed"])
        if folder is not None:
            origin.check_files(folder, config["task"])
        self.task = make_task(registry.load("tasks", config["task"]["name"]), config)
        if folder is not None:
            origin.check_kept(folder, self.task)
        position = getattr(self.task, "position", None)
        length = self.task.batch(np.random.default_rng(0), 1).xs.shape[0]
        if position is not None:
            self.task.position = position
        try:
            check_memory(config, length, self.task)
            self.model: Any = build_model(config, self.task).to(config["device"])
        except DeviceError as error:
            raise UsageError(f"--device {config['device']}: {error}") from None
        check_fits(config, self.task, self.model)
        options = {k: v for k, v in config["optimizer"].items() if k != "name" and k not in TRAINING}
        kind = getattr(optim, OPTIMIZERS[config["optimizer"]["name"]])
        self.optimizer = kind(self.model.parameters(), lr=config["lr"], **options)
        self.schedule = None
        if {"schedule", "warmup"} & set(chosen := config["optimizer"]):
            total = config.get("steps", MOST_STEPS)
            self.schedule = course(self.optimizer, chosen.get("schedule", "constant"), total, chosen.get("warmup", 0))
        options = {k: v for k, v in config["unroll"].items() if k != "name"}
        self.unroll = registry.load("unrolls", config["unroll"]["name"])(**options)
        self.loss = make_loss(self.task.loss)
        self.recent: deque[tuple[float, float | None]] = deque(maxlen=RECENT)
        self.step, self.seconds = 0, 0.0
        self.state: Any = None  # that the next batch goes on from, where a task's sequences are longer than a batch
        self.best, self.best_step = float("inf"), 0
        self.solved = False
        self.status = "finished"

    def _repr_html_(self) -> str:
        if self.home is not None and self.step:
            return Story(self.home)._repr_html_()
        return f"<p>a run of {self.config['model']['name']} on {self.config['task']['name']}, step {self.step}</p>"

    # --- going on from a checkpoint ---

    def save(self) -> None:
        """Write the checkpoint."""
        if self.folder is None:
            return
        arrays = {f"model.{name}": a for name, a in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": a for name, a in self.optimizer.state_dict().items()}
        arrays |= {f"state.{i}": np.asarray(leaf) for i, leaf in enumerate(flatten(self.state)[0])}
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "solved": self.solved,
            "recent": list(self.recent),
            "best": [self.best, self.best_step],
            "position": getattr(self.task, "position", None),
            "masks": mask_seeds(self.model),
            "data": self.rng.bit_generator.state,
            "random": random.get_state(),
            "version": __version__,
        }
        checkpoint.write(self.folder, arrays, state)

    def restore(self) -> bool:
        """Go on from the folder's checkpoint; False if there is none yet."""
        assert self.folder is not None
        checkpoint.clear_halves(self.folder)
        found = checkpoint.read(self.folder)
        if found is None:
            checkpoint.cut_metrics(self.folder, 0)
            return False
        try:
            self._take(*found)
        except (WeightsError, KeyError, ValueError, TypeError, IndexError) as error:
            raise _foreign(self.folder, error) from error
        checkpoint.cut_metrics(self.folder, self.step)
        return True

    def _take(self, arrays: dict[str, Any], state: Record) -> None:
        """What `save` kept becomes the run's own."""
        self.model.load_state_dict(_part(arrays, "model."))
        self.optimizer.load_state_dict(_part(arrays, "optimizer."))
        self.step, self.seconds, self.solved = state["step"], state["seconds"], state["solved"]
        self.recent.extend((loss, accuracy) for loss, accuracy in state["recent"])
        self.best, self.best_step = state["best"]
        carried = [tensor(arrays[f"state.{i}"]) for i in range(sum(k.startswith("state.") for k in arrays))]
        if carried:
            self.state = unflatten(self._state_structure(), carried)
        take_mask_seeds(self.model, state["masks"])
        if state["position"] is not None:
            self.task.position = state["position"]
        self.rng.bit_generator.state = state["data"]
        random.set_state(state["random"])

    def _state_structure(self) -> Any:
        """How the model's state is put together."""
        batch = self.task.batch(np.random.default_rng(0), 1)
        self.model.eval()
        with no_grad():
            return flatten(self.model(batch.xs[:1])[1])[1]

    # --- training ---

    def records(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Record]:
        """Train, giving a record after each step, until `stop()` or all `steps` ran; without `steps`, until solved.

        Raises:
            DivergedError: for a loss or gradient that is not finite; the last good checkpoint stays.
        """
        asked = [name.strip() for name in self.config.get("loggers", "").split(",")]
        names = dict.fromkeys(["jsonl", *filter(None, asked)])
        loggers = [registry.load("loggers", name)(self.folder) for name in names if self.folder is not None]
        if self.folder is not None:
            origin.write(self.folder, self.task, self.config["task"])
        began = time.monotonic() - self.seconds
        saved = time.monotonic()
        try:
            total, until_solved = self.config.get("steps", MOST_STEPS), "steps" not in self.config
            while self.step < total and not (until_solved and self.solved) and not self._out_of_patience():
                record = self._one_step()
                self.seconds = time.monotonic() - began
                record["seconds"] = round(self.seconds, 6)
                self._note_best()
                for logger in loggers:
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
            for logger in loggers:
                logger.close()

    def _one_step(self) -> Record:
        batch = self.task.batch(self.rng, self.config["batch"])
        self.model.train()
        self.optimizer.zero_grad()
        with trace() if self.config["trace"] == "time" else nullcontext() as traced:
            try:
                loss, ys, state = self.unroll.run(self.model, batch, self.loss, self._carried(batch))
            except ScanError as error:  # what a cell gives back is its author's affair
                raise PluginError(f"the model {self.config['model']['name']!r}: {error}") from error
        self.state = self._kept(state) if batch.starts is not None else None
        # The weights move before anybody knows whether they should, so that their device is waited for once.
        named = dict(self.model.named_parameters())
        moving = {name: p for name, p in named.items() if p.grad is not None}
        before = {name: p._data.copy() for name, p in named.items()}
        rough, noisy = self._temper(list(moving.values()))
        tempered = square_sums([p.grad._data for p in moving.values()])
        if self.schedule is not None:
            self.schedule.move(self.step)
        self.optimizer.step()
        of_weights, old = [p._data for p in named.values()], list(before.values())
        leaves, structure = flatten(ys)
        asked = [loss._data, rough, noisy, tempered, square_sums(of_weights, old), square_sums(old)]
        found = settle([] if traced is None else traced.scans, [*asked, *(leaf._data for leaf in leaves)])
        value, norms = float(found[0]), roots(moving, found[1])
        if not np.isfinite(value) or not np.isfinite(found[1]).all():
            for name, p in named.items():
                p.assign(put(before[name], "cpu"))
            raise DivergedError(self._diagnosis(batch, value))
        self.step += 1
        accuracy = measure_accuracy(self.task, unflatten(structure, [Tensor(a) for a in found[len(asked) :]]), batch)
        self.recent.append((value, accuracy))
        self._judge()
        norm = float(np.sqrt(found[2].sum()))
        record: Record = {"step": self.step, "loss": value, "grad_norm": norm, "lr": self.optimizer.lr}
        if accuracy is not None:
            record["accuracy"] = accuracy
        if self.config["trace"] != "off":
            record["param_grad_norm"] = {n: short(x) for n, x in norms.items()}
            record["clipped_grad_norm"] = {n: short(x) for n, x in roots(moving, found[3]).items()}
        if traced is not None:
            record["time_grad_norm"] = time_grad_norm(self.model, traced.scans)
            record["update_ratio"] = update_ratio(roots(named, found[4]), roots(named, found[5]))
            if self.step % INSIDE == 1:
                record |= inside(self.model, batch.xs)
        return record

    def _carried(self, batch: Batch) -> Any:
        """The state that this batch goes on from: that of the last one, but for the rows that start anew."""
        if batch.starts is None or self.state is None:
            return None
        return self.model.reset(self.state, np.asarray(batch.starts, bool))

    def _kept(self, state: Any) -> Any:
        """The state for the next batch, cut off from this one's tape."""
        if state is None or self.model.reads_ahead:
            raise UsageError(
                f"the task {self.config['task']['name']} hands out one long sequence batch by batch; a model that "
                "reads each batch from its end too, or keeps no state, cannot follow."
            )
        return tree_map(lambda leaf: leaf.detach(), state)

    def _temper(self, parameters: list[Any]) -> tuple[Any, Any]:
        """Add noise to the gradients and clip them, as the configuration says; return the sums of their squares before,
        and with the noise.
        """
        settings = self.config["optimizer"]
        rough = noisy = square_sums([p.grad._data for p in parameters])
        if noise := settings.get("noise", 0.0):
            optim.add_grad_noise(parameters, noise, self.step)
            noisy = square_sums([p.grad._data for p in parameters])
        clipped = noisy
        if "clip_value" in settings:
            optim.clip_grad_value(parameters, settings["clip_value"])
            clipped = square_sums([p.grad._data for p in parameters])
        shorten(parameters, clipped, self.config["clip"])
        return rough, noisy

    def _note_best(self) -> None:
        """Every few steps, if patience may end the run: is the loss, the held-out one if any, better than ever?"""
        if "patience" in self.config and self.step % RECENT == 0:
            held_out = hasattr(self.task, "test_batch")
            loss = evaluate(self, batches=1)["loss"] if held_out else self.average_loss
            if loss < self.best:
                self.best, self.best_step = loss, self.step

    def _out_of_patience(self) -> bool:
        """Whether that was too long ago; said only where it was asked."""
        patience = self.config.get("patience")
        return patience is not None and self.step % RECENT == 0 and self.step - self.best_step >= patience

    def _judge(self) -> None:
        if len(self.recent) == RECENT and not self.solved:
            self.solved = is_solved(self.task, self.average_loss, self.average_accuracy)

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


def _part(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def _foreign(folder: str | Path, error: Exception) -> WeightsError:
    """What to say of a checkpoint that does not fit its run."""
    why = str(error) if isinstance(error, WeightsError) else f"{type(error).__name__}: {error}"
    return WeightsError(
        f"{Path(folder) / checkpoint.CHECKPOINT} does not belong to the {checkpoint.CONFIG} beside it: {why}\n"
        "Put the file back that this run wrote."
    )


def trained(folder: str | Path, **changes: Any) -> Run:
    """The model of a saved run, to be looked at on the CPU; `changes` to its configuration, such as another length.

    Raises:
        UsageError: if the folder holds no run, or no checkpoint yet.
    """
    config, found = checkpoint.read_config(folder), checkpoint.read(folder)
    if found is None:
        raise UsageError(f"{folder} has no checkpoint yet. Go on with it: minigrad train --resume {folder}.")
    origin.check_files(folder, config["task"])
    run = Run({**config, "device": "cpu", **changes}, None)
    origin.check_kept(folder, run.task)
    try:
        run.model.load_state_dict(_part(found[0], "model."))
        run.step, run.home = found[1]["step"], Path(folder)
    except (WeightsError, KeyError) as error:
        raise _foreign(folder, error) from error
    run.model.eval()
    return run


def evaluate(run: Run, *, batches: int = 20) -> Record:
    """Loss and accuracy on fresh data (from the held-out part, where the task has one), nothing learned."""
    rng = np.random.default_rng([run.config["seed"], 1])
    draw = getattr(run.task, "test_batch", run.task.batch)
    position = getattr(run.task, "position", None)
    run.model.eval()
    losses, accuracies = [], []
    with no_grad():
        for _ in range(batches):
            batch = draw(rng, run.config["batch"])
            ys, _ = run.model(batch.xs, lengths=batch.lengths)
            losses.append(run.loss(ys, batch).item())
            accuracies.append(measure_accuracy(run.task, ys, batch))
    if position is not None:
        run.task.position = position
    some = [a for a in accuracies if a is not None]
    return {
        "loss": float(np.mean(losses)),
        "accuracy": float(np.mean(some)) if some else None,
        "baseline": float(run.task.baseline),
        "batches": batches,
        "steps": run.step,
    }
