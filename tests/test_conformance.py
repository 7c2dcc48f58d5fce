"""The conformance kit: what ships passes it, and each check has a planted fault that it finds."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from minigrad.conformance.cells import CHECKS
from minigrad.conformance.loggers import LOGGER_CHECKS
from minigrad.conformance.others import MODEL_CHECKS, TASK_CHECKS, UNROLL_CHECKS
from minigrad.conformance.report import run_one
from minigrad.errors import CheckError
from minigrad_cli.main import run


class Sound(mg.nn.Cell):
    """h' = tanh(W x + U h)"""

    def __init__(self, input_size, hidden_size, scale: float = 1.0):
        self.w, self.u = mg.nn.Linear(input_size, hidden_size), mg.nn.Linear(hidden_size, hidden_size, bias=False)
        self.scale = scale

    def initial_carry(self, batch):
        return mg.zeros((batch, self.u.out_features))

    def step(self, h, x):
        h = mg.tanh(self.w(x) + self.u(h) * self.scale)
        return h, h


def faulty(name):
    """A cell with a fault that the check of that name must find."""

    class Faulty(Sound):
        calls = 0

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            if name == "the_same_seed_gives_the_same":
                self.scale = float(np.random.default_rng().normal())
            if name == "weights_come_back":
                self.hidden = mg.tensor(mg.random.generator().normal(size=hidden_size).astype("f4"))  # no Parameter

        def step(self, h, x):
            out, y = super().step(h, x)
            if name == "carry_keeps_its_type":
                return out.astype(mg.float64), y
            if name == "gradients_hold":  # what the value depends on is hidden from the gradient
                return out + mg.stop_gradient(h) * 0.01, y
            if name == "compiled_equals_eager":  # a stand-in is told from a Tensor
                return out * (1.0 + 0.1 * isinstance(x, mg.Tensor)), y
            if name == "lengths_are_kept":  # it counts
                type(self).calls += 1
                return out * (1.0 + 0.1 * (self.calls % 2)), y
            if name == "rows_are_independent":
                return out + mg.mean(out, axis=0, keepdims=True) * 0.1, y
            if name == "no_steps_are_fine" and isinstance(x, mg.Tensor) and not x.numpy().any():
                raise ValueError("all zeros")
            if name == "nothing_is_changed":
                x[0] = 0.0
            if name == "weights_come_back":
                return out + self.hidden, y
            if name == "it_learns":
                return out, self.w(x)
            return out, y

    return Faulty


@pytest.mark.parametrize("name", CHECKS)
def test_each_check_finds_its_fault_and_passes_a_sound_cell(name: str) -> None:
    assert run_one(CHECKS, name, Sound).startswith("passed")
    with pytest.raises(CheckError, match=name):
        run_one(CHECKS, name, faulty(name))


@check.parametrize_with_checks([Sound])
def test_the_checks_are_tests(cell, check) -> None:
    assert check(cell)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "jordan"])
def test_the_built_in_cells_pass(name: str) -> None:
    report = check.check_cell(mg.registry.load("cells", name))
    assert report.checks == len(CHECKS) == 10
    assert "not compiled" not in str(report.results)


def test_options_reach_the_cell() -> None:
    assert check.check_cell(Sound, scale=0.5).checks == 10
    with pytest.raises(CheckError, match="TypeError"):
        check.check_cell(Sound, scale="x")


def test_an_expected_failure_needs_a_reason_and_must_come() -> None:
    cell = faulty("rows_are_independent")
    cell.expected_failures = {"rows_are_independent": "it normalises over the batch", "lengths_are_kept": "the same"}
    report = check.check_cell(cell)
    assert report.checks == 10
    assert report.results["rows_are_independent"] == "expected to fail: it normalises over the batch"
    cell.expected_failures = {"rows_are_independent": "a reason", "lengths_are_kept": " "}
    with pytest.raises(CheckError, match="no reason"):
        check.check_cell(cell)
    for wrong, words in (
        ({"it_learns": "why not"}, "was expected to fail"),
        ({"it_sings": "x"}, "no check 'it_sings'"),
    ):
        sound = type("Other", (Sound,), {"expected_failures": wrong})
        with pytest.raises(CheckError, match=words):
            check.check_cell(sound)


# --- tasks, models, unrolls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mg.registry.names("tasks"))
def test_the_built_in_tasks_pass(name: str) -> None:
    assert check.check_task(mg.registry.load("tasks", name)).checks == len(TASK_CHECKS) == 5


class Bits:
    """The last bit, the task that the faults are planted in."""

    input_size, output_size, loss, baseline = 1, 2, "cross_entropy", float(np.log(2))

    def __init__(self):
        self.position = 0

    def batch(self, rng, size):
        self.position += 1
        bits = rng.integers(0, 2, (4, size)) ^ (self.position % 2)
        return mg.Batch(bits[..., None].astype(np.float32), bits[-1])


