"""Schedules against PyTorch: its learning rates as they were written down, and itself where it is installed."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import minigrad as mg
from minigrad.errors import UsageError, WeightsError

with safe_open(Path(__file__).parent / "golden" / "optim.safetensors", "numpy") as file:
    GOLDEN = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no dict
    SCHEDULES = json.loads(file.metadata()["schedules"])


def leaf(x) -> mg.Tensor:
    return mg.tensor(np.array(x), dtype=np.float64, requires_grad=True)


def scheduled(library, optimizer, name: str, options: dict):
    inner = [scheduled(library, optimizer, *part) for part in options.get("schedulers", [])]
    return getattr(library, name)(optimizer, **options | ({"schedulers": inner} if inner else {}))


def two_groups(momentum: float = 0.5):
    return mg.optim.SGD([{"params": leaf([0.0]), "lr": 0.1}, {"params": leaf([0.0]), "lr": 0.02}], 1.0, momentum)


@pytest.mark.parametrize("case", SCHEDULES)
def test_a_schedule_is_torchs_at_every_step_and_past_its_end(case: str) -> None:
    optimizer = two_groups()
    schedule = scheduled(mg.optim, optimizer, *SCHEDULES[case])
    for i, (rates, momenta) in enumerate(zip(GOLDEN[f"{case}.lr"], GOLDEN[f"{case}.momentum"], strict=True)):
        schedule.step() if i else None
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        np.testing.assert_allclose(schedule.get_last_lr(), rates, rtol=1e-10, atol=1e-15, err_msg=f"step {i}")
        np.testing.assert_allclose([group["momentum"] for group in optimizer.param_groups], momenta, rtol=1e-12)
        if i == 123:  # in another process
            state = json.loads(json.dumps(schedule.state_dict()))
            optimizer = two_groups()
            schedule = scheduled(mg.optim, optimizer, *SCHEDULES[case])
            schedule.load_state_dict(state)
            np.testing.assert_allclose([group["lr"] for group in optimizer.param_groups], rates, rtol=1e-10)


@pytest.mark.parametrize("case", SCHEDULES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_torch_itself_trains_alike_under_a_schedule(case: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", exc_type=ImportError)

    rng = np.random.default_rng(0)
    starts = [[1.0, 2.0], [3.0]]
    ours, theirs = [leaf(x) for x in starts], [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in starts]
    rules, schedules = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch has its own ways with a milestone
        for optim, library, (p, q) in ((mg.optim, mg.optim, ours), (torch.optim, torch.optim.lr_scheduler, theirs)):
            rules.append(getattr(optim, kind)([{"params": [p]}, {"params": [q], "lr": 0.01}], lr=0.03))
            schedules.append(scheduled(library, rules[-1], *SCHEDULES[case]))
        for _ in range(299):
            for p, q in zip(ours, theirs, strict=True):
                g = rng.normal(size=p.shape)
                p.grad, q.grad = mg.tensor(g), torch.tensor(g)
            for rule, schedule in zip(rules, schedules, strict=True):
                rule.step()
                schedule.step()
    np.testing.assert_allclose(*(schedule.get_last_lr() for schedule in schedules), rtol=1e-9, atol=1e-15)
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-9)


def test_one_cycle_ends() -> None:
    schedule = mg.optim.OneCycleLR(two_groups(), 0.5, total_steps=3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(UsageError, match="step 4 is beyond its 3 steps"):
        schedule.step()
    with pytest.raises(WeightsError, match="step 9 is beyond its 3 steps"):
        schedule.load_state_dict({"last_epoch": 9})
    assert schedule.last_epoch == 3
    for steps in (1, 2, 3, 4, 7):
        for share in (0.0, 0.5, 1):
            short = mg.optim.OneCycleLR(two_groups(), 0.5, total_steps=steps, pct_start=share)
            assert all(0 < rate <= 0.5 for n in range(steps) for rate in short.rates(n))


def test_a_schedule_goes_on_where_the_last_step_is_named() -> None:
    whole = mg.optim.StepLR(two_groups(), 3)
    for _ in range(8):
        whole.step()
    optimizer = two_groups()
    with pytest.raises(UsageError, match="group 0 has no 'initial_lr'"):
        mg.optim.StepLR(optimizer, 3, last_epoch=7)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    assert mg.optim.StepLR(optimizer, 3, last_epoch=7).get_last_lr() == whole.get_last_lr()


def test_wrong_schedules_are_refused() -> None:
    optimizer = two_groups()
    step, optim = mg.optim.StepLR(optimizer, 3), mg.optim
    for make, words in {
        lambda: optim.StepLR(leaf([1.0]), 3): "takes an optimiser",
        lambda: optim.OneCycleLR(None, 1.0, 3): "takes an optimiser",
        lambda: optim.StepLR(optimizer, 0): "step_size must be an integer of 1 or more, not 0",
        lambda: optim.StepLR(optimizer, 1.5): "step_size",
        lambda: optim.StepLR(optimizer, 2, gamma=float("nan")): "gamma",
        lambda: optim.StepLR(optimizer, 2, last_epoch=-2): "last_epoch",
        lambda: optim.LinearLR(optimizer, 0.0): "start_factor must be a number above 0, up to 1, not 0.0",
        lambda: optim.LinearLR(optimizer, 0.5, 1.5): "end_factor must be a number from 0 to 1",
        lambda: optim.LinearLR(optimizer, total_iters=0): "total_iters",
        lambda: optim.CosineAnnealingLR(optimizer, 0): "T_max",
        lambda: optim.CosineAnnealingLR(optimizer, 5, eta_min=-1): "eta_min",
        lambda: optim.OneCycleLR(optimizer, 0.1): "how many steps",
        lambda: optim.OneCycleLR(optimizer, 0.1, epochs=3): "how many steps",
        lambda: optim.OneCycleLR(optimizer, 0.1, 3, anneal_strategy="cosine"): "'cos' or 'linear', not 'cosine'",
        lambda: optim.OneCycleLR(optimizer, [0.1] * 3, 3): "max_lr has 3 figures for 2 groups",
        lambda: optim.OneCycleLR(optimizer, 0.1, 3, pct_start=1.1): "pct_start",
        lambda: optim.OneCycleLR(optimizer, 0.1, 3, max_momentum=1.0): "max_momentum",
        lambda: optim.OneCycleLR(optim.RMSprop([leaf([1.0])]), 0.1, 3): "RMSprop has no momentum",
        lambda: optim.SequentialLR(optimizer, [step, step], []): "2 schedules need one milestone fewer",
        lambda: optim.SequentialLR(optimizer, [step] * 3, [5, 5]): "rising",
        lambda: optim.SequentialLR(optimizer, [step, None], [5]): r"schedulers\[1\] is no schedule but NoneType",
        lambda: optim.SequentialLR(two_groups(), [step, step], [5]): "another optimiser",
    }.items():
        with pytest.raises(UsageError, match=words):
            make()
    for state in (None, {}, {"last_epoch": -1}, {"last_epoch": "3"}, {"last_epoch": 1, "gamma": 2}):
        with pytest.raises(WeightsError, match="StepLR"):
            step.load_state_dict(state)
