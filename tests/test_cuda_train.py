"""Training on the GPU, or in its simulator: the same two steps as on the CPU, and one wait for the device a step."""

import json

import numpy as np
import pytest

from minigrad.config import resolve
from minigrad.errors import DivergedError
from minigrad.kernels.cuda_array import CudaArray
from minigrad.train import Run, trained
from minigrad_cli.main import run as command

SMALL = {"steps": 2, "batch": 2, "hidden": 3, "length": 2}


def run(model, task, where, settings=None, **options):
    run = Run(resolve(model, task, options={**SMALL, **options, "device": where}, settings=settings or {}), None)
    return run, list(run.records())


def same(ours, theirs):
    """Two records, but for the time that they took."""
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, dict):
            for name, numbers in value.items():
                np.testing.assert_allclose(ours[key][name], numbers, rtol=2e-3, atol=1e-5, err_msg=f"{key} {name}")
        elif key != "seconds":
            assert ours[key] == pytest.approx(value, rel=1e-4, abs=1e-6), key


@pytest.mark.parametrize(
    ("model", "task", "options", "settings"),
    [
        ("lstm", "copy", {"optimizer": "adamw"}, {}),
        ("gru", "sentiment", {"length": 4, "layers": 2, "bidirectional": True}, {"zoneout": 0.1, "recurrent_dropout": 0.2}),
        ("rnn", "adding", {"length": 5, "optimizer": "rmsprop", "unroll": "tbptt"}, {"window": 2}),
        ("jordan", "parity", {"length": 5, "optimizer": "sgd"}, {"noise": 0.1, "clip_value": 0.01, "momentum": 0.9}),
        ("seq2seq", "reversal", {"length": 2}, {}),
        ("attention", "reversal", {"length": 3, "hidden": 4, "optimizer": "sgd"}, {}),
    ],
)  # fmt: skip
def test_two_steps_equal_those_on_the_cpu(model, task, options, settings) -> None:
    cpu, theirs = run(model, task, "cpu", settings, **options)
    gpu, ours = run(model, task, "cuda", settings, **options)
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)
    assert {p.device for p in gpu.model.parameters()} == {"cuda"}
    for name, weight in cpu.model.state_dict().items():
        np.testing.assert_allclose(gpu.model.state_dict()[name], weight, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("trace", ["off", "params", "time"])
def test_a_step_waits_for_the_device_once(trace, monkeypatch) -> None:
    waits, numpy = [], CudaArray.numpy
    monkeypatch.setattr(CudaArray, "numpy", lambda self: waits.append(self.shape) or numpy(self))
    made = Run(resolve("lstm", "copy", options={**SMALL, "steps": 3, "device": "cuda", "trace": trace}), None)
    records = made.records()
    next(records)  # on the first, gates and singular values are looked at too
    waits.clear()
    next(records)
    assert len(waits) == 1, waits


def test_a_run_is_saved_and_taken_up_again(in_folder) -> None:
    (in_folder / "a").mkdir()
    made = Run(resolve("lstm", "copy", options={**SMALL, "device": "cuda"}), in_folder / "a")
    list(made.records())
    again = Run(resolve("lstm", "copy", options={**SMALL, "steps": 3, "device": "cuda"}), in_folder / "a")
    assert again.restore()
    assert [r["step"] for r in again.records()] == [3]
    assert made.optimizer.state[0]["m"].device == "cuda"


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were() -> None:
    for where in ("cpu", "cuda"):
        made = Run(resolve("rnn", "adding", options={**SMALL, "device": where}), None)
        weight = made.model.readout.weight
        weight.assign(np.full(weight.shape, np.inf, "f4"))
        before = made.model.state_dict()
        with pytest.raises(DivergedError, match="step 1"):
            list(made.records())
        for name, array in made.model.state_dict().items():
            np.testing.assert_array_equal(array, before[name])


def test_the_command_trains_on_cuda(in_folder, capsys) -> None:
    words = "train lstm --task copy --device cuda --steps 2 --batch 2 --hidden 3 --length 2 --json --out run"
    assert command(words.split()) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["steps"] == 2
    assert {p.device for p in trained("run").model.parameters()} == {"cpu"}
    assert command(["eval", "run", "--json"]) == 0
    assert command("train --resume run --device cpu --steps 3 --json --out moved".split()) == 0  # as a new run
    assert '"steps": 3' in capsys.readouterr().out


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_outputs_may_be_a_nest(where) -> None:
    """Of a model of somebody else's, with a loss and an accuracy that know what to do with it."""
    made = Run(resolve("rnn", "adding", options={**SMALL, "device": where}), None)
    unroll, seen = made.unroll.run, []

    def run_it(*arguments):
        loss, ys, state = unroll(*arguments)
        return loss, {"y": ys, "twice": (ys * 2,)}, state

    made.unroll.run = run_it
    made.task.accuracy = lambda ys, batch: seen.append(ys) or 0.5
    assert [r["accuracy"] for r in made.records()] == [0.5, 0.5]
    np.testing.assert_allclose(seen[0]["twice"][0].numpy(), 2 * seen[0]["y"].numpy())