def faulty_task(name):
    class Faulty(Bits):
        def batch(self, rng, size):
            if name == "the_seed_makes_the_data":
                rng = np.random.default_rng(5)
            batch = super().batch(rng, size)
            if name == "has_what_training_reads":
                return mg.Batch(batch.xs.astype("f8"), batch.targets)
            return batch

        def accuracy(self, ys, batch):
            return 0.5 if name == "who_sees_the_answer_beats_the_baseline" else 1.0

    if name == "who_sees_nothing_does_not":
        Faulty.baseline = 2.0
    if name == "its_place_can_be_kept":
        Faulty.position = property(lambda self: 7, lambda self, value: setattr(self, "at", value))
        Faulty.__init__ = lambda self: setattr(self, "at", 0)

        def batch(self, rng, size):
            self.at += 1
            return mg.Batch(np.full((4, size, 1), self.at, "f4"), rng.integers(0, 2, size))

        Faulty.batch = batch
    return Faulty


@pytest.mark.parametrize("name", TASK_CHECKS)
def test_each_check_of_a_task_finds_its_fault(name: str) -> None:
    assert run_one(TASK_CHECKS, name, Bits, Bits).startswith("passed")
    with pytest.raises(CheckError, match=name):
        run_one(TASK_CHECKS, name, faulty_task(name), faulty_task(name))


@pytest.mark.parametrize(
    "options",
    [("seq2seq", {"attention": "general"}), ("seq2seq", {}), ("attention", {}), ("attention", {"decoder": True})],
)
def test_the_built_in_models_pass(options) -> None:
    assert check.check_model(mg.registry.load("models", options[0]), **options[1]).checks == len(MODEL_CHECKS) == 2


class Readout(mg.nn.Module):
    def __init__(self, task, fault: str = ""):
        self.out, self.unused = (
            mg.nn.Linear(task.input_size, task.output_size),
            mg.nn.Linear(2, 2) if fault == "unused" else None,
        )
        self.noise = float(mg.random.generator().normal()) if fault == "noise" else 0.0

    def forward(self, xs, state=None, lengths=None):
        return self.out(xs) + self.noise, None


def test_each_check_of_a_model_and_an_unroll_finds_its_fault() -> None:
    assert check.check_model(Readout).checks == 2
    with pytest.raises(CheckError, match=r"every_weight_has_a_gradient.*unused"):
        check.check_model(Readout, fault="unused")
    with pytest.raises(CheckError, match="comes_back"):
        check.check_model(Readout, fault="noise")
    for name in ("full", "tbptt"):
        assert check.check_unroll(mg.registry.load("unrolls", name)).checks == len(UNROLL_CHECKS) == 1

    class Twice(mg.registry.load("unrolls", "full")):
        def run(self, model, batch, loss, state):
            super().run(model, batch, loss, state)
            return super().run(model, batch, loss, state)

    with pytest.raises(CheckError, match="not that of full"):
        check.check_unroll(Twice)


class Lines:
    """A sound logger."""

    def __init__(self, run_folder):
        self.file = open(run_folder / "lines.txt", "a")  # noqa: SIM115

    def log(self, record):
        self.file.write(f"{record}\n")

    def close(self):
        self.file.close()


class NeedsAccuracy(Lines):
    def log(self, record):
        self.file.write(f"{record['accuracy']}\n")


class TakesAway(Lines):
    def log(self, record):
        record.pop("loss")


class BeginsAnew(Lines):
    def __init__(self, run_folder):
        super().__init__(run_folder)
        self.file.truncate(0)
        self.seen = 0

    def log(self, record):
        self.file.write("x" * (20 - record["step"]))


class Talks(Lines):
    def log(self, record):
        print(record)


LOGGER_FAULTS = {"it_takes_every_record": NeedsAccuracy, "it_changes_no_record": TakesAway,
                 "it_goes_on_after_a_resume": BeginsAnew, "it_leaves_results_alone": Talks}  # fmt: skip


@pytest.mark.parametrize("name", LOGGER_CHECKS)
def test_each_check_of_a_logger_finds_its_fault(name: str, tmp_path) -> None:
    assert run_one(LOGGER_CHECKS, name, Lines, tmp_path / "sound") == "passed"
    with pytest.raises(CheckError, match=name):
        run_one(LOGGER_CHECKS, name, LOGGER_FAULTS[name], tmp_path / "faulty")


@pytest.mark.parametrize("name", mg.registry.names("loggers"))
def test_the_built_in_loggers_pass(name: str) -> None:
    assert check.check_logger(mg.registry.load("loggers", name)).checks == len(LOGGER_CHECKS) == 4


def test_the_command_counts_its_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "jordan", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert (out["passed"], out["checks"], out["kind"]) == (True, 10, "cells")
    assert run(["check", "parity"]) == 0
    assert "5 checks passed" in capsys.readouterr().out
    assert run(["check", "jsonl"]) == 0
    assert "4 checks passed" in capsys.readouterr().out
    assert run(["check", "jsonl", "--set", "a=1"]) == 2
    assert "takes no options" in capsys.readouterr().err
    assert run(["check", "lstn"]) == 2
    assert "Did you mean 'lstm'" in capsys.readouterr().err
    assert run(["check", "lstm", "--set", "projection=-1"]) == 1
    assert "projection must be an integer" in capsys.readouterr().err
